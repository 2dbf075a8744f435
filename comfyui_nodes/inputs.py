"""The wires, and the inputs that several nodes have, with one wording each. Ids and choices are for ever."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .core import adainkit

__all__ = [
    "Model",
    "Style",
    "alpha_input",
    "apply_inputs",
    "color_input",
    "mask_input",
    "options_of",
    "read_alphas",
    "schema",
]

CATEGORY = "image/AdaIN"
ALIASES = ["style transfer", "neural style", "stylize", "adain", "painting"]
Model = io.Custom("ADAIN_MODEL")
Style = io.Custom("ADAIN_STYLE")

_MASK = (
    "Where to stylize: white (1) is painted, black (0) keeps the image's own pixels, gray is between. Any size: it is "
    "scaled to the image. Left open, everything is painted. The mask of Load Image is empty (all black) for a picture "
    "without transparency, and then nothing is painted."
)


def schema(**facts: Any) -> io.Schema:
    """An `io.Schema` in the pack's category, with words to search for where this ComfyUI knows them."""
    if "search_aliases" in io.Schema.__dataclass_fields__:
        facts["search_aliases"] = ALIASES
    return io.Schema(category=CATEGORY, **facts)


def mask_input() -> io.Input:
    """Where to stylize."""
    return io.Mask.Input("mask", optional=True, tooltip=_MASK)


_KEPT = "Changing only this costs about half of a run, since the encoded image is kept."


def alpha_input(cost: str = _KEPT) -> io.Input:
    """How much; `cost` says what a change of it costs."""
    return io.Float.Input(
        "alpha",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.05,
        tooltip=f"Strength of the style: 1 is the style in full, 0 the image as the model draws it. {cost}",
    )


def color_input() -> io.Input:
    """Whose colors."""
    return io.Combo.Input(
        "preserve_color",
        options=["none", "luma", "match"],
        default="none",
        tooltip="Keep the image's colors: luma takes only the brightness of the painting, match gives the painting the "
        "image's overall palette, none takes the style's colors.",
    )


def apply_inputs(cost: str = _KEPT) -> list[io.Input]:
    """The widgets of the nodes that paint, in the order in which they are seen."""
    return [
        alpha_input(cost),
        color_input(),
        io.Float.Input(
            "color_strength",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="How much of preserve_color: 0 none of it, 1 all. Without effect while preserve_color is none.",
        ),
        io.Float.Input(
            "stroke_scale",
            default=1.0,
            min=1.0,
            max=8.0,
            step=0.25,
            tooltip="How bold the strokes are: 2 makes them twice as wide. For large pictures, whose strokes would "
            "otherwise be thin.",
        ),
        io.Float.Input(
            "detail",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="Brings the image's fine structure back, for faces and lettering: 0 none of it, 1 all.",
        ),
        io.Int.Input(
            "tile",
            default=0,
            min=0,
            max=8192,
            step=64,
            tooltip="Pixels a side that are worked on at once; 0 takes what fits into memory. The result is the same, "
            "without seams: less needs less memory.",
        ),
        io.String.Input(
            "level_alphas",
            default="",
            optional=True,
            placeholder="fine to coarse, as 0.3, 0.7, 1",
            tooltip="Strengths of the model's levels, finest first, between commas; the lite model has three levels, "
            "vgg19 one. They take the place of alpha. Empty: alpha holds for all.",
        ),
    ]


def read_alphas(alpha: float, level_alphas: str) -> float | list[float]:
    """What the library takes as alpha: the numbers in the text; `alpha` where it is empty. `StyleError` for others."""
    if not level_alphas.strip():
        return alpha
    try:
        return [float(part) for part in level_alphas.split(",")]
    except ValueError:
        raise adainkit.StyleError(
            f"level_alphas must be numbers from 0 to 1 between commas, as 0.3, 0.7, 1, got {level_alphas!r}"
        ) from None


def options_of(
    alpha: float,
    preserve_color: str,
    color_strength: float,
    stroke_scale: float,
    detail: float,
    tile: int,
    level_alphas: str = "",
) -> dict[str, Any]:
    """The values of the widgets of `apply_inputs` as options of `Stylizer.stylize`."""
    return {
        "alpha": read_alphas(alpha, level_alphas),
        "preserve_color": preserve_color,
        "color_strength": color_strength,
        "scale": stroke_scale,
        "detail": detail,
        "tile": tile or "auto",
    }

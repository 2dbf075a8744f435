"""The wires, and the inputs that several nodes have, with one wording each. Ids and choices are for ever."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .core import CONTROLS, adainkit

__all__ = [
    "Model",
    "Style",
    "alpha_input",
    "apply_inputs",
    "color_input",
    "control_input",
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


def control_input(name: str, node_id: str = "", more: str = "", **facts: Any) -> io.Input:
    """A control of the library as a widget; `more` is said behind its tip, `facts` are the widget's own."""
    control = CONTROLS[name]
    facts = {"default": control.default, "tooltip": f"{control.tip} {more}".strip(), **facts}
    if control.kind == "choice":
        return io.Combo.Input(node_id or name, options=list(control.choices), **facts)
    if control.kind == "pixels":
        return io.Int.Input(node_id or name, **{"min": 0, "max": 4096, "step": 64, **facts})
    span = {"min": control.low, "max": control.high, "step": 0.05}
    return io.Float.Input(node_id or name, **{**span, **facts})


def alpha_input(cost: str = _KEPT) -> io.Input:
    """How much; `cost` says what a change of it costs."""
    return control_input("alpha", more=cost)


def color_input() -> io.Input:
    """Whose colors."""
    return control_input("preserve_color")


def apply_inputs(cost: str = _KEPT) -> list[io.Input]:
    """The widgets of the nodes that paint, in the order in which they are seen."""
    return [
        alpha_input(cost),
        color_input(),
        control_input("color_strength"),
        control_input("scale", "stroke_scale", max=8.0, step=0.25),
        control_input("detail"),
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

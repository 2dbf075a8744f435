"""The nodes that paint."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from .core import adainkit
from .engine import Contents, Film, Styles, identity_style, stylize_images
from .host import LoadedModel, Steps, load_model
from .inputs import Model, Style, alpha_input, apply_inputs, color_input, mask_input, options_of, read_alphas, schema
from .layout import check_image
from .style_nodes import encode_styles, preset_names

__all__ = ["AdaINApply", "AdaINApplyToFrames", "AdaINRegions", "AdaINStylize"]

_CONTENTS, _FILM = Contents(), Film()
_REGIONS = range(1, 5)
_IMAGE = "The image to paint, or a batch of any length. Size, transparency and number type stay as they are."


def _model_input() -> io.Input:
    return Model.Input("model", tooltip="The model, from AdaIN Load Model.")


def _style_input(**facts: Any) -> io.Input:
    return Style.Input(
        "style",
        tooltip="The style to paint in: one for all images, or as many as images. It must be of the same model.",
        **facts,
    )


def _image_output() -> io.Output:
    return io.Image.Output(display_name="IMAGE", tooltip="The painted images, of the size of those that came in.")


class AdaINApply(io.ComfyNode):
    """Images in a style."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        return schema(
            node_id="AdaINApply",
            display_name="AdaIN Apply",
            description="Paints images in a style. Images of any size go through, in tiles without seams where memory "
            "is short.",
            inputs=[
                io.Image.Input("image", tooltip=_IMAGE),
                _model_input(),
                _style_input(lazy=True),
                *apply_inputs(),
                mask_input(),
            ],
            outputs=[_image_output()],
        )

    @classmethod
    def check_lazy_status(cls, alpha: float, level_alphas: str = "", style: Any = None, **_: Any) -> list[str]:
        """At strength 0 no style is looked at, so that its branch need not run."""
        try:
            wanted = style is None and not _is_zero(read_alphas(alpha, level_alphas))
        except adainkit.StyleError:  # which `execute` tells
            wanted = style is None
        return ["style"] if wanted else []

    @classmethod
    def execute(
        cls, image: Tensor, model: LoadedModel, style: Styles | None = None, mask: Tensor | None = None, **widgets: Any
    ) -> io.NodeOutput:
        """Paint them."""
        options = options_of(**widgets)
        if _is_zero(options["alpha"]):
            style = (identity_style(model),)
        elif style is None:
            raise adainkit.StyleError("no style came in at `style`; connect one, or set alpha to 0")
        return io.NodeOutput(stylize_images(model, image, style, mask=mask, contents=_CONTENTS, **options))


def _is_zero(alpha: float | list[float]) -> bool:
    return not any(alpha) if isinstance(alpha, list) else alpha == 0


class AdaINRegions(io.ComfyNode):
    """Images in several styles, each where its mask is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        pairs: list[io.Input] = []
        for i in _REGIONS:
            pairs += [
                io.Mask.Input(
                    f"mask_{i}",
                    optional=i > 1,
                    tooltip=f"Where style {i} is painted: white (1) in full, gray partly. Any size. The mask of Load "
                    "Image is empty (all black) for a picture without transparency: nothing is painted there.",
                ),
                Style.Input(f"style_{i}", optional=i > 1, tooltip=f"The style inside mask {i}, of the same model."),
            ]
        return schema(
            node_id="AdaINRegions",
            display_name="AdaIN Regions",
            description="Paints up to four regions, each in its own style. What no mask covers stays as it is; where "
            "masks overlap, their styles are mixed.",
            inputs=[io.Image.Input("image", tooltip=_IMAGE), _model_input(), *pairs, *apply_inputs()],
            outputs=[_image_output()],
        )

    @classmethod
    def execute(cls, image: Tensor, model: LoadedModel, **inputs: Any) -> io.NodeOutput:
        """Paint them."""
        regions = []
        for i in _REGIONS:
            mask, style = inputs.pop(f"mask_{i}", None), inputs.pop(f"style_{i}", None)
            if (mask is None) != (style is None):
                there, missing = ("mask", "style") if style is None else ("style", "mask")
                raise adainkit.StyleError(f"{there}_{i} has no {missing}_{i}; connect both, or neither")
            if mask is not None:
                regions.append((mask, style))
        options = options_of(**inputs)
        return io.NodeOutput(stylize_images(model, image, None, regions=regions, contents=_CONTENTS, **options))


class AdaINApplyToFrames(io.ComfyNode):
    """A film in a style."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        return schema(
            node_id="AdaINApplyToFrames",
            display_name="AdaIN Apply to Frames",
            description="Paints the frames of a film, a batch of images, in one tone: contrast and "
            "colors are measured over the whole clip. Memory does not grow with its length.",
            inputs=[
                io.Image.Input("frames", tooltip="The frames in their order, as a batch of images of one size."),
                _model_input(),
                _style_input(),
                *apply_inputs("The clip is not measured again when only this changes."),
                io.Boolean.Input(
                    "steady",
                    default=True,
                    optional=True,
                    tooltip="Measure the contents once over all frames, so that the film is steady. Off, each frame is "
                    "painted by itself: for single pictures and clips with cuts between very different scenes.",
                ),
                mask_input(),
            ],
            outputs=[io.Image.Output(display_name="IMAGE", tooltip="The painted frames, in the same order.")],
        )

    @classmethod
    def execute(
        cls,
        frames: Tensor,
        model: LoadedModel,
        style: Styles,
        steady: bool = True,
        mask: Tensor | None = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        """Paint them, one after the other."""
        check_image(frames)
        options = options_of(**widgets)
        if steady and len(frames) > 1:
            steps = Steps(2 * len(frames))
            options["content_statistics"] = _FILM.statistics(model, frames, steps, options["scale"], options["tile"])
            options["steps"] = steps.after(len(frames))
        return io.NodeOutput(stylize_images(model, frames, style, mask=mask, **options))


class AdaINStylize(io.ComfyNode):
    """The whole thing in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        names = preset_names()
        return schema(
            node_id="AdaINStylize",
            display_name="AdaIN Stylize",
            description="Paints images in the style of a picture or of a preset, with the model that comes with the "
            "pack. Nothing to set up; the other AdaIN nodes give more control.",
            inputs=[
                io.Image.Input("image", tooltip=_IMAGE),
                io.Image.Input(
                    "style_image",
                    optional=True,
                    tooltip="The picture whose style is wanted; several in a batch are averaged. Left open, the preset "
                    "is taken.",
                ),
                io.Combo.Input(
                    "preset",
                    options=names,
                    default=names[0],
                    tooltip="A style that comes with the pack; without effect while style_image is connected.",
                ),
                alpha_input(),
                color_input(),
                mask_input(),
            ],
            outputs=[_image_output()],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        preset: str,
        alpha: float,
        preserve_color: str,
        style_image: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        """Paint them."""
        model = load_model("lite", str(adainkit.models()["lite"].path))
        if style_image is None:
            styles: Styles = (adainkit.Style.preset(preset, "lite"),)
        else:
            styles = encode_styles(model, [style_image], 512, "average")
        options = {"alpha": alpha, "preserve_color": preserve_color}
        return io.NodeOutput(stylize_images(model, image, styles, mask=mask, contents=_CONTENTS, **options))

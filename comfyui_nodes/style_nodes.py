"""The nodes that make, mix, save and load styles."""

from __future__ import annotations

from dataclasses import replace

import folder_paths
from comfy_api.latest import io
from torch import Tensor

from .core import adainkit
from .engine import Styles
from .files import STYLES, list_files, stamp, style_target
from .host import LoadedModel, Steps
from .inputs import Model, Style, control_input, schema
from .layout import check_image, count_for, from_image

__all__ = [
    "AdaINEncodeStyle",
    "AdaINLoadStyle",
    "AdaINMixStyles",
    "AdaINPresetStyle",
    "AdaINSaveStyle",
    "encode_styles",
    "preset_names",
]

_AVERAGE, _EACH = "average", "one per image"
_NONE = "(no saved styles yet)"


def preset_names() -> list[str]:
    """The styles that come with the pack."""
    return list(adainkit.styles("lite"))


def encode_styles(model: LoadedModel, images: list[Tensor], style_size: int, combine: str) -> Styles:
    """The style of all pictures in all batches, one of equal shares, or one for each."""
    for image in images:
        check_image(image)
    pictures = [image[i : i + 1] for image in images for i in range(len(image))]
    steps, found = Steps(len(pictures)), []
    for index, picture in enumerate(pictures):
        stylizer = model.on_device(picture.shape[1] * picture.shape[2])
        found.append(stylizer.encode_style(from_image(picture), style_size=style_size or None))
        steps.show(index + 1)
    return tuple(found) if combine == _EACH else (adainkit.Style.blend([(style, 1.0) for style in found]),)


class AdaINEncodeStyle(io.ComfyNode):
    """Pictures to a style."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        more = "More pictures of the same style; they may have other sizes."
        return schema(
            node_id="AdaINEncodeStyle",
            display_name="AdaIN Encode Style",
            description="Takes the style from one picture or several: their colors, contrasts and textures.",
            inputs=[
                Model.Input(
                    "model", tooltip="The model that will paint: styles belong to the model they were made with."
                ),
                io.Image.Input(
                    "image",
                    tooltip="The picture whose style is wanted, or a batch of them. Transparent parts do not count.",
                ),
                io.Image.Input("image_2", optional=True, tooltip=more),
                io.Image.Input("image_3", optional=True, tooltip=more),
                io.Image.Input("image_4", optional=True, tooltip=more),
                control_input("style_size"),
                io.Combo.Input(
                    "combine",
                    options=[_AVERAGE, _EACH],
                    default=_AVERAGE,
                    tooltip="average: one style, of all pictures in equal shares. one per image: as many styles as "
                    "pictures; the first is for the first image that is painted, and so on.",
                ),
            ],
            outputs=[
                Style.Output(
                    display_name="STYLE",
                    tooltip="The style, a few kilobytes of numbers, for nodes that paint, mix or save.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: LoadedModel,
        image: Tensor,
        style_size: int,
        combine: str,
        image_2: Tensor | None = None,
        image_3: Tensor | None = None,
        image_4: Tensor | None = None,
    ) -> io.NodeOutput:
        """Look at the pictures."""
        images = [i for i in (image, image_2, image_3, image_4) if i is not None]
        return io.NodeOutput(encode_styles(model, images, style_size, combine))


class AdaINPresetStyle(io.ComfyNode):
    """A style that comes with the pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        names = preset_names()
        return schema(
            node_id="AdaINPresetStyle",
            display_name="AdaIN Preset Style",
            description="A style that comes with the lite model. No picture is needed.",
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=names,
                    default=names[0],
                    tooltip="Which style. The output says what it looks like, the help page shows all of them.",
                )
            ],
            outputs=[
                Style.Output(display_name="STYLE", tooltip="The preset's style, of the lite model."),
                io.String.Output(display_name="description", tooltip="What the preset looks like, in words."),
            ],
        )

    @classmethod
    def execute(cls, preset: str) -> io.NodeOutput:
        """Look it up."""
        style = adainkit.Style.preset(preset, "lite")
        return io.NodeOutput((style,), style.description)


class AdaINMixStyles(io.ComfyNode):
    """Several styles to one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        wires = [
            Style.Input(f"style_{i}", optional=i > 2, tooltip=f"Style {i} of the mix, of the same model as the others.")
            for i in range(1, 5)
        ]
        weights = [
            io.Float.Input(
                f"weight_{i}",
                default=1.0,
                min=0.0,
                max=10.0,
                step=0.05,
                tooltip=f"How much of style {i}. Only the shares count: 1 and 1 is the same mix as 2 and 2.",
            )
            for i in range(1, 5)
        ]
        return schema(
            node_id="AdaINMixStyles",
            display_name="AdaIN Mix Styles",
            description="Mixes two to four styles by weight. It costs no computing to speak of.",
            inputs=[*wires, *weights],
            outputs=[Style.Output(display_name="STYLE", tooltip="The mixed style, for nodes that paint, mix or save.")],
        )

    @classmethod
    def execute(
        cls,
        style_1: Styles,
        style_2: Styles,
        weight_1: float,
        weight_2: float,
        weight_3: float,
        weight_4: float,
        style_3: Styles | None = None,
        style_4: Styles | None = None,
    ) -> io.NodeOutput:
        """Mix them; several for a batch are mixed one by one."""
        pairs = [(style_1, weight_1), (style_2, weight_2), (style_3, weight_3), (style_4, weight_4)]
        parts = [(styles, weight) for styles, weight in pairs if styles is not None]
        count = max(len(styles) for styles, _ in parts)
        for styles, _ in parts:
            count_for(len(styles), count, "styles")
        return io.NodeOutput(
            tuple(adainkit.Style.blend([(s[i % len(s)], weight) for s, weight in parts]) for i in range(count))
        )


class AdaINSaveStyle(io.ComfyNode):
    """A style to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        return schema(
            node_id="AdaINSaveStyle",
            display_name="AdaIN Save Style",
            description="Writes the style to a new file in output/adain_styles. AdaIN Load Style finds it there after "
            "a refresh (key R).",
            is_output_node=True,
            inputs=[
                Style.Input("style", tooltip="The style to keep; of several, each gets a file."),
                io.String.Input(
                    "filename_prefix",
                    default="style",
                    tooltip="How the file is called before its number; a / makes a folder in output/adain_styles.",
                ),
            ],
            outputs=[io.String.Output(display_name="path", tooltip="Where the file is; of several, a line for each.")],
        )

    @classmethod
    def execute(cls, style: Styles, filename_prefix: str) -> io.NodeOutput:
        """Write it; nothing is overwritten."""
        paths = []
        for part in style:
            path = style_target(filename_prefix)
            paths.append(str(replace(part, name=part.name or path.stem).save(path)))
        return io.NodeOutput("\n".join(paths), ui={"text": paths})


class AdaINLoadStyle(io.ComfyNode):
    """A file to a style."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        return schema(
            node_id="AdaINLoadStyle",
            display_name="AdaIN Load Style",
            description="Reads a style that AdaIN Save Style or the library wrote.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=list_files(STYLES) or [_NONE],
                    tooltip="A .safetensors file in output/adain_styles or models/adain_styles; press R after adding "
                    "one.",
                )
            ],
            outputs=[Style.Output(display_name="STYLE", tooltip="The style, for the model it was made with.")],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str) -> object:
        """A file that was replaced is another style."""
        return stamp(folder_paths.get_full_path(STYLES, file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        """Read it."""
        if file == _NONE:
            raise adainkit.StyleError(
                "there is no saved style; make one with AdaIN Save Style, or put a style's .safetensors file into "
                f"models/{STYLES}, then press R"
            )
        return io.NodeOutput((adainkit.Style.load(folder_paths.get_full_path_or_raise(STYLES, file)),))

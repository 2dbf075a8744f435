"""The node that loads a model."""

from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from .core import adainkit
from .files import MODELS, list_files, stamp
from .host import Steps, load_model
from .inputs import Model, schema

__all__ = ["PUBLISHED", "AdaINLoadModel"]

PUBLISHED = ["lite", "vgg19"]


class AdaINLoadModel(io.ComfyNode):
    """A model by name or file, once per server."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        return schema(
            node_id="AdaINLoadModel",
            display_name="AdaIN Load Model",
            description="Loads the network that paints. lite comes with the pack and works offline.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=[*PUBLISHED, *list_files(MODELS)],
                    default="lite",
                    tooltip="lite comes with the pack: small, fast, offline. vgg19 is the classic network of the "
                    "paper, downloaded once if allow_download says so. The others are your files in models/adain.",
                ),
                io.Boolean.Input(
                    "allow_download",
                    default=False,
                    tooltip="Fetch a published model that is not on this machine yet (vgg19, about 95 MB) when the "
                    "node runs. Off, nothing is ever downloaded.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["auto", "float32", "float16", "bfloat16"],
                    default="auto",
                    tooltip="auto is float16 where ComfyUI prefers it for the graphics card, else float32. bfloat16 is "
                    "quicker on recent processors, with differences of about half a step of 255.",
                ),
                io.Combo.Input(
                    "runtime",
                    options=["auto", "torch", "openvino", "onnxruntime"],
                    default="auto",
                    optional=True,
                    tooltip="What computes on a processor. auto takes OpenVINO where it is installed and faster. On a "
                    "graphics card it is always torch.",
                ),
            ],
            outputs=[
                Model.Output(display_name="MODEL", tooltip="The model, for the nodes that encode styles and paint.")
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, allow_download: bool, precision: str, runtime: str = "auto") -> object:
        """A file that was replaced is another model."""
        return None if model in PUBLISHED else stamp(folder_paths.get_full_path(MODELS, model))

    @classmethod
    def execute(cls, model: str, allow_download: bool, precision: str, runtime: str = "auto") -> io.NodeOutput:
        """Load it, unless this server has it already."""
        if model in PUBLISHED:
            return io.NodeOutput(load_model(model, _published(model, allow_download), precision, runtime))
        path = folder_paths.get_full_path_or_raise(MODELS, model)
        return io.NodeOutput(load_model(model, path, precision, runtime))


def _published(name: str, allow_download: bool) -> str:
    """The file of a published model, fetched if it is missing and that is allowed. `WeightsError`, `DownloadError`."""
    weights = adainkit.models()[name]
    if weights.sources and not weights.available:
        if not allow_download:
            raise adainkit.WeightsError(
                f"the model {name} is not on this machine; switch allow_download on to fetch it from "
                f"{weights.homepage}, or put a model's .safetensors file into ComfyUI's models/{MODELS}"
            )
        steps = Steps(1)
        adainkit.download(name, progress=lambda _, done, total: steps.show(done / total if total else 0))
    return str(weights.path)

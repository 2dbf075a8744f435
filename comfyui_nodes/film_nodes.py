"""The node that paints a video: from file to file, a few frames at a time."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from comfy_api.latest import InputImpl, io
from torch import Tensor

from .core import adainkit
from .engine import Styles
from .files import film_target
from .host import LoadedModel, Steps
from .inputs import Model, Style, apply_inputs, mask_input, options_of, schema
from .layout import from_mask

__all__ = ["AdaINStylizeVideo"]

_PASSES = {"scan": (0.0, 0.05), "measure": (0.05, 0.05), "stylize": (0.1, 0.9)}
"""Where each stage begins in the whole, and its share."""
_LARGE = 1920 * 1080  # pixels for which memory is asked


class AdaINStylizeVideo(io.ComfyNode):
    """A video in a style."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs and outputs."""
        return schema(
            node_id="AdaINStylizeVideo",
            display_name="AdaIN Stylize Video",
            description="Paints a video of any length, a few frames at a time, and keeps its times, colors and sound. "
            "Cuts are found, and each scene is painted in one tone.",
            inputs=[
                io.Video.Input("video", tooltip="The video to paint, from Load Video for instance."),
                Model.Input("model", tooltip="The model, from AdaIN Load Model."),
                Style.Input("style", tooltip="The style to paint in, one for the whole video, of the same model."),
                *(given for given in apply_inputs("The video is painted anew when it changes.") if given.id != "tile"),
                io.Combo.Input(
                    "statistics",
                    options=["scene", "clip", "frame", "live"],
                    default="scene",
                    optional=True,
                    tooltip="What the tone is measured over: each scene between two cuts, the whole clip, each frame "
                    "by itself, or, live, the last frames, which needs one pass over the video instead of three.",
                ),
                io.Float.Input(
                    "steady",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How much of the last frame is kept along the motion, so that strokes and noise are calm: "
                    "0 nothing, 0.8 much. More than 0 needs OpenCV.",
                ),
                mask_input(),
            ],
            outputs=[io.Video.Output(display_name="VIDEO", tooltip="The painted video, with the sound of the first.")],
        )

    @classmethod
    def execute(
        cls,
        video: Any,
        model: LoadedModel,
        style: Styles,
        statistics: str = "scene",
        steady: float = 0.0,
        mask: Tensor | None = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        """Paint it into a file of ComfyUI's temp folder."""
        if len(style) != 1:
            raise adainkit.StyleError(f"a video takes one style, got {len(style)}; mix them, or paint its frames")
        options = options_of(tile=0, **widgets)
        del options["tile"]
        if mask is not None:
            options["mask"] = from_mask(mask[:1])[0].cpu().numpy()
        source, given = video.get_stream_source(), None
        target = film_target(_suffix(source, video.get_container_format()))
        if isinstance(source, BytesIO):
            given = target.with_name(f"{target.stem}-source{target.suffix}")
            given.write_bytes(source.getvalue())
            source = str(given)
        steps = Steps(1)

        def progress(stage: str, done: int, total: int) -> None:
            begins, share = _PASSES[stage]
            steps.show(begins + share * done / max(total, done, 1))

        more = {"statistics": statistics, "steady": steady, "progress": progress, **_trim(video), **options}
        try:
            model.on_device(_LARGE).stylize_film(source, target, style[0], **more)
        finally:
            if given is not None:
                given.unlink(missing_ok=True)
            _remove(Path(f"{target}.parts"))
        return io.NodeOutput(InputImpl.VideoFromFile(str(target)))


def _suffix(source: str | BytesIO, container: str) -> str:
    """That of a film of the same kind; MP4 and MOV have one name in FFmpeg, and differ in their first bytes."""
    if "mp4" not in container:
        return ".mkv"
    if isinstance(source, BytesIO):
        start = source.getvalue()[:12]
    else:
        with Path(source).open("rb") as file:
            start = file.read(12)
    return ".mov" if start[4:12] == b"ftypqt  " else ".mp4"


def _trim(video: Any) -> dict[str, float]:
    """The part of a video that is wanted, where this ComfyUI can cut videos; a length of 0 is up to the end."""
    window = getattr(video, "get_active_trim_window", None)
    start, length = window() if window is not None else (0.0, 0.0)
    return {"start": start or 0.0, **({"stop": (start or 0.0) + length} if length else {})}


def _remove(folder: Path) -> None:
    """What a stopped run has left: nobody could go on with it."""
    for path in folder.glob("*"):
        path.unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()

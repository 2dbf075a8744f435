"""From a user's choices to a request of the worker, and from its answer to pixels: in any thread, but for `prepare`."""

from pathlib import Path

from . import layers
from .worker_link import Failure, for_preview

__all__ = ["PREVIEW_SIDE", "Request", "answer_of", "prepare", "prepare_preview"]

_STYLE_SIDE = 1024  # the worker looks at 512 pixels for the shorter side
PREVIEW_SIDE = 360
_WORKER_READS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".safetensors"}  # Krita loads the rest


class Request:
    """A header, the bytes that follow it, and the styles' names."""

    def __init__(self, header, pieces):
        self.header, self.pieces = header, pieces

    @property
    def name(self):
        """Of the styles, for the new layer's name."""
        return " + ".join(s.get("preset") or Path(s.get("file", "layer")).stem for s in self.header["styles"])


def prepare(krita, source, choices):
    """The `Request` for a `layers.Source`. `Failure` where a choice lacks. For Krita's main thread.

    `choices`: "styles", a list of {"preset": NAME}, {"file": PATH} or {"layer": (document, node)}, each with its
    "weight"; "options" and "model" as in PROTOCOL.md.
    """
    described, pictures = _styles(krita, choices)
    picture = layers.shape(*source.rectangle[2:], 4, source.type)
    header = {"do": "stylize", "picture": picture, "styles": described, **_settings(choices)}
    pieces = [source.pixels(source.depth), *pictures]
    if source.selection is not None:
        header["mask"] = layers.shape(*source.rectangle[2:], 1)
        pieces.append(source.mask())
    return Request(header, pieces)


def prepare_preview(krita, original, reduced, choices, size=PREVIEW_SIDE):
    """The `Request` for a thumbnail of `original`, (width, height, RGBA bytes), which is `reduced` times as large as
    what the filter would get."""
    described, pictures = _styles(krita, choices)
    width, height, pixels = original
    header = {"do": "preview", "picture": layers.shape(width, height, 4), "styles": described, **_settings(choices)}
    header["options"] = for_preview(header["options"], reduced)
    header["size"] = size
    return Request(header, [pixels, *pictures])


def answer_of(worker, request, progress=None, waiting=None):
    """(width, height, RGBA bytes) that the worker makes of a request. `Failure` with the remedy."""
    answer = worker.request(request.header, request.pieces, progress, waiting)
    try:
        found = answer.header["result"]
        return found["width"], found["height"], answer.read(answer.header["bytes"])
    finally:
        answer.close()


def _settings(choices):
    return {"options": choices.get("options", {}), "model": choices.get("model", "lite")}


def _styles(krita, choices):
    described, pictures = [], []
    for style in choices["styles"]:
        if not style.get("weight", 1):
            continue
        found = {name: style[name] for name in ("preset", "file", "weight") if name in style}
        if "layer" in style:
            found["picture"] = _picture(layers.choose(*style["layer"], _STYLE_SIDE), pictures)
        elif "file" in style:
            path = Path(style["file"])
            if not str(style["file"]):
                raise Failure("style", "Choose a picture for the style.")
            if path.suffix.lower() not in _WORKER_READS and path.is_file():
                del found["file"]
                found["picture"] = _picture(layers.file_picture(krita, str(path), _STYLE_SIDE), pictures)
        described.append(found)
    return described, pictures


def _picture(found, pictures):
    width, height, pixels = found
    pictures.append(pixels)
    return layers.shape(width, height, 4)

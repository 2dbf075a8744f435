"""The styles that callers may name: presets, and those that a caller saved, which are its own."""

from __future__ import annotations

import io
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..errors import StyleError
from ..images import MAX_PIXELS, ImageLike, open_image
from ..style import Preset, Style, styles
from ..stylizer import Stylizer
from .problems import Refusal

__all__ = ["Saved", "Shelf", "as_jpeg", "is_saved_style", "style_of_file"]

THUMBNAIL = 192
_SAVED_BYTES = 4 << 20  # a saved style has some kilobytes; a code of a larger model some more


@dataclass(frozen=True)
class Saved:
    """A style that a caller saved."""

    style: Style
    label: str
    thumbnail: bytes
    model: str


class Shelf:
    """Presets by model, and the saved styles of each caller, `saved` at most: the oldest one goes."""

    def __init__(self, saved: int) -> None:
        self.saved = saved
        self._presets: dict[str, dict[str, Preset]] = {}
        self._styles: dict[tuple[str, str], Style] = {}
        self._thumbnails: dict[tuple[str, str], bytes] = {}
        self._saved: dict[str, OrderedDict[str, Saved]] = {}
        self._lock = threading.Lock()

    def presets(self, model: str) -> dict[str, Preset]:
        """The presets of a model, by name."""
        if model not in self._presets:
            self._presets[model] = styles(model)
        return self._presets[model]

    def of_caller(self, caller: str) -> dict[str, Saved]:
        """What a caller saved, by name."""
        with self._lock:
            return dict(self._saved.get(caller, {}))

    def add(self, caller: str, saved: Saved) -> str:
        """Keep a style; its name, which nobody guesses."""
        name = f"saved-{secrets.token_hex(8)}"
        with self._lock:
            own = self._saved.setdefault(caller, OrderedDict())
            own[name] = saved
            while len(own) > self.saved:
                own.popitem(last=False)
        return name

    def remove(self, caller: str, name: str) -> None:
        """Forget a saved style. `Refusal` where there is none."""
        self.find(caller, name)
        with self._lock:
            self._saved[caller].pop(name, None)

    def find(self, caller: str, name: str) -> Saved:
        """A style that this caller saved. `Refusal` where there is none."""
        found = self.of_caller(caller).get(name)
        if found is None:
            raise Refusal(404, f"no saved style is called {name[:100]!r}", "see /v1/styles for those that there are")
        return found

    def style(self, caller: str, name: str, model: str) -> Style:
        """The style of a name: the caller's own, or a preset of the model. Never a path. `StyleError` for neither."""
        own = self.of_caller(caller).get(name)
        if own is not None:
            return own.style
        if name not in self.presets(model):
            raise StyleError(f"no style is called {name[:100]!r}; see /v1/styles for those that there are")
        if (model, name) not in self._styles:
            self._styles[model, name] = Style.preset(name, model)
        return self._styles[model, name]

    def thumbnail(self, name: str, model: str) -> bytes | None:
        """The JPEG of a preset, where it was made already."""
        return self._thumbnails.get((model, name))

    def keep_thumbnail(self, name: str, model: str, data: bytes) -> None:
        """Keep the JPEG of a preset."""
        self._thumbnails[model, name] = data


def is_saved_style(path: Path) -> bool:
    """Whether a file begins as a .safetensors file does: the length of its header, and JSON."""
    with open(path, "rb") as stream:
        start = stream.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _SAVED_BYTES


def style_of_file(
    stylizer: Stylizer, path: Path, *, style_size: int | None = 512, max_pixels: int = MAX_PIXELS
) -> Style:
    """The style of an uploaded file, a picture or a saved style. `ImageError`, `StyleError`."""
    if not is_saved_style(path):
        return stylizer.encode_style(path, style_size=style_size, max_pixels=max_pixels)
    if path.stat().st_size > _SAVED_BYTES:
        raise StyleError(f"a saved style has at most {_SAVED_BYTES} bytes; send its picture")
    return stylizer.as_style(Style.load(path))


def as_jpeg(picture: Image.Image, size: int | None = None, quality: int = 88) -> bytes:
    """A picture as JPEG on white, its longer side `size` at most."""
    if size is not None:
        picture = picture.copy()
        picture.thumbnail((size, size))
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture)
        picture = white
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def blend(parts: Sequence[tuple[Style, float]]) -> Style:
    """The mix of styles by their weights. `StyleError` for none, or where all weights are 0."""
    shares = [(style, weight) for style, weight in parts if weight > 0]
    if not shares:
        raise StyleError("a style is missing; give one or more, with a weight above 0")
    return Style.blend(shares) if len(shares) > 1 else shares[0][0]


def thumbnail_of(source: ImageLike, max_pixels: int) -> bytes:
    """The thumbnail of a painting."""
    from ..images import close_image
    from ..look.previews import bounded, reduced

    picture = open_image(source, max_pixels=max_pixels)
    small = reduced(picture, bounded(picture, THUMBNAIL))
    shown = close_image(small.rgb, small)
    assert isinstance(shown, Image.Image)  # a file gives one
    return as_jpeg(shown)

"""A picture file that is opened window by window: what is held of it are integers, or nothing; floats are a window."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from PIL import Image

from .decoders import identify, is_tiff
from .deep import Deep
from .facts import read_facts
from .picture import Picture
from .pil import to_picture, turned
from .reading import load, opened, reading, tell_further, tiff_size
from .sizes import check_size
from .tiff import open_tiff

__all__ = ["Strips", "open_strips", "picture_size"]

ImageFile: TypeAlias = "str | os.PathLike[str]"
_Cut: TypeAlias = Callable[[int, int, int, int], "Image.Image | Deep"]
_OF_PIXELS = {"transparency", "icc_profile"}  # what a window needs of the image's own facts


class Strips:
    """An upright picture of `height` x `width`. `like` is its first pixel, which has all that holds for the others:
    type, profile, facts, and whether there is alpha. A context manager, which closes the file."""

    def __init__(
        self, name: str, height: int, width: int, cut: _Cut, info: Mapping[str, Any], close: Callable[[], None]
    ) -> None:
        self.name, self.height, self.width = name, height, width
        self._cut, self._info, self._close = cut, info, close
        try:
            self.like: Picture = self._open(0, 1, 0, 1, again=False)
        except BaseException:
            close()
            raise

    def window(self, top: int, bottom: int, left: int, right: int) -> Picture:
        """A part of what `open_image` would give. `ImageError` for a damaged file."""
        return self._open(top, bottom, left, right, again=True)

    def _open(self, top: int, bottom: int, left: int, right: int, again: bool) -> Picture:
        with reading(self.name):
            image = self._cut(top, bottom, left, right)
        return to_picture(image, self._info, self.name, again=again)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._close()

    def __enter__(self) -> Strips:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def picture_size(path: ImageFile, max_pixels: int | None) -> tuple[int, int]:
    """Height and width of a picture file as they are stored. `ImageError` as for `open_image`; nothing is decoded."""
    with reading(path), opened(path) as (stream, name):
        header = identify(stream, name, max_pixels)
        width, height = tiff_size(stream) if header is None else header.size
        check_size(name, width, height, max_pixels)
    return height, width


def open_strips(path: ImageFile, *, max_pixels: int | None, limit: int) -> Strips:
    """Open a picture file for windows of it; errors and pixels are those of `open_image`.

    Of a TIFF only the strips or tiles that meet a window are read, if it is of a kind that `open_tiff` takes (a segment
    of it up to `limit` bytes; needs ``pip install "adainkit[tiff]"``). Any other picture is decoded whole, since Pillow
    knows no parts, and held as it decodes: a byte per sample, or two.
    """
    with reading(path), opened(path) as (stream, name):
        header = identify(stream, name, max_pixels)
        width, height = tiff_size(stream) if header is None else header.size
        check_size(name, width, height, max_pixels)
        reader = open_tiff(Path(path), header, limit) if is_tiff(stream) else None
        if reader is not None:
            tell_further(header, stream, name)
            # `open_tiff` takes none that would have to be turned
            info, _ = read_facts(header or Image.new("L", (1, 1)), stream, name)
            return Strips(name, height, width, reader.cut, info, reader.close)
    pixels, held, orientation, name = load(path, max_pixels)
    whole = turned(pixels, orientation)
    facts = whole.info if isinstance(whole, Image.Image) else {}
    kept: dict[Any, Any] = {key: facts[key] for key in _OF_PIXELS if key in facts}

    def cut(top: int, bottom: int, left: int, right: int) -> Image.Image | Deep:
        part = whole.crop((left, top, right, bottom))
        if isinstance(part, Image.Image):
            part.info = dict(kept)
        return part

    return Strips(name, whole.size[1], whole.size[0], cut, held, lambda: None)

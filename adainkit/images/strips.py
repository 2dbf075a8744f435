"""A picture file that is opened window by window: what is held of it are integers, or nothing; floats are a window."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from PIL import Image

from .files import check_size, identify, load_file, reading, tell_pages
from .picture import Picture
from .pil import to_picture, upright
from .tiff import open_tiff

__all__ = ["Strips", "open_strips", "picture_size"]

_Cut: TypeAlias = Callable[[int, int, int, int], tuple[Image.Image, Image.Image | None]]
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
            image, low = self._cut(top, bottom, left, right)
        return to_picture(image, low, self._info, self.name, again=again)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._close()

    def __enter__(self) -> Strips:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def picture_size(path: str | os.PathLike[str], max_pixels: int | None) -> tuple[int, int]:
    """Height and width of a picture file as they are stored. `ImageError` as for `open_image`; nothing is decoded."""
    name = os.fspath(path)
    with reading(name), open(path, "rb") as stream:
        width, height = identify(stream, name).size
    check_size(name, width, height, max_pixels)
    return height, width


def open_strips(path: str | os.PathLike[str], *, max_pixels: int | None, limit: int) -> Strips:
    """Open a picture file for windows of it; errors and pixels are those of `open_image`.

    Of a TIFF only the strips or tiles that meet a window are read, if it is of a kind that `open_tiff` takes (a segment
    of it up to `limit` bytes; needs ``pip install "adainkit[tiff]"``). Any other picture is decoded whole, since Pillow
    knows no parts, and held as it decodes: a byte per sample, or two.
    """
    name = os.fspath(path)
    with reading(name), open(path, "rb") as stream:
        header = identify(stream, name)
        width, height = header.size
        check_size(name, width, height, max_pixels)
        reader = open_tiff(Path(path), header, limit) if header.format == "TIFF" else None
        if reader is not None:
            tell_pages(header, name)
            _, _, info = upright(header, None, name)  # `open_tiff` takes none that would have to be turned
            return Strips(name, height, width, reader.cut, info, reader.close)
    image, low, held = upright(*load_file(path, max_pixels), name)
    kept: dict[Any, Any] = {key: image.info[key] for key in _OF_PIXELS if key in image.info}

    def cut(top: int, bottom: int, left: int, right: int) -> tuple[Image.Image, Image.Image | None]:
        box = (left, top, right, bottom)
        part = image.crop(box)
        part.info = dict(kept)
        return part, None if low is None else low.crop(box)

    return Strips(name, image.height, image.width, cut, held, lambda: None)

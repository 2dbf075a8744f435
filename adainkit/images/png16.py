"""16-bit color, for which Pillow has no mode: a way to read it all the same, and a writer for PNG (TIFF: tiff.py)."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np
from PIL import Image

from ..errors import ImageError
from .deep import Deep
from .packing import png_chunks

__all__ = ["deep_png", "write_png16"]

# Pillow reads 16-bit color by its high bytes. Reading the file again with the byte order turned around gives
# the low ones.
_OTHER_BYTE = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBX", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
_BITS = 258  # TIFF's BitsPerSample
_PLANAR = 284  # TIFF's PlanarConfiguration: 1 = the samples of a pixel side by side
_STRIP = 1 << 20  # pixels that are packed in one go: bounds the temporary memory


def deep_png(image: Image.Image, stream: IO[bytes], again: Callable[..., Any], name: str) -> Deep | None:
    """The samples of a PNG or TIFF of 16-bit color, or of 16-bit gray with alpha, that Pillow has identified; None for
    any other picture.

    `again(stream, name)` identifies it once more. Many kinds of errors for a damaged file.
    """
    profile, tiles = image.info.get("icc_profile"), getattr(image, "tile", [])
    if image.format == "PNG" and [_mode_of(tile) for tile in tiles] == ["LA;16B"]:
        # two bytes of gray and two of alpha lie as four channels do: Pillow's decoder may take them for these
        vars(image)["tile"] = [_with_mode(tiles[0], "RGBA")]
        image.load()
        return Deep(np.asarray(image).view(">u2").astype(np.uint16), "gray", "straight", profile=profile)
    turned = _turn_bytes(image, name)
    if not turned:
        return None
    image.load()
    values: np.ndarray[Any, Any] = np.asarray(image).astype(np.uint16) << 8
    low = again(stream, name)
    vars(low)["tile"] = turned
    low.load()
    values |= np.asarray(low)
    key = image.info.get("transparency") if values.shape[2] == 3 else None
    return Deep(values, "rgb", "straight" if values.shape[2] == 4 else "", key, profile)


def _mode_of(tile: Any) -> str:
    args = tile[3]
    return str(args[0] if isinstance(args, tuple) else args)


def _with_mode(tile: Any, mode: str) -> Any:
    codec, extents, offset, args = tile
    args = (mode, *args[1:]) if isinstance(args, tuple) else mode
    return getattr(type(tile), "_make", tuple)((codec, extents, offset, args))


def _turn_bytes(image: Image.Image, name: str) -> list[Any]:
    """The tiles of a 16-bit color picture with low and high bytes exchanged; empty for any other picture."""
    tiles, tags = getattr(image, "tile", []), getattr(image, "tag_v2", {})
    if tags.get(_PLANAR, 1) != 1:
        if tags.get(_BITS, (8,))[0] == 16 and tiles[0][0] == "raw":
            raise ImageError(  # Pillow takes the planes for 8-bit ones and shows noise, without a word
                f"{name}: 16-bit TIFF with uncompressed separate planes, which Pillow misreads; "
                'run pip install "adainkit[tiff]", or save it with the samples of a pixel side by side'
            )
        return []
    if not tiles or any(_mode_of(tile) not in _OTHER_BYTE for tile in tiles):
        return []
    return [_with_mode(tile, _OTHER_BYTE[_mode_of(tile)]) for tile in tiles]


def write_png16(array: np.ndarray[Any, Any], stream: IO[bytes], info: Mapping[str, Any]) -> None:
    """A 16-bit PNG, which Pillow cannot write in color (W3C PNG, third edition): rows of big-endian samples, filter
    "Sub"."""

    def chunk(tag: bytes, data: bytes) -> None:
        stream.write(struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)))

    height, width, channels = array.shape
    stream.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0))
    if icc := info.get("icc_profile"):
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if dpi := info.get("dpi"):
        chunk(b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in dpi), 1))
    if exif := info.get("exif"):
        chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    for tag, data in png_chunks(info):
        chunk(tag, data)
    packer = zlib.compressobj()
    step = max(1, _STRIP // width)
    for top in range(0, height, step):
        rows = array[top : top + step].astype(">u2").view(np.uint8).reshape(-1, width * channels * 2)
        packed = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        packed[:, 0] = 1  # "Sub": each byte less the one a pixel to the left
        packed[:, 1:] = rows
        packed[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
        chunk(b"IDAT", packer.compress(packed.data))
    chunk(b"IDAT", packer.flush())
    chunk(b"IEND", b"")

"""More than 8 bits where Pillow gives 8: from HEIC they are read, of other formats it is told that they are lost."""

from __future__ import annotations

import logging
import struct
from typing import IO, Any

import numpy as np
from PIL import Image

from .boxes import read_properties
from .deep import Deep

__all__ = ["deep_heif", "tell_depth"]

_log = logging.getLogger("adainkit")

_J2K = b"\xff\x4f\xff\x51"
_J2K_DEPTH = 42  # where a code stream says its depth
_IHDR_DEPTH = 14  # behind the name of the box that says it in a JP2 file


def deep_heif(header: Image.Image, stream: IO[bytes]) -> Deep | None:
    """The samples of a HEIC of 10 or 12 bits; None for any other picture. Many kinds of errors for a damaged file."""
    if header.format != "HEIF" or read_properties(stream).bits <= 8:
        return None
    import pillow_heif

    stream.seek(0)
    held: Any = pillow_heif.open_heif(stream, convert_hdr_to_8bit=False, hdr_to_16bit=True)
    frame = held[held.primary_index]
    base, _, deep = str(frame.mode).partition(";")
    values = np.asarray(frame)
    if deep != "16" or values.dtype != np.uint16 or base not in ("RGB", "RGBA", "L"):
        return None
    values = values.reshape(values.shape[0], values.shape[1], -1)
    return Deep(values, "gray" if base == "L" else "rgb", "straight" if base == "RGBA" else "",
                profile=header.info.get("icc_profile"))  # fmt: skip


def tell_depth(header: Image.Image, stream: IO[bytes], name: str) -> None:
    """A warning in the log where Pillow reads a picture of more bits with 8."""
    bits = 8
    if header.mode in ("RGB", "RGBA", "L", "LA", "P"):
        bits = _bits(header, stream)
    if bits > 8:
        _log.warning("%s: its %d bits are read as 8, as the decoder of %s has no more", name, bits, header.format)


def _bits(header: Image.Image, stream: IO[bytes]) -> int:
    if header.format == "AVIF":
        return read_properties(stream).bits
    if header.format == "JPEG2000":
        stream.seek(0)
        head = stream.read(200)
        place = head.find(b"ihdr") + _IHDR_DEPTH if b"ihdr" in head else _J2K_DEPTH if head[:4] == _J2K else 0
        return (head[place] & 0x7F) + 1 if 0 < place < len(head) and head[place] != 0xFF else 8
    if header.format == "PPM":
        for _, _, _, args in getattr(header, "tile", []):
            if isinstance(args, tuple) and isinstance(args[-1], int) and args[-1] > 255:
                return args[-1].bit_length()
    if header.format == "PSD":
        stream.seek(22)
        found: int = struct.unpack(">H", stream.read(2))[0]
        return found
    return 8

"""The size of a JPEG XL picture, from the first bits of its code stream (ISO/IEC 18181-1, annex A and D)."""

from __future__ import annotations

import struct
from typing import IO

from ..errors import ImageError
from .sizes import check_size

__all__ = ["check_jxl_size", "jxl_size"]

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_ENOUGH = 64  # bytes that hold the size for certain
_MOST_BOXES = 1000


def check_jxl_size(stream: IO[bytes], name: str, max_pixels: int | None) -> None:
    """`check_size` for a JPEG XL file, by its header alone."""
    size = jxl_size(stream)
    if size is None:
        raise ImageError(f"{name}: damaged or truncated picture (no size); expected a whole JPEG XL")
    check_size(name, *size, max_pixels)


def jxl_size(stream: IO[bytes]) -> tuple[int, int] | None:
    """Width and height as they are stored; None where the file has no such header."""
    head = _code_stream(stream)
    if head[:2] != b"\xff\x0a":
        return None
    bits = int.from_bytes(head[2:], "little")
    place = 0

    def take(count: int) -> int:
        nonlocal place
        value = bits >> place & ((1 << count) - 1)
        place += count
        return value

    small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = take(3)
    if ratio:
        wide, high = _RATIOS[ratio - 1]
        return height * wide // high, height
    return side(), height


def _code_stream(stream: IO[bytes]) -> bytes:
    """The first bytes of the code stream: the file itself, or a box of it."""
    stream.seek(0)
    head = stream.read(_ENOUGH)
    if head[:2] == b"\xff\x0a":
        return head
    place = 0
    for _ in range(_MOST_BOXES):
        stream.seek(place)
        box = stream.read(16)
        if len(box) < 8:
            break
        size, tag = struct.unpack(">I4s", box[:8])
        start = 8
        if size == 1 and len(box) == 16:
            size, start = struct.unpack(">Q", box[8:])[0], 16
        if tag in (b"jxlc", b"jxlp"):
            stream.seek(place + start + (4 if tag == b"jxlp" else 0))
            return stream.read(_ENOUGH)
        if size < 8:
            break
        place += size
    return b""

"""What the containers say that Pillow does not tell: PNG's chunks, and the boxes of AVIF and HEIF."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

__all__ = ["Properties", "png_chunk", "read_properties"]

_MOST = 1 << 20  # bytes of boxes that describe a picture; the pixels lie elsewhere
_MOST_CHUNKS = 1000
_FULL = {b"meta": 4, b"iinf": 6, b"iprp": 0, b"ipco": 0}  # what lies before the boxes in a box


def png_chunk(stream: IO[bytes], tag: bytes) -> bytes | None:
    """The first chunk of a PNG with this tag before its pixels; None where there is none."""
    stream.seek(8)
    for _ in range(_MOST_CHUNKS):
        head = stream.read(8)
        if len(head) < 8:
            return None
        size, found = struct.unpack(">I4s", head)
        if found == tag:
            return stream.read(min(size, _MOST))
        if found in (b"IDAT", b"IEND"):
            return None
        stream.seek(size + 4, 1)
    return None


@dataclass(frozen=True)
class Properties:
    """Of the main picture of an AVIF or HEIF: `cicp` is (primaries, transfer), None where there are none, `bits` of a
    sample, and whether the file holds a gain map."""

    cicp: tuple[int, int] | None = None
    bits: int = 8
    gain_map: bool = False


def read_properties(stream: IO[bytes]) -> Properties:
    """The properties of an AVIF's or HEIF's main picture; the defaults where they cannot be read."""
    try:
        return _properties(_meta(stream))
    except (struct.error, IndexError, ValueError):
        return Properties()


def _meta(stream: IO[bytes]) -> bytes:
    """The box that describes the pictures, without its header."""
    place = 0
    for _ in range(_MOST_CHUNKS):
        stream.seek(place)
        head = stream.read(16)
        if len(head) < 8:
            break
        size, tag = struct.unpack(">I4s", head[:8])
        start = 8
        if size == 1:
            size, start = struct.unpack(">Q", head[8:16])[0], 16
        if tag == b"meta":
            stream.seek(place + start)
            return stream.read(min(size - start, _MOST) if size else _MOST)[_FULL[b"meta"] :]
        if size < 8:
            break
        place += size
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, tag = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield tag, data[at + 8 : at + size]
        at += size


def _properties(meta: bytes) -> Properties:
    parts = dict(_boxes(meta))
    lists = dict(_boxes(parts.get(b"iprp", b"")))
    known = list(_boxes(lists.get(b"ipco", b"")))
    primary = _primary(parts.get(b"pitm", b""))
    own = _associated(lists.get(b"ipma", b""), primary)
    chosen = [known[i - 1] for i in own if 1 <= i <= len(known)] or known
    cicp, bits = None, 8
    for tag, data in chosen:
        if tag == b"colr" and data[:4] == b"nclx" and cicp is None:
            cicp = struct.unpack_from(">HH", data, 4)
        elif tag == b"pixi" and data[4]:
            bits = max(bits, data[5])
        elif tag == b"av1C":
            bits = max(bits, 8 if not data[2] & 0x40 else 12 if data[2] & 0x20 else 10)
    gain_map = b"tmap" in parts.get(b"iinf", b"") or b"hdrgainmap" in meta
    return Properties(cicp, bits, gain_map)


def _primary(data: bytes) -> int:
    if not data:
        return 1
    found: int = struct.unpack_from(">H" if data[0] == 0 else ">I", data, 4)[0]
    return found


def _associated(data: bytes, item: int) -> list[int]:
    """The numbers, from 1, of an item's properties."""
    if not data:
        return []
    version, wide = data[0], data[3] & 1
    count, at = struct.unpack_from(">I", data, 4)[0], 8
    for _ in range(min(count, 10_000)):
        number = struct.unpack_from(">H" if version == 0 else ">I", data, at)[0]
        at += 2 if version == 0 else 4
        size = data[at]
        at += 1
        codes = [struct.unpack_from(">H" if wide else "B", data, at + i * (1 + wide))[0] for i in range(size)]
        at += size * (1 + wide)
        if number == item:
            return [code & (0x7FFF if wide else 0x7F) for code in codes]
    return []

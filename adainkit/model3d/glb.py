"""GLB, the container of glTF 2.0: a header and chunks, the first of which is JSON; and buffers with other parts.

Written out here, since libraries that parse glTF into objects add defaults, move buffers and lose what they don't know.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Model3DError

__all__ = ["Chunk", "pack_glb", "parse_json", "splice", "unpack_glb"]

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942


@dataclass(frozen=True)
class Chunk:
    """What follows the JSON of a GLB: the buffer, or what an extension put there."""

    kind: int
    data: bytes

    @property
    def is_buffer(self) -> bool:
        """Whether it is the file's own buffer."""
        return self.kind == _BIN


def parse_json(data: bytes) -> dict[str, Any]:
    """The JSON of a glTF file. `Model3DError` for what is none, NaN and infinity included."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number in JSON")

    try:
        found = json.loads(data.decode("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Model3DError(f"damaged JSON ({error}); expected glTF 2.0") from error
    if not isinstance(found, dict):
        raise Model3DError(f"expected the JSON object of glTF 2.0, got {type(found).__name__}")
    return found


def unpack_glb(data: bytes) -> tuple[dict[str, Any], list[Chunk]]:
    """The JSON and the other chunks of a GLB. `Model3DError` where it is cut off, or of another version."""
    magic, version, length = struct.unpack_from("<III", data.ljust(12, b"\0"))
    if magic != _MAGIC:
        raise Model3DError("not a GLB file: it does not begin with 'glTF'")
    if version != 2:
        raise Model3DError(f"GLB of version {version}; expected 2: convert it, with Blender for example")
    if length > len(data):
        raise Model3DError(f"cut off: {len(data)} bytes of {length}")
    chunks, place = [], 12
    while place + 8 <= length:
        size, kind = struct.unpack_from("<II", data, place)
        if place + 8 + size > length:
            raise Model3DError(f"damaged: a chunk of {size} bytes does not fit into the file")
        chunks.append(Chunk(kind, data[place + 8 : place + 8 + size]))
        place += 8 + size
    if not chunks or chunks[0].kind != _JSON:
        raise Model3DError("damaged: the first chunk is not the JSON of glTF")
    return parse_json(chunks[0].data), chunks[1:]


def pack_glb(document: Mapping[str, Any], chunks: Sequence[Chunk]) -> bytes:
    """A GLB of them; chunks are padded to 4 bytes, JSON with spaces, others with zeros."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    parts = []
    for kind, data, filler in [(_JSON, text, b" "), *((c.kind, c.data, b"\0") for c in chunks)]:
        padded = data + filler * (-len(data) % 4)
        parts += [struct.pack("<II", len(padded), kind), padded]
    body = b"".join(parts)
    return struct.pack("<III", _MAGIC, 2, 12 + len(body)) + body


def splice(
    data: bytes, index: int, views: Sequence[dict[str, Any]], replaced: Mapping[int, bytes]
) -> tuple[bytes, list[dict[str, Any]]]:
    """Buffer `index`, whose bytes are `data`, and all buffer views, after those in `replaced` have got other bytes.

    What lies behind a replaced part moves by a multiple of 8 bytes, so that it stays aligned; a part that is also part
    of another view stays, and its replacement goes to the end. All other bytes are kept.
    """
    ranges = {number: _ranges(view, index) for number, view in enumerate(views)}
    cuts, appended = [], []
    for number, new in replaced.items():
        ((start, end),) = ranges[number]
        others = (r for other, found in ranges.items() if other != number for r in found)
        if any(low < end and start < high for low, high in others):
            appended.append((number, new))
        else:
            cuts.append((start, end, number, new + b"\0" * ((end - start - len(new)) % 8)))
    cuts.sort(key=lambda cut: cut[:2])
    parts, place = [], 0
    for start, end, _, new in cuts:
        parts += [data[place:start], new]
        place = end
    out = b"".join([*parts, data[place:]])

    def moved(offset: int) -> int:
        return offset + sum(len(new) - (end - start) for start, end, _, new in cuts if end <= offset)

    fresh = [_moved_view(view, index, moved) for view in views]
    for number, new in appended:
        out += b"\0" * (-len(out) % 8)
        fresh[number]["byteOffset"] = len(out)
        out += new
    for number, new in replaced.items():
        fresh[number]["byteLength"] = len(new)
    return out, fresh


def _places(view: dict[str, Any]) -> list[dict[str, Any]]:
    """What in a view names a part of a buffer: itself, and extensions such as EXT_meshopt_compression."""
    extensions = view.get("extensions", {})
    return [view, *(e for e in extensions.values() if isinstance(e, dict) and "buffer" in e and "byteLength" in e)]


def _ranges(view: dict[str, Any], index: int) -> list[tuple[int, int]]:
    found = [(p.get("byteOffset", 0), p["byteLength"]) for p in _places(view) if p.get("buffer") == index]
    return [(start, start + length) for start, length in found]


def _moved_view(view: dict[str, Any], index: int, moved: Any) -> dict[str, Any]:
    """A copy, as deep as it is changed; an offset that was not there stays away where it is 0."""
    fresh: dict[str, Any] = json.loads(json.dumps(view))
    for place in _places(fresh):
        offset = place.get("byteOffset", 0)
        if place.get("buffer") == index and moved(offset) != offset:
            place["byteOffset"] = moved(offset)
    return fresh

"""The numbers of a glTF file: accessors over buffer views over buffers, with every bound checked before memory is
taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Model3DError

__all__ = ["Unreadable", "element", "read_accessor", "view_bytes"]

_KINDS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_MOST = 1 << 24  # elements of an accessor that names no bytes, and is zeros: a file of a line could claim any number


class Unreadable(Model3DError):
    """Numbers that only a decoder can read (Draco, meshopt): the file is in order, but not for us."""


def element(document: dict[str, Any], kind: str, index: object) -> dict[str, Any]:
    """`document[kind][index]`. `Model3DError` where there is none."""
    found = document.get(kind, [])
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(found):
        raise Model3DError(f"{kind}[{index!r}] is named, but the file has {len(found)} {kind}")
    value = found[index]
    if not isinstance(value, dict):
        raise Model3DError(f"{kind}[{index}]: expected an object, got {type(value).__name__}")
    return value


def view_bytes(document: dict[str, Any], index: object, buffer: Callable[[int], bytes]) -> bytes:
    """The bytes of a buffer view; `buffer` gives those of a whole buffer. `Model3DError` beyond its end."""
    view = element(document, "bufferViews", index)
    data = buffer(view["buffer"])
    start, length = view.get("byteOffset", 0), view["byteLength"]
    if start < 0 or length < 0 or start + length > len(data):
        raise Model3DError(
            f"bufferViews[{index}]: bytes {start} to {start + length} of buffer {view['buffer']}, which has {len(data)}"
        )
    return data[start : start + length]


def read_accessor(document: dict[str, Any], index: object, buffer: Callable[[int], bytes]) -> NDArray[Any]:
    """The values of an accessor, `(count, width)`: as they are, normalized integers as float32 in [0, 1] or [-1, 1].

    `Model3DError` for what does not fit into its buffer view; `Unreadable` for what is compressed.
    """
    accessor = element(document, "accessors", index)
    name, count = f"accessors[{index}]", accessor["count"]
    kind, width = accessor["componentType"], _WIDTHS.get(accessor["type"])
    if kind not in _KINDS or width is None or not isinstance(count, int) or count < 1:
        raise Model3DError(f"{name}: {count!r} elements of type {accessor['type']!r} and component type {kind!r}")
    dtype = np.dtype(_KINDS[kind])
    if "bufferView" in accessor:
        values = _strided(document, accessor, name, dtype, width, buffer)
    elif count > _MOST:
        raise Model3DError(f"{name}: {count} elements without a buffer view; expected at most {_MOST}")
    else:
        values = np.zeros((count, width), dtype)
    if "sparse" in accessor:
        values = _with_sparse(document, accessor["sparse"], values, name, buffer)
    if accessor.get("normalized") and dtype.kind in "iu":
        values = np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1)
    return values


def _strided(
    document: dict[str, Any],
    accessor: dict[str, Any],
    name: str,
    dtype: np.dtype[Any],
    width: int,
    buffer: Callable[[int], bytes],
) -> NDArray[Any]:
    view = element(document, "bufferViews", accessor["bufferView"])
    if any("compression" in extension for extension in view.get("extensions", {})):
        raise Unreadable(f"{name}: compressed by {' and '.join(view['extensions'])}")
    data, size = view_bytes(document, accessor["bufferView"], buffer), dtype.itemsize * width
    offset, stride, count = accessor.get("byteOffset", 0), view.get("byteStride") or size, accessor["count"]
    needed = offset + stride * (count - 1) + size
    if offset < 0 or stride < size or needed > len(data):
        raise Model3DError(
            f"{name}: {count} elements of {size} bytes at {offset}, {stride} apart, need {needed} bytes; "
            f"bufferViews[{accessor['bufferView']}] has {len(data)}"
        )
    raw = np.frombuffer(data, np.uint8)
    rows = np.lib.stride_tricks.as_strided(raw[offset:], (count, size), (stride, 1), writeable=False)
    return np.ascontiguousarray(rows).view(dtype)


def _with_sparse(
    document: dict[str, Any],
    sparse: dict[str, Any],
    values: NDArray[Any],
    name: str,
    buffer: Callable[[int], bytes],
) -> NDArray[Any]:
    """`values` with some of them replaced."""
    count, rows, put = sparse["count"], sparse["indices"], sparse["values"]
    if not isinstance(count, int) or not 0 < count <= len(values):
        raise Model3DError(f"{name}: {count!r} sparse values for {len(values)} elements")
    kinds = {"count": count, "componentType": rows["componentType"]}
    facts = {"byteOffset": rows.get("byteOffset", 0), "bufferView": rows["bufferView"]}
    kind = np.dtype(_KINDS[kinds["componentType"]])
    places = _strided(document, {**kinds, **facts}, f"{name}.sparse.indices", kind, 1, buffer)[:, 0]
    given = {"count": count, "byteOffset": put.get("byteOffset", 0), "bufferView": put["bufferView"]}
    new = _strided(document, given, f"{name}.sparse.values", values.dtype, values.shape[1], buffer)
    if places.max() >= len(values):
        raise Model3DError(f"{name}: a sparse index of {places.max()}, of {len(values)} elements")
    values = values.copy()
    values[places] = new
    return values

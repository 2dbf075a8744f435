"""Color profiles that are curves and a matrix, in floats: as exact as 16 bits want them, for which lcms in Pillow has
no way in."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["MatrixProfile", "decode_srgb", "encode_srgb", "matrix_profile"]

_LUTS = {b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2", b"D2B3"}  # a profile with these means them
_SAMPLES = 65536  # of a curve: 16 bits have no more, and straight lines between serve floats
_ROWS = 1 << 20  # pixels that are converted at once: bounds the temporary memory
# Linear sRGB to XYZ under D50 (IEC 61966-2-1, adapted by Bradford's matrix as ICC.1:2022 annex E has it)
_SRGB = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)


def encode_srgb(linear: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Light in [0, 1] to sRGB numbers in [0, 1] (IEC 61966-2-1)."""
    high = 1.055 * np.power(np.maximum(linear, 0.0031308), 1 / 2.4, dtype=np.float32) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, high))


def decode_srgb(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """sRGB numbers in [0, 1] to light in [0, 1]."""
    high = np.power((np.maximum(values, 0.04045) + 0.055) / 1.055, 2.4, dtype=np.float32)
    return np.asarray(np.where(values <= 0.04045, values / 12.92, high))


@dataclass(frozen=True, eq=False)
class MatrixProfile:
    """An RGB profile of three curves and a matrix, or, with one curve and no matrix, a gray profile."""

    curves: tuple[np.ndarray[Any, Any], ...] = field(repr=False)
    """Each `_SAMPLES` float32 of light at the numbers from 0 to 1."""
    matrix: np.ndarray[Any, Any] | None = None
    """Light of the profile to light of sRGB, 3 x 3."""

    @property
    def turns_back(self) -> bool:
        """Whether sRGB can be brought to this profile: its curves rise, up to their ends."""
        rise = all(bool((np.diff(curve) >= 0).all()) and curve[-_SAMPLES // 100] < curve[-1] for curve in self.curves)
        return rise and (self.matrix is None or abs(float(np.linalg.det(self.matrix))) > 1e-3)

    def to_srgb(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """``(H, W, 1 | 3)`` of uint16 or of floats in [0, 1] to sRGB, float32 in [0, 1]; what sRGB lacks is clipped."""

        def convert(part: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            light = np.stack([_look(part[..., i], self._curve(i)) for i in range(part.shape[-1])], -1)
            if self.matrix is not None:
                light = light @ self.matrix.T.astype(np.float32)
            return np.asarray(np.clip(encode_srgb(np.clip(light, 0, 1)), 0, 1))

        return _by_rows(values, convert)

    def from_srgb(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """``(H, W, 3)`` floats in [0, 1] of sRGB to the numbers of this profile, float32 in [0, 1]."""
        assert self.matrix is not None  # a gray one takes no colors
        back = np.linalg.inv(self.matrix).T.astype(np.float32)
        places = np.linspace(0, 1, _SAMPLES, dtype=np.float32)

        def convert(part: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            light = decode_srgb(part) @ back
            numbers = [np.interp(light[..., i], self._curve(i), places) for i in range(3)]
            return np.stack(numbers, -1).astype(np.float32)

        return _by_rows(values, convert)

    def _curve(self, channel: int) -> np.ndarray[Any, Any]:
        return self.curves[channel if len(self.curves) > 1 else 0]


@lru_cache(maxsize=8)
def matrix_profile(icc: bytes) -> MatrixProfile | None:
    """The curves and the matrix of an ICC profile; None for one that is made of other things, or is damaged."""
    try:
        return _parsed(icc)
    except (struct.error, ValueError, KeyError, IndexError, ZeroDivisionError, np.linalg.LinAlgError):
        return None


def _parsed(icc: bytes) -> MatrixProfile | None:
    space, connection = icc[16:20], icc[20:24]
    tags: dict[bytes, bytes] = {}
    for at in range(132, 132 + 12 * min(struct.unpack_from(">I", icc, 128)[0], 200), 12):
        name, offset, size = struct.unpack_from(">4sII", icc, at)
        tags[name] = icc[offset : offset + size]
    if icc[36:40] != b"acsp" or _LUTS & set(tags):
        return None
    if space == b"GRAY" and connection == b"XYZ ":
        return MatrixProfile((_curve(tags[b"kTRC"]),))
    if space != b"RGB " or connection != b"XYZ ":
        return None
    columns = [[v / 65536 for v in struct.unpack_from(">3i", tags[name], 8)] for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    matrix = np.linalg.inv(_SRGB) @ np.array(columns).T
    return MatrixProfile(tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")), matrix)


def _curve(data: bytes) -> np.ndarray[Any, Any]:
    """A `curv` or `para` element (ICC.1:2022, 10.6 and 10.18) at `_SAMPLES` places."""
    x = np.linspace(0, 1, _SAMPLES)
    if data[:4] == b"curv":
        count = struct.unpack_from(">I", data, 8)[0]
        if count == 0:
            y = x
        elif count == 1:
            y = x ** (struct.unpack_from(">H", data, 12)[0] / 256)
        else:
            table = np.frombuffer(data, ">u2", count, 12) / 65535
            y = np.interp(x, np.linspace(0, 1, count), table)
    elif data[:4] == b"para":
        y = _PARAMETRIC[struct.unpack_from(">H", data, 8)[0]](x, data)
    else:
        raise ValueError("a curve of another kind")
    if not np.isfinite(y).all():
        raise ValueError("a curve without end")
    return np.asarray(np.clip(y, 0, 1), np.float32)


def _parametric(count: int) -> Callable[[np.ndarray[Any, Any], bytes], np.ndarray[Any, Any]]:
    def curve(x: np.ndarray[Any, Any], data: bytes) -> np.ndarray[Any, Any]:
        values = [v / 65536 for v in struct.unpack_from(f">{count}i", data, 12)]
        g, a, b, c, d, e, f = values + [0.0] * (7 - count)
        if count == 1:
            a, b, c, d, start = 1.0, 0.0, 0.0, 0.0, 0.0
        elif count in (3, 4):  # the third number is a constant there, and nothing but it lies below the start
            start, shift = -b / a, c if count == 4 else 0.0
            c, e, f = 0.0, shift, shift
        else:
            start = d
        return np.asarray(np.where(x >= start, np.maximum(a * x + b, 0) ** g + e, c * x + f))

    return curve


_PARAMETRIC = {0: _parametric(1), 1: _parametric(3), 2: _parametric(4), 3: _parametric(5), 4: _parametric(7)}


def _look(values: np.ndarray[Any, Any], curve: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if values.dtype.kind == "u":
        return np.asarray(curve[values.astype(np.intp) * (1 if values.dtype.itemsize > 1 else 257)])
    place = np.clip(values, 0, 1) * (_SAMPLES - 1)
    low = np.minimum(place.astype(np.intp), _SAMPLES - 2)
    share = (place - low).astype(np.float32)
    return np.asarray(curve[low] * (1 - share) + curve[low + 1] * share)


def _by_rows(
    values: np.ndarray[Any, Any], convert: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
) -> np.ndarray[Any, Any]:
    out = np.empty(values.shape, np.float32)
    step = max(1, _ROWS // values.shape[1])
    for top in range(0, len(values), step):
        out[top : top + step] = convert(values[top : top + step])
    return out

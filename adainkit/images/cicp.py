"""Colors that are told by code points (ITU-T H.273), in PNG's cICP and AVIF's or HEIF's nclx, as an ICC profile."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["cicp_profile", "is_hdr", "is_srgb"]

_D65, _DCI, _C = (0.3127, 0.3290), (0.314, 0.351), (0.310, 0.316)
# x and y of red, green and blue, and of white (H.273, table 2)
_PRIMARIES: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
_PQ, _HLG = 16, 18
_WHITE = 203  # cd/m2 of paper white in HDR (ITU-R BT.2408): what is brighter has no place in sRGB
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_STEPS = 4096  # of a curve in the profile


def _pq(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """SMPTE ST 2084, in parts of paper white."""
    root = x ** (1 / 78.84375)
    light: np.ndarray[Any, Any] = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
        1 / 0.1593017578
    )
    return light * 10000 / _WHITE


def _hlg(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """ARIB STD-B67 on a display of 1000 cd/m2 with its gamma of 1.2, taken by channel, in parts of paper white."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(x <= 0.5, x * x / 3, (np.exp((x - c) / a) + b) / 12)
    return np.asarray(scene**1.2 * 1000 / _WHITE)


def _bt709(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(x < 0.081, x / 4.5, ((x + 0.099) / 1.099) ** (1 / 0.45))


def _srgb(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


_LIGHT: dict[int, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    1: _bt709,
    6: _bt709,
    14: _bt709,
    15: _bt709,
    4: lambda x: x**2.2,
    5: lambda x: x**2.8,
    8: lambda x: x,
    13: _srgb,
    _PQ: _pq,
    17: lambda x: x**2.6 * 52.37 / 48,
    _HLG: _hlg,
}  # by transfer characteristics (H.273, table 3)


def is_srgb(primaries: int, transfer: int) -> bool:
    """Whether these code points mean what a picture without any means: sRGB, BT.709, or nothing in particular."""
    return primaries in (1, 2) and transfer in (1, 2, 6, 13, 14, 15)


def is_hdr(transfer: int) -> bool:
    """Whether there may be colors brighter than paper white: those are clipped to it."""
    return transfer in (_PQ, _HLG)


@lru_cache(maxsize=8)
def cicp_profile(primaries: int, transfer: int) -> bytes | None:
    """An ICC profile (version 2, curves and a matrix) for code points; None for those that are not known."""
    if primaries == 2:  # unspecified
        primaries = 1
    if transfer == 2:
        transfer = 13
    if primaries not in _PRIMARIES or transfer not in _LIGHT:
        return None
    light = np.clip(_LIGHT[transfer](np.linspace(0, 1, _STEPS)), 0, 1)
    table = (light * 65535).round().astype(">u2").tobytes()
    curve = b"curv\0\0\0\0" + struct.pack(">I", _STEPS) + table
    columns = _columns(_PRIMARIES[primaries])
    name = f"H.273 {primaries}/{transfer}".encode()
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + bytes(1 + 78),
        b"cprt": b"text\0\0\0\0CC0\0",
        b"wtpt": _xyz(_D50),
        **{tag: _xyz(columns[:, i]) for i, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
    }
    return _packed(tags, curve)


def _columns(primaries: tuple[tuple[float, float], ...]) -> np.ndarray[Any, Any]:
    """Red, green and blue as XYZ under D50, so that they sum to its white."""
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    light = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    cones = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ xyz[:, 3]))
    return np.asarray(np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ light)


def _xyz(values: np.ndarray[Any, Any]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def _packed(tags: dict[bytes, bytes], curve: bytes) -> bytes:
    """A display profile of these tags, and of one curve for all three colors."""
    count = len(tags) + 3
    table, body, start = struct.pack(">I", count), b"", 132 + 12 * count
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        table += tag + struct.pack(">II", start + len(body), len(curve))
    body += curve + bytes(-len(curve) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(_D50)[8:] + bytes(48)
    return header + table + body

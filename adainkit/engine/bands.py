"""Where the colors of a result are measured, in plain integers."""

from __future__ import annotations

__all__ = ["measured_bands"]

_BAND, _BANDS = 16, 16  # pixels, and how many of them along a side: 256 places tell a palette


def measured_bands(length: int, stride: int = 8) -> list[slice]:
    """Which rows (or columns) of a picture its colors are measured in: all up to 256; of more as many, in 16 bands,
    evenly spread, that begin on multiples of `stride`."""
    step = (length - _BAND) // (_BANDS - 1) // stride * stride
    if length <= _BANDS * _BAND or step < _BAND:
        return [slice(0, length)]
    first = (length - (_BANDS - 1) * step - _BAND) // 2 // stride * stride
    return [slice(start, start + _BAND) for start in range(first, first + _BANDS * step, step)]

"""Where the colors of a result are measured, in plain integers."""

from __future__ import annotations

__all__ = ["measured_bands"]

_BAND, _BANDS = 16, 16  # pixels, and how many of them along a side: 256 places tell a palette


def measured_bands(length: int, stride: int = 8) -> list[slice]:
    """Which rows (or columns) of a picture its colors are measured in: all up to 256; of more as many, in 16 bands,
    spread from one end to the other, that begin on multiples of `stride`."""
    if length <= _BANDS * _BAND or (length - _BAND) // ((_BANDS - 1) * stride) * stride < _BAND:
        return [slice(0, length)]
    starts = ((length - _BAND) * i // ((_BANDS - 1) * stride) * stride for i in range(_BANDS))
    return [slice(start, start + _BAND) for start in starts]

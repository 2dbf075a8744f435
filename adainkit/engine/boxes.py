"""Where the colors of a result are measured, in plain integers."""

from __future__ import annotations

from math import sqrt
from typing import TypeAlias

__all__ = ["Box", "measured_boxes"]

Box: TypeAlias = tuple[int, int, int, int]
"""Pixels of a picture: top, bottom, left, right."""

_SIDE, _BOXES = 256, 64  # pixels of a side, and how many at most: 4 megapixels tell a palette


def measured_boxes(height: int, width: int, everywhere: bool = False) -> list[Box]:
    """Where the colors of a picture are measured: all of it up to 4 megapixels, or `everywhere`; of a larger one boxes
    of that many pixels in all, evenly spread. They lie on multiples of the box's side."""
    rows, columns = height // _SIDE, width // _SIDE
    if everywhere or height * width <= _BOXES * _SIDE**2 or not rows or not columns:
        return [(0, height, 0, width)]
    down = min(rows, max(1, round(sqrt(_BOXES * rows / columns))))
    across = min(columns, _BOXES // down)
    tops, lefts = (
        [_SIDE * (count * (2 * i + 1) // (2 * chosen)) for i in range(chosen)]
        for count, chosen in ((rows, down), (columns, across))
    )
    return [(top, top + _SIDE, left, left + _SIDE) for top in tops for left in lefts]

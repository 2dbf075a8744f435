"""The tile plan in plain integers: which part of a picture a tile gives, and how much more it must see to give it
exactly.

Tiles lie on the model's stride grid, and a tile's border is either cut off again (its halo) or the picture's own. So
the tiled result equals the untiled one: there is no blending and no seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Span", "Tile", "plan_tiles", "split_tile"]


@dataclass(frozen=True)
class Span:
    """Along one axis, in cells of the stride grid: `start` to `stop` is given, `first` to `last` is seen."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Tile:
    """A rectangle of cells."""

    rows: Span
    columns: Span

    @property
    def cells(self) -> int:
        """How many cells it gives."""
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)


def plan_tiles(height: int, width: int, tile: int, halo: int) -> list[Tile]:
    """Tiles of `tile` cells a side (the last ones may be smaller) that cover `height` x `width` cells once, row by row.

    >>> [(t.columns.start, t.columns.stop, t.columns.first, t.columns.last) for t in plan_tiles(4, 10, 4, 1)]
    [(0, 4, 0, 5), (4, 8, 3, 9), (8, 10, 7, 10)]
    """
    if min(height, width, tile) < 1 or halo < 0:
        raise ValueError(
            f"expected 1 or more cells and a halo of 0 or more, got {height} x {width}, {tile}, halo {halo}"
        )
    return [Tile(rows, columns) for rows in _spans(height, tile, halo) for columns in list(_spans(width, tile, halo))]


def split_tile(tile: Tile, height: int, width: int, halo: int) -> list[Tile]:
    """The same rectangle as tiles of half its longer side; the tile alone if it is a single cell."""
    longest = max(tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start)
    if longest == 1:
        return [tile]
    half = -(-longest // 2)
    return [
        Tile(rows, columns)
        for rows in _spans(height, half, halo, tile.rows.start, tile.rows.stop)
        for columns in list(_spans(width, half, halo, tile.columns.start, tile.columns.stop))
    ]


def _spans(length: int, tile: int, halo: int, start: int = 0, stop: int | None = None) -> Iterator[Span]:
    end = length if stop is None else stop
    for low in range(start, end, tile):
        high = min(low + tile, end)
        yield Span(low, high, max(0, low - halo), min(length, high + halo))

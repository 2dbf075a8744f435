"""The tile plan in plain integers: which part of a picture a tile gives, and how much more it must see to give it
exactly.

Tiles lie on the model's stride grid, and a tile's border is either cut off again (its halo) or the picture's own. So
the tiled result equals the untiled one: there is no blending and no seam.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Span", "Tile", "plan_tiles", "split_tile"]


@dataclass(frozen=True)
class Span:
    """Along one axis, in cells of the stride grid: `start` to `stop` is given, `first` to `last` is seen."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def cells(self) -> int:
        """How many cells it gives."""
        return self.stop - self.start

    def given(self, scale: int, end: int | None = None) -> slice:
        """What it gives, up to `end`, counted in pixels or finer cells: `scale` of them lie along a cell."""
        return _slice(self.start, self.stop, scale, end)

    def seen(self, scale: int, end: int | None = None) -> slice:
        """What it sees, counted in the same way."""
        return _slice(self.first, self.last, scale, end)

    def inside(self, scale: int, start: int | None = None, stop: int | None = None) -> slice:
        """The position, in what it sees, of the cells from `start` to `stop` (None: of those that it gives)."""
        low, high = self.start if start is None else start, self.stop if stop is None else stop
        return slice((low - self.first) * scale, (high - self.first) * scale)

    def seeing(self, reach: int, length: int) -> Span:
        """The same cells of an axis of `length`, seen with another halo."""
        return Span(self.start, self.stop, max(0, self.start - reach), min(length, self.stop + reach))

    def grown(self, margin: int, length: int) -> Span:
        """The same view, of which the margin around its own cells is given as well."""
        return Span(max(0, self.start - margin), min(length, self.stop + margin), self.first, self.last)


@dataclass(frozen=True)
class Tile:
    """A rectangle of cells."""

    rows: Span
    columns: Span

    @property
    def cells(self) -> int:
        """How many cells it gives."""
        return self.rows.cells * self.columns.cells

    def seeing(self, reach: int, grid: Sequence[int]) -> Tile:
        """The same cells of a `grid` of rows and columns, seen with another halo."""
        return Tile(self.rows.seeing(reach, grid[0]), self.columns.seeing(reach, grid[1]))

    def grown(self, margin: int, grid: Sequence[int]) -> Tile:
        """The same view, of which the margin around its own cells is given as well."""
        return Tile(self.rows.grown(margin, grid[0]), self.columns.grown(margin, grid[1]))


def plan_tiles(height: int, width: int, tile: int, halo: int, even: bool = False) -> list[Tile]:
    """Tiles of `tile` cells a side (the last ones may be smaller) that cover `height` x `width` cells once, row by row.

    `even`: each axis is cut into equal parts, and all see equally many cells, those at the border more of the inside.

    >>> [(t.columns.start, t.columns.stop, t.columns.first, t.columns.last) for t in plan_tiles(4, 10, 4, 1)]
    [(0, 4, 0, 5), (4, 8, 3, 9), (8, 10, 7, 10)]
    """
    if min(height, width, tile) < 1 or halo < 0:
        raise ValueError(
            f"expected 1 or more cells and a halo of 0 or more, got {height} x {width}, {tile}, halo {halo}"
        )
    axes = _even if even else _spans
    rows_of, columns_of = (list(axes(length, tile, halo)) for length in (height, width))
    return [Tile(rows, columns) for rows in rows_of for columns in columns_of]


def split_tile(tile: Tile, height: int, width: int, halo: int) -> list[Tile]:
    """The same rectangle as tiles of half its longer side; the tile alone if it is a single cell."""
    longest = max(tile.rows.cells, tile.columns.cells)
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


def _even(length: int, tile: int, halo: int) -> Iterator[Span]:
    parts = list(_spans(length, -(-length // -(-length // tile)), halo))
    most = max(part.last - part.first for part in parts)
    for part in parts:
        last = min(length, part.first + most)
        yield Span(part.start, part.stop, last - most, last)


def _slice(start: int, stop: int, scale: int, end: int | None) -> slice:
    return slice(start * scale, stop * scale if end is None else min(stop * scale, end))

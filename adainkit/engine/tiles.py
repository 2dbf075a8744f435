"""The tile plan in plain integers: which part of a picture a tile gives, and how much more it must see to give it
exactly.

Tiles lie on the model's stride grid, and a tile's border is either cut off again (its halo) or the picture's own. So
the tiled result equals the untiled one: there is no blending and no seam. All tiles of a plan see equally many cells,
those at the picture's border give more of them: no plan of as many tiles sees less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Span", "Tile", "cheapest_tiles", "plan_tiles", "split_tile"]


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

    def widened(self, reach: int, length: int) -> Span:
        """The same cells, seen with as many more for each view: at the axis's ends there are more at the other side."""
        cells = min(length, self.last - self.first + 2 * reach)
        first = min(max(0, self.first - reach), length - cells)
        return Span(self.start, self.stop, first, first + cells)

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

    @property
    def seen(self) -> int:
        """How many cells it sees."""
        return (self.rows.last - self.rows.first) * (self.columns.last - self.columns.first)

    def seeing(self, reach: int, grid: Sequence[int]) -> Tile:
        """The same cells of a `grid` of rows and columns, seen with another halo."""
        return Tile(self.rows.seeing(reach, grid[0]), self.columns.seeing(reach, grid[1]))

    def widened(self, reach: int, grid: Sequence[int]) -> Tile:
        """The same cells of a `grid`, seen with as many more for each tile."""
        return Tile(self.rows.widened(reach, grid[0]), self.columns.widened(reach, grid[1]))

    def grown(self, margin: int, grid: Sequence[int]) -> Tile:
        """The same view, of which the margin around its own cells is given as well."""
        return Tile(self.rows.grown(margin, grid[0]), self.columns.grown(margin, grid[1]))


def plan_tiles(height: int, width: int, tile: int, halo: int) -> list[Tile]:
    """Tiles of about `tile` cells a side that cover `height` x `width` cells once, row by row, and see `tile` and two
    halos at most.

    >>> [(t.columns.start, t.columns.stop, t.columns.first, t.columns.last) for t in plan_tiles(4, 10, 4, 1)]
    [(0, 3, 0, 5), (3, 6, 2, 7), (6, 10, 5, 10)]
    """
    if min(height, width, tile) < 1 or halo < 0:
        raise ValueError(
            f"expected 1 or more cells and a halo of 0 or more, got {height} x {width}, {tile}, halo {halo}"
        )
    counts = [min(-(-length // tile), max(1, length - 2 * halo)) for length in (height, width)]
    return _crossed(height, width, counts, halo)


def cheapest_tiles(height: int, width: int, most: int, halo: int, rows: int | None = None) -> list[Tile]:
    """Of the plans whose tiles see `most` cells, and `rows` of them, at most, the one that sees least in all, but for
    what whole cells round up. Three halos a side are seen in any case."""
    least = max(1, 3 * halo)
    most, rows = max(most, least**2), max(least, rows or height)
    plans: list[tuple[int, int, int]] = []
    for down in range(_count(height, min(rows, most), halo), max(1, height - 2 * halo) + 1):
        if plans and (height + 2 * halo * (down - 1)) * width >= min(plans)[0]:
            break  # more rows of tiles see more
        high = _view(height, down, halo)
        if most // high > 2 * halo or most // high >= width:
            across = _count(width, most // high, halo)
            plans.append((down * high * across * _view(width, across, halo), down, across))
    _, *counts = min(plans)
    return _crossed(height, width, counts, halo)


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


def _crossed(height: int, width: int, counts: Sequence[int], halo: int) -> list[Tile]:
    rows_of, columns_of = (
        list(_even(length, count, halo)) for length, count in zip((height, width), counts, strict=True)
    )
    return [Tile(rows, columns) for rows in rows_of for columns in columns_of]


def _view(length: int, count: int, halo: int) -> int:
    """What each of `count` equal views of an axis must see: together the axis, and two halos at every cut."""
    return length if count == 1 else -(-(length - 2 * halo) // count) + 2 * halo


def _count(length: int, seen: int, halo: int) -> int:
    """The fewest views of `seen` cells at most, which is more than two halos if it is less than the axis."""
    return 1 if length <= seen else -(-(length - 2 * halo) // (seen - 2 * halo))


def _even(length: int, count: int, halo: int) -> Iterator[Span]:
    seen = _view(length, count, halo)
    firsts = [number * (length - seen) // max(1, count - 1) for number in range(count)]
    cuts = [0, *(first + halo for first in firsts[1:]), length]
    for first, start, stop in zip(firsts, cuts, cuts[1:], strict=False):
        yield Span(start, stop, first, first + seen)


def _slice(start: int, stop: int, scale: int, end: int | None) -> slice:
    return slice(start * scale, stop * scale if end is None else min(stop * scale, end))

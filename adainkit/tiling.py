"""The tile plan in plain integers: which part of a picture a tile gives, and how much more it must see to give it
exactly.

Tiles lie on the model's stride grid, and a tile's border is either cut off again (its halo) or the picture's own. So
the tiled result equals the untiled one: there is no blending and no seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .network import ModelConfig, layer_words

__all__ = ["Halo", "Span", "Tile", "halo", "plan_tiles", "split_tile"]


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


@dataclass(frozen=True)
class Halo:
    """How many cells of the coarsest level a tile must see beyond its border, to encode and to decode exactly."""

    encode: int
    decode: int


def halo(config: ModelConfig) -> Halo:
    """Derived from the layers, by following backwards what one cell (or its pixels) depends on.

    VGG-19: a relu4_1 cell sees 30 pixels on either side of its own 8, an output pixel 4 cells:

    >>> from adainkit.network import VGG19
    >>> halo(VGG19)
    Halo(encode=4, decode=4)
    """
    stride = config.stride
    low, high = 0, 1  # what is needed, in cells of the scale that the walk is at: [low, high)
    for word in reversed(layer_words(config.encoder)):
        low, high = _before(word, low, high)
    encode = max(_cells(-low, stride), _cells(high - stride, stride))
    low, high, scale, decode = 0, stride, 1, 0
    for word in reversed(layer_words(config.decoder)):
        if word == "merge":  # the finer level's features are needed just here, too
            decode = max(decode, _cells(-low * scale, stride), _cells(high * scale - stride, stride))
        low, high = _before(word, low, high)
        scale *= 2 if word in ("up", "smooth", "shuffle", "merge") else 1
    return Halo(encode, max(decode, -low, high - 1))


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


def _cells(amount: int, stride: int) -> int:
    return max(0, -(-amount // stride))


def _before(word: str, low: int, high: int) -> tuple[int, int]:
    """What `[low, high)` after a layer needs before it."""
    if word in ("conv", "rgb"):
        return low - 1, high + 1
    if word == "res":
        return low - 2, high + 2
    if word in ("pool", "unshuffle"):
        return 2 * low, 2 * high
    if word == "down":  # cell i sees 2i - 1 to 2i + 1
        return 2 * low - 1, 2 * high
    if word == "up":
        return low // 2, -(-high // 2)
    if word in ("smooth", "merge"):  # cell 2i sees i - 1 and i, cell 2i + 1 sees i and i + 1
        return (low - 1) // 2, high // 2 + 1
    if word == "shuffle":  # the mean sees one pixel more at the low end
        return (low - 1) // 2 - 1, -(-high // 2) + 1
    return low, high  # tap

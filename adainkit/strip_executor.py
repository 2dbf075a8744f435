"""The two-pass executor over a picture that is never whole in memory.

Pass one encodes tiles and merges their statistics, pass two encodes them again, decodes them under the GLOBAL
statistics and gives the result away in strips, rows of tiles. What is held at a time is a tile's work, and a strip of
the input and two of the output, as integers. Color matching needs the statistics of the result as well: a pass between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .color import ColorMap, ColorStatistics, apply_map, color_statistics, keep_luma, match_map
from .controls import Controls
from .executor import Executor, memory_budget
from .guided import DETAIL_REACH, keep_detail
from .images import Picture, Strips, close_image, premix
from .masks import counting
from .net.adain import AffineMap, Moments, merge_moments
from .net.config import Level
from .progress import Progress
from .regions import CoverWindows, region_maps, region_shares, steady_moments
from .style import Style
from .tiling import Span, Tile, plan_tiles

__all__ = ["StripExecutor", "color_map_of"]

# Halos a side of a tile on the CPU. With more of them less is seen twice, which new pages for larger tensors eat up
# again, and 100 megapixels took 3.4 GB; with 8 of `lite`'s a tile sees 1120 pixels.
_HALOS = 8


class StripExecutor(Executor):
    """`executor` over the windows of `source`, stylized where `covers` says so; of `controls`, all but `scale`."""

    def __init__(
        self,
        executor: Executor,
        source: Strips,
        covers: CoverWindows | None,
        controls: Controls,
        progress: Progress | None,
    ) -> None:
        super().__init__(executor.model, executor.device, executor.dtype, executor.tile)
        self.source, self.covers, self.controls, self.progress = source, covers, controls, progress
        first = np.asarray(close_image(source.like.rgb, source.like, deep=True))
        self.kind = first.dtype
        self.shape = (source.height, source.width, first.shape[2])
        """Of the result: height, width, samples."""
        self.written = 0
        """Rows that were given away and used."""
        self.at = "its start"
        """How far the work is, for people."""
        self.failure: BaseException | None = None
        """The error that the work itself, not the use of its rows, ended with."""
        self._margin = -(-DETAIL_REACH // self.stride) if controls.detail else 0  # cells of the result itself
        self._reach = self.halo.encode + self.halo.decode + self._margin
        self._whole, self._tiles = self._plan_strips()
        self._hidden: ColorStatistics | None = None  # what transparent pixels are taken for
        self._pass, self._passes, self._done, self._cost = 0, 2, 0, 3

    def result(
        self, styles: Sequence[Style], statistics: Sequence[Moments] | None = None
    ) -> Iterator[np.ndarray[Any, Any]]:
        """The result's rows in order, `(rows, width, 3 | 4)` of integers; all but the last a multiple of the stride.

        `styles`: one for every region. `statistics`: of the content, instead of its own.
        """
        mode = self.controls.color
        decoding = 2 if mode == "match" else 1
        self._passes = decoding + (statistics is None)
        self._cost = 2 * decoding + (statistics is None)
        try:
            if self.source.like.alpha is not None:
                self._hidden = self._visible_colors()
            found = self._statistics() if statistics is None else [statistics] * len(styles)
            alphas = self.controls.alphas(len(self.model.config.levels))
            maps = [self.modulate(s, [style], alphas) for s, style in zip(found, styles, strict=True)]
            color = self._color_map(maps) if mode == "match" else None
            rows = np.empty((0, *self.shape[1:]), self.kind)

            def run(tile: Tile) -> None:
                output, own = self._stylized(tile, maps)
                top, _, left, right = box = self._box(tile)
                top -= self.written
                rows[top : top + own.height, left:right] = self._samples(output, own, box, color)

            for band in self._bands(2):
                top, bottom, _, _ = self._box(band[0])
                rows = np.empty((bottom - top, *self.shape[1:]), self.kind)
                self._run(band, run, 2)
                yield rows
                self.written = bottom
        except BaseException as error:
            self.failure = error
            raise

    def _statistics(self) -> list[list[Moments]]:
        """Pass one: every region's and level's statistics over the whole picture."""
        found: list[list[list[Moments]]] = []  # the whole picture, then the regions; levels; parts

        def run(tile: Tile) -> None:
            near = self._seeing(tile, self.halo.encode)
            picture, features = self._encoded(near)
            for index, (level, f) in enumerate(zip(self.model.config.levels, features, strict=True)):
                rows, columns = (self._cells(s, s.start, s.stop, level) for s in (near.rows, near.columns))
                features[index] = f[:, :, rows, columns]
            alpha = self._own(picture, near).alpha
            weights = [alpha]
            if self.covers is not None:
                covers = self.covers.window(*self._box(tile)).chunk(len(self.covers), 1)
                weights += [counting(cover, alpha) for cover in covers]
            parts = [[_wide(m) for m in self.statistics(features, weight)] for weight in weights]
            found.extend([[] for _ in features] for _ in weights[len(found) :])
            for levels, new in zip(found, parts, strict=True):
                for merged, part in zip(levels, new, strict=True):
                    merged.append(part)

        for band in self._bands(1):
            self._run(band, run, 1)
            found = [[[merge_moments(parts)] for parts in levels] for levels in found]
        whole, *regions = [[_narrow(m) for (m,) in levels] for levels in found]
        if self.covers is None:
            return [whole]
        return [[steady_moments(*pair) for pair in zip(region, whole, strict=True)] for region in regions]

    def _color_map(self, maps: Sequence[Sequence[AffineMap]]) -> ColorMap:
        """A pass of its own: the map from the colors of the whole result to those of the content."""
        found: list[tuple[ColorStatistics, ColorStatistics]] = []

        def run(tile: Tile) -> None:
            output, own = self._stylized(tile, maps)
            found.append(self._colors(output, own, self._box(tile)))

        for band in self._bands(2):
            self._run(band, run, 2)
        return color_map_of(found)

    def _visible_colors(self) -> ColorStatistics:
        """The colors of what is not transparent; nothing is encoded for it, and it is over before the bar moves."""
        found: ColorStatistics | None = None
        for tile in self._tiles:
            if self.progress is not None:
                self.progress("stylize", 0, self._total)
            picture = self.source.window(*self._box(tile))
            part = color_statistics(picture.rgb, picture.alpha)
            found = part if found is None else found.merge(part)
        assert found is not None  # a plan has at least one tile
        return found

    def _encoded(self, tile: Tile) -> tuple[Picture, list[Tensor]]:
        """The pixels that a tile sees, and their features."""
        spans = ((tile.rows, self.source.height), (tile.columns, self.source.width))
        rows, columns = (self._seen(span, side) for span, side in spans)
        picture = self.source.window(rows.start, rows.stop, columns.start, columns.stop)
        return picture, self.encode_window(self._shown(picture))

    def _stylized(self, tile: Tile, maps: Sequence[Sequence[AffineMap]]) -> tuple[Tensor, Picture]:
        """What a tile gives, `(1, 3, h, w)` float32 in [0, 1] on the CPU, and the picture there; `maps` by region."""
        picture, features = self._encoded(tile)
        grown = self._grown(tile)
        wide, near = self._own(picture, grown), self._seeing(grown, self.halo.decode)
        for index, (level, f) in enumerate(zip(self.model.config.levels, features, strict=True)):
            rows, columns = (
                self._cells(outer, inner.first, inner.last, level)
                for outer, inner in ((tile.rows, near.rows), (tile.columns, near.columns))
            )
            features[index] = f[:, :, rows, columns]
        everywhere = slice(None)
        local = [m.window(everywhere, everywhere) for m in region_maps(maps, self._shares(near), self.device)]
        output = self.model.decode(features, local, (near.rows.first, near.columns.first))
        rows, columns = self._given(near.rows), self._given(near.columns)
        output = output[:, :, rows, columns][:, :, : wide.height, : wide.width].clamp(0, 1).cpu()
        if self.controls.detail:
            output = keep_detail(output, self._shown(wide), self.controls.detail)
        own = self._own(picture, tile)
        top, left = (
            self.stride * (inner.start - outer.start)
            for inner, outer in ((tile.rows, grown.rows), (tile.columns, grown.columns))
        )
        return output[:, :, top : top + own.height, left : left + own.width], own

    def _shares(self, near: Tile) -> list[Tensor]:
        """The regions' shares in the cells that `near` sees; none where there is one region."""
        if self.covers is None or len(self.covers) == 1:
            return []
        sides = (self.source.height, self.source.width)
        inner = [Span(s.first, s.last, s.first, s.last) for s in (near.rows, near.columns)]
        seen = self._seeing(Tile(*inner), self.halo.decode)
        spans = (seen.rows, seen.columns)
        rows, columns = (self._seen(span, side) for span, side in zip(spans, sides, strict=True))
        covers = self.covers.window(rows.start, rows.stop, columns.start, columns.stop)
        grid = [s.last - s.first for s in spans]
        found = region_shares(covers, self.model.config, grid, self.halo.decode)
        for index, (place, shares) in enumerate(zip(self.model.config.places, found, strict=True)):
            rows, columns = (self._cells(s, s.start, s.stop, place) for s in spans)
            found[index] = shares[:, :, rows, columns]
        return found

    def _colors(
        self, output: Tensor, own: Picture, box: tuple[int, int, int, int]
    ) -> tuple[ColorStatistics, ColorStatistics]:
        """The colors of the result and of the content in a box of the picture, of what counts there."""
        weight = counting(self._cover(box), own.alpha)
        return color_statistics(output, weight), color_statistics(self._shown(own), weight)

    def _cover(self, box: tuple[int, int, int, int]) -> Tensor | None:
        return None if self.covers is None else self.covers.window(*box).sum(1, keepdim=True).clamp_(max=1)

    def _samples(
        self, output: Tensor, own: Picture, box: tuple[int, int, int, int], color: ColorMap | None
    ) -> np.ndarray[Any, Any]:
        """The result in a box of the picture, with its colors and under its covers, as it is written."""
        if self.controls.color:
            kept = keep_luma(output, self._shown(own)) if color is None else apply_map(output, color)
            output = torch.lerp(output, kept, self.controls.color_strength)
        if (cover := self._cover(box)) is not None:
            output = torch.where(cover > 0, torch.lerp(own.rgb, output, cover), own.rgb)
        return np.asarray(close_image(output, own, deep=True))

    def _shown(self, picture: Picture) -> Tensor:
        return picture.rgb if picture.alpha is None else premix(picture.rgb, picture.alpha, self._hidden)

    def _own(self, picture: Picture, tile: Tile) -> Picture:
        """Of the pixels that a tile sees, those that it gives."""
        return picture.part(self._given(tile.rows), self._given(tile.columns))

    def _grown(self, tile: Tile) -> Tile:
        """The same tile, seen as far, that gives the margin around its own cells, too."""
        spans = zip((tile.rows, tile.columns), self._whole, strict=True)
        m = self._margin
        return Tile(*(Span(max(0, s.start - m), min(n, s.stop + m), s.first, s.last) for s, n in spans))

    def _seeing(self, tile: Tile, reach: int) -> Tile:
        """The same tile with another halo."""
        spans = zip((tile.rows, tile.columns), self._whole, strict=True)
        return Tile(*(Span(s.start, s.stop, max(0, s.start - reach), min(n, s.stop + reach)) for s, n in spans))

    def _cells(self, outer: Span, start: int, stop: int, place: Level) -> slice:
        """Where a place's cells from `start` to `stop` are in those of what `outer` sees."""
        scale = self.stride // place.stride
        return slice((start - outer.first) * scale, (stop - outer.first) * scale)

    def _box(self, tile: Tile) -> tuple[int, int, int, int]:
        """The pixels that a tile gives: top, bottom, left, right."""
        rows, columns = (slice(s.start * self.stride, s.stop * self.stride) for s in (tile.rows, tile.columns))
        return rows.start, min(rows.stop, self.source.height), columns.start, min(columns.stop, self.source.width)

    def _plan_strips(self) -> tuple[tuple[int, int], list[Tile]]:
        """The grid of cells, and tiles whose strips fit into the budget, too."""
        whole, tiles = self._plan(torch.empty(1, 3, self.source.height, self.source.width, device="meta"), self._reach)
        size = max(span.stop - span.start for span in (tiles[0].rows, tiles[0].columns))
        if self.tile == "auto":
            if self.device.type == "cpu":
                size = min(size, _HALOS * self._reach)
            # bytes of a row of cells; there are one strip of the input and two of the output
            row = self.source.width * self.stride * 4 * self.kind.itemsize
            most = memory_budget(torch.device("cpu")) // (3 * row) - self._reach
            least = self._reach  # below that a tile is less than a ninth of what it sees
            size = max(min(size, most), min(least, max(whole)))
        return whole, plan_tiles(*whole, size, self._reach)

    @property
    def _total(self) -> int:
        """Work in cells: one for each that is encoded, one for each that is decoded."""
        return self._whole[0] * self._whole[1] * self._cost

    def _bands(self, cost: int) -> Iterator[list[Tile]]:
        """A pass: the rows of tiles, from top to bottom."""
        self._pass += 1
        bands = [list(band) for _, band in groupby(self._tiles, key=lambda tile: tile.rows.start)]
        for number, band in enumerate(bands, 1):
            self.at = f"strip {number} of {len(bands)} in pass {self._pass} of {self._passes}"
            yield band
            self._done += cost * sum(tile.cells for tile in band)

    def _run(self, band: list[Tile], run: Callable[[Tile], None], cost: int) -> None:
        """Run a row of tiles; `cost` is 2 where they are decoded, too."""

        def tell(_: str, done: int, __: int) -> None:
            if self.progress is not None:
                self.progress("stylize", self._done + cost * done, self._total)

        self._each(band, self._whole, self._reach, run, "stylize", tell)


def color_map_of(parts: Sequence[tuple[ColorStatistics, ColorStatistics]]) -> ColorMap:
    """The map from the colors of a result to those of its content, both told in parts."""
    result, content = (reduce(ColorStatistics.merge, found) for found in zip(*parts, strict=True))
    return match_map(result, content)


def _wide(m: Moments) -> Moments:
    """In float64, as the cells of many tiles are more than a float32 can count."""
    return Moments(*(t.cpu().double() for t in (m.count, m.mean, m.m2)))


def _narrow(m: Moments) -> Moments:
    return Moments(*(t.float() for t in (m.count, m.mean, m.m2)))

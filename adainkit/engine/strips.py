"""A picture that is never whole in memory: its result row by row, in tiles.

Pass one encodes tiles and merges their statistics, pass two encodes them again, decodes them under the GLOBAL
statistics and gives the result away in strips, rows of tiles. What is held at a time is a tile's work, and a strip of
the input and two of the output, as integers. Color matching needs the statistics of the result as well: a pass between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..errors import Progress
from ..images import Picture, Strips, close_image
from ..look.color import ColorMap, ColorStatistics, color_statistics
from ..look.controls import Controls
from ..look.masks import counting
from ..look.regions import CoverWindows, region_maps, region_shares, steady_moments, total_cover
from ..net.adain import AffineMap, Moments, merge_moments
from ..style import Style
from .finish import Bands, Finish, Measured, gathered, shown
from .memory import memory_budget
from .tiles import Span, Tile
from .two_pass import Executor

__all__ = ["StripWork", "TiledStrips"]

Box: TypeAlias = tuple[int, int, int, int]
"""Pixels of a picture: top, bottom, left, right."""
_Maps: TypeAlias = Sequence[Sequence[AffineMap]]  # by region


class StripWork(ABC):
    """The windows of `source`, stylized by `executor` where `covers` says so, and given away as rows."""

    def __init__(
        self,
        executor: Executor,
        source: Strips,
        covers: CoverWindows | None,
        controls: Controls,
        progress: Progress | None,
    ) -> None:
        self.executor, self.source, self.covers = executor, source, covers
        self.controls, self.progress = controls, progress
        self.finish = Finish(controls)  # before the styles are known
        self.held: list[ColorMap] | None = None
        first = np.asarray(close_image(source.like.rgb, source.like, deep=True))
        self.kind = first.dtype
        self.shape = (source.height, source.width, first.shape[2])
        """The shape of the result: height, width and samples of a pixel."""
        self.written = 0
        """Rows that were given away and used."""
        self.at = "its start"
        """How far the work has come, in words for people."""
        self.failure: BaseException | None = None
        """The error that the work itself, not the use of its rows, ended with."""
        self.stride = executor.stride
        self._margin = -(-self.finish.reach // self.stride)  # cells of the result itself
        self.reach = executor.halo.decode + self._margin
        """Cells of features that a tile must see around its own ones."""
        picture = torch.empty(1, 3, source.height, source.width, device="meta")
        self._grid, _ = executor.plan(picture, self.reach)
        self.tiles = self._plan(self.reach, executor.halo.encode)
        self._hidden: ColorStatistics | None = None  # what transparent pixels are taken for
        self._clear = False  # whether there are any

    def result(
        self,
        styles: Sequence[Style],
        statistics: Sequence[Moments] | None = None,
        held: Measured | None = None,
    ) -> Iterator[np.ndarray[Any, Any]]:
        """The result's rows in order, `(rows, width, 3 | 4)` of integers; all but the last a multiple of the stride.

        `styles`: one for every region. `statistics`: of the content, instead of its own. `held`: as in `whole.render`.
        """
        self.finish = Finish.of(self.controls, [[style] for style in styles], self.executor.model.config)
        self.held = None if held is None else self.finish.maps_of([held])
        try:
            for rows in self._rows(styles, statistics):
                yield rows
                self.written += len(rows)
        except BaseException as error:
            self.failure = error
            raise

    @abstractmethod
    def _rows(
        self, styles: Sequence[Style], statistics: Sequence[Moments] | None
    ) -> Iterator[np.ndarray[Any, Any]]: ...

    def _visible_colors(self, total: int) -> ColorStatistics | None:
        """The colors of what is not transparent, where there is alpha. The bar, up to `total`, does not move yet."""
        if self.source.like.alpha is None:
            return None
        colors: ColorStatistics | None = None
        for tile in self.tiles:
            if self.progress is not None:
                self.progress("stylize", 0, total)
            picture = self.source.window(*self._box(tile))
            assert picture.alpha is not None  # as the source has it
            part = color_statistics(picture.rgb, picture.alpha)
            self._clear = self._clear or bool((picture.alpha < 1).any())
            colors = part if colors is None else colors.merge(part)
        return colors

    def _shown(self, picture: Picture) -> Tensor:
        return shown(picture, self._hidden)

    def _where(self) -> Bands:
        """Where colors are measured."""
        return self.finish.bands(self.source.height, self.source.width, self.covers, True if self._clear else None)

    def _measured(self, output: Tensor, own: Picture, part: Box) -> list[Measured]:
        """The colors of a part of the result, where it lies in the bands that are measured; none where it does not."""
        bands = self._where()
        rows, columns = _within(bands[0], *part[:2]), _within(bands[1], *part[2:])
        if not rows or not columns:
            return []
        covers = None if self.covers is None else self.covers.window(*part)
        content = self._shown(own) if self.finish.needs_content else own.rgb
        out, inner = gathered(output, rows, columns), gathered(content, rows, columns)
        alpha = None if own.alpha is None else gathered(own.alpha, rows, columns)
        return [self.finish.measure(out, inner, covers, alpha)]

    def _samples(self, output: Tensor, own: Picture, box: Box, maps: Sequence[ColorMap]) -> np.ndarray[Any, Any]:
        """The result in a box, finished and rounded."""
        covers = None if self.covers is None else self.covers.window(*box)
        content = self._shown(own) if self.finish.needs_content else own.rgb
        output = self.finish.colors(output, content, maps, covers)
        output = self.finish.cover(output, own.rgb, None if covers is None else total_cover(covers))
        return np.asarray(close_image(output, own, deep=True))

    def _box(self, tile: Tile) -> Box:
        """The pixels that a tile gives."""
        rows = tile.rows.given(self.stride, self.source.height)
        columns = tile.columns.given(self.stride, self.source.width)
        return rows.start, rows.stop, columns.start, columns.stop

    def _plan(self, reach: int, around: int) -> list[Tile]:
        """Tiles whose strips fit into the budget, too; `around`: cells that are read around what they see."""
        executor = self.executor
        if executor.tile != "auto":
            picture = torch.empty(1, 3, self.source.height, self.source.width, device="meta")
            return executor.plan(picture, reach)[1]
        # bytes of a row of cells; there are one strip of the input and two of the output
        row = self.source.width * self.stride * 4 * self.kind.itemsize
        rows = memory_budget(torch.device("cpu")) // (3 * row) - 2 * around
        return executor.fast_tiles(self._grid, reach, rows=max(1, rows), around=around)


class TiledStrips(StripWork):
    """The work where strokes are as they come: `controls.scale` is 1."""

    def __init__(self, executor: Executor, *what: Any) -> None:
        super().__init__(executor, *what)
        self._pass, self._passes, self._done, self._cost, self._more = 0, 2, 0, 3, 0

    def _rows(self, styles: Sequence[Style], statistics: Sequence[Moments] | None) -> Iterator[np.ndarray[Any, Any]]:
        measured, measures = list[Tile](), self.finish.matches and self.held is None
        self._cost = 2 + (statistics is None)
        self._more = 2 * sum(tile.cells for tile in self.tiles) if measures else 0  # at most
        self._hidden = self._visible_colors(self._total)  # which also tells whether anything is transparent
        if measures:
            some = [tile.seeing(self.reach, self._grid) for tile in _crossed(self._where(), self.stride)]
            measured = some if len(some) > 1 else self.tiles
        self._passes = 1 + bool(measured) + (statistics is None)
        self._more = 2 * sum(tile.cells for tile in measured)
        by_region = self._statistics() if statistics is None else [statistics] * len(styles)
        alphas = self.controls.alphas(len(self.executor.model.config.levels))
        maps = [self.executor.modulate(s, [style], alphas) for s, style in zip(by_region, styles, strict=True)]
        colors = self._color_maps(measured, maps) if measured else self.held or []
        rows = np.empty((0, *self.shape[1:]), self.kind)

        def run(tile: Tile) -> None:
            output, own = self._stylized(tile, maps)
            top, _, left, right = box = self._box(tile)
            top -= self.written
            rows[top : top + own.height, left:right] = self._samples(output, own, box, colors)

        for band in self._bands(self.tiles, 2):
            top, bottom, _, _ = self._box(band[0])
            rows = np.empty((bottom - top, *self.shape[1:]), self.kind)
            self._run(band, run, 2, self.reach)
            yield rows

    def _statistics(self) -> list[list[Moments]]:
        """Pass one: every region's and level's statistics over the whole picture."""
        collected: list[list[list[Moments]]] = []  # the whole picture, then the regions; levels; parts

        reach = self.executor.halo.encode

        def run(tile: Tile) -> None:
            picture, features = self._encoded(tile)
            own = self._cropped(features, tile, tile)
            alpha = self._own(picture, tile).alpha
            weights = [alpha]
            if self.covers is not None:
                covers = self.covers.window(*self._box(tile)).chunk(len(self.covers), 1)
                weights += [counting(cover, alpha) for cover in covers]
            parts = [[_wide(m) for m in self.executor.statistics(own, weight)] for weight in weights]
            collected.extend([[] for _ in own] for _ in weights[len(collected) :])
            for levels, new in zip(collected, parts, strict=True):
                for merged, part in zip(levels, new, strict=True):
                    merged.append(part)

        for band in self._bands(self._plan(reach, 0), 1):
            self._run(band, run, 1, reach)
            collected = [[[merge_moments(parts)] for parts in levels] for levels in collected]
        whole, *regions = [[_narrow(m) for (m,) in levels] for levels in collected]
        if self.covers is None:
            return [whole]
        return [[steady_moments(*pair) for pair in zip(region, whole, strict=True)] for region in regions]

    def _color_maps(self, tiles: list[Tile], maps: _Maps) -> list[ColorMap]:
        """A pass of its own, before any pixel of the result has its color."""
        parts: list[Measured] = []

        def run(tile: Tile) -> None:
            output, own = self._stylized(tile, maps)
            parts.extend(self._measured(output, own, self._box(tile)))

        for band in self._bands(tiles, 2):
            self._run(band, run, 2, self.reach)
        return self.finish.maps_of(parts)

    def _encoded(self, tile: Tile) -> tuple[Picture, list[Tensor]]:
        """The pixels that a tile sees, and their features."""
        rows = tile.rows.seen(self.stride, self.source.height)
        columns = tile.columns.seen(self.stride, self.source.width)
        picture = self.source.window(rows.start, rows.stop, columns.start, columns.stop)
        return picture, self.executor.encode_window(self._shown(picture))

    def _stylized(self, tile: Tile, maps: _Maps) -> tuple[Tensor, Picture]:
        """What a tile gives, `(1, 3, h, w)` float32 in [0, 1] on the CPU, and the picture there."""
        wide = tile.widened(self.executor.halo.encode, self._grid)
        picture, features = self._encoded(wide)
        seen = Tile(*(Span(s.first, s.last, s.first, s.last) for s in (tile.rows, tile.columns)))
        features = self._cropped(features, wide, seen)
        everywhere = slice(None)
        local = [m.window(everywhere, everywhere) for m in region_maps(maps, self._shares(seen), self.executor.device)]
        output = self.executor.model.decode(features, local, (tile.rows.first, tile.columns.first))
        grown = tile.grown(self._margin, self._grid)
        more = self._own(picture, wide.grown(self._margin, self._grid))
        output = output[:, :, grown.rows.inside(self.stride), grown.columns.inside(self.stride)]
        output = output[:, :, : more.height, : more.width].clamp(0, 1).cpu()
        if self.controls.detail:
            output = self.finish.detail(output, self._shown(more))
        own = self._own(picture, wide)
        top, left = (
            self.stride * (inner.start - outer.start)
            for inner, outer in ((tile.rows, grown.rows), (tile.columns, grown.columns))
        )
        return output[:, :, top : top + own.height, left : left + own.width], own

    def _shares(self, seen: Tile) -> list[Tensor]:
        """The regions' shares in the cells that `seen` gives; none where there is one region."""
        if self.covers is None or len(self.covers) == 1:
            return []
        config, reach = self.executor.model.config, self.executor.halo.decode
        wide = seen.seeing(reach, self._grid)
        rows = wide.rows.seen(self.stride, self.source.height)
        columns = wide.columns.seen(self.stride, self.source.width)
        covers = self.covers.window(rows.start, rows.stop, columns.start, columns.stop)
        grid = [span.last - span.first for span in (wide.rows, wide.columns)]
        windows = []
        for place, shares in zip(config.places, region_shares(covers, config, grid, reach), strict=True):
            scale = self.stride // place.stride
            windows.append(shares[:, :, wide.rows.inside(scale), wide.columns.inside(scale)])
        return windows

    def _cropped(self, features: Sequence[Tensor], outer: Tile, inner: Tile) -> list[Tensor]:
        """The features of the cells that `inner` gives, cut out of the features of what `outer` sees."""
        crops = []
        for level, f in zip(self.executor.model.config.levels, features, strict=True):
            scale = self.stride // level.stride
            rows, columns = (
                o.inside(scale, i.start, i.stop) for o, i in ((outer.rows, inner.rows), (outer.columns, inner.columns))
            )
            crops.append(f[:, :, rows, columns])
        return crops

    def _own(self, picture: Picture, tile: Tile) -> Picture:
        """The pixels that a tile gives, cut out of those that it sees."""
        return picture.part(tile.rows.inside(self.stride), tile.columns.inside(self.stride))

    @property
    def _total(self) -> int:
        """Work in cells: one for each that is encoded, one for each that is decoded."""
        return self._grid[0] * self._grid[1] * self._cost + self._more

    def _bands(self, tiles: list[Tile], cost: int) -> Iterator[list[Tile]]:
        """A pass: the rows of tiles, from top to bottom."""
        self._pass += 1
        bands = [list(band) for _, band in groupby(tiles, key=lambda tile: tile.rows.start)]
        for number, band in enumerate(bands, 1):
            self.at = f"strip {number} of {len(bands)} in pass {self._pass} of {self._passes}"
            yield band
            self._done += cost * sum(tile.cells for tile in band)

    def _run(self, band: list[Tile], run: Callable[[Tile], None], cost: int, reach: int) -> None:
        """Run a row of tiles, which see `reach` cells around their own; `cost` is 2 where they are decoded, too."""

        def tell(_: str, done: int, __: int) -> None:
            if self.progress is not None:
                self.progress("stylize", self._done + cost * done, self._total)

        self.executor.each(band, self._grid, reach, run, "stylize", tell)


def _within(bands: Sequence[slice], start: int, stop: int) -> list[slice]:
    """What of the bands lies from `start` to `stop`, counted from there."""
    ends = [(max(band.start, start) - start, min(band.stop, stop) - start) for band in bands]
    return [slice(low, high) for low, high in ends if low < high]


def _crossed(bands: Bands, stride: int) -> list[Tile]:
    """The tiles that give what lies in bands of both rows and columns."""
    rows, columns = ([Span(b.start // stride, -(-b.stop // stride), 0, 0) for b in each] for each in bands)
    return [Tile(row, column) for row in rows for column in columns]


def _wide(m: Moments) -> Moments:
    """The same in float64: many tiles have more cells than a float32 can count."""
    return Moments(*(t.cpu().double() for t in (m.count, m.mean, m.m2)))


def _narrow(m: Moments) -> Moments:
    return Moments(*(t.float() for t in (m.count, m.mean, m.m2)))

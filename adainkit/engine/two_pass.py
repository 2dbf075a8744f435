"""The exact two-pass executor: a model over a picture, tile by tile, in bounded memory.

Pass one encodes tiles with their halo and merges the channel statistics of the cropped features; pass two decodes tiles
with their halo under the GLOBAL statistics. A tile that does not fit into memory is split, and the work goes on from
it.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import isqrt
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ModelError, OutOfMemoryError, Progress
from ..look.masks import cell_means
from ..net.adain import AffineMap, Moments, RegionMap, merge_moments, moments
from ..net.config import Level
from ..net.demands import activations_per_pixel, halo, largest_per_pixel
from ..net.layers import no_autocast
from ..net.network import Network
from ..style import Style
from .memory import memory_budget, memory_errors
from .plain_moments import has_plain_moments, plain_moments
from .tiles import Tile, cheapest_tiles, plan_tiles, split_tile

__all__ = ["Executor", "TileSize"]

log = logging.getLogger("adainkit")
TileSize: TypeAlias = int | Literal["auto"] | None


class Executor:
    """`model` on `device` in `dtype`, as it is there already; `tile` as in `Stylizer.stylize`."""

    def __init__(self, model: Network, device: torch.device, dtype: torch.dtype, tile: TileSize = "auto") -> None:
        self.model, self.device, self.dtype, self.tile = model, device, dtype, _checked(tile)
        self.stride = model.config.stride
        self.halo = halo(model.config)
        self.kept = model.kept or dtype
        """What features are kept as."""
        self._fitting: dict[str, int] = {}  # by stage, the cells that a tile may see, once one did not fit

    def encode(
        self, rgb: Tensor, weight: Tensor | None = None, progress: Progress | None = None
    ) -> tuple[tuple[Tensor, ...], tuple[Moments, ...]]:
        """`(B, 3, H, W)` RGB in [0, 1] on any device -> the levels' features on the model's, and their statistics.

        `weight`: `(B, 1, H, W)`, how much each pixel counts.
        """
        height, width = rgb.shape[2:]
        whole, parts = self.plan(rgb, self.halo.encode)
        features: list[Tensor] = []

        def run(tile: Tile) -> None:
            rows, columns = tile.rows.seen(self.stride, height), tile.columns.seen(self.stride, width)
            seen = self.encode_window(rgb[:, :, rows, columns])
            if len(parts) == 1 and tile == parts[0]:
                features.extend([f.to(self.kept) for f in seen])  # all of them, or none if memory runs out between
                return
            if not features:
                with memory_errors() as failed:
                    features.extend(self._empty_levels(len(rgb), height, width))
                if failed:
                    raise OutOfMemoryError(
                        f"the features of {len(rgb)} x {width} x {height} pixels do not fit into the memory of "
                        f"{self.device}; use a smaller picture or batch, or device='cpu'"
                    ) from failed[0]
            for level, into, new in zip(self.model.config.levels, features, seen, strict=True):
                scale = self.stride // level.stride
                rows, columns = tile.rows.given(scale, into.shape[2]), tile.columns.given(scale, into.shape[3])
                top, left = tile.rows.inside(scale).start, tile.columns.inside(scale).start
                height_of, width_of = rows.stop - rows.start, columns.stop - columns.start
                into[:, :, rows, columns] = new[:, :, top : top + height_of, left : left + width_of]

        self.each(parts, whole, self.halo.encode, run, "encode", progress)
        return tuple(features), self.statistics(features, weight)

    def encode_window(self, rgb: Tensor) -> list[Tensor]:
        """The features of `(B, 3, H, W)` RGB, on the model's device. The border of a picture that is too small for the
        network is replicated."""
        x = rgb.to(self.device, self.dtype).contiguous(memory_format=self.model.taken)
        missing = [max(0, self.model.config.min_size - side) for side in x.shape[2:]]
        if any(missing):
            x = F.pad(x, (0, missing[1], 0, missing[0]), mode="replicate")
        return list(self.model.encode(x))

    def modulate(
        self, statistics: Sequence[Moments], styles: Sequence[Style], alphas: Sequence[float]
    ) -> Sequence[AffineMap]:
        """The maps of the places from a content's statistics to one style, or to one for each picture of a batch."""
        there = [m.to(self.device) for m in statistics]
        return self.model.modulate(there, [style.tensors for style in styles], alphas)

    def statistics(self, features: Sequence[Tensor], weight: Tensor | None = None) -> tuple[Moments, ...]:
        """Statistics of every level, merged from strips by Chan's rule. Cells count as far as `weight` covers them."""
        by_level = []
        for level, f in zip(self.model.config.levels, features, strict=True):
            w = None if weight is None else cell_means(weight.to(self.device, torch.float32), level.stride, f.shape[2:])
            if w is None and has_plain_moments(f):
                by_level.append(plain_moments(f, _STRIP))
                continue
            rows = max(1, _STRIP // (f.shape[0] * f.shape[1] * f.shape[3]))
            strips = [
                moments(f[:, :, top : top + rows], None if w is None else w[:, :, top : top + rows])
                for top in range(0, f.shape[2], rows)
            ]
            by_level.append(merge_moments(strips))
        return tuple(by_level)

    def decode(
        self,
        features: Sequence[Tensor],
        maps: Sequence[AffineMap | RegionMap],
        height: int,
        width: int,
        progress: Progress | None = None,
    ) -> Tensor:
        """Features and their affine maps -> `(B, 3, height, width)`, float32, clamped to [0, 1].

        On the model's device; on the CPU where several tiles were needed, since then the device may be too small.
        """
        whole, parts = self.plan(features[-1], self.halo.decode, cells=True)
        batch = max(len(features[-1]), *(m.batch for m in maps))
        result: list[Tensor] = []

        def run(tile: Tile) -> None:
            output = self.decode_window(features, maps, tile)
            top, left = tile.rows.start * self.stride, tile.columns.start * self.stride
            output = output[:, :, tile.rows.inside(self.stride), tile.columns.inside(self.stride)]
            output = output[:, :, : max(0, height - top), : max(0, width - left)].clamp_(0, 1)  # nobody else's
            if len(parts) == 1 and tile == parts[0]:
                result.append(output)
                return
            if not result:
                order = torch.channels_last if output.stride(1) == 1 else torch.contiguous_format
                result.append(torch.empty(batch, 3, height, width, memory_format=order))
            result[0][:, :, top : top + output.shape[2], left : left + output.shape[3]] = output.cpu()

        self.each(parts, whole, self.halo.decode, run, "decode", progress)
        return result[0]

    def decode_window(self, features: Sequence[Tensor], maps: Sequence[AffineMap | RegionMap], tile: Tile) -> Tensor:
        """Decode what a tile sees of a picture's features and maps. The result is not cropped."""

        def view(place: Level) -> tuple[slice, slice]:
            scale = self.stride // place.stride
            return tile.rows.seen(scale), tile.columns.seen(scale)

        config = self.model.config
        seen = [f[(..., *view(level))] for level, f in zip(config.levels, features, strict=True)]
        local = [m.window(*view(place)) for place, m in zip(config.places, maps, strict=True)]
        return self.model.decode(seen, local, (tile.rows.first, tile.columns.first))

    def plan(self, x: Tensor, reach: int, cells: bool = False) -> tuple[tuple[int, int], list[Tile]]:
        """The grid of cells of a picture (or of features, if `cells`), and its tiles."""
        smallest = 1 if cells else self.model.config.min_size
        unit = 1 if cells else self.stride
        height, width = (-(-max(side, smallest) // unit) for side in x.shape[2:])
        grid = height, width
        if self.tile == "auto":
            return grid, self.fast_tiles(grid, reach, len(x))
        size = max(grid) if self.tile is None else max(1, self.tile // self.stride)
        if size < min(2 * reach, *grid):
            log.warning("tile=%d is slow: a tile sees %d pixels more on every side", self.tile, reach * self.stride)
        return grid, plan_tiles(*grid, size, reach)

    def fast_tiles(
        self, grid: tuple[int, int], reach: int, batch: int = 1, rows: int | None = None, around: int = 0
    ) -> list[Tile]:
        """The tiles that run fastest among those that fit into memory, and that see `rows` of cells at most. `around`:
        cells that are encoded around what each of them sees.

        On the CPU, large tensors cost new pages, but where memory is kept only those that go in and come out.
        """
        config, cells, size = self.model.config, grid[0] * grid[1], torch.finfo(self.dtype).bits // 8
        of_cells = self.stride**2 * batch
        most = memory_budget(self.device) // (_OVERHEAD * activations_per_pixel(config) * size * of_cells)
        if self.device.type == "cpu":
            largest = largest_per_pixel(config) * float(size)
            if self.model.keeps_memory:
                largest = max(12, *(level.channels / level.stride**2 * self.kept.itemsize for level in config.levels))
            fast = int(_PAGED / (largest * of_cells))
            side = isqrt(fast) - 1  # a cell less, for the layers' own padding
            if cells > fast and side >= (_HALOS + 2) * reach:
                most = min(most, side**2)
        return cheapest_tiles(*grid, max(0, isqrt(most) - 2 * around) ** 2 if around else most, reach, rows)

    def fast_batch(self, height: int, width: int) -> int:
        """How many pictures of a size run fastest together: on the CPU small ones, of which Python's share is large.

        Beyond half of `_PAGED` new pages cost more than that: eight of 512 px took 1.3 times as long as one by one.
        """
        if self.device.type != "cpu":
            return 1 << 30
        one = largest_per_pixel(self.model.config) * height * width * torch.finfo(self.dtype).bits // 8
        return max(1, _PAGED // 2 // one)

    def each(
        self,
        parts: Sequence[Tile],
        whole: tuple[int, int],
        reach: int,
        run: Callable[[Tile], None],
        stage: str,
        progress: Progress | None,
    ) -> None:
        """Run every tile, a tile that does not fit into memory as its halves; progress counts cells."""
        todo, done, total = list(reversed(parts)), 0, whole[0] * whole[1]
        largest = self._fitting.get(stage, total)
        if progress is not None:
            progress(stage, 0, total)
        while todo:
            tile = todo.pop()
            if tile.seen > largest and tile.cells > 1:
                todo += reversed(split_tile(tile, *whole, reach))
                continue
            with memory_errors() as failed, no_autocast(self.device.type):
                run(tile)
            if failed:
                if tile.cells == 1:
                    raise OutOfMemoryError(
                        f"{self.device} has no memory for even one cell of {self.stride} pixels; close other programs, "
                        "or use a smaller batch or device='cpu'"
                    ) from failed[0]
                log.info("out of memory: going on with smaller tiles")
                todo.append(tile)
                largest = self._fitting[stage] = tile.seen - 1
                continue
            done += tile.cells
            if progress is not None:
                progress(stage, done, total)

    def _empty_levels(self, batch: int, height: int, width: int) -> Iterator[Tensor]:
        for level in self.model.config.levels:
            sides = [-(-max(side, self.model.config.min_size) // level.stride) for side in (height, width)]
            shape = (batch, level.channels, *sides)
            yield torch.empty(shape, device=self.device, dtype=self.kept, memory_format=self.model.layout)


# Values per strip of statistics: their float32 copies, 2 MiB each, stay in the cache, and well below the 32 MiB from
# which glibc asks the system for new pages at every allocation.
_STRIP = 1 << 19
# glibc asks the system for new pages at every allocation from here on (DEFAULT_MMAP_THRESHOLD_MAX), and touching them
# takes longer than most layers' arithmetic: whole pictures of 2048 px took 1.36 times as long as tiles of 768. OpenVINO
# keeps what lies between; `lite`'s encoder takes 1.2 times as long where its finest level is larger, in 2 megapixels.
_PAGED = 32 << 20
# What a tile sees twice costs, too: from 12 halos a side on at most (1 + 2 / 12)^2 = 1.36 times the work, that gain.
_HALOS = 12
_OVERHEAD = 3  # what allocators and convolution libraries take on top of the activations, measured with room


def _checked(tile: TileSize) -> TileSize:
    if tile is None or tile == "auto":
        return tile
    with suppress(TypeError):  # NumPy's integers are welcome, floats and words are not
        if operator.index(tile) >= 1:
            return operator.index(tile)
    raise ModelError(f"tile must be 'auto', None or 1 or more pixels, got {tile!r}")

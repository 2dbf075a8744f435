"""Regions: which style counts where, and how much.

Covers are masks of a picture's pixels, one for every region; shares are what the regions have of every cell of a place
where a style acts. Both are 1 at most in sum. What no region covers keeps the content's own pixels, so its shares
matter only as far as the decoder looks across the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images import ImageLike, Picture
from ..net.adain import AffineMap, Moments, RegionMap, merge_moments
from ..net.config import ModelConfig
from ..style import Style
from .masks import MaskWindows, cell_means, open_mask, tell_black

__all__ = [
    "FEW_CELLS",
    "CoverWindows",
    "RegionPlan",
    "join_covers",
    "region_maps",
    "region_shares",
    "steady_moments",
    "total_cover",
]

FEW_CELLS = 16
"""Cells of a level below which a region is too small for statistics of its own: 32 x 32 pixels of `lite` at its
coarsest level. Deviations of fewer cells are near zero, and the gain that they ask for is noise."""
_COVERED = 1e-6  # of a cell, from which on a region has a share in it


@dataclass(frozen=True)
class RegionPlan:
    """Every region's mask, none if all is one region, and its styles: one for a batch, or one for each of its pictures.
    `limit` bounds all of them."""

    masks: Sequence[ImageLike]
    styles: Sequence[Sequence[Style]]
    limit: ImageLike | None = None

    def covers(self, picture: Picture, max_pixels: int | None) -> Tensor | None:
        """`(B or 1, R, H, W)` of the picture's size; None where all of it is one region."""
        if not self.masks:
            return None
        limit = None if self.limit is None else open_mask(self.limit, picture, max_pixels)
        found = [open_mask(m, picture, max_pixels) for m in self.masks]
        for mask, cover in zip(self.masks, found, strict=True):
            tell_black(mask, bool(cover.any()))
        if limit is not None:
            tell_black(self.limit, bool(limit.any()))
        joined = join_covers(found, limit)
        return None if joined.shape[1] == 1 and bool((joined == 1).all()) else joined


class CoverWindows:
    """The covers of a `RegionPlan` that has masks, a window at a time; arguments as in `MaskWindows`."""

    def __init__(self, plan: RegionPlan, height: int, width: int, *, max_pixels: int | None, limit: int) -> None:
        self._masks: list[MaskWindows] = []
        try:
            for mask in (*plan.masks, *([] if plan.limit is None else [plan.limit])):
                self._masks.append(MaskWindows(mask, height, width, max_pixels=max_pixels, limit=limit))
        except BaseException:
            self.close()
            raise
        self._regions = len(plan.masks)

    def window(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """`(1, R, bottom - top, right - left)` float32 in [0, 1]."""
        windows = [mask.window(top, bottom, left, right) for mask in self._masks]
        return join_covers(windows[: self._regions], *windows[self._regions :])

    def __len__(self) -> int:
        """How many regions."""
        return self._regions

    def close(self) -> None:
        """Close the files."""
        for mask in self._masks:
            mask.close()


def join_covers(covers: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
    """Masks `(B or 1, 1, H, W)` in [0, 1] -> `(B or 1, R, H, W)`, scaled where they sum to more than 1, then by
    `mask`."""
    batch = max(len(c) for c in covers)
    x = torch.cat([c.expand(batch, -1, -1, -1) for c in covers], 1)
    x = x / x.sum(1, keepdim=True).clamp_min(1)
    return x if mask is None else x * mask


def total_cover(covers: Tensor) -> Tensor:
    """`(B, R, H, W)` -> `(B, 1, H, W)`: how much of every pixel is covered at all."""
    return covers.sum(1, keepdim=True).clamp_(max=1)


def steady_moments(region: Moments, whole: Moments) -> Moments:
    """A region's statistics, filled up to `FEW_CELLS` cells with those of the whole picture if it has fewer."""
    missing = (FEW_CELLS - region.count).clamp_min(0)
    return merge_moments([region, Moments(missing, whole.mean, whole.variance * missing)])


def region_shares(covers: Tensor, config: ModelConfig, grid: Sequence[int], reach: int) -> list[Tensor]:
    """`(B, R, H, W)` covers of the pixels -> `(B, R, h, w)` of each of `config.places`, of sum 1.

    `grid`: rows and columns of the coarsest level; the shares fill it, so they may go on beyond a place's own cells. A
    cell that is covered belongs to what covers it; one that is not, to what is within `reach` coarsest cells, as far as
    the decoder looks, and beyond that to all alike.
    """
    near = _sums(cell_means(covers, config.stride, grid), reach)
    fallback = torch.where(near.sum(1, keepdim=True) > 0, near, 1)
    by_place = []
    for place in config.places:
        repeat = config.stride // place.stride
        own = cell_means(covers, place.stride, [cells * repeat for cells in grid])
        other = fallback.repeat_interleave(repeat, 2).repeat_interleave(repeat, 3)
        shares = torch.where(own.sum(1, keepdim=True) > _COVERED, own, other)
        by_place.append(shares / shares.sum(1, keepdim=True))
    return by_place


def region_maps(
    maps: Sequence[Sequence[AffineMap]], shares: Sequence[Tensor], device: torch.device
) -> list[AffineMap | RegionMap]:
    """The maps of every region, by places, and the places' shares -> a map for every place."""
    if len(maps) == 1:
        return list(maps[0])
    return [RegionMap(parts, s.to(device)) for parts, s in zip(zip(*maps, strict=True), shares, strict=True)]


def _sums(x: Tensor, reach: int) -> Tensor:
    """Over `2 * reach + 1` cells a side, nothing beyond the border."""
    side = 2 * reach + 1
    x = F.avg_pool2d(x, (side, 1), 1, (reach, 0))
    return F.avg_pool2d(x, (1, side), 1, (0, reach))

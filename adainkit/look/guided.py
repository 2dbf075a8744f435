"""Edges of the content for the result: guided filters (He, Sun & Tang, "Guided image filtering", 2013).

In a guided filter a picture is, in every window, an affine function of a guide, here the content's luma. `upsample`
takes a result that was made at a smaller size to the full one, with the content's edges; `keep_detail` keeps what a
style does to colors and drops what it does to edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from .color import luma
from .masks import resize

__all__ = ["DETAIL_REACH", "Upsampler", "guided", "keep_detail", "upsample", "working_size"]

_RADIUS = 8
"""Pixels on either side of a window for `keep_detail`: wider than the strokes and the grain that it drops."""
DETAIL_REACH = 2 * _RADIUS
"""How many pixels away a pixel of `keep_detail` depends on: two windows."""
# Variance of luma below which a window counts as flat: the square of 8 of 255 levels, what noise and grain have.
_FLAT = (8 / 255) ** 2
_UP_RADIUS = 4  # pixels of the small size
# An edge of the content comes back with at most this times its contrast: a style's own contrast, but no ringing.
_MOST_GAIN = 1.5
_STRIP = 1 << 20  # pixels that are worked on at once: bounds the float copies to some tens of megabytes


def working_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """The size at which strokes are `scale` times as bold."""
    return max(1, round(height / scale)), max(1, round(width / scale))


class Upsampler:
    """A result that was made at a smaller size, at `size`, with the edges of the content.

    `small`: `(B, 3, h, w)` RGB in [0, 1], float32; `light`: `(B or 1, 1, h, w)`, the content's luma at that size. What
    the content has beyond its small version, in luma, is added with the contrast that its edges have in the small
    result (negative where the style inverts them), so that strokes keep their width and edges get their sharpness.
    """

    def __init__(self, small: Tensor, light: Tensor, size: Sequence[int]) -> None:
        self.small, self.light, (self.height, self.width) = small, light, size
        gain = _box(_slope(light, small, _UP_RADIUS)[0], _UP_RADIUS)
        self.gain = gain.clamp_(-_MOST_GAIN, _MOST_GAIN)

    def rows(self, top: int, bottom: int, content: Tensor) -> Tensor:
        """Rows `top` to `bottom`, `(B, 3, rows, width)` float32 in [0, 1]; `content`: those of the content, RGB."""
        missing = luma(content.to(self.small.device)).sub_(self._larger(self.light, _cubic, top, bottom))
        larger = self._larger(self.small, _cubic, top, bottom)
        return larger.addcmul_(self._larger(self.gain, _linear, top, bottom), missing).clamp_(0, 1)

    def _larger(self, x: Tensor, kernel: Callable[[Tensor], Tensor], top: int, bottom: int) -> Tensor:
        """What `F.interpolate` gives in these rows: columns by itself, rows by their weights, for a window of them."""
        taps = _row_taps(kernel, top, bottom, x.shape[2], self.height)
        # no matmul: TF32 would take it down to 10 bits
        part = reduce(torch.add, (x[:, :, row.to(x.device)] * weight.to(x.device)[:, None] for row, weight in taps))
        mode = "bicubic" if kernel is _cubic else "bilinear"
        return F.interpolate(part, [bottom - top, self.width], mode=mode, align_corners=False)


def upsample(small: Tensor, content: Tensor) -> Tensor:
    """`small`, the result for `content` `(B or 1, 3, H, W)` at a smaller size, at its own: what `Upsampler` gives."""
    height, width = size = content.shape[2:]
    light = luma(resize(content.to(small.device, torch.float32), small.shape[2:]))
    larger = Upsampler(small, light, size)
    result = small.new_empty(len(small), 3, *size)
    for top, bottom in _strips(height, width, len(small)):
        result[:, :, top:bottom] = larger.rows(top, bottom, content[:, :, top:bottom])
    return result


def keep_detail(result: Tensor, content: Tensor, amount: float) -> Tensor:
    """`(B, 3, H, W)` RGB in [0, 1]: `result` with the fine structure of `content`, which text and faces live on.

    The difference of the two passes a guided filter and is added to the content again; `amount`, 0 to 1, is the share
    of that in what comes back. Same shape and device as `result`, float32.
    """
    result = result.float()
    if amount == 0:
        return result
    content = content.to(result.device, torch.float32)
    height, width = result.shape[2:]
    kept = torch.empty_like(result)
    for top, bottom in _strips(height, width, len(result)):
        first, last = max(0, top - DETAIL_REACH), min(height, bottom + DETAIL_REACH)
        seen = content[:, :, first:last]
        guide, change = luma(seen), result[:, :, first:last] - seen
        smooth = guided(guide, change, _RADIUS).add_(seen).clamp_(0, 1)[:, :, top - first : bottom - first]
        torch.lerp(result[:, :, top:bottom], smooth, amount, out=kept[:, :, top:bottom])
    return kept


def guided(guide: Tensor, x: Tensor, radius: int) -> Tensor:
    """The guided filter: `x` `(B, C, H, W)` as, around every pixel, an affine function of `guide` `(B, 1, H, W)`, the
    mean of those of the windows that the pixel is in. They are `2 * radius + 1` pixels wide."""
    slope, level = _slope(guide, x, radius)
    return _box(slope, radius).mul_(guide).add_(_box(level, radius))


def _slope(guide: Tensor, x: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """a and b of `x = a * guide + b`, least squares in the window around every pixel, ridge `_FLAT`."""
    mean_guide, mean = _box(guide, radius), _box(x, radius)
    spread = _box(guide * guide, radius).sub_(mean_guide * mean_guide).clamp_min_(0).add_(_FLAT)
    slope = _box(guide * x, radius).sub_(mean_guide * mean).div_(spread)
    return slope, mean.sub_(slope * mean_guide)


def _box(x: Tensor, radius: int) -> Tensor:
    """The mean over `2 * radius + 1` pixels a side, of those that there are."""
    for dim in (2, 3):
        sums = _window_sums(x, radius, dim)
        there = _window_sums(torch.ones(1, 1, *(x.shape[d] if d == dim else 1 for d in (2, 3))), radius, dim)
        x = sums.div_(there.to(x.device))
    return x


def _window_sums(x: Tensor, radius: int, dim: int) -> Tensor:
    """Sums of `2 * radius + 1` neighbors, nothing beyond the border. By doubling: five additions for 17 values, where
    pooling takes 17 and cumulated sums cancel."""
    side, length = 2 * radius + 1, x.shape[dim]
    power = F.pad(x, (0, 0, radius, radius) if dim == 2 else (radius, radius))
    total, width, offset = power.narrow(dim, 0, length).clone(), 1, 1  # `power` holds sums of `width` values
    while 2 * width <= side:
        rest = power.shape[dim] - width
        power, width = power.narrow(dim, 0, rest) + power.narrow(dim, width, rest), 2 * width
        if side & width:
            total += power.narrow(dim, offset, length)
            offset += width
    return total


def _strips(height: int, width: int, batch: int) -> Iterator[tuple[int, int]]:
    rows = max(DETAIL_REACH, _STRIP // (width * batch))
    return ((top, min(height, top + rows)) for top in range(0, height, rows))


def _row_taps(
    kernel: Callable[[Tensor], Tensor], top: int, bottom: int, old: int, new: int
) -> list[tuple[Tensor, Tensor]]:
    """Of `old` rows four, and their weights, for each of the `new` ones from `top` to `bottom`; beyond the border the
    last row goes on."""
    centers = (torch.arange(top, bottom, dtype=torch.float64) + 0.5) * (old / new) - 0.5
    if kernel is _linear:  # as torch has it: never before the first row's center
        centers.clamp_(min=0)
    rows = [centers.floor() + tap for tap in (-1, 0, 1, 2)]
    return [(row.clamp(0, old - 1).long(), kernel((row - centers).abs()).float()) for row in rows]


def _linear(distance: Tensor) -> Tensor:
    return (1 - distance).clamp_min(0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with a = -3/4, torch's bicubic."""
    d, a = distance, -0.75
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))

"""Edges of the content for the result: guided filters (He, Sun & Tang, "Guided image filtering", 2013).

In a guided filter a picture is, in every window, an affine function of a guide, here the content's luma. `upsample`
takes a result that was made at a smaller size to the full one, with the content's edges; `keep_detail` keeps what a
style does to colors and drops what it does to edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .color import luma
from .masks import resize

__all__ = ["DETAIL_REACH", "keep_detail", "upsample", "working_size"]

_RADIUS = 8
"""Pixels on either side of a window for `keep_detail`: wider than the strokes and the grain that it drops."""
DETAIL_REACH = 2 * _RADIUS
"""How many pixels away a pixel of `keep_detail` depends on: two windows."""
# Variance of luma below which a window counts as flat: the square of 8 of 255 levels, what noise and grain have.
_FLAT = (8 / 255) ** 2
_UP_RADIUS = 4  # pixels of the small size
# An edge of the content comes back with at most this times its contrast: a style's own contrast, but no ringing.
_MOST_GAIN = 1.5
_STRIP = 1 << 22  # pixels that are worked on at once: bounds the float copies to some hundreds of megabytes


def working_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """The size at which strokes are `scale` times as bold."""
    return max(1, round(height / scale)), max(1, round(width / scale))


def upsample(small: Tensor, content: Tensor) -> Tensor:
    """`(B, 3, h, w)`, the result for `content` at a smaller size, at the size of `content` `(B or 1, 3, H, W)`.

    Both RGB in [0, 1]; float32 in [0, 1] on the device of `small` back. What the content has beyond its own small
    version, in luma, is added with the contrast that its edges have in the small result (negative where the style
    inverts them), so that strokes keep their width and edges get their sharpness.
    """
    size = content.shape[2:]
    content = content.to(small.device, torch.float32)
    tiny = resize(content, small.shape[2:])
    gain = _box(_slope(luma(tiny), small, _UP_RADIUS)[0], _UP_RADIUS).clamp_(-_MOST_GAIN, _MOST_GAIN)
    missing = luma(content).sub_(_bicubic(luma(tiny), size))
    return _bicubic(small, size).addcmul_(_bilinear(gain, size), missing).clamp_(0, 1)


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
    rows = max(DETAIL_REACH, _STRIP // (width * len(result)))
    parts = []
    for top in range(0, height, rows):
        first, last = max(0, top - DETAIL_REACH), min(height, top + rows + DETAIL_REACH)
        seen = content[:, :, first:last]
        guide, change = luma(seen), result[:, :, first:last] - seen
        slope, level = _slope(guide, change, _RADIUS)
        smooth = _box(slope, _RADIUS).mul_(guide).add_(_box(level, _RADIUS))
        kept = smooth.add_(seen).clamp_(0, 1)[:, :, top - first : top - first + rows]
        parts.append(torch.lerp(result[:, :, top : top + rows], kept, amount))
    return torch.cat(parts, 2)


def _slope(guide: Tensor, x: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """a and b of `x = a * guide + b`, least squares in the window around every pixel, ridge `_FLAT`."""
    mean_guide, mean = _box(guide, radius), _box(x, radius)
    spread = _box(guide * guide, radius).sub_(mean_guide * mean_guide).clamp_min_(0).add_(_FLAT)
    slope = _box(guide * x, radius).sub_(mean_guide * mean).div_(spread)
    return slope, mean.sub_(slope * mean_guide)


def _box(x: Tensor, radius: int) -> Tensor:
    """The mean over `2 * radius + 1` pixels a side, of those that there are."""
    side = 2 * radius + 1
    for kernel, padding in (((side, 1), (radius, 0)), ((1, side), (0, radius))):
        x = F.avg_pool2d(x, kernel, 1, padding, count_include_pad=False)
    return x


def _bicubic(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, list(size), mode="bicubic", align_corners=False)


def _bilinear(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, list(size), mode="bilinear", align_corners=False)

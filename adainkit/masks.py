"""Masks and weights: how much each pixel, and each cell of a level, counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import ImageError
from .images import MAX_PIXELS, ImageLike, Picture, open_image

__all__ = ["cell_means", "open_mask", "resize"]


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """`(B, C, H, W)` in [0, 1] to another size, area-averaged when it gets smaller."""
    return F.interpolate(x, list(size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def cell_means(weight: Tensor, stride: int, cells: Sequence[int]) -> Tensor:
    """The mean of `(B, 1, H, W)` over each cell's pixels, `(B, 1, *cells)`; the border goes on beyond the picture."""
    missing = [max(0, n * stride - side) for n, side in zip(cells, weight.shape[2:], strict=True)]
    return F.avg_pool2d(F.pad(weight, (0, missing[1], 0, missing[0]), mode="replicate"), stride)


def open_mask(mask: ImageLike, picture: Picture, max_pixels: int | None = MAX_PIXELS) -> Tensor:
    """`(B or 1, 1, H, W)` float32 in [0, 1] of the picture's size, from a gray picture, array or tensor of any size.

    `ImageError` if it is none, or if there are neither one nor as many as pictures.
    """
    if hasattr(mask, "dtype") and str(mask.dtype).endswith("bool"):
        mask = mask.float() if isinstance(mask, Tensor) else mask.astype("float32")  # type: ignore[union-attr]
    if isinstance(mask, Tensor) and mask.ndim == 2:
        mask = mask[None]
    x = open_image(mask, max_pixels=max_pixels).rgb.mean(1, keepdim=True)
    if len(x) not in (1, len(picture.rgb)):
        raise ImageError(f"{len(x)} masks for {len(picture.rgb)} pictures; give one, or one for each")
    if x.shape[2:] != picture.rgb.shape[2:]:
        x = resize(x, picture.rgb.shape[2:])
    return torch.where(x > 1 - 1e-6, 1.0, x)  # so that a mask of ones is one after scaling, too

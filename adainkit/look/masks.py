"""Masks and weights: how much each pixel, and each cell of a level, counts."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ImageError
from ..images import MAX_PIXELS, ImageLike, Picture, Strips, mask_of, open_image, open_strips

__all__ = ["MaskWindows", "cell_means", "counting", "fitted", "open_mask", "resize", "tell_black", "triangle_weights"]

_log = logging.getLogger("adainkit")


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """`(B, C, H, W)` in [0, 1] to another size, area-averaged when it gets smaller."""
    if size[1] == 1 < size[0]:  # torch gives every row of a single column the value of the first
        return resize(x.mT, (1, size[0])).mT
    return F.interpolate(x, list(size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def fitted(x: Tensor, size: Sequence[int]) -> Tensor:
    """`resize`, but for a tensor that has the size already."""
    return x if list(x.shape[2:]) == list(size) else resize(x, size)


def counting(cover: Tensor | None, alpha: Tensor | None) -> Tensor | None:
    """How much pixels count that are covered and visible that much; None is all of them."""
    if cover is None or alpha is None:
        return alpha if cover is None else cover
    return cover * alpha.to(cover.device)


def cell_means(weight: Tensor, stride: int, cells: Sequence[int]) -> Tensor:
    """The mean of `(B, 1, H, W)` over each cell's pixels, `(B, 1, *cells)`; the border goes on beyond the picture."""
    missing = [max(0, n * stride - side) for n, side in zip(cells, weight.shape[2:], strict=True)]
    return F.avg_pool2d(F.pad(weight, (0, missing[1], 0, missing[0]), mode="replicate"), stride)


def open_mask(mask: ImageLike, picture: Picture, max_pixels: int | None = MAX_PIXELS) -> Tensor:
    """`(B or 1, 1, H, W)` float32 in [0, 1] of the picture's size, from a gray picture, array or tensor of any size; a
    tensor `(B, H, W)` is a mask for each of a batch.

    `ImageError` if it is none, or if there are neither one nor as many as pictures.
    """
    x = _gray(mask, len(picture.rgb), max_pixels)
    if x.shape[2:] != picture.rgb.shape[2:]:
        x = resize(x, picture.rgb.shape[2:])
    return _whole_ones(x)


class MaskWindows:
    """What `open_mask` gives, a window at a time, for a picture of `height` x `width`: of a path nothing is held but
    what `open_strips` holds."""

    def __init__(self, mask: ImageLike, height: int, width: int, *, max_pixels: int | None, limit: int) -> None:
        self._size, self._name, self._white = (height, width), mask, False
        if isinstance(mask, (str, os.PathLike)):
            self._strips: Strips | None = open_strips(mask, max_pixels=max_pixels, limit=limit)
            self._own = self._strips.height, self._strips.width
            if self._strips.like.alpha is not None:  # where its shape is, all of it tells: it is held, a float a pixel
                self._strips.close()
                self._strips, self._held = None, _gray(mask, 1, max_pixels).cpu()
        else:
            self._strips, self._held = None, _gray(mask, 1, max_pixels).cpu()
            self._own = self._held.shape[2], self._held.shape[3]

    def window(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """`(1, 1, bottom - top, right - left)` float32 in [0, 1]."""
        part = self._window(top, bottom, left, right)
        self._white = self._white or bool(part.any())
        if (bottom, right) == self._size:  # the last one
            tell_black(self._name, self._white)
        return part

    def _window(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        if self._own == self._size:
            return _whole_ones(self._part(top, bottom, left, right))
        first, rows = triangle_weights(top, bottom, self._own[0], self._size[0])
        start, columns = triangle_weights(left, right, self._own[1], self._size[1])
        part = self._part(first, first + rows.shape[1], start, start + columns.shape[1])
        return _whole_ones((rows @ part[0, 0] @ columns.T).clamp(0, 1)[None, None])

    def _part(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        if self._strips is None:
            return self._held[:, :, top:bottom, left:right]
        return self._strips.window(top, bottom, left, right).rgb.mean(1, keepdim=True)

    def close(self) -> None:
        """Close the file, if it is one."""
        if self._strips is not None:
            self._strips.close()


def tell_black(mask: object, white: bool) -> None:
    """Say in the log that a mask without anything `white` leaves the picture as it is."""
    if not white:
        name = os.fspath(mask) if isinstance(mask, (str, os.PathLike)) else "a mask"
        _log.warning("%s is black all over: nothing is painted there; white is where to paint", name)


def _gray(mask: ImageLike, pictures: int, max_pixels: int | None) -> Tensor:
    """`(B or 1, 1, h, w)` float32 in [0, 1], of the mask's own size."""
    if hasattr(mask, "dtype") and str(mask.dtype).endswith("bool"):
        mask = mask.float() if isinstance(mask, Tensor) else mask.astype("float32")  # type: ignore[union-attr]
    if isinstance(mask, Tensor) and mask.ndim == 3 and len(mask) == pictures:
        mask = mask[:, None]
    elif isinstance(mask, Tensor) and mask.ndim == 2:
        mask = mask[None]
    x = mask_of(open_image(mask, max_pixels=max_pixels))
    if len(x) not in (1, pictures):
        raise ImageError(f"{len(x)} masks for {pictures} pictures; give one, or one for each")
    return x


def _whole_ones(x: Tensor) -> Tensor:
    """Round what is almost one up to one: a mask of ones stays one when it is scaled."""
    return torch.where(x > 1 - 1e-6, 1.0, x)


def triangle_weights(start: int, stop: int, side: int, new: int) -> tuple[int, Tensor]:
    """The part of `resize` that is of one axis, `side` samples to `new`, for the new ones `start` to `stop`.

    The first old sample that they need, and `(stop - start, n)` weights of it and the following ones: a triangle around
    the new sample's center, as wide as the longer of the two steps, cut off at the border.
    """
    scale = side / new
    centers = (torch.arange(start, stop, dtype=torch.float64)[:, None] + 0.5) * scale - 0.5
    reach = max(scale, 1.0)
    first = max(0, math.ceil(float(centers[0]) - reach))
    last = min(side, math.floor(float(centers[-1]) + reach) + 1)
    weights = (1 - (torch.arange(first, last)[None] - centers).abs() / reach).clamp_min(0)
    return first, (weights / weights.sum(1, keepdim=True)).float()

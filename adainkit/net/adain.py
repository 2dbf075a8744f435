"""Adaptive instance normalization (Huang & Belongie, ICCV 2017) as pure tensor functions.

AdaIN, the blend of several styles and alpha are together ONE affine map per channel,

    t = (f - center) * gain + shift,

which is why a style is a few kilobytes, a mix of styles is free and a decoder needs no normalization inside. Statistics
are biased, in float32, with eps inside the root; everything here is differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ..errors import StyleError

__all__ = [
    "EPS",
    "AffineMap",
    "Moments",
    "RegionMap",
    "affine_map",
    "apply_affine",
    "blend",
    "merge_moments",
    "moments",
    "normalize_weights",
    "split_moments",
]

EPS = 1e-5
"""Added to the variance inside the root, as in the paper's code."""


@dataclass(frozen=True)
class Moments:
    """Channel statistics that can be merged: `count` `(B, 1)`, `mean` and `m2` `(B, C)`, float32.

    `m2` is the sum of squared deviations from the mean; `count` is the sum of weights (the number of cells without
    weights).
    """

    count: Tensor
    mean: Tensor
    m2: Tensor

    @property
    def variance(self) -> Tensor:
        """Biased variance, `(B, C)`; zero where nothing was counted."""
        return self.m2 / self.count.clamp_min(torch.finfo(torch.float32).tiny)

    @property
    def std(self) -> Tensor:
        """`sqrt(variance + EPS)`, `(B, C)`."""
        return (self.variance + EPS).sqrt()

    def to(self, device: torch.device) -> Moments:
        """The same on another device."""
        return Moments(self.count.to(device), self.mean.to(device), self.m2.to(device))


@dataclass(frozen=True)
class AffineMap:
    """`(f - center) * gain + shift` for one level; each part is `(B, C)`, or `(B, C, h, w)` for every cell, float32 (B
    may be 1)."""

    center: Tensor
    gain: Tensor
    shift: Tensor

    @property
    def batch(self) -> int:
        """How many pictures it tells apart."""
        return len(self.gain)

    def window(self, rows: slice, columns: slice) -> AffineMap:
        """The map of some cells; one of `(B, C)` is the same everywhere."""
        parts = (self.center, self.gain, self.shift)
        return AffineMap(*(v if v.ndim == 2 else v[:, :, rows, columns] for v in parts))

    def fitting(self, features: Tensor) -> AffineMap:
        """The map of the first cells, as many as `features` has: maps go on beyond a picture's border."""
        return self.window(slice(features.shape[2]), slice(features.shape[3]))


@dataclass(frozen=True)
class RegionMap:
    """Several affine maps of one level, `(B, C)` each, and the share of each in every cell: `shares` `(B or 1, R, h,
    w)`, float32, of sum 1."""

    parts: tuple[AffineMap, ...]
    shares: Tensor

    @property
    def batch(self) -> int:
        """How many pictures it tells apart."""
        return max(len(self.shares), *(part.batch for part in self.parts))

    def window(self, rows: slice, columns: slice) -> AffineMap:
        """The map of some cells. What the parts give, blended, is one affine map again:

        sum_r w_r ((f - c_r) g_r + s_r) = (f - c) sum_r w_r g_r + sum_r w_r (s_r + (c - c_r) g_r), for any c.
        """
        shares, center = self.shares[:, :, rows, columns], self.parts[0].center
        shifts = [part.shift + (center - part.center) * part.gain for part in self.parts]

        def spread(values: Sequence[Tensor]) -> Tensor:  # no matmul: TF32 would take it down to 10 bits
            cells = (v[:, :, None, None] * shares[:, i : i + 1] for i, v in enumerate(values))
            return reduce(torch.add, cells)

        return AffineMap(center, spread([part.gain for part in self.parts]), spread(shifts))


def moments(features: Tensor, weight: Tensor | None = None) -> Moments:
    """Statistics over height and width of `(B, C, H, W)` features of any float dtype, computed in float32.

    `weight`: `(B, 1, H, W)`, 0 or more; cells of weight 0 do not count. Two passes (mean first), since E[x^2] - E[x]^2
    cancels on flat pictures.
    """
    x = features.float()
    if weight is None:  # torch.var_mean does the same, several times slower on channels_last
        mean = x.mean((2, 3))
        count = x.new_full((x.shape[0], 1), x.shape[2] * x.shape[3])
        return Moments(count, mean, (x - mean[:, :, None, None]).square().sum((2, 3)))
    w = weight.float()
    count = w.sum((2, 3))
    mean = (x * w).sum((2, 3)) / count.clamp_min(torch.finfo(torch.float32).tiny)
    m2 = ((x - mean[:, :, None, None]).square() * w).sum((2, 3))
    return Moments(count, mean, m2)


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Statistics of the union of disjoint parts (Chan, Golub & LeVeque 1979). At least one part."""

    def merge(a: Moments, b: Moments) -> Moments:
        count = a.count + b.count
        share = b.count / count.clamp_min(torch.finfo(torch.float32).tiny)
        delta = b.mean - a.mean
        return Moments(count, a.mean + delta * share, a.m2 + b.m2 + delta.square() * (a.count * share))

    return reduce(merge, parts)


def split_moments(batch: Moments) -> list[Moments]:
    """The statistics of every picture of a batch."""
    parts = zip(*(v.chunk(len(v)) for v in (batch.count, batch.mean, batch.m2)), strict=True)
    return [Moments(*part) for part in parts]


def normalize_weights(weights: Sequence[float]) -> list[float]:
    """`weights` scaled to sum 1. `StyleError` if there are none, or one is negative or not finite, or all are zero."""
    total = sum(weights)
    if not weights or not 0 < total < float("inf") or any(not w >= 0 for w in weights):
        raise StyleError(f"style weights must be finite, 0 or more, and not all zero; got {list(weights)}")
    return [w / total for w in weights]


def blend(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted mean of equally shaped tensors (means, or standard deviations, of several styles)."""
    pairs = zip(values, normalize_weights(weights), strict=True)
    return sum((v * w for v, w in pairs), start=torch.zeros_like(values[0]))


def affine_map(
    content_mean: Tensor,
    content_std: Tensor,
    style_mean: Tensor,
    style_std: Tensor,
    alpha: Tensor | float = 1.0,
    gain_cap: float | None = None,
) -> AffineMap:
    """The affine map of AdaIN with strength `alpha`; all statistics `(B, C)` float32 (a batch of 1 is broadcast).

    alpha 0 is the identity, alpha 1 gives the style's statistics, in between the features are interpolated linearly:
    `alpha * AdaIN(f) + (1 - alpha) * f`. `gain_cap` bounds `style_std / content_std`, which reaches hundreds on flat
    pictures; a capped channel keeps the style's mean and less than its spread. `alpha` may be a `(B, 1)` tensor.
    """
    ratio = style_std / content_std
    if gain_cap is not None:
        ratio = ratio.clamp_max(gain_cap)
    gain = 1.0 + alpha * (ratio - 1.0)
    shift = content_mean + alpha * (style_mean - content_mean)
    return AffineMap(content_mean, gain, shift)


def apply_affine(features: Tensor, affine: AffineMap, dtype: torch.dtype | None = None) -> Tensor:
    """`(features - center) * gain + shift` in float32, as `dtype` (None: that of `features`, `(B, C, H, W)`) on return.

    Centered first: `f * a + b` in half precision loses everything on flat pictures, where gains are large.
    """
    kind = features.dtype if dtype is None else dtype
    parts = (affine.center, affine.gain, affine.shift)
    center, gain, shift = (v if v.ndim == 4 else v[:, :, None, None] for v in parts)
    x = features.float() - center
    if len(gain) <= len(x) and not (x.requires_grad or gain.requires_grad or shift.requires_grad):
        return x.mul_(gain).add_(shift).to(kind)  # in place: new pages cost more than the arithmetic
    return (x * gain + shift).to(kind)

"""What `net.adain` and `look` compute on tensors, on NumPy arrays: statistics, blends, colors.

Pictures are `(1, 3, H, W)`, features `(1, C, h, w)`, statistics `(C,)`, all float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import StyleError
from .graph import Array

__all__ = ["Moments", "cell_means", "keep_luma", "match_color", "mixed", "moments", "premixed", "resized"]

EPS = 1e-5  # of `net.adain`; a test holds all of these equal
FEW_CELLS = 16  # of `look.regions`
LUMA, RIDGE, LIVELY = (0.299, 0.587, 0.114), (1 / 1020) ** 2, 2  # of `look.color`
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Moments:
    """Channel statistics: the sum of weights, means, and sums of squared deviations."""

    count: float
    mean: Array
    m2: Array

    @property
    def std(self) -> Array:
        """`sqrt(variance + EPS)`."""
        return np.sqrt(self.m2 / max(self.count, _TINY) + EPS).astype(np.float32)

    def steadied(self, whole: Moments) -> Moments:
        """Filled up to `FEW_CELLS` cells with those of the whole picture if there are fewer."""
        missing = max(FEW_CELLS - self.count, 0.0)
        if not missing:
            return self
        count = self.count + missing
        delta, share = whole.mean - self.mean, missing / count
        m2 = self.m2 + whole.m2 / max(whole.count, _TINY) * missing + delta**2 * (self.count * share)
        return Moments(count, self.mean + delta * share, m2)


def moments(features: Array, weight: Array | None = None) -> Moments:
    """Of `(1, C, h, w)`, each cell as far as `weight` `(h, w)` says; sums in float64."""
    x = features[0].reshape(features.shape[1], -1)
    if weight is None:
        mean = x.mean(1, dtype=np.float64)
        d = x - mean[:, None].astype(np.float32)
        return Moments(float(x.shape[1]), mean, np.einsum("ci,ci->c", d, d, dtype=np.float64))
    w = weight.ravel().astype(np.float64)
    mean = (x @ w) / max(w.sum(), _TINY)
    return Moments(float(w.sum()), mean, np.square(x - mean[:, None]) @ w)


def mixed(values: Sequence[Array], weights: Sequence[float]) -> Array:
    """The weighted mean. `StyleError` for weights that have none."""
    total = sum(weights)
    if not weights or not 0 < total < float("inf") or any(not w >= 0 for w in weights):
        raise StyleError(f"style weights must be finite, 0 or more, and not all zero; got {list(weights)}")
    return np.asarray(sum(v * np.float32(w / total) for v, w in zip(values, weights, strict=True)), np.float32)


def cell_means(weight: Array, stride: int, cells: Sequence[int]) -> Array:
    """The mean of `(H, W)` over each cell's pixels, `cells`; the border goes on beyond the picture."""
    missing = [(0, max(0, n * stride - side)) for n, side in zip(cells, weight.shape, strict=True)]
    whole = np.pad(weight, missing, mode="edge")[: cells[0] * stride, : cells[1] * stride]
    means = whole.reshape(cells[0], stride, cells[1], stride).mean((1, 3))
    return np.asarray(means, np.float32)


def resized(x: Array, size: Sequence[int]) -> Array:
    """`(1, C, H, W)` in [0, 1] to another size, area-averaged when it gets smaller: `look.masks.resize`."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    rows, columns = (_triangles(new, side) for new, side in zip(size, x.shape[2:], strict=True))
    return np.asarray(np.clip(rows @ x @ columns.T, 0, 1), np.float32)


def _triangles(new: int, side: int) -> Array:
    scale = side / new
    centers = (np.arange(new)[:, None] + 0.5) * scale - 0.5
    weights = np.maximum(1 - abs(np.arange(side)[None] - centers) / max(scale, 1.0), 0)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def premixed(rgb: Array, alpha: Array) -> Array:
    """The picture with the colors of what is transparent replaced by the mean of the others: `look.color.premix`."""
    hidden = alpha == 0
    if not hidden.any():
        return rgb
    total = float(alpha.sum(dtype=np.float64))
    mean = (rgb * alpha).sum((2, 3), dtype=np.float64) / total if total else np.full((1, 3), 0.5)
    return np.asarray(np.where(hidden, mean[:, :, None, None].astype(np.float32), rgb))


def keep_luma(result: Array, content: Array) -> Array:
    """The luma of the result with the chroma of the content: `look.color.keep_luma`."""
    light, own = np.clip(_luma(result), 0, 1), _luma(content)
    chroma = (content - own) * np.clip(light / np.maximum(own, _TINY), 1, LIVELY)
    high, low = chroma.max(1, keepdims=True), chroma.min(1, keepdims=True)
    fit = np.minimum((1 - light) / np.maximum(high, _TINY), light / np.maximum(-low, _TINY))
    return np.asarray(np.clip(chroma * np.minimum(fit, 1) + light, 0, 1), np.float32)


def match_color(result: Array, content: Array, weight: Array | None) -> Array:
    """The result with the mean and covariance of the content's colors: `look.color.match_color`."""
    means, factors = [], []
    for x in (result, content):
        colors = x[0].reshape(3, -1).astype(np.float64)
        w = np.ones(colors.shape[1]) if weight is None else weight.ravel().astype(np.float64)
        total = max(w.sum(), _TINY)
        mean = colors @ w / total
        d = colors - mean[:, None]
        factors.append(np.linalg.cholesky((d * w) @ d.T / total + RIDGE * np.eye(3)))
        means.append(mean)
    matrix = factors[1] @ np.linalg.inv(factors[0])
    offset = means[1] - matrix @ means[0]
    mapped = np.einsum("ij,bjhw->bihw", matrix.astype(np.float32), result) + offset[None, :, None, None]
    return np.asarray(np.clip(mapped, 0, 1), np.float32)


def _luma(x: Array) -> Array:
    return np.asarray(sum(np.float32(weight) * x[:, i : i + 1] for i, weight in enumerate(LUMA)), np.float32)

"""What `net.adain` and `look` compute on tensors, on NumPy arrays: statistics, blends, colors.

Pictures are `(1, 3, H, W)`, features `(1, C, h, w)`, statistics `(C,)`, all float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import StyleError
from .graph import Array

__all__ = [
    "Colors",
    "Moments",
    "bring_to_palette",
    "cell_means",
    "keep_luma",
    "match_color",
    "mixed",
    "moments",
    "premixed",
    "resized",
]

EPS = 1e-5  # of `net.adain`; a test holds all of these equal
FEW_CELLS = 16  # of `look.regions`
LUMA, RIDGE, LIVELY = (0.299, 0.587, 0.114), (1 / 1020) ** 2, 2  # of `look.color`, as the next ones
GAINS, VIVID, ROOM = (1.6, 2.0, 2.0), (1.3, 1.45, 1.45), 1.5
FREE, MOST = 2.0, 2.5  # of its `ChromaBound`
LOCAL, COLORFUL, LOUDEST = 0.8, 0.06, 0.25
OPPONENT = (LUMA, (-LUMA[0], -LUMA[1], 1 - LUMA[2]), (1 - LUMA[0], -LUMA[1], -LUMA[2]))
PALETTE = ("color_mean", "color_covariance")  # of `style`
_STRIP = 1 << 18  # pixels that are measured at once, in float64
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
    x = features[0].reshape(features.shape[1], -1).astype(np.float32, copy=False)
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


@dataclass(frozen=True)
class Colors:
    """Of pixels: the sum of their weights, and mean `(3,)` and covariance `(3, 3)` of their RGB, in float64."""

    weight: float
    mean: Array
    covariance: Array

    @classmethod
    def of(cls, x: Array, weight: Array | None = None, bands: Sequence[Sequence[slice]] = ()) -> Colors:
        """Of `(1, 3, H, W)`, or of what lies in `bands` of both its rows and columns, each pixel as far as `weight`
        `(1, 1, H, W)` says."""
        for axis, parts in enumerate(bands, 2):
            if len(parts) > 1:
                x, weight = _joined(x, axis, parts), None if weight is None else _joined(weight, axis, parts)
        total = np.zeros((4, 4))
        rows = max(1, _STRIP // x.shape[3])
        for row in range(0, x.shape[2], rows):
            part = np.s_[0, :, row : row + rows]
            own = np.ones((4, x[part][0].size))
            own[:3] = x[part].reshape(3, -1)
            total += (own if weight is None else own * weight[part].reshape(1, -1)) @ own.T
        count = total[3, 3]
        mean, square = total[:3, 3] / max(count, _TINY), total[:3, :3] / max(count, _TINY)
        return cls(float(count), mean, square - np.outer(mean, mean))


def match_color(result: Array, content: Array, weight: Array | None) -> Array:
    """The result with the mean and covariance of the content's colors: `look.color.match_color`."""
    own, theirs = (Colors.of(x, weight) for x in (result, content))
    factors = [np.linalg.cholesky(each.covariance + RIDGE * np.eye(3)) for each in (own, theirs)]
    matrix = factors[1] @ np.linalg.inv(factors[0])
    return _mapped(result, matrix, theirs.mean - matrix @ own.mean)


def bring_to_palette(
    result: Array,
    content: Array,
    palette: Sequence[Array],
    strength: float,
    weight: Array | None,
    bands: Sequence[Sequence[slice]],
) -> Array:
    """The result brought to a style's colors, a mean and a covariance, with the content's local color:
    `look.color.palette_map`. Its own ones, and those of the content, are measured in `bands`, each pixel as far as
    `weight` says."""
    own, theirs = (Colors.of(x, weight, bands) for x in (result, content))
    turn = np.array(OPPONENT)
    if not own.weight:
        return result
    covariances = (own.covariance, palette[1].astype(np.float64))
    lows = [np.linalg.cholesky(turn @ each @ turn.T + RIDGE * np.eye(3)) for each in covariances]
    spreads = [np.diag(low) for low in lows]
    gains = np.minimum(spreads[1] / spreads[0], GAINS)
    moved = lows[1] / spreads[1] * gains @ np.linalg.inv(lows[0] / spreads[0])
    vivid, wanted = _vivid(palette[0], covariances[1], turn)
    matrix = np.linalg.solve(turn, vivid * moved @ turn)
    offset = wanted - matrix @ own.mean
    colors = _moved(result, np.eye(3) + strength * (matrix - np.eye(3)), strength * offset)
    low = vivid * lows[1]
    seen, back = np.linalg.solve(low, turn)[1:], np.linalg.solve(turn, low)[:, 1:]
    far = _moved(colors, seen, -seen @ wanted)
    share = 1 / np.sqrt(1 + np.maximum((far * far).sum(1) - FREE, 0) / np.float32(MOST**2))
    colors += _moved(far * (np.float32(strength) * (share - 1))[:, None], back, np.zeros(3))
    colors += _local(content, theirs, strength * min(1.0, float(np.linalg.norm(lows[1][1:, 1:])) / COLORFUL), turn)
    return np.clip(colors, 0, 1, out=colors).reshape(result.shape)


def _local(content: Array, colors: Colors, strength: float, turn: Array) -> Array:
    """What `strength` of the content's local color adds, `(1, 3, pixels)`: `look.color.LocalColor`."""
    low = np.linalg.cholesky(turn @ colors.covariance @ turn.T + RIDGE * np.eye(3))
    seen = LOCAL * (turn[1:] - low[1:, :1] / low[0, 0] * turn[:1])
    far = _moved(content, seen, -seen @ colors.mean)
    far *= (np.float32(strength) / np.sqrt(1 + (far * far).sum(1) / np.float32(LOUDEST**2)))[:, None]
    return _moved(far, np.linalg.inv(turn)[:, 1:], np.zeros(3))


def _vivid(mean: Array, covariance: Array, turn: Array) -> tuple[Array, Array]:
    """`look.color._vivid`: factors `(3, 1)`, and the mean color."""
    whole, tint = (np.linalg.solve(turn, np.array(factors)[:, None] * turn) for factors in (VIVID, (1, *VIVID[1:])))
    now, then = (
        abs(m - 0.5) + ROOM * np.sqrt(np.maximum(np.diag(c), 0))
        for m, c in ((mean, covariance), (tint @ mean, whole @ covariance @ whole.T))
    )
    share = np.clip((0.5 - now) / np.maximum(then - now, 1e-6), 0, 1).min()
    return 1 + share * (np.array(VIVID)[:, None] - 1), mean + share * (tint @ mean - mean)


def _joined(x: Array, axis: int, parts: Sequence[slice]) -> Array:
    return np.concatenate([x[(slice(None),) * axis + (part,)] for part in parts], axis)


def _mapped(x: Array, matrix: Array, offset: Array) -> Array:
    mapped = _moved(x, matrix, offset)
    return np.clip(mapped, 0, 1, out=mapped).reshape(x.shape)


def _moved(x: Array, matrix: Array, offset: Array) -> Array:
    """`(1, channels, pixels)`, not clamped."""
    return np.asarray(matrix.astype(np.float32) @ x.reshape(1, x.shape[1], -1) + offset.astype(np.float32)[:, None])


def _luma(x: Array) -> Array:
    return np.asarray(sum(np.float32(weight) * x[:, i : i + 1] for i, weight in enumerate(LUMA)), np.float32)

"""Losses in VGG-19's own space, of features of a slim network and the 1x1 map that leads there, without forming it.

A slim network's own channels have arbitrary scales; distances mean something in the space that it was distilled from.
With f' = A f + b, M = A^T A, and mean m and covariance C of the slim features f:

| there | is |
| --- | --- |
| mean | `A m + b` |
| variance of the channels | `diag(A C A^T)` |
| squared distance of covariances, E = C - D | `tr(M E M E)` |
| squared distance of Gram matrices | the same of features with a channel of ones, for which A gets the column b |
| squared distance of features, d = f - g | `tr(M E[d d^T])`, the mean over the cells |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adainkit.net.adain import EPS

from .losses import normed, weighted_mean

__all__ = [
    "Space",
    "Statistics",
    "content_distance",
    "covariance_distance",
    "gram_distance",
    "statistics",
    "style_distance",
]


class Space(nn.Module):
    """The affine map of slim features to VGG-19's channels: `matrix` `(D, C)`, `bias` `(D,)`, both float32."""

    matrix: Tensor
    bias: Tensor
    product: Tensor
    lifted: Tensor

    def __init__(self, matrix: Tensor, bias: Tensor) -> None:
        super().__init__()
        whole = torch.cat([matrix, bias[:, None]], 1)
        self.register_buffer("matrix", matrix)
        self.register_buffer("bias", bias)
        self.register_buffer("product", matrix.T @ matrix)
        self.register_buffer("lifted", whole.T @ whole)

    def mean(self, found: Statistics) -> Tensor:
        """Channel means there, `(B, D)`."""
        return found.mean @ self.matrix.T + self.bias

    def variance(self, covariance: Tensor) -> Tensor:
        """Channel variances there of covariances `(B, C, C)` here (or cross-covariances, of two sides), `(B, D)`."""
        return ((self.matrix @ covariance) * self.matrix).sum(2)


@dataclass(frozen=True)
class Statistics:
    """Mean `(B, C)` and biased covariance `(B, C, C)` of features over their cells, float32."""

    mean: Tensor
    covariance: Tensor

    @property
    def lifted(self) -> Tensor:
        """Mean products of the channels and of a channel of ones behind them, `(B, C + 1, C + 1)`."""
        gram = self.covariance + self.mean[:, :, None] * self.mean[:, None]
        top = torch.cat([gram, self.mean[:, :, None]], 2)
        return torch.cat([top, F.pad(self.mean, (0, 1), value=1.0)[:, None]], 1)


def statistics(features: Tensor) -> Statistics:
    """Of `(B, C, H, W)` of any float dtype; in float32, the mean first, since E[x^2] - E[x]^2 cancels."""
    with torch.autocast(features.device.type, enabled=False):
        mean, x = _centered(features)
        return Statistics(mean, x @ x.mT / x.shape[2])


def style_distance(
    result: Sequence[Statistics],
    style: Sequence[Statistics],
    spaces: Sequence[Space],
    weights: Sequence[float] | None = None,
    norm: str = "relative",
) -> Tensor:
    """`losses.style_loss`, means and deviations, in VGG-19's space."""
    layers = []
    for x, y, space in zip(result, style, spaces, strict=True):
        (m, u), (n, v) = ((space.mean(s), (space.variance(s.covariance) + EPS).sqrt()) for s in (x, y))
        difference = (m - n).square().mean(1) + (u - v).square().mean(1)
        bound = torch.stack([t.square().mean(1) for t in (m, n, u, v)]).sum(0)
        layers.append(normed(difference, _size(y, space), bound, norm))
    return weighted_mean(layers, weights)


def covariance_distance(
    result: Sequence[Statistics],
    style: Sequence[Statistics],
    spaces: Sequence[Space],
    weights: Sequence[float] | None = None,
    norm: str = "relative",
) -> Tensor:
    """Squared differences of covariances over the style's own squares, in VGG-19's space, the mean over the layers.

    Like the Gram loss it sees which channels go together, but means, of which Gram matrices are mostly made, do not
    drown what varies.
    """
    triples = zip(result, style, spaces, strict=True)
    return weighted_mean([_quadratic(x.covariance, y.covariance, s.product, s, norm) for x, y, s in triples], weights)


def gram_distance(
    result: Sequence[Statistics],
    style: Sequence[Statistics],
    spaces: Sequence[Space],
    weights: Sequence[float] | None = None,
    norm: str = "relative",
) -> Tensor:
    """`losses.gram_loss` (Gatys et al. 2016) in VGG-19's space."""
    triples = zip(result, style, spaces, strict=True)
    return weighted_mean([_quadratic(x.lifted, y.lifted, s.lifted, s, norm) for x, y, s in triples], weights)


def content_distance(result: Tensor, content: Tensor, space: Space, norm: str = "relative") -> Tensor:
    """`losses.content_loss` of `(B, C, H, W)` features in VGG-19's space.

    `instance`: of channels normalized there, which is twice one minus their correlation, the mean over the channels.
    """
    with torch.autocast(result.device.type, enabled=False):
        if norm == "instance":
            return _decorrelation(result, content, space).mean()
        difference = (result.float() - content.float()).flatten(2)
        products = difference @ difference.mT / difference.shape[2]
        distance = (products * space.product).sum((1, 2)) / len(space.matrix)
        size = _size(statistics(content), space)
        return normed(distance, size, None, norm)


def _decorrelation(result: Tensor, content: Tensor, space: Space) -> Tensor:
    """`(B,)`: the mean over channels and cells of the squared difference of both, each normalized as AdaIN does."""
    x, y = _centered(result)[1], _centered(content)[1]
    u, v, both = (space.variance(a @ b.mT / a.shape[2]) for a, b in ((x, x), (y, y), (x, y)))
    return (u / (u + EPS) + v / (v + EPS) - 2 * both / ((u + EPS) * (v + EPS)).sqrt()).mean(1)


def _centered(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean `(B, C)`, and the deviations from it `(B, C, cells)`."""
    x = features.float().flatten(2)
    mean = x.mean(2)
    return mean, x - mean[:, :, None]


def _size(found: Statistics, space: Space) -> Tensor:
    """Mean square of the features there, `(B,)`."""
    return (space.mean(found).square() + space.variance(found.covariance)).mean(1)


def _quadratic(x: Tensor, y: Tensor, product: Tensor, space: Space, norm: str) -> Tensor:
    """Mean squared difference of A x A^T and A y A^T, `product` = A^T A."""
    entries = len(space.matrix) ** 2
    difference, own, other = (((product @ e) * (e @ product)).sum((1, 2)) / entries for e in (x - y, y, x))
    return normed(difference, own, own + other, norm)

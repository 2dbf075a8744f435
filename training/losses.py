"""The losses, each a function of tensors; features come from a `LossNetwork`, pictures are `(B, 3, H, W)` RGB in [0,
1].

`norm` says what a squared difference of features is divided by, for each sample and layer:

| norm | divided by | so that |
| --- | --- | --- |
| `relative` | the size of the content's (the style's), to 20 at most | no layer or style outweighs the others |
| `balanced` | the largest that the difference could be, given both sides (Cheng et al., CVPR 2021) | it is at most 1 |
| `plain` | nothing | it is the papers' formula |
| `instance` (content only) | features are normalized to mean 0, deviation 1 before | colors and contrast do not count |
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from adainkit.look.color import luma
from adainkit.net.adain import moments

__all__ = [
    "CONTENT_NORMS",
    "STYLE_NORMS",
    "calm_loss",
    "color_loss",
    "color_moments",
    "content_loss",
    "covariance_loss",
    "drawing_loss",
    "excess_loss",
    "feature_difference",
    "gram_loss",
    "gram_matrix",
    "grid_loss",
    "normed",
    "psnr",
    "reconstruction_loss",
    "ripple_loss",
    "ssim",
    "style_loss",
    "total_variation",
    "weighted_mean",
]

CONTENT_NORMS = ("relative", "plain", "instance")
STYLE_NORMS = ("relative", "balanced", "plain")


def content_loss(result: Tensor, content: Tensor, norm: str = "relative") -> Tensor:
    """Mean squared difference of `(B, C, H, W)` features: the content's own, or the AdaIN target (Huang & Belongie
    2017)."""
    result, content = result.float(), content.float()
    if norm == "instance":
        result, content = _standardized(result), _standardized(content)
    difference = (result - content).square().mean((1, 2, 3))
    return normed(difference, content.square().mean((1, 2, 3)), None, "relative" if norm == "relative" else "plain")


def style_loss(
    result: Sequence[Tensor],
    style: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    norm: str = "relative",
) -> Tensor:
    """Squared differences of channel means and standard deviations (Huang & Belongie 2017), the mean over the layers.

    `weights`: of the layers, scaled to sum 1; None weighs all alike. Sizes of the two may differ.
    """
    layers = []
    for a, b in zip(result, style, strict=True):
        b = b.float()
        x, y = moments(a), moments(b)
        difference = (x.mean - y.mean).square().mean(1) + (x.std - y.std).square().mean(1)
        sizes = [v.square().mean(1) for v in (x.mean, y.mean, x.std, y.std)]
        bound = torch.stack(sizes).sum(0)  # features after ReLU: none negative
        layers.append(normed(difference, b.square().mean((1, 2, 3)), bound, norm))
    return weighted_mean(layers, weights)


def gram_loss(
    result: Sequence[Tensor],
    style: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    norm: str = "relative",
) -> Tensor:
    """Squared difference of Gram matrices (Gatys et al. 2016), the mean over the layers.

    Unlike means and deviations it sees which channels go together: that a style is gray, how its strokes are edged.
    `weights` as in `style_loss`; sizes of the two may differ.
    """
    layers = []
    for a, b in zip(result, style, strict=True):
        g, h = gram_matrix(a), gram_matrix(b)
        size, other = (m.square().mean((1, 2)) for m in (h, g))
        layers.append(normed((g - h).square().mean((1, 2)), size, size + other, norm))
    return weighted_mean(layers, weights)


def covariance_loss(
    result: Sequence[Tensor],
    style: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    norm: str = "relative",
) -> Tensor:
    """Squared difference of the channels' covariances, the mean over the layers: a Gram loss of features less their
    means, which Gram matrices are mostly made of. `weights` as in `style_loss`; sizes of the two may differ."""
    ours, theirs = ([f.float() - f.float().mean((2, 3), keepdim=True) for f in side] for side in (result, style))
    return gram_loss(ours, theirs, weights, norm)


def color_loss(result: Tensor, style: Tensor, pool: int = 4) -> Tensor:
    """Squared differences of the mean and of the covariance of RGB, of pictures scaled down by `pool`, over the style's
    total variance and its covariance's square.

    Features of edges can have a style's statistics where its masses of color are missing; this sees the masses alone.
    Sizes of the two may differ.
    """
    (m, c), (n, d) = (color_moments(F.avg_pool2d(x.float(), pool)) for x in (result, style))
    variance = d.diagonal(dim1=1, dim2=2).sum(1)
    # a floor of 1 % of a full swing's variance: a style of one color must not outweigh all others
    shift = (m - n).square().sum(1) / (variance + 0.01)
    return (shift + (c - d).square().sum((1, 2)) / (d.square().sum((1, 2)) + 0.01**2)).mean()


def color_moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `(B, 3)` and covariance `(B, 3, 3)` of the pixels."""
    with torch.autocast(picture.device.type, enabled=False):
        x = picture.flatten(2)
        mean = x.mean(2)
        x = x - mean[:, :, None]
        return mean, x @ x.mT / x.shape[2]


def weighted_mean(values: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """Of scalars; `weights` are scaled to sum 1."""
    shares = [1.0] * len(values) if weights is None else list(weights)
    # numbers of Python: a tensor of them would have to be brought to the device, and a CUDA graph allows for no such
    return torch.stack([value * (share / sum(shares)) for value, share in zip(values, shares, strict=True)]).sum()


_MOST = 20.0
"""A sample's relative distance counts no further: beside a style of one color, whose own is next to nothing, a hundred
others would not be heard."""


def normed(difference: Tensor, size: Tensor, bound: Tensor | None, norm: str) -> Tensor:
    """Differences `(B,)` divided as `norm` says (see the module), the mean over the samples; `size` of the style's (the
    content's) own, `bound` the largest that the difference could be."""
    if norm == "plain":
        return difference.mean()
    divisor = size if norm == "relative" or bound is None else bound
    return (difference / divisor.clamp_min(1e-8)).clamp_max(_MOST).mean()


def _standardized(x: Tensor) -> Tensor:
    found = moments(x)
    return (x - found.mean[:, :, None, None]) / found.std[:, :, None, None]


def gram_matrix(features: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B, C, C)` float32: mean products of channels."""
    with torch.autocast(features.device.type, enabled=False):
        x = features.float().flatten(2)
        return x @ x.mT / x.shape[2]


def drawing_loss(result: Tensor, wanted: Tensor) -> Tensor:
    """Absolute differences of two pictures, and half of those of the steps between neighbors, at their size, a half and
    a quarter of it: edges count as much as areas."""
    difference = result.float() - wanted.float()
    total = (difference.square() + 1e-6).sqrt().mean()
    for _ in range(3):
        steps = (difference.diff(dim=dim).abs().mean() for dim in (2, 3))
        total = total + sum(steps) / 2
        difference = F.avg_pool2d(difference, 2)
    return total


def feature_difference(result: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Absolute differences of features over what those that are wanted are, the mean over the layers."""
    pairs = [(a.float(), b.float()) for a, b in zip(result, wanted, strict=True)]
    return torch.stack([(a - b).abs().mean() / b.abs().mean().clamp_min(1e-6) for a, b in pairs]).mean()


def reconstruction_loss(result: Tensor, content: Tensor) -> Tensor:
    """Mean absolute difference of two pictures.

    Of alpha 0 it is the identity loss, too: a picture in its own style has AdaIN's gain 1 and no shift, which is alpha
    0.
    """
    return F.l1_loss(result.float(), content.float())


def total_variation(result: Tensor) -> Tensor:
    """Mean absolute difference of neighboring pixels, both directions added."""
    return result.diff(dim=-1).abs().mean() + result.diff(dim=-2).abs().mean()


def ripple_loss(result: Tensor, content: Tensor, octaves: int = 1, smooth: float = 0.02) -> Tensor:
    """Mean absolute Laplacian of the result where the content is smooth: waves a few pixels wide that no stroke needs.

    A wave of period 4 px weighs about ten times one of 16 px. A pixel counts by `exp(-d / smooth)`, where d is the
    largest absolute Laplacian of the content's luma within 2 px. Each further octave looks at both pictures at half the
    size of the one before, for waves twice as long; the mean over the octaves.
    """
    found = []
    for octave in range(octaves):
        if octave:
            result, content = F.avg_pool2d(result.float(), 2), F.avg_pool2d(content.float(), 2)
        edges = F.max_pool2d(_laplacian(luma(content)).abs(), 5, stride=1, padding=2)
        found.append((_laplacian(result.float()).abs() * torch.exp(-edges / smooth)).mean())
    return torch.stack(found).mean()


def grid_loss(result: Tensor, content: Tensor, period: int = 8) -> Tensor:
    """What of the change from content to result repeats every `period` pixels along rows or columns: the mean square of
    its lines' phase averages.

    Strides and up-scaling leave such grids; a network's own period is its largest stride, and 2, 4 are within 8.
    """
    change = (result - content).float()
    height, width = (side // period * period for side in change.shape[2:])
    change = change[..., :height, :width]
    phases = [change.mean(dim).unflatten(-1, (-1, period)).mean(-2) for dim in (-1, -2)]  # (B, 3, period) each
    return torch.stack([(p - p.mean(-1, keepdim=True)).square().mean() for p in phases]).sum()


def calm_loss(result: Tensor, content: Tensor, smooth: float = 0.03) -> Tensor:
    """By how much more than the content's the result's chroma varies where the content is smooth: blotches, and no
    stroke's edges, which are of luma or finer.

    Chroma (R - Y and B - Y) is averaged over 4 x 4 pixels; its standard deviation is that of windows of 9 of these
    means (36 px) a side. A place counts by `exp(-(d / smooth)^2)`, d the standard deviation of the content's luma in
    the same window. Sides of 36 px or more; in units of RGB in [0, 1].
    """
    luma_of_content = luma(content)
    spread, before = (_deviation(F.avg_pool2d(_chroma(x.float()), 4)).mean(1, keepdim=True) for x in (result, content))
    weight = torch.exp(-(_deviation(F.avg_pool2d(luma_of_content, 4)) / smooth).square())
    return (F.relu(spread - before) * weight).mean() / weight.mean().clamp_min(
        0.05
    )  # hardly any is smooth: counts less


def _chroma(picture: Tensor) -> Tensor:
    """R - Y and B - Y, `(B, 2, H, W)`."""
    return picture[:, ::2] - luma(picture)


def _deviation(x: Tensor, window: int = 9) -> Tensor:
    """Standard deviation in every whole window, each channel by itself; two passes would not fit a pooling, so the mean
    is taken out beforehand."""
    x = x - x.mean((2, 3), keepdim=True)
    mean, square = (F.avg_pool2d(v, window, 1) for v in (x, x * x))
    return ((square - mean * mean).clamp_min(0) + 1e-8).sqrt()


def excess_loss(result: Tensor) -> Tensor:
    """Mean absolute distance of the pixels from the range [0, 1], to which a picture is clamped in the end."""
    return (result.float() - result.float().clamp(0, 1)).abs().mean()


def _laplacian(x: Tensor) -> Tensor:
    inner = x[..., 1:-1, 1:-1]
    return x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:] - 4 * inner


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean structural similarity of luma (Wang et al. 2004): 11x11 Gaussian of sigma 1.5, valid windows, data range 1;
    in [-1, 1]."""
    x, y = luma(x), luma(y)
    stack = torch.cat([x, y, x * x, y * y, x * y], 0)
    rows, columns = (_gaussian_band(side, x.device) for side in x.shape[2:])
    with torch.autocast(x.device.type, enabled=False):  # the variances below are small differences
        mx, my, xx, yy, xy = (rows @ stack @ columns.T).chunk(5)
    vx, vy, cov = xx - mx * mx, yy - my * my, xy - mx * my
    return (((2 * mx * my + 1e-4) * (2 * cov + 9e-4)) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))).mean()


def _gaussian_band(side: int, device: torch.device) -> Tensor:
    """`(side - 10, side)`: SSIM's window at every valid place along one axis. On the CPU a product with it is ten times
    as fast, forth and back, as a convolution of one channel."""
    places = torch.arange(side, device=device, dtype=torch.float32)
    offsets = places - places[: side - 10, None]  # of the window's pixels from its first
    band = torch.exp(-((offsets - 5) ** 2) / 4.5) * ((offsets >= 0) & (offsets <= 10))
    return band / band.sum(1, keepdim=True)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of two pictures, data range 1; averaged over the batch."""
    return (-10 * (x - y).square().mean((1, 2, 3)).clamp_min(1e-10).log10()).mean()

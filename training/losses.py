"""The losses, each a function of tensors; features come from a `LossNetwork`, pictures are `(B, 3, H, W)` RGB in [0,
1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from adainkit.adain import moments

__all__ = [
    "content_loss",
    "gram_loss",
    "grid_loss",
    "luma",
    "psnr",
    "reconstruction_loss",
    "ripple_loss",
    "ssim",
    "style_loss",
    "total_variation",
]


def content_loss(result: Tensor, content: Tensor) -> Tensor:
    """Mean squared difference of `(B, C, H, W)` features over the mean square of the content's, per sample."""
    result, content = result.float(), content.float()
    return ((result - content).square().mean((1, 2, 3)) / content.square().mean((1, 2, 3)).clamp_min(1e-8)).mean()


def style_loss(result: Sequence[Tensor], style: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """Squared differences of channel means and standard deviations (Huang & Belongie 2017), the mean over the layers.

    `weights`: of the layers, scaled to sum 1; None weighs all alike.

    Each layer of each sample is divided by the mean square of its style features, so that no layer and no strong style
    outweighs the others (in the spirit of Cheng et al., CVPR 2021). Sizes of the two may differ.
    """
    layers = []
    for a, b in zip(result, style, strict=True):
        b = b.float()
        x, y = moments(a), moments(b)
        difference = (x.mean - y.mean).square().mean(1) + (x.std - y.std).square().mean(1)
        layers.append((difference / b.square().mean((1, 2, 3)).clamp_min(1e-8)).mean())
    return _weighted_mean(layers, weights)


def _weighted_mean(layers: Sequence[Tensor], weights: Sequence[float] | None) -> Tensor:
    shares = torch.tensor([1.0] * len(layers) if weights is None else list(weights), device=layers[0].device)
    return (torch.stack(list(layers)) * shares).sum() / shares.sum()


def gram_loss(result: Sequence[Tensor], style: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """Squared difference of Gram matrices (Gatys et al. 2016) over the squared size of the style's, the mean over the
    layers.

    Unlike means and deviations it sees which channels go together: that a style is gray, how its strokes are edged.
    `weights` as in `style_loss`; sizes of the two may differ.
    """
    layers = []
    for a, b in zip(result, style, strict=True):
        g, h = gram_matrix(a), gram_matrix(b)
        layers.append(((g - h).square().sum((1, 2)) / h.square().sum((1, 2)).clamp_min(1e-12)).mean())
    return _weighted_mean(layers, weights)


def gram_matrix(features: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B, C, C)` float32: mean products of channels."""
    with torch.autocast(features.device.type, enabled=False):
        x = features.float().flatten(2)
        return x @ x.mT / x.shape[2]


def reconstruction_loss(result: Tensor, content: Tensor) -> Tensor:
    """Mean absolute difference of two pictures."""
    return F.l1_loss(result.float(), content.float())


def total_variation(result: Tensor) -> Tensor:
    """Mean absolute difference of neighboring pixels, both directions added."""
    return result.diff(dim=-1).abs().mean() + result.diff(dim=-2).abs().mean()


def ripple_loss(result: Tensor, content: Tensor, octaves: int = 1) -> Tensor:
    """Mean absolute Laplacian of the result where the content is smooth: waves a few pixels wide that no stroke needs.

    A wave of period 4 px weighs about ten times one of 16 px. A pixel counts by `exp(-d / 0.02)`, where d is the
    largest absolute Laplacian of the content's luma within 2 px. Each further octave looks at both pictures at half the
    size of the one before, for waves twice as long; the mean over the octaves.
    """
    found = []
    for octave in range(octaves):
        if octave:
            result, content = F.avg_pool2d(result.float(), 2), F.avg_pool2d(content.float(), 2)
        edges = F.max_pool2d(_laplacian(luma(content.float())).abs(), 5, stride=1, padding=2)
        found.append((_laplacian(result.float()).abs() * torch.exp(-edges / 0.02)).mean())
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


def _laplacian(x: Tensor) -> Tensor:
    inner = x[..., 1:-1, 1:-1]
    return x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:] - 4 * inner


def luma(picture: Tensor) -> Tensor:
    """Rec. 601 luma, `(B, 1, H, W)`."""
    weights = picture.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (picture * weights).sum(1, keepdim=True)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean structural similarity of luma (Wang et al. 2004): 11x11 Gaussian of sigma 1.5, valid windows, data range 1;
    in [-1, 1]."""
    x, y = luma(x.float()), luma(y.float())
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

"""What a painter's brush makes of a result, by filters: too slow for every picture, but a decoder learns to paint so.

Numbers of a filter are never trained. `dehalo` takes colors that the network spills over outlines back, `relit` the
rims and marks that it leaves in the light; `detailed` is what it leaves out of faces and straight lines; `brushed`
draws every pixel into the flattest of eight sectors around it, which are stretched along the outlines: flat dabs with
crisp borders.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adainkit.look.color import luma
from adainkit.look.guided import guided
from adainkit.net.layers import field_seen

from .config import ConfigError

__all__ = ["brushed", "dehalo", "detailed", "load_kernel", "painted", "relit", "sharpened", "stroked"]

_MOST = 2
"""How many times as long as its radius a brush is along an outline."""
_SIGMA = 2.0
"""Pixels over which outlines are averaged for a brush."""
_SWAY = 4.0
"""Pixels over which they are averaged for strokes, which are longer."""
_FAINT = 1e-4
"""Squared steps between neighbors, from which outlines lead strokes more than their own slant does."""
_FINE, _DETAIL = 2.5, 4.0
"""Pixels of the brush that draws detail, and of the Gaussian that tells it from the rest."""
_SLANT = math.radians(-35)
_CLOSE = 4
"""How narrow directions are: each counts by this power of a cosine's square."""


def painted(
    result: Tensor,
    content: Tensor,
    radius: float = 4.0,
    passes: int = 2,
    reach: int = 32,
    light: int = 0,
    detail: float = 0.0,
) -> Tensor:
    """`(B, 3, H, W)` RGB in [0, 1] without gradients: `dehalo` of `reach`, `relit` of `light`, unless these are 0;
    `detail` of `detailed`; and `passes` times `brushed`."""
    result, content = result.detach().float().clamp(0, 1), content.detach().float()
    if reach:
        result = dehalo(result, content, reach)
    if light:
        result = relit(result, content, light)
    if detail:
        result = (result + detail * detailed(content)).clamp(0, 1)
    for _ in range(passes):
        result = brushed(result, radius)
    return result


def relit(result: Tensor, content: Tensor, reach: int = 16) -> Tensor:
    """`result` `(B, 3, H, W)` with its chroma, and with the luma that is, within `reach` pixels around each, an affine
    function of the content's: as much contrast as the network gives, but no marks, rims and halos, which are no
    function of what lies there."""
    light, own = luma(content), luma(result)
    return (result + guided(light, own, reach) - own).clamp(0, 1)


def detailed(content: Tensor) -> Tensor:
    """What is fine in a content `(B, 3, H, W)`, as a fine brush draws it: of its luma, `(B, 1, H, W)`. Faces and
    straight lines are lost under a brush as wide as they are; what makes photographs grainy is not drawn."""
    light = luma(brushed(content, _FINE))
    return light - _blurred(light, _DETAIL)


def dehalo(result: Tensor, content: Tensor, reach: int = 32, flat: float = 2e-3, step: int = 4) -> Tensor:
    """`result` `(B, 3, H, W)` with its luma, and with the chroma that is, around each pixel, an affine function of the
    content's RGB; clamped to [0, 1]. A guided filter (He, Sun & Tang 2013) of `reach` pixels on either side, on every
    `step`th pixel (He & Sun 2015). What a network spills over an outline is no function of what lies there.

    `flat`: variance of the content up to which it is taken for one color.
    """
    light = luma(result)
    chroma = (result - light)[:, ::2]
    height, width = result.shape[2:]
    fill = (0, -width % step, 0, -height % step)
    guide, wanted = (F.avg_pool2d(F.pad(x, fill, mode="replicate"), step) for x in (content, chroma))
    radius = min(max(1, round(reach / step)), min(guide.shape[2:]) - 1)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    products = [guide[:, i : i + 1] * guide[:, j : j + 1] for i, j in pairs]
    mean, level, *seconds = _box(
        torch.cat([guide, wanted, *products, *(guide * wanted[:, i : i + 1] for i in (0, 1))], 1), radius
    ).split([3, 2, 6, 3, 3], 1)
    own = [seconds[0][:, n : n + 1] - mean[:, i : i + 1] * mean[:, j : j + 1] for n, (i, j) in enumerate(pairs)]
    inverse, determinant = _adjugate([v + flat * (i == j) for v, (i, j) in zip(own, pairs, strict=True)])
    maps = []
    for i in (0, 1):
        both = seconds[1 + i] - mean * level[:, i : i + 1]
        slope = torch.cat([(row * both).sum(1, keepdim=True) for row in inverse], 1) / determinant
        maps += [slope, level[:, i : i + 1] - (slope * mean).sum(1, keepdim=True)]
    smooth = _box(torch.cat(maps, 1), radius)
    full = F.interpolate(smooth, scale_factor=step, mode="bilinear", align_corners=False)[:, :, :height, :width]
    red, blue = ((full[:, n : n + 3] * content).sum(1, keepdim=True) + full[:, n + 3 : n + 4] for n in (0, 4))
    weights = luma(torch.eye(3).view(3, 3, 1, 1).to(result)).flatten()
    green = -(weights[0] * red + weights[2] * blue) / weights[1]
    return (light + torch.cat([red, green, blue], 1)).clamp(0, 1)


def _box(x: Tensor, radius: int) -> Tensor:
    """The mean over `2 * radius + 1` pixels a side, reflected at the border."""
    x = F.avg_pool2d(F.pad(x, (radius, radius, 0, 0), mode="reflect"), (1, 2 * radius + 1), 1)
    return F.avg_pool2d(F.pad(x, (0, 0, radius, radius), mode="reflect"), (2 * radius + 1, 1), 1)


def _adjugate(parts: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Of the symmetric matrix whose upper triangle these are: its rows' cofactors `(B, 3, H, W)`, and its determinant,
    by which they are the inverse."""
    a, b, c, d, e, f = parts
    upper = [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b]
    rows = [torch.cat([upper[i] for i in row], 1) for row in ((0, 1, 2), (1, 3, 4), (2, 4, 5))]
    return rows, a * upper[0] + b * upper[1] + c * upper[2]


def brushed(x: Tensor, radius: float = 4.0) -> Tensor:
    """The anisotropic Kuwahara filter of `(B, 3, H, W)` RGB in [0, 1] (Kyprianidis, Kang & Doellner 2009), with the
    polynomial weights of Kyprianidis, Semmo, Kang & Doellner 2010.

    Computed on the CPU, whatever the device. `radius`: pixels of a brush where there is no outline; along one it is up
    to twice as long, and half as wide. Runs in as many threads as torch. `ConfigError` without numba.
    """
    filtered = load_kernel()
    pictures = x.detach().float().cpu()
    cosine, sine, drawn = _outlines(pictures)
    margin = math.ceil(_MOST * radius)
    side = min(pictures.shape[2:]) - 1
    mode = "reflect" if margin <= side else "replicate"
    around = F.pad(pictures, (margin,) * 4, mode=mode)
    done = [
        filtered(*(np.ascontiguousarray(t.numpy()) for t in (a, c[0], s[0], d[0])), margin, radius)
        for a, c, s, d in zip(around, cosine, sine, drawn, strict=True)
    ]
    return torch.from_numpy(np.stack(done)).to(x.device)


def load_kernel() -> Any:
    """The filter of one picture, which is compiled when it is first called. `ConfigError` where numba cannot be had."""
    try:
        import numba

        from .brush_kernel import filtered
    except ImportError as error:
        raise ConfigError(
            f'brush_passes and brush_detail need numba ({error}); run pip install "adainkit[train]"'
        ) from error
    numba.set_num_threads(max(1, min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)))
    return filtered


def _outlines(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of every pixel `(B, 1, H, W)`: cosine and sine of the direction along the outline there, and how much of one it
    is, 0 to 1, by the structure tensor of the three channels."""
    a, b, c = _blurred(_tensor(x), _SIGMA).split(1, 1)
    spread = ((a - c).square() + 4 * b * b + 1e-12).sqrt()
    angle = torch.atan2(2 * b, a - c) / 2 + math.pi / 2
    return angle.cos(), angle.sin(), spread / (a + c + 1e-5)


def _tensor(x: Tensor) -> Tensor:
    """The structure tensor of every pixel, three channels together: `(B, 3, H, W)`, of x and x, x and y, y and y."""
    cross = torch.tensor([0.183, 0.634, 0.183], device=x.device) / 2  # whose angles are truest (Jaehne et al. 1999)
    across = torch.outer(cross, torch.tensor([-1.0, 0.0, 1.0], device=x.device))
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    dx, dy = (F.conv2d(padded, k.expand(3, 1, 3, 3).contiguous(), groups=3) for k in (across, across.T))
    return torch.stack([(p * q).sum(1) for p, q in ((dx, dx), (dx, dy), (dy, dy))], 1)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-torch.arange(-reach, reach + 1.0, device=x.device).square() / (2 * sigma**2))
    row = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(x.shape[1], -1, -1, -1).contiguous()
    mode = "reflect" if reach < min(x.shape[2:]) else "replicate"
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode=mode), row, groups=x.shape[1])
    return F.conv2d(F.pad(x, (0, 0, reach, reach), mode=mode), row.transpose(2, 3), groups=x.shape[1])


def stroked(
    result: Tensor, field: Tensor, origin: tuple[int | Tensor, int | Tensor], amount: float, cell: int = 2
) -> Tensor:
    """`result` `(B, 3, H, W)` with strokes of `amount`, the deviation of what they add to each channel: a `Strokes`
    layer's `field` `(K, P, P)`, whose cells are `cell` pixels wide, each direction where outlines go that way.

    Where there are none, strokes go up to the right. `origin`: row and column of the first cell in the field.
    """
    led = _led(result.detach().float(), len(field), cell)
    marks = (led * field_seen(field, led, origin)).sum(1, keepdim=True)
    full = F.interpolate(marks, scale_factor=cell, mode="bilinear", align_corners=False)
    return result + amount * full[:, :, : result.shape[2], : result.shape[3]]


def sharpened(x: Tensor, amount: float) -> Tensor:
    """`(B, 3, H, W)` with `amount` of what a Gaussian of one pixel takes off it; not clamped."""
    return x + amount * (x - _blurred(x, 1.0)) if amount else x


def _led(x: Tensor, directions: int, cell: int) -> Tensor:
    """`(B, K, ceil(H / cell), ceil(W / cell))`: how much each direction counts, squares of sum 1."""
    across, slant, down = _blurred(F.avg_pool2d(_tensor(x), cell, ceil_mode=True), _SWAY / cell).split(1, 1)
    nx, ny = -math.sin(_SLANT), math.cos(_SLANT)
    across, slant, down = across + _FAINT * nx * nx, slant + _FAINT * nx * ny, down + _FAINT * ny * ny
    angle = torch.atan2(2 * slant, across - down) / 2 + math.pi / 2
    own = (torch.arange(directions, device=x.device) * (math.pi / directions)).view(1, -1, 1, 1)
    led = (0.5 + 0.5 * torch.cos(2 * (angle - own))) ** _CLOSE
    return led / led.square().sum(1, keepdim=True).sqrt()

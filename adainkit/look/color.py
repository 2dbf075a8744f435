"""Color control of a result: keep the content's chroma, or bring the result's color distribution to the content's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ImageError
from ..net.layers import no_autocast
from ..style import PALETTE, Style, has_palette

__all__ = [
    "LUMA",
    "ChromaBound",
    "ColorMap",
    "ColorStatistics",
    "LocalColor",
    "apply_map",
    "color_statistics",
    "keep_luma",
    "luma",
    "match_color",
    "match_map",
    "palette_map",
    "palette_of",
    "palette_tensors",
    "premix",
    "toward",
]

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601: the luma of JPEG's YCbCr. It weighs gamma-coded RGB, which is what pictures in [0, 1] hold here."""
# Added to the diagonal of a covariance: the square of a quarter of an 8-bit step, (1 / 1020)^2. Less variance
# than that is rounding, not color; flat and gray pictures (singular covariances) then still have a Cholesky
# factor.
_RIDGE = (1 / 1020) ** 2
GAINS = (1.6, 2.0, 2.0)
"""How many times as much a result's luma and its two chromas may vary when they are brought to a style's palette,
before that is made vivid."""
VIVID = (1.3, 1.45, 1.45)
"""How many times as much as a style's luma and its two chromas a result's vary at last, the mean of chroma included,
where there is room for it. Eyes choose that over the style's own strength (EXPERIMENTS.md)."""
_ROOM = 1.5
"""So many deviations of each channel around its mean are within [0, 1] when a palette is made vivid."""
LOCAL, COLORFUL, LOUDEST = 0.8, 0.06, 0.25
"""How much of the content's local color is added to a result; from which deviation of chroma on a style has colors
enough to take all of that; and the chroma that what is added never reaches. Eyes choose that over the style's alone."""
_OPPONENT = (LUMA, (-LUMA[0], -LUMA[1], 1 - LUMA[2]), (1 - LUMA[0], -LUMA[1], -LUMA[2]))  # luma, B - Y, R - Y
_BACK = ((1.0, 0.0, 1.0), (1.0, -LUMA[2] / LUMA[1], -LUMA[0] / LUMA[1]), (1.0, 1.0, 0.0))  # the way back
_LIVELY = 2  # times its chroma that a brighter result may have: more makes the noise of shadows visible
_STRIP = 1 << 18  # pixels per step of the statistics: bounds their memory to some tens of megabytes


@dataclass(frozen=True, eq=False)
class ColorStatistics:
    """Mergeable color statistics of a batch: `weight` (B,), `mean` (B, 3), `m2` (B, 3, 3) (the sum of weight times the
    outer product of deviations from the mean); float64 on the CPU, where 13 numbers a picture cost nothing."""

    weight: Tensor
    mean: Tensor
    m2: Tensor

    @property
    def covariance(self) -> Tensor:
        """``(B, 3, 3)``, biased (divided by the whole weight); zero where there is no weight."""
        return self.m2 / self.weight.clamp_min(torch.finfo(torch.float64).tiny)[:, None, None]

    @classmethod
    def stacked(cls, parts: Sequence[ColorStatistics]) -> ColorStatistics:
        """Those of several pictures, as of a batch."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in ("weight", "mean", "m2")))

    def merge(self, other: ColorStatistics) -> ColorStatistics:
        """Statistics of both parts together, exactly (Chan, Golub and LeVeque 1979)."""
        total = self.weight + other.weight
        share = other.weight / total.clamp_min(torch.finfo(torch.float64).tiny)
        step = other.mean - self.mean
        spread = step[:, :, None] * step[:, None, :] * (self.weight * share)[:, None, None]
        return ColorStatistics(total, self.mean + step * share[:, None], self.m2 + other.m2 + spread)


@dataclass(frozen=True, eq=False)
class ColorMap:
    """The affine map ``matrix @ rgb + offset`` of a batch: `matrix` (B, 3, 3), `offset` (B, 3), float64 on the CPU;
    what bounds its chroma afterwards, if anything does; and what of the content's colors is added then."""

    matrix: Tensor
    offset: Tensor
    bound: ChromaBound | None = None
    local: LocalColor | None = None

    def applied(self, x: Tensor, content: Tensor | None = None) -> Tensor:
        """Of colors `(B, 3, N)`, float32; not clamped, differentiable. `content` `(B or 1, 3, N)`: the picture's own
        ones, of which a map with `local` keeps some."""
        matrix, offset = (t.to(x.device, torch.float32) for t in (self.matrix, self.offset))
        moved = _affine(x, matrix, offset)
        if self.bound is not None:
            moved = self.bound.applied(moved)
        return moved if self.local is None or content is None else moved + self.local.of(content)


@dataclass(frozen=True, eq=False)
class ChromaBound:
    """How far colors may be from those of a style, as vivid as `toward` makes them, of a batch, in float64 on the CPU.

    ``seen @ rgb + center``, `(B, 2, 3)` and `(B, 2)`, is what a color's chroma is beyond the style's regression of
    chroma on luma, in deviations of the style's own. What is longer than `sqrt(2)` there is drawn in, so that nothing
    is longer than 2.5; `back` `(B, 3, 2)` leads to RGB of the same luma. `strength` `(B,)`: how much of that is done.
    """

    seen: Tensor
    center: Tensor
    back: Tensor
    strength: Tensor

    FREE, MOST = 2.0, 2.5
    """The square of the length that stays as it is, and the length that is never reached."""

    @classmethod
    def of(cls, style: ColorStatistics, strength: Tensor) -> ChromaBound:
        """That of a style's colors."""
        turn, back, low = _factor(style.covariance)
        vivid, mean = _vivid(style.mean, style.covariance, turn, back)
        low = vivid[:, :, None] * low
        whiten = torch.linalg.solve_triangular(low, turn.expand_as(low), upper=False)[:, 1:]
        center = -(whiten @ mean[:, :, None])[:, :, 0]
        return cls(whiten, center, (back @ low)[:, :, 1:], strength)

    def applied(self, x: Tensor) -> Tensor:
        """Of colors `(B, 3, N)`, float32."""
        parts = (self.seen, self.center, self.back, self.strength[:, None, None])
        seen, center, back, strength = (t.to(x.device, torch.float32) for t in parts)
        far = _affine(x, seen, center)
        blue, red = far[:, :1], far[:, 1:]
        beyond = (torch.addcmul(blue.square(), red, red) - self.FREE).clamp_min(0)
        share = strength * ((1 + beyond / self.MOST**2).rsqrt() - 1)
        return x + _affine(far * share, back, torch.zeros_like(back[:, :, 0]))


@dataclass(frozen=True, eq=False)
class LocalColor:
    """The hues by which things in a content differ, apart from light and shade: painters' local color. Of a batch, in
    float64 on the CPU.

    ``seen @ rgb + center``, `(B, 2, 3)` and `(B, 2)`, is `LOCAL` times what a color's chroma is beyond the content's
    regression of chroma on luma; drawn in to stay below `LOUDEST`, `back` `(3, 2)` leads from there to RGB of luma 0.
    `strength` `(B,)`: how much of that counts.
    """

    seen: Tensor
    center: Tensor
    back: Tensor
    strength: Tensor

    @classmethod
    def kept(cls, content: ColorStatistics, style: ColorStatistics, strength: Tensor) -> LocalColor:
        """What a result in a style keeps of a content's, `strength` `(B,)` of it, or less where the style has hardly
        any colors beside those of light and shade."""
        turn, back, low = _factor(content.covariance)
        own = _factor(style.covariance)[2]
        varied = (low[:, 1:, 0] / low[:, :1, 0])[:, :, None]  # the regression's slopes
        seen = LOCAL * (turn[1:] - varied * turn[:1])
        colorful = (own[:, 1:, 1:].square().sum((1, 2)).sqrt() / COLORFUL).clamp(max=1)
        return cls(seen, -(seen @ content.mean[:, :, None])[:, :, 0], back[:, 1:], strength * colorful)

    def of(self, content: Tensor) -> Tensor:
        """What comes to colors where the content's are `(B or 1, 3, N)`, float32; differentiable."""
        parts = (self.seen, self.center, self.back, self.strength[:, None, None])
        seen, center, back, strength = (t.to(content.device, torch.float32) for t in parts)
        far = _affine(content, seen, center)
        blue, red = far[:, :1], far[:, 1:]
        share = strength * (1 + torch.addcmul(blue.square(), red, red) / LOUDEST**2).rsqrt()
        return _affine(far * share, back[None], torch.zeros_like(back[:, 0])[None])


def color_statistics(x: Tensor, weight: Tensor | None = None) -> ColorStatistics:
    """Color statistics of ``(B, 3, H, W)`` RGB in any float dtype, each pixel weighted by `weight` ``(B, 1, H, W)``.

    `weight` is >= 0: alpha, or a mask. Statistics of tiles, merged, are those of the whole picture.
    """
    _check(x, "x")
    if weight is not None and weight.shape != (x.shape[0], 1, *x.shape[2:]):
        expected = (x.shape[0], 1, *x.shape[2:])
        raise ImageError(f"weight: expected shape {expected} for these colors, got {tuple(weight.shape)}")
    rows = max(1, _STRIP // x.shape[3])
    total: ColorStatistics | None = None
    for top in range(0, x.shape[2], rows):
        part = _strip_statistics(x[:, :, top : top + rows], None if weight is None else weight[:, :, top : top + rows])
        total = part if total is None else total.merge(part)
    assert total is not None  # _check refuses empty pictures
    return total


def _strip_statistics(x: Tensor, weight: Tensor | None) -> ColorStatistics:
    x = x.float().flatten(2).contiguous()  # of one layout: sums in another order differ in their last bit
    if weight is None:
        w, count, mean = x.new_ones(()), x.new_full((len(x), 1), x.shape[2]), x.mean(2)
    else:
        w = weight.to(x.device, torch.float32).flatten(2)
        count = w.sum(2)
        mean = (x * w).sum(2) / count.clamp_min(torch.finfo(torch.float32).tiny)
    d = x - mean[:, :, None]
    if x.device.type == "cpu":
        with no_autocast("cpu"):
            m2 = (d if weight is None else d * w) @ d.mT
    else:  # sums of products: TF32 would take a matmul down to 10 bits
        m2 = torch.stack([(d * w * d[:, i : i + 1]).sum(2) for i in range(3)], 1)
    return ColorStatistics(*(t.cpu().double() for t in (count[:, 0], mean, m2)))


def premix(rgb: Tensor, alpha: Tensor, statistics: ColorStatistics | None = None) -> Tensor:
    """``(B, 3, H, W)`` RGB and ``(B, 1, H, W)`` alpha, both in [0, 1]: RGB with the hidden colors replaced.

    Same shape, dtype and device back; the very tensor if nothing is hidden. Fully transparent pixels take the mean of
    the others, weighted by alpha (mid gray if there is none), so that what lies hidden under them never reaches the
    network and their border is no edge. `statistics`: those of the whole picture, of which this is a window.
    """
    hidden = alpha == 0
    if not hidden.any():
        return rgb
    statistics = statistics or color_statistics(rgb, alpha)
    mean = torch.where(statistics.weight[:, None] > 0, statistics.mean, 0.5).float()
    return torch.where(hidden, mean.to(rgb.device, rgb.dtype)[:, :, None, None], rgb)


def match_map(result: ColorStatistics, content: ColorStatistics) -> ColorMap:
    """The map that gives the result's colors the content's mean and covariance.

    ``A = L_content @ inv(L_result)`` with the Cholesky factors L of the covariances: Gatys et al. 2016, "Preserving
    color in neural artistic style transfer", section 4.1. A ridge of a quarter of an 8-bit step keeps flat and gray
    pictures finite.
    """
    ridge = _RIDGE * torch.eye(3, dtype=torch.float64)
    low_result, low_content = (torch.linalg.cholesky(s.covariance + ridge) for s in (result, content))
    matrix = torch.linalg.solve_triangular(low_result, low_content, upper=False, left=False)
    return ColorMap(matrix, content.mean - (matrix @ result.mean[:, :, None])[:, :, 0])


def palette_tensors(colors: ColorStatistics) -> dict[str, Tensor]:
    """The tensors of a style of these colors, which are of one picture, or of several in equal shares."""
    found = (colors.mean, colors.covariance)
    return {name: value.mean(0).float() for name, value in zip(PALETTE, found, strict=True)}


def palette_of(style: Style) -> ColorStatistics:
    """A style's colors, of a batch of one; without any weight if it does not know them."""
    if not has_palette(style):
        return ColorStatistics(*(torch.zeros(1, *shape, dtype=torch.float64) for shape in ((), (3,), (3, 3))))
    mean, covariance = (style.tensors[name][None].double() for name in PALETTE)
    return ColorStatistics(torch.ones(1, dtype=torch.float64), mean, covariance)


def palette_map(
    result: ColorStatistics, style: ColorStatistics, strength: float = 1.0, content: ColorStatistics | None = None
) -> ColorMap:
    """The map that brings a result's colors to the style's palette, `strength` of the way: see `toward`, for the rare
    colors that a style does not have `ChromaBound`, and for what is kept of the content's colors, if these are given,
    `LocalColor`. One that changes nothing where a result or a style has no weight."""
    matrix, offset = toward(result.mean, result.covariance, style.mean, style.covariance)
    share = strength * ((result.weight > 0) & (style.weight > 0)).to(matrix.dtype)
    same = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    softer = same + share[:, None, None] * (matrix - same)
    local = None if content is None else LocalColor.kept(content, style, share)
    return ColorMap(softer, share[:, None] * offset, ChromaBound.of(style, share), local)


def toward(mean: Tensor, covariance: Tensor, other: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix `(B, 3, 3)` and offset `(B, 3)` of the affine map from RGB of a `mean` `(B, 3)` and `covariance`
    `(B, 3, 3)` to the mean `other` and the covariance `wanted`, both made `VIVID`; any device, differentiable.

    In luma, B - Y and R - Y, in this order: what each of them is beyond its regression on those before it is scaled
    until it varies as the other's, and the other's regression put in the place of its own. So lights become as warm,
    and shadows as cold, as theirs. That is Cholesky's map (`match_map`), but that no gain exceeds `GAINS`: what hardly
    varies is noise.
    """
    turn, back, low = _factor(covariance)
    lows = [low, _factor(wanted)[2]]
    spreads = [low.diagonal(dim1=1, dim2=2) for low in lows]
    own, theirs = (low / spread[:, None] for low, spread in zip(lows, spreads, strict=True))
    gains = torch.minimum(spreads[1] / spreads[0], _filled(turn, GAINS))
    moved = torch.linalg.solve_triangular(own, theirs * gains[:, None], upper=False, left=False)
    vivid, brought = _vivid(other, wanted, turn, back)
    matrix = back @ (vivid[:, :, None] * moved) @ turn
    return matrix, brought - (matrix @ mean[:, :, None])[:, :, 0]


def _vivid(mean: Tensor, covariance: Tensor, turn: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """By what luma and chromas of a palette are multiplied, `(B, 3)`: `VIVID`, or as much of it as there is room for in
    every channel (deviations are convex in that share). And its mean color `(B, 3)` then, as light as before."""
    most = _filled(turn, VIVID)
    whole, tint = (back @ (factors[:, None] * turn) for factors in (most, _filled(turn, (1, *VIVID[1:]))))
    spread = whole @ covariance @ whole.T
    now, then = (
        (m - 0.5).abs() + _ROOM * c.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
        for m, c in ((mean, covariance), (mean @ tint.T, spread))
    )
    share = ((0.5 - now) / (then - now).clamp_min(1e-6)).clamp(0, 1).amin(1, keepdim=True)
    return 1 + share * (most - 1), torch.lerp(mean, mean @ tint.T, share)


def _factor(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The turn from RGB to luma, B - Y and R - Y, the way back, and the Cholesky factor of a covariance `(B, 3, 3)`
    there. Nothing is brought to the device or waits for it: a training step is recorded as a CUDA graph."""
    turn, back = (torch.stack([_filled(covariance, row) for row in m]) for m in (_OPPONENT, _BACK))
    c = turn @ covariance @ turn.T + _RIDGE * torch.eye(3, dtype=covariance.dtype, device=covariance.device)
    a = c[:, 0, 0].sqrt()
    b, d = c[:, 1, 0] / a, c[:, 2, 0] / a
    e = (c[:, 1, 1] - b * b).clamp_min(_RIDGE / 4).sqrt()
    f = (c[:, 2, 1] - b * d) / e
    g = (c[:, 2, 2] - d * d - f * f).clamp_min(_RIDGE / 4).sqrt()
    none = torch.zeros_like(a)
    return turn, back, torch.stack([a, none, none, b, e, none, d, f, g], 1).view(-1, 3, 3)


def _filled(like: Tensor, values: Sequence[float]) -> Tensor:
    """Numbers of Python as a tensor, made where `like` is."""
    return torch.stack([like.new_full((), value) for value in values])


def apply_map(x: Tensor, color_map: ColorMap, content: Tensor | None = None) -> Tensor:
    """Map ``(B, 3, H, W)`` RGB and clamp it to [0, 1]; same shape, dtype and device back (computed in float32).
    `content` ``(B or 1, 3, H, W)``: as in `ColorMap.applied`."""
    _check(x, "x")
    if content is not None and (content.shape[1:] != x.shape[1:] or len(content) not in (1, len(x))):
        raise ImageError(f"x and content: expected one size, got {tuple(x.shape)} and {tuple(content.shape)}")
    with no_autocast(x.device.type):
        own = None if content is None else content.to(x.device, torch.float32).flatten(2).contiguous()
        moved = color_map.applied(x.float().flatten(2), own)
    return moved.clamp_(0, 1).view(-1, *x.shape[1:]).to(x.dtype)


def _affine(x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """``matrix @ x + offset`` of `(B, C, N)`; `(B or 1, D, C)` and `(B or 1, D)`."""
    batch = max(len(x), len(matrix))
    if x.device.type == "cpu":
        x, matrix, offset = x.expand(batch, -1, -1), matrix.expand(batch, -1, -1), offset.expand(batch, -1)
        product: Tensor = torch.baddbmm(offset[:, :, None], matrix, x)
        return product
    total = torch.addcmul(offset[:, :, None], matrix[:, :, 0:1], x[:, 0:1])
    for j in range(1, matrix.shape[2]):  # elementwise: TF32 would take a matmul down to 10 bits
        total.addcmul_(matrix[:, :, j : j + 1], x[:, j : j + 1])
    return total


def match_color(result: Tensor, content: Tensor, weight: Tensor | None = None) -> Tensor:
    """``(B, 3, H, W)`` RGB in [0, 1]: `result` with the mean and covariance of the colors of `content`.

    `weight` ``(B, 1, H, W)`` (alpha) weighs the statistics of both. What leaves [0, 1] is clamped. Same shape, dtype
    and device as `result`. Source: see `match_map`. For tiles: merge `color_statistics`, then `match_map` and
    `apply_map`.
    """
    _check_pair(result, content)
    return apply_map(result, match_map(color_statistics(result, weight), color_statistics(content, weight)))


def keep_luma(result: Tensor, content: Tensor) -> Tensor:
    """``(B, 3, H, W)`` RGB in [0, 1]: the luma of `result` with the chroma of `content`; same dtype and device as
    `result`.

    Luma and chroma are those of JPEG's YCbCr (Rec. 601): they are linear in the RGB values of a file, so that gray
    stays gray and no gamma is guessed. Where the result is brighter than the content, the chroma grows with the luma,
    up to twice, so that what was dark and colored does not turn gray. Where the chroma does not fit at the result's
    luma, it is scaled towards gray as far as needed: the luma is exact and the hue stays, where clipping channels
    would change both.
    """
    _check_pair(result, content)
    tiny = torch.finfo(torch.float32).tiny
    light, own = luma(result).clamp_(0, 1), luma(content).to(result.device)
    chroma = (content.to(result.device, torch.float32) - own).mul_((light / own.clamp_min(tiny)).clamp_(1, _LIVELY))
    red, green, blue = (chroma[:, i : i + 1] for i in range(3))
    high, low = red.maximum(green).maximum(blue), red.minimum(green).minimum(blue)
    fit = torch.minimum((1 - light) / high.clamp_min(tiny), light / (-low).clamp_min(tiny)).clamp_(max=1)
    return chroma.mul_(fit).add_(light).clamp_(0, 1).to(result.dtype)


def luma(x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """``(B, 3, H, W)`` RGB -> ``(B, 1, H, W)`` luma (Rec. 601), computed in `dtype`; differentiable."""
    red, green, blue = (weight * x[:, i : i + 1].to(dtype) for i, weight in enumerate(LUMA))
    return red + green + blue


def _check(x: Tensor, name: str) -> None:
    if x.ndim != 4 or x.shape[1] != 3 or 0 in x.shape or not x.is_floating_point():
        raise ImageError(f"{name}: expected a float tensor (B, 3, H, W), got {x.dtype} {tuple(x.shape)}")


def _check_pair(result: Tensor, content: Tensor) -> None:
    _check(result, "result")
    _check(content, "content")
    if result.shape != content.shape:
        raise ImageError(
            f"result and content: expected one shape, got {tuple(result.shape)} and {tuple(content.shape)}"
        )

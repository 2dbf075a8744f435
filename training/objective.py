"""What a step minimizes: contents in styles (one differentiable pass), judged by the losses that the settings weigh."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from adainkit.look.color import ColorMap, ColorStatistics, palette_map, toward
from adainkit.net.adain import moments
from adainkit.net.config import ModelConfig
from adainkit.net.layers import Canvas, Strokes
from adainkit.net.model import AdaINModel

from .brush import painted, sharpened, stroked
from .config import TrainConfig
from .criterion import Criterion, Levels
from .looks import look_at
from .loss_network import LossNetwork
from .losses import color_moments, drawing_loss, feature_difference, reconstruction_loss

__all__ = [
    "Objective",
    "as_seen",
    "draw_place",
    "encode_both",
    "has_canvas",
    "noise_gain",
    "restyle",
    "stylize_batch",
    "with_palette",
]


def stylize_batch(model: AdaINModel, content: Tensor, style: Tensor, alpha: Tensor) -> Tensor:
    """Content `(B, 3, H, W)` in the styles `(B, 3, h, w)` at `alpha` `(B, 1)`: one differentiable pass, not clamped."""
    output = restyle(model, *encode_both(model.encode, content, style), alpha)
    return output[..., : content.shape[2], : content.shape[3]]


def encode_both(encode: nn.Module, content: Tensor, style: Tensor) -> tuple[Levels, Levels]:
    """The features of both, in one pass where their sizes allow it."""
    if content.shape != style.shape:
        return encode(content), encode(style)
    both = [f.chunk(2) for f in encode(torch.cat([content, style]))]
    return [f[0] for f in both], [f[1] for f in both]


def restyle(model: AdaINModel, features: Levels, styles: Levels, alpha: Tensor, place: Tensor | None = None) -> Tensor:
    """AdaIN of the content's features by the styles', decoded; not cropped to the picture's size, not clamped.

    `place`: of `draw_place`; None is the upper left corner of a picture.
    """
    content, style = ([(m.mean, m.std) for m in map(moments, levels)] for levels in (features, styles))
    maps = model.maps(content, style, [alpha] * len(features))
    return model.decode(features, maps) if place is None else model.decode(features, maps, (place[0], place[1]))


def with_palette(result: Tensor, style: Tensor, content: Tensor) -> Tensor:
    """Results `(B, 3, H, W)` with the palette of their styles, and their contents' local color, as the engine gives
    them; not clamped."""
    one, pictures = torch.ones(len(result), device=result.device), [x.float().clamp(0, 1) for x in (result, content)]
    with torch.autocast(result.device.type, enabled=False):
        own, theirs, seen = (
            ColorStatistics(one, *color_moments(x)) for x in (pictures[0], style.float().clamp(0, 1), pictures[1])
        )
        found = palette_map(own, theirs, content=seen)
        return found.applied(*(x.flatten(2) for x in pictures)).view_as(result)


def as_seen(result: Tensor, wanted: Tensor, style: Tensor, styled: int) -> tuple[Tensor, Tensor]:
    """Both `(B, 3, H, W)`, the first `styled` by the affine map that brings what is wanted to the style's colors: what
    differs then is what is seen to differ. Not clamped."""
    with torch.autocast(result.device.type, enabled=False):
        own, theirs = (color_moments(x[:styled].float().clamp(0, 1)) for x in (wanted, style))
        found = ColorMap(*toward(*own, *theirs))
        return tuple(
            torch.cat([found.applied(x[:styled].float().flatten(2)).view_as(x[:styled]), x[styled:].float()])
            for x in (result, wanted)
        )


def draw_place(model: AdaINModel, device: torch.device) -> Tensor | None:
    """A random place of the crops in a large picture, row and column `(2,)` in cells, for a decoder with a canvas or
    strokes; None, and nothing is drawn, for one without."""
    return torch.randint(Canvas.PERIOD, (2,), device=device) if has_canvas(model.config) else None


def has_canvas(config: ModelConfig) -> bool:
    """Whether it matters to the decoder where in the picture it is."""
    return any("origin" in step.row.needs for step in config.decoding)


def noise_gain(result: Tensor, other: Tensor, noise: Tensor) -> Tensor:
    """Mean absolute difference of two pictures' results over that of the pictures, `noise`."""
    return (result.float() - other.float()).abs().mean() / noise.abs().mean().clamp_min(1e-8)


class Objective(nn.Module):
    """The loss of one batch and its parts. The last `plain` samples are judged as reconstructions at alpha 0.

    `shared`: `teachers` is the model's own frozen encoder with one level, relu4_1, so that nothing is encoded twice.
    `guide`: the model whose results, drawn with a brush, are wanted where `brush_weight` counts.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: AdaINModel,
        teachers: LossNetwork | Sequence[LossNetwork],
        shared: bool = False,
        guide: AdaINModel | None = None,
    ) -> None:
        super().__init__()
        self.guide = guide
        self.config, self.model, self.criterion, self.shared = config, model, Criterion(config, teachers), shared

    def forward(
        self, content: Tensor, style: Tensor, plain: int = 0, turn: int = 0, looks: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures in [0, 1]; the loss, and its unweighted parts (detached). `turn` and `looks` as in `Criterion`."""
        c, n = self.config, len(content)
        styled = n - plain
        alpha = torch.ones(n, 1, device=content.device)
        alpha[styled:] = 0
        encode = self.criterion.teachers[0] if self.shared else self.model.encode
        seen = self._noisy(content, styled) if self.guide is not None else content
        with torch.no_grad() if c.freeze_encoder else nullcontext():
            of_content, of_style = encode_both(encode, seen, style)
        levels = [(f[-1:] if self.shared else f) for f in (of_content, of_style)]
        place = draw_place(self.model, content.device)
        output = restyle(self.model, *levels, alpha, place)[..., : content.shape[2], : content.shape[3]]
        parts = {}
        if self.guide is not None:
            wanted = self._drawn(content, style, alpha, styled, place)
            result, wanted = as_seen(output, wanted, style, styled) if self.model.config.palette else (output, wanted)
            parts["brush"] = drawing_loss(result, wanted)
            if c.brush_features:
                teacher = self.criterion.teachers[turn % len(self.criterion.teachers)]
                with torch.no_grad():
                    seen_there = teacher(wanted)
                parts["brush"] = parts["brush"] + c.brush_features * feature_difference(teacher(result), seen_there)
        matched = round(c.palette_share * styled) if self.model.config.palette else 0
        if matched:
            painted = with_palette(output[:matched], style[:matched], content[:matched])
            output = torch.cat([painted, output[matched:]])
        if styled:
            known = ([f[:styled] for f in of_content], [f[:styled] for f in of_style]) if self.shared else None
            pictures = (x[:styled] for x in (output, content, style))
            parts |= self.criterion(*pictures, turn=turn, looks=looks, known=known)
            if c.noise_weight:
                parts["noise"] = self._noise(
                    content, style, [f[:styled] for f in levels[1]], output, looks, place, matched
                )
        if plain:
            parts["reconstruction"] = reconstruction_loss(output[styled:], content[styled:])
        total = torch.stack([getattr(c, f"{name}_weight") * value for name, value in parts.items()]).sum()
        return total, {name: value.detach() for name, value in parts.items()}

    def _noisy(self, content: Tensor, styled: int) -> Tensor:
        """Half of the first `styled` contents with noise, to the deviation of `brush_noise` at most."""
        sigma = (
            (2 * torch.rand(styled, 1, 1, 1, device=content.device) - 1).clamp_min(0) * self.config.brush_noise / 255
        )
        noisy = content[:styled] + sigma * torch.randn_like(content[:styled])
        return torch.cat([noisy, content[styled:]])

    @torch.compiler.disable
    @torch.no_grad()
    def _drawn(self, content: Tensor, style: Tensor, alpha: Tensor, styled: int, place: Tensor | None) -> Tensor:
        """What is wanted of each: the guide's result as a brush draws it, at alpha 0 the content."""
        c, wanted = self.config, content.float().clone()
        if styled == 0:
            return wanted
        results = stylize_batch(self.guide, content[:styled], style[:styled], alpha[:styled])  # type: ignore[arg-type]
        with torch.autocast(content.device.type, enabled=False):
            results = painted(
                results,
                content[:styled],
                radius=c.brush_radius,
                passes=c.brush_passes,
                reach=c.brush_reach,
                light=c.brush_light,
                detail=c.brush_detail,
            )
            for step, layer in zip(self.model.config.decoding, self.model.decoder.layers, strict=True):
                if isinstance(layer, Strokes) and c.brush_strokes and place is not None:
                    cell = step.before.stride
                    origin = place * (self.model.config.stride // cell)
                    results = stroked(results, layer.field, (origin[0], origin[1]), c.brush_strokes, cell)
            results = sharpened(results, c.brush_sharpness)
        wanted[:styled] = results.clamp(0, 1)
        return wanted

    def _noise(
        self,
        content: Tensor,
        paintings: Tensor,
        styles: Levels,
        output: Tensor,
        looks: Tensor | None,
        place: Tensor | None,
        matched: int,
    ) -> Tensor:
        """The gain of noise (compound form, Wu et al. 2020): results of noisy, shifted copies against results shifted
        afterwards, of the first pictures of the batch."""
        count = max(1, min(len(styles[0]), round(self.config.noise_share * len(content))))
        pictures, results = content[:count], output[:count]
        if looks is not None and len(looks) > 2:
            pictures, results = look_at(pictures, looks[2]), look_at(results, looks[2])
        noise = torch.randn_like(pictures) * (self.config.noise_sigma / 255)
        seen = pictures + noise
        features = self.model.encode(seen)
        alpha = torch.ones(count, 1, device=content.device)
        other = restyle(self.model, features, [f[:count] for f in styles], alpha, place)
        other = other[..., : content.shape[2], : content.shape[3]]
        if matched := min(count, matched):
            other = torch.cat([with_palette(other[:matched], paintings[:matched], seen[:matched]), other[matched:]])
        return noise_gain(results, other, noise)

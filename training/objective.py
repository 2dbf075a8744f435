"""What a step minimizes: contents in styles (one differentiable pass), judged by the losses that the settings weigh."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from adainkit.net.adain import affine_map, apply_affine, moments
from adainkit.net.model import AdaINModel

from . import losses
from .config import TrainConfig
from .loss_network import LossNetwork

__all__ = ["Objective", "encode_both", "restyle", "stylize_batch"]

Levels = Sequence[Tensor]


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


def restyle(model: AdaINModel, features: Levels, styles: Levels, alpha: Tensor) -> Tensor:
    """AdaIN of the content's features by the styles', decoded; not cropped to the picture's size, not clamped."""
    content, style = ([(m.mean, m.std) for m in map(moments, levels)] for levels in (features, styles))
    return model.decode(features, model.maps(content, style, [alpha] * len(features)))


class Objective(nn.Module):
    """The loss of one batch and its parts. The last `plain` samples are judged as reconstructions at alpha 0.

    `shared`: `teacher` is the model's own frozen encoder with one level, relu4_1, so that nothing is encoded twice.
    """

    def __init__(self, config: TrainConfig, model: AdaINModel, teacher: LossNetwork, shared: bool = False) -> None:
        super().__init__()
        self.config, self.model, self.teacher, self.shared = config, model, teacher, shared

    def forward(self, content: Tensor, style: Tensor, plain: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures in [0, 1]; the loss, and its unweighted parts (detached)."""
        c, n = self.config, len(content)
        styled = n - plain
        alpha = torch.ones(n, 1, device=content.device)
        alpha[styled:] = 0
        with torch.no_grad() if c.freeze_encoder else nullcontext():
            of_content, of_style = encode_both(self.teacher if self.shared else self.model.encode, content, style)
        levels = [(f[-1:] if self.shared else f) for f in (of_content, of_style)]
        output = restyle(self.model, *levels, alpha)[..., : content.shape[2], : content.shape[3]]
        parts = {}
        if styled:
            with torch.no_grad():
                if not self.shared:
                    of_content, of_style = encode_both(self.teacher, content[:styled], style[:styled])
                targets = [f[:styled] for f in of_content], [f[:styled] for f in of_style]
            parts = self._styled(output[:styled], content[:styled], style[:styled], *targets)
        if plain:
            parts["reconstruction"] = losses.reconstruction_loss(output[styled:], content[styled:])
        total = torch.stack([getattr(c, f"{name}_weight") * value for name, value in parts.items()]).sum()
        return total, {name: value.detach() for name, value in parts.items()}

    def _styled(
        self, result: Tensor, content: Tensor, style: Tensor, of_content: Levels, of_style: Levels
    ) -> dict[str, Tensor]:
        c, seen, parts = self.config, self.teacher(result), {}
        if c.content_weight:
            target = of_content if c.content_target == "features" else _adain(of_content, of_style)
            layers = [losses.content_loss(s, t, c.content_norm) for s, t in zip(seen, target, strict=True)]
            parts["content"] = losses.weighted_mean(layers, c.content_layers)
        if c.style_weight:
            parts["style"] = losses.style_loss(seen, of_style, c.style_layers, c.style_norm)
        if c.gram_weight:
            parts["gram"] = losses.gram_loss(seen, of_style, c.gram_layers, c.gram_norm)
        if c.color_weight:
            parts["color"] = losses.color_loss(result, style)
        if c.ssim_weight:
            parts["ssim"] = 1 - losses.ssim(result, content)
        if c.ripple_weight:
            parts["ripple"] = losses.ripple_loss(result, content, c.ripple_octaves, c.ripple_smooth)
        if c.grid_weight:
            parts["grid"] = losses.grid_loss(result, content)
        if c.total_variation_weight:
            parts["total_variation"] = losses.total_variation(result)
        return parts


def _adain(content: Levels, style: Levels) -> list[Tensor]:
    found = []
    with torch.no_grad():
        for f, s in zip(content, style, strict=True):
            a, b = moments(f), moments(s)
            found.append(apply_affine(f.float(), affine_map(a.mean, a.std, b.mean, b.std)))
    return found

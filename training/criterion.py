"""What results are judged by: the losses that the settings weigh, in the features of one loss network or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adainkit.net.adain import affine_map, apply_affine, moments

from . import losses, spaces
from .config import TrainConfig
from .looks import look_at, scaled
from .loss_network import LossNetwork

__all__ = ["Criterion", "Levels"]

Levels = Sequence[Tensor]


class Criterion(nn.Module):
    """The unweighted parts of the loss of results, by the names of their weights (`content` of `content_weight`).

    Several loss networks are asked in turn, one a step, or together (`config.teachers`), about the pictures at every
    one of `config.scales`; each part is the mean over them.
    """

    def __init__(self, config: TrainConfig, teachers: LossNetwork | Sequence[LossNetwork]) -> None:
        super().__init__()
        self.config = config
        self.teachers = nn.ModuleList([teachers] if isinstance(teachers, LossNetwork) else teachers)
        self.perceptual = any(
            (config.content_weight, config.style_weight, config.gram_weight, config.covariance_weight)
        )

    def forward(
        self,
        result: Tensor,
        content: Tensor,
        style: Tensor,
        turn: int = 0,
        looks: Tensor | None = None,
        known: tuple[Levels, Levels] | None = None,
    ) -> dict[str, Tensor]:
        """`result` and `content` `(B, 3, H, W)`, `style` `(B, 3, h, w)`, RGB in [0, 1].

        `turn`: the number of the step, which says whose turn it is. `looks`: of `looks.draw_looks`. `known`: features
        of content and style that are there already, of the only loss network at the only scale 1.
        """
        parts = self._perceptual(result, content, style, turn, looks, known) if self.perceptual else {}
        return parts | self._of_pixels(result, content, style)

    def _perceptual(
        self,
        result: Tensor,
        content: Tensor,
        style: Tensor,
        turn: int,
        looks: Tensor | None,
        known: tuple[Levels, Levels] | None,
    ) -> dict[str, Tensor]:
        if looks is not None:
            result, content, style = (look_at(p, looks[i]) for i, p in ((0, result), (0, content), (1, style)))
        together = self.config.teachers == "together"
        asked = list(self.teachers) if together else [self.teachers[turn % len(self.teachers)]]
        found: dict[str, list[Tensor]] = {}
        for factor in self.config.scales:
            pictures = [scaled(p, factor) for p in (result, content, style)]
            for teacher in asked:
                with torch.no_grad():
                    sides = known or (teacher(pictures[1]), teacher(pictures[2]))
                for name, value in self._of_features(teacher, teacher(pictures[0]), *sides).items():
                    found.setdefault(name, []).append(value)
        return {name: torch.stack(values).mean() for name, values in found.items()}

    def _of_features(self, teacher: Any, seen: Levels, of_content: Levels, of_style: Levels) -> dict[str, Tensor]:
        c, parts = self.config, {}
        if c.content_weight:
            target = of_content if c.content_target == "features" else _adain(of_content, of_style)
            parts["content"] = self._content(teacher, seen, target)
        shares = {"style": c.style_weight, "gram": c.gram_weight, "covariance": c.covariance_weight}
        wanted = [name for name, share in shares.items() if share]
        if c.space == "own":
            functions = {"style": losses.style_loss, "gram": losses.gram_loss, "covariance": losses.covariance_loss}
            for name in wanted:
                layers, norm = getattr(c, f"{name}_layers"), getattr(c, f"{name}_norm")
                ours, theirs, weights = _paired(layers, seen, of_style)
                parts[name] = functions[name](ours, theirs, weights, norm)
        elif wanted:
            parts |= self._of_statistics(teacher, wanted, seen, of_style)
        return parts

    def _content(self, teacher: Any, seen: Levels, target: Levels) -> Tensor:
        norm, own, values, weights = self.config.content_norm, self.config.space == "own", [], []
        for s, t, space, weight in zip(seen, target, teacher.spaces, self.config.content_layers, strict=False):
            if weight:
                values.append(losses.content_loss(s, t, norm) if own else spaces.content_distance(s, t, space, norm))
                weights.append(weight)
        return losses.weighted_mean(values, weights)

    def _of_statistics(self, teacher: Any, wanted: Sequence[str], seen: Levels, of_style: Levels) -> dict[str, Tensor]:
        functions = {
            "style": spaces.style_distance,
            "gram": spaces.gram_distance,
            "covariance": spaces.covariance_distance,
        }
        with torch.no_grad():
            theirs = [spaces.statistics(f) for f in of_style]
        ours, parts = [spaces.statistics(f) for f in seen], {}
        with torch.autocast(seen[0].device.type, enabled=False):
            for name in wanted:
                layers, norm = getattr(self.config, f"{name}_layers"), getattr(self.config, f"{name}_norm")
                found = _paired(layers, ours, theirs, list(teacher.spaces))
                parts[name] = functions[name](found[0], found[1], found[2], found[3], norm)
        return parts

    def _of_pixels(self, result: Tensor, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        c, parts = self.config, {}
        if c.color_weight:
            parts["color"] = losses.color_loss(result, style)
        if c.ssim_weight:
            parts["ssim"] = 1 - losses.ssim(result, content)
        if c.ripple_weight:
            parts["ripple"] = losses.ripple_loss(result, content, c.ripple_octaves, c.ripple_smooth)
        if c.grid_weight:
            parts["grid"] = losses.grid_loss(result, content)
        if c.calm_weight:
            parts["calm"] = losses.calm_loss(result, content)
        if c.excess_weight:
            parts["excess"] = losses.excess_loss(result)
        if c.total_variation_weight:
            parts["total_variation"] = losses.total_variation(result)
        return parts


def _paired(layers: Sequence[float], *sides: Sequence[Any]) -> list[list[Any]]:
    """The levels of every side that have a weight, and behind them the weights."""
    kept = [i for i, weight in enumerate(layers[: len(sides[0])]) if weight]
    return [[side[i] for i in kept] for side in (*sides, layers)]


def _adain(content: Levels, style: Levels) -> list[Tensor]:
    found = []
    with torch.no_grad():
        for f, s in zip(content, style, strict=True):
            a, b = moments(f), moments(s)
            found.append(apply_affine(f.float(), affine_map(a.mean, a.std, b.mean, b.std)))
    return found

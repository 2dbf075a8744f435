"""The style head: from what a style and a content are like to the maps of the decoder's own places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from .adain import AffineMap
from .config import ModelConfig

__all__ = ["Statistics", "StyleHead"]

Statistics: TypeAlias = Sequence[tuple[Tensor, Tensor]]
"""By level, channel means and standard deviations, `(B, C)` each, float32."""


class StyleHead(nn.Module):
    """Channel statistics become a code of `config.code` numbers, and the difference of two codes the decoder's maps.

    The maps are a function of `code(style) - code(content)` that is 0 at 0, times alpha: alpha 0, and a picture in its
    own style, leave the decoder as it is; but strokes (`Word.lift`) are open as far as alpha says in every style. Only
    means and deviations go in: they are merged over tiles, weighed by masks and blended between styles like those of
    AdaIN, and a style needs to hold nothing else.
    """

    WIDTH = 512
    BOUND = 3.0
    """Standardized statistics are clamped to this: a flat picture's deviations are many times as far out as any
    painting's."""
    PACE = 0.01
    """The share of each training step's styles in what statistics are standardized by."""
    MOST = 2.0
    """Gains and shifts come to no more than this at alpha 1, softly: several blocks multiply them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        numbers = 2 * sum(level.channels for level in config.levels)
        self.center: Tensor
        self.scale: Tensor
        self.register_buffer("center", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))
        wide = self.WIDTH
        self.layers = nn.Sequential(
            nn.Linear(numbers, wide),
            nn.SiLU(),
            nn.Linear(wide, wide),
            nn.SiLU(),
            nn.Linear(wide, config.code, bias=False),
        )
        self._rests = [(step.row.rest, step.row.lift) for step in config.mapped]
        self._widths = [step.before.channels for step in config.mapped]
        self._levels = [config.level_of(step.before) for step in config.mapped]
        self._numbers = [2 * level.channels for level in config.levels]
        self.maps = nn.Linear(config.code, 2 * sum(self._widths), bias=False)
        if not self.maps.weight.is_meta:
            nn.init.normal_(self.maps.weight, std=0.01)

    @staticmethod
    def described(statistics: Statistics) -> Tensor:
        """`(B, numbers)`: the means and the logarithms of the deviations, level by level."""
        return torch.cat([part for mean, std in statistics for part in (mean, std.log())], 1)

    def code(self, numbers: Tensor) -> Tensor:
        """`(B, config.code)`, float32, of what `described` gives."""
        center, scale = (self.center, self.scale) if not self.training else (self.center.clone(), self.scale.clone())
        code: Tensor = self.layers(((numbers - center) / scale).clamp(-self.BOUND, self.BOUND))
        return code

    def forward(self, content: Statistics, style: Statistics, alphas: Sequence[Tensor | float]) -> list[AffineMap]:
        """The map of each of the decoder's places, in their order; `alphas` by level, as in `adain.affine_map`.

        Where the levels differ, each level's statistics count as far as its alpha reaches the largest one, so that of a
        level at 0 nothing is taken.
        """
        wanted, given = self.described(style), self.described(content)
        if self.training:
            self._follow(wanted.detach())
        numbers = [float(alpha) for alpha in alphas if not isinstance(alpha, Tensor)]
        if len(set(numbers)) > 1:
            shares = [alpha / max(numbers) for alpha in numbers]
            share = torch.cat([given.new_full((n,), s) for n, s in zip(self._numbers, shares, strict=True)])
            wanted = given + share * (wanted - given)
        moved = self.MOST * torch.tanh(self.maps(self.code(wanted) - self.code(given)) / self.MOST)
        found = []
        parts = torch.split(moved, [2 * width for width in self._widths], 1)
        for part, (rest, lift), level in zip(parts, self._rests, self._levels, strict=True):
            gain, shift = (alphas[level] * part).chunk(2, 1)
            found.append(AffineMap(torch.zeros_like(gain), rest + alphas[level] * lift + gain, shift))
        return found

    def _follow(self, described: Tensor) -> None:
        """In a training, center and scale follow what styles are like as the encoder changes."""
        with torch.no_grad():
            self.center.lerp_(described.mean(0), self.PACE)
            spread = (described - self.center).square().mean(0).sqrt()
            self.scale.lerp_(spread + 0.05, self.PACE)  # so that what never varies is not blown up

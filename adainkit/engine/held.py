"""What a film's results are like, told once by small samples of it: its colors then move in every frame alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from ..images import Picture
from ..look.color import ColorStatistics
from ..look.controls import Controls
from ..look.guided import working_size
from ..look.masks import resize
from ..net.adain import Moments
from ..style import Style
from .content_statistics import ContentStatistics
from .finish import Finish, Measured, shown
from .two_pass import Executor
from .whole import paint

__all__ = ["held_colors", "sample_of"]

_SIDE = 192  # pixels of a sample's shorter side


def sample_of(picture: Picture, scale: float) -> list[Tensor]:
    """A small copy of each of a batch, as the network sees it at this scale."""
    size = working_size(picture.height, picture.width, scale)
    less = max(1.0, min(size) / _SIDE)
    alpha = torch.ones_like(picture.rgb[:, :1]) if picture.alpha is None else picture.alpha
    smaller = [max(1, round(side / less)) for side in size]
    small = resize(torch.cat([shown(picture), alpha.to(picture.rgb.dtype)], 1).float(), smaller)
    whole = (small * 255).round().to("cpu", torch.uint8)
    return [whole[i : i + 1] for i in range(len(whole))]


def held_colors(
    executor: Executor, held: object, styles_of: Sequence[Sequence[Style]], controls: Controls
) -> Measured | None:
    """The colors of the results of a film's samples, region by region as if each were everywhere, where results take
    their styles' palettes. None where each picture is to be measured by itself."""
    finish = Finish.of(controls, styles_of, executor.model.config)
    if not isinstance(held, ContentStatistics) or not held.known or not finish.palettes:
        return None
    alphas = controls.alphas(len(executor.model.config.levels))

    def measured(statistics: ContentStatistics) -> Measured:
        moments = [Moments(*(v.to(executor.device) for v in (m.count, m.mean, m.m2))) for m in statistics]
        found: list[list[ColorStatistics]] = [[] for _ in styles_of]
        for sample in statistics.samples:
            rgb, alpha = sample[:, :3].float() / 255, sample[:, 3:].float() / 255
            features, _ = executor.encode(rgb)
            for style, into in zip(styles_of, found, strict=True):
                output = paint(executor, features, moments, [style], alphas, rgb.shape[2:], steady=True).cpu()
                into.append(Finish(controls, finish.palettes[:1]).measure(output, rgb, None, alpha)[0])
        return [reduce(ColorStatistics.merge, parts) for parts in found]

    return held.colors((tuple(map(tuple, styles_of)), tuple(alphas)), measured)

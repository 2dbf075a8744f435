"""What a film's results are like, told once by small samples of it: its colors then move in every frame alike."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Sequence
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
from .content_statistics import SAMPLES, ContentStatistics
from .finish import Finish, Measured, shown
from .two_pass import Executor
from .whole import paint

__all__ = ["Samples", "held_colors"]

_SIDE = 96  # pixels of a sample's shorter side: deviations of its result are within a tenth of those at 720


class Samples:
    """Small copies of pictures as the network sees them, for `ContentStatistics`: of many, some at equal distances."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []
        self._seen, self._every = 0, 1

    def add(self, picture: Picture, scale: float) -> None:
        """A picture, or a batch of them, that is stylized at this scale."""
        size = working_size(picture.height, picture.width, scale)
        less = max(1.0, min(size) / _SIDE)
        smaller, count = [max(1, round(side / less)) for side in size], len(picture.rgb)
        seen = shown(picture)
        if picture.alpha is not None and not bool((picture.alpha == 1).all()):
            seen = torch.cat([seen, picture.alpha.to(seen.dtype)], 1)
        for one in seen.chunk(count):
            if self._seen % self._every == 0:
                self.kept.append((resize(one.float(), smaller) * 255).round().to("cpu", torch.uint8))
            self._seen += 1
            if len(self.kept) > SAMPLES:
                self.kept, self._every = self.kept[::2], 2 * self._every


def held_colors(
    executor: Executor, held: object, styles_of: Sequence[Sequence[Style]], controls: Controls
) -> Measured | None:
    """The colors of the results of a film's samples, region by region as if each were everywhere, and of the samples,
    where results take their styles' palettes. None where each picture is to be measured by itself."""
    finish = Finish.of(controls, styles_of, executor.model.config)
    if not isinstance(held, ContentStatistics) or not held.known or not finish.palettes:
        return None
    alphas = controls.alphas(len(executor.model.config.levels))

    def measured(statistics: ContentStatistics) -> Measured:
        moments = [Moments(*(v.to(executor.device) for v in (m.count, m.mean, m.m2))) for m in statistics]
        results: list[list[ColorStatistics]] = [[] for _ in styles_of]
        contents: list[list[ColorStatistics]] = [[] for _ in styles_of]
        for sample in statistics.samples:
            rgb, alpha = sample[:, :3].float() / 255, sample[:, 3:].float() / 255 if sample.shape[1] > 3 else None
            features, _ = executor.encode(rgb)
            for style, of_result, of_content in zip(styles_of, results, contents, strict=True):
                output = paint(executor, features, moments, [style], alphas, rgb.shape[2:], steady=True).cpu()
                result, own = Finish(controls, finish.palettes[:1]).measure(output, rgb, None, alpha)
                of_result.append(result)
                of_content.append(own)
        return [reduce(ColorStatistics.merge, parts) for parts in (*results, *contents)]

    words = tuple(tuple(map(_words, styles)) for styles in styles_of)
    return held.colors((weakref.ref(executor.model), words, tuple(alphas)), measured)


def _words(style: Style) -> Hashable:
    """What a style is to a model: a style that is read anew for every frame is still the same."""
    return tuple(
        (name, value.detach().float().cpu().numpy().tobytes()) for name, value in sorted(style.tensors.items())
    )

"""The last steps of a painted picture, or of a window of one, in one order: detail, colors, cover. Rounding follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import torch
from torch import Tensor

from ..images import Picture
from ..look.color import ColorMap, ColorStatistics, apply_map, color_statistics, keep_luma, match_map, premix
from ..look.controls import Controls
from ..look.guided import DETAIL_REACH, keep_detail
from ..look.masks import counting

__all__ = ["Finish", "Measured", "shown"]

Measured: TypeAlias = tuple[ColorStatistics, ColorStatistics]
"""The colors of a result, and those of its content."""


def shown(picture: Picture, hidden: ColorStatistics | None = None) -> Tensor:
    """What the network sees of a picture: what is transparent is no content. `hidden`: see `premix`."""
    return picture.rgb if picture.alpha is None else premix(picture.rgb, picture.alpha, hidden)


@dataclass(frozen=True)
class Finish:
    """The steps that `controls` ask for, in the order in which they are called. A picture that is never whole takes
    `detail` with a margin of `reach` pixels around a window, and the color map from all of its windows."""

    controls: Controls

    @property
    def reach(self) -> int:
        """How many pixels around its own ones a window must have for `detail`."""
        return DETAIL_REACH if self.controls.detail else 0

    @property
    def matches(self) -> bool:
        """Whether the colors of the whole result must be known before `colors`."""
        return self.controls.color == "match"

    def detail(self, output: Tensor, content: Tensor) -> Tensor:
        """First: the content's fine structure. `content`: `shown` of the same pixels, as in all steps."""
        return keep_detail(output, content, self.controls.detail)

    def measure(self, output: Tensor, content: Tensor, cover: Tensor | None, alpha: Tensor | None) -> Measured:
        """The colors of the result and of the content, of what is covered and visible."""
        weight = counting(cover, alpha)
        if weight is not None:
            weight = weight.expand(len(output), -1, -1, -1)
        return color_statistics(output, weight), color_statistics(content, weight)

    def map_of(self, parts: Sequence[Measured]) -> ColorMap:
        """The map from the colors of a result to those of its content, both measured in parts."""
        result, content = (reduce(ColorStatistics.merge, sides) for sides in zip(*parts, strict=True))
        return match_map(result, content)

    def colors(self, output: Tensor, content: Tensor, color: ColorMap | None) -> Tensor:
        """Second: the content's colors, as far as they are wanted; `color` is what `map_of` gave, if it `matches`."""
        if not self.controls.color:
            return output
        kept = keep_luma(output, content) if color is None else apply_map(output, color)
        return torch.lerp(output, kept, self.controls.color_strength)

    def cover(self, output: Tensor, original: Tensor, cover: Tensor | None) -> Tensor:
        """Last, before samples are rounded: the result where it is covered, the original where it is not."""
        return output if cover is None else torch.where(cover > 0, torch.lerp(original, output, cover), original)

"""The last steps of a painted picture, or of a window of one, in one order: detail, colors, cover. Rounding follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import torch
from torch import Tensor

from ..images import Picture
from ..look.color import (
    ColorMap,
    ColorStatistics,
    apply_map,
    color_statistics,
    keep_luma,
    match_map,
    palette_map,
    palette_of,
    premix,
)
from ..look.controls import Controls
from ..look.guided import DETAIL_REACH, keep_detail
from ..look.masks import counting
from ..look.regions import total_cover
from ..net.config import ModelConfig
from ..style import Style
from .bands import measured_bands

__all__ = ["Bands", "Finish", "Measured", "gathered", "shown"]

Bands: TypeAlias = tuple[Sequence[slice], Sequence[slice]]
"""Of rows, and of columns."""
Measured: TypeAlias = Sequence[ColorStatistics]
"""The colors of a result, region by region, and then of its content there; to be matched, of all of both."""

_STRIP = 1 << 18  # pixels that move their colors at once


def shown(picture: Picture, hidden: ColorStatistics | None = None) -> Tensor:
    """What the network sees of a picture: what is transparent is no content. `hidden`: see `premix`."""
    return picture.rgb if picture.alpha is None else premix(picture.rgb, picture.alpha, hidden)


def gathered(x: Tensor, rows: Sequence[slice], columns: Sequence[slice]) -> Tensor:
    """`(B, C, H, W)`: what lies in bands of both."""
    if len(rows) > 1:
        x, rows = torch.cat([x[:, :, band] for band in rows], 2), [slice(None)]
    if len(columns) > 1:
        x, columns = torch.cat([x[:, :, :, band] for band in columns], 3), [slice(None)]
    return x[:, :, rows[0], columns[0]]


@dataclass(frozen=True)
class Finish:
    """The steps that `controls` ask for, in the order in which they are called. A picture that is never whole takes
    `detail` with a margin of `reach` pixels around a window, and the color maps from windows of its `bands`.

    `palettes`: of every region the colors of its style, or of one for each picture of a batch; none where colors stay.
    `stride`: of the model's cells, on which bands begin.
    """

    controls: Controls
    palettes: Sequence[ColorStatistics] = ()
    stride: int = 8

    @classmethod
    def of(cls, controls: Controls, styles_of: Sequence[Sequence[Style]], config: ModelConfig) -> Finish:
        """For regions in these styles, by a model of this architecture."""
        if not config.palette or not controls.palette_strength:
            return cls(controls, (), config.stride)
        found = [ColorStatistics.stacked([palette_of(style) for style in styles]) for styles in styles_of]
        known = any(bool(palette.weight.any()) for palette in found)
        return cls(controls, found if known else (), config.stride)

    @property
    def reach(self) -> int:
        """How many pixels around its own ones a window must have for `detail`."""
        return DETAIL_REACH if self.controls.detail else 0

    @property
    def matches(self) -> bool:
        """Whether the colors of the whole result must be known before `colors`."""
        return self.controls.color == "match" or bool(self.palettes)

    @property
    def needs_content(self) -> bool:
        """Whether `colors` looks at the content."""
        return self.controls.color is not None or bool(self.palettes)

    def bands(self, height: int, width: int, *weights: object) -> Bands:
        """Where `measure` looks. What masks or alpha, the `weights` that are not None, leave may be small, and the
        content's colors are matched as they are: everywhere."""
        if self.controls.color or any(weight is not None for weight in weights):
            return [slice(0, height)], [slice(0, width)]
        return measured_bands(height, self.stride), measured_bands(width, self.stride)

    def detail(self, output: Tensor, content: Tensor) -> Tensor:
        """First: the content's fine structure. `content`: `shown` of the same pixels, as in all steps."""
        return keep_detail(output, content, self.controls.detail)

    def measure(self, output: Tensor, content: Tensor, covers: Tensor | None, alpha: Tensor | None) -> Measured:
        """The colors of a window, of what is covered and visible. `covers`: `(B or 1, R, h, w)` of the regions."""
        parts: Sequence[Tensor | None] = [None if covers is None else total_cover(covers)]
        if covers is not None and self.palettes:
            parts = covers.chunk(covers.shape[1], 1)
        return [_colors(side, counting(cover, alpha)) for side in (output, content) for cover in parts]

    def maps_of(self, parts: Sequence[Measured]) -> list[ColorMap]:
        """A map for each region, or one to the content's colors, from what was measured in parts."""
        found = [reduce(ColorStatistics.merge, sides) for sides in zip(*parts, strict=True)]
        if self.palettes:
            sides = found[: len(self.palettes)], self.palettes, found[len(self.palettes) :]
            strength = self.controls.palette_strength
            return [palette_map(own, style, strength, content) for own, style, content in zip(*sides, strict=True)]
        return [match_map(*found)]

    def colors(self, output: Tensor, content: Tensor, maps: Sequence[ColorMap], covers: Tensor | None) -> Tensor:
        """Second: the colors that are wanted, as far as they are; `maps` is what `maps_of` gave, if it `matches`.
        `content` is looked at if it `needs_content`. The result may take the memory of `output`."""
        if self.palettes:
            rows = max(1, _STRIP // output.shape[3])
            for top in range(0, output.shape[2], rows):
                part, own = (x[:, :, top : top + rows] for x in (output, content))
                part.copy_(_mapped(part, own, maps, None if covers is None else covers[:, :, top : top + rows]))
            return output
        if not self.controls.color:
            return output
        kept = apply_map(output, maps[0]) if maps else keep_luma(output, content)
        return torch.lerp(output, kept, self.controls.color_strength)

    def cover(self, output: Tensor, original: Tensor, cover: Tensor | None) -> Tensor:
        """Last, before samples are rounded: the result where it is covered, the original where it is not."""
        return output if cover is None else torch.where(cover > 0, torch.lerp(original, output, cover), original)


def _colors(x: Tensor, weight: Tensor | None) -> ColorStatistics:
    return color_statistics(x, None if weight is None else weight.expand(len(x), -1, -1, -1))


def _mapped(output: Tensor, content: Tensor, maps: Sequence[ColorMap], covers: Tensor | None) -> Tensor:
    """Each pixel by the maps of the regions that it belongs to; where none covers it, it does not matter."""
    if covers is None or len(maps) == 1:
        return apply_map(output, maps[0], content)
    shares = (covers / covers.sum(1, keepdim=True).clamp_min(torch.finfo(covers.dtype).tiny)).to(output.device)
    total = torch.zeros_like(output)
    for share, color_map in zip(shares.chunk(len(maps), 1), maps, strict=True):
        total += share * apply_map(output, color_map, content)
    return total

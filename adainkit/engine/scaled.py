"""A stroke scale for a picture that is never whole in memory: what is whole is the picture at 1 / scale of its size.

It is gathered strip by strip, stylized, and brought to the full size strip by strip, with the edges of the content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ImageError
from ..images import Picture
from ..look.color import luma
from ..look.guided import DETAIL_REACH, Upsampler, working_size
from ..look.masks import resize, triangle_weights
from ..net.adain import Moments
from ..style import Style
from .memory import memory_budget
from .strips import Box, StripWork
from .whole import paint

__all__ = ["ScaledStrips"]

_FEW_PIXELS = 1 << 14  # that are kept however small the budget is
_BYTES = 160  # per pixel of a strip that is upsampled: a dozen float copies of RGB or luma, and the samples


class ScaledStrips(StripWork):
    """The work where `controls.scale` is above 1. `ImageError` if the picture does not fit into the budget even at its
    working size."""

    def _rows(self, styles: Sequence[Style], statistics: Sequence[Moments] | None) -> Iterator[np.ndarray[Any, Any]]:
        measures = self.finish.matches and self.held is None
        self._pass, self._passes = 0, 3 if measures else 2
        self._hidden = self._visible_colors(1000 * self._passes)
        larger = self._small_result(styles, statistics)
        colors = self.held or []
        if measures:
            parts = [found for part in self._strips(larger) for found in self._measured(*part)]
            colors = self.finish.maps_of(parts)
        for output, own, box in self._strips(larger):
            yield self._samples(output, own, box, colors)

    def _small_result(self, styles: Sequence[Style], statistics: Sequence[Moments] | None) -> Upsampler:
        """Pass one: the picture at its working size, stylized."""
        small = self._gathered()
        visible = None if self.source.like.alpha is None else small[:, 3:4]
        covers = None if self.covers is None else small[:, -len(self.covers) :]

        def tell(stage: str, done: int, total: int) -> None:
            self._tell((1 + done / total + (stage == "decode")) / 3)

        executor = self.executor
        features, own = executor.encode(small[:, :3], visible, tell)
        alphas, steady = self.controls.alphas(len(features)), statistics is not None
        by_region, size = [[style] for style in styles], small.shape[2:]
        output = paint(executor, features, statistics or own, by_region, alphas, size, covers, visible, steady, tell)
        return Upsampler(output.cpu(), luma(small[:, :3]), (self.source.height, self.source.width))

    def _gathered(self) -> Tensor:
        """`(1, 3 + alpha + regions, h, w)`: what the network sees, alpha and covers, at the working size."""
        height, width = self.source.height, self.source.width
        size = working_size(height, width, self.controls.scale)
        channels = 3 + (self.source.like.alpha is not None) + (0 if self.covers is None else len(self.covers))
        per_pixel = (
            sum(level.channels / level.stride**2 for level in self.executor.model.config.levels) + 2 * channels + 12
        )
        budget = memory_budget(torch.device("cpu"))
        if size[0] * size[1] > max(_FEW_PIXELS, budget / (4 * per_pixel)):
            raise ImageError(
                f"{self.source.name}: at 1 / {self.controls.scale:g} of its size it is {size[1]} x {size[0]} pixels, "
                "too many to keep in memory; take a larger scale, or set ADAINKIT_MEMORY higher"
            )
        small = torch.empty(1, channels, *size)
        rows = max(1, int(budget / (width * _BYTES * self.controls.scale)))
        for top in range(0, size[0], rows):
            self.at = f"row {top} of {size[0]} in pass 1 of {self._passes}"
            self._tell(top / size[0] / 3)
            bottom = min(size[0], top + rows)
            first, weights = triangle_weights(top, bottom, height, size[0])
            box = (first, first + weights.shape[1], 0, width)
            picture = self.source.window(*box)
            parts = [self._shown(picture), picture.alpha, None if self.covers is None else self.covers.window(*box)]
            seen = torch.cat([part for part in parts if part is not None], 1)
            small[:, :, top:bottom] = weights @ resize(seen, (seen.shape[2], size[1]))
        return small.clamp_(0, 1)

    def _strips(self, larger: Upsampler) -> Iterator[tuple[Tensor, Picture, Box]]:
        """A pass over the full size: the result, the picture, and where that is."""
        self._pass += 1
        height, width = self.source.height, self.source.width
        rows = int(memory_budget(torch.device("cpu")) / (width * _BYTES)) // self.stride * self.stride
        rows = max(rows, 4 * DETAIL_REACH // self.stride * self.stride, self.stride)
        margin = self.finish.reach
        for top in range(0, height, rows):
            self.at = f"row {top} of {height} in pass {1 + self._pass} of {self._passes}"
            self._tell(self._pass + top / height)
            bottom = min(height, top + rows)
            first, last = max(0, top - margin), min(height, bottom + margin)
            picture = self.source.window(first, last, 0, width)
            shown = self._shown(picture)
            output = self.finish.detail(larger.rows(first, last, shown), shown)
            inner = slice(top - first, bottom - first)
            yield output[:, :, inner], picture.part(inner), (top, bottom, 0, width)
        self._tell(self._pass + 1)

    def _tell(self, passes: float) -> None:
        if self.progress is not None:
            self.progress("stylize", round(1000 * passes), 1000 * self._passes)

"""Encoder and decoder: the layers of a configuration, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from .adain import AffineMap
from .config import ModelConfig
from .head import StyleHead
from .layers import Shuffle
from .words import Need

__all__ = ["Decoder", "Encoder", "Origin"]

Origin: TypeAlias = tuple[int | Tensor, int | Tensor]
"""Row and column of a window's first cell in the whole picture; integers, or tensors of one."""


class Encoder(nn.Module):
    """`(B, 3, H, W)` RGB in [0, 1], sides from `min_size` -> the levels' features, finest first, `(B, C, ceil(H / s),
    ceil(W / s))`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers, self.taps = nn.ModuleList(), set[int]()
        self._coarsest: torch.dtype | None = None
        for step in config.encoding:
            if step.row.build is None:
                self.taps.add(len(self.layers) - 1)
            else:
                self.layers.append(step.build())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        levels = []
        for index, layer in enumerate(self.layers):
            x = layer(x if self._coarsest is None or index < self._bound else x.to(self._coarsest))
            if index in self.taps:
                levels.append(x)
        return tuple(levels)

    def cast_coarsest(self, dtype: torch.dtype | None) -> None:
        """What lies behind the last but one level runs, and gives its features, in `dtype`; None: as it is."""
        self._coarsest = dtype if len(self.taps) > 1 else None
        for layer in self.layers[self._bound :] if self._coarsest is not None else ():
            layer.to(self._coarsest)

    @property
    def _bound(self) -> int:
        return 1 + sorted(self.taps)[-2] if len(self.taps) > 1 else len(self.layers)


class Decoder(nn.Module):
    """The levels' features after AdaIN, finest first -> `(B, 3, h * stride, w * stride)` float32 RGB, not clamped.

    `maps`: of the decoder's own places (`ModelConfig.places` behind the levels), in their order. `origin`: row and
    column of the window's first cell in the whole picture, in cells of the coarsest level.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self._needs: list[tuple[Need, ...]] = []
        self._scales: list[int] = []  # cells in front of a layer to one of the coarsest level
        for step in config.decoding:
            self.layers.append(step.build())
            self._needs.append(step.row.needs)
            self._scales.append(config.stride // step.before.stride)
        self.head = StyleHead(config) if config.code else None

    def forward(self, levels: Sequence[Tensor], maps: Sequence[AffineMap] = (), origin: Origin = (0, 0)) -> Tensor:
        *finer, x = levels
        last, left = len(self.layers) - 1, list(maps)
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Shuffle) and index == last - 1 and not torch.is_grad_enabled():
                return layer.then_rgb(x, self.layers[last])  # type: ignore[arg-type]
            given: list[object] = []
            for need in self._needs[index]:
                if need == "level":
                    given.append(finer.pop())
                elif need == "map":
                    given.append(left.pop(0).fitting(x))
                else:
                    given.append(tuple(cell * self._scales[index] for cell in origin))
            x = layer(x, *given)
        return x

"""The frozen network in whose features the losses are measured: VGG-19 to relu4_1 or relu5_1, of any width and file
layout."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .spaces import Space
from .vgg import DEEP_NAMES, VGG_NAMES, Layer, read_teacher, run_vgg

__all__ = ["DEEP_LAYERS", "LAYERS", "LossNetwork"]

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""What every `LossNetwork` gives, and what four layer weights of the settings are for."""
DEEP_LAYERS = (*LAYERS, "relu5_1")
"""What a deep one gives, and what five layer weights are for."""


class LossNetwork(nn.Module):
    """`(B, 3, H, W)` RGB in [0, 1], sides 16 or more (32 if `deep`) -> the features of `LAYERS`, or of `DEEP_LAYERS`
    where `deep` is set and the source goes on to relu5_1.

    `source` as in `vgg.read_vgg` (a file of one of its layouts, or "torchvision"; `WeightsError` if it does not fit),
    or what that gave. `spaces`: for every layer given, how its features lie in VGG-19's channels (`spaces.Space`); a
    source without maps to them is taken for VGG-19 itself.
    """

    def __init__(self, source: str | os.PathLike[str] | Sequence[Layer], deep: bool = False) -> None:
        super().__init__()
        layers, maps = read_teacher(source) if isinstance(source, (str, os.PathLike)) else (list(source), {})
        layers = layers if deep else layers[: len(VGG_NAMES)]
        self.names = DEEP_NAMES[: len(layers)]
        for name, (weight, bias) in zip(self.names, layers, strict=True):
            self.register_buffer(f"weight{name}", weight)
            self.register_buffer(f"bias{name}", bias)
        widths = {name: len(bias) for name, (_, bias) in zip(self.names, layers, strict=True) if name.endswith("1")}
        self.spaces = nn.ModuleList(
            Space(*maps.get(name, (torch.eye(width), torch.zeros(width)))) for name, width in widths.items()
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Run it; see the class."""
        layers = [(getattr(self, f"weight{name}"), getattr(self, f"bias{name}")) for name in self.names]
        return [features for name, features in run_vgg(layers, x) if name.endswith("1")]

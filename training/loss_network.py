"""The frozen network in whose features the losses are measured: VGG-19 to relu4_1, of any width and file layout."""

from __future__ import annotations

import os
from collections.abc import Sequence

from torch import Tensor, nn

from .vgg import VGG_NAMES, Layer, read_vgg, run_vgg

__all__ = ["LAYERS", "LossNetwork"]

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""What `LossNetwork` gives, and what the settings' layer weights are for."""


class LossNetwork(nn.Module):
    """`(B, 3, H, W)` RGB in [0, 1], sides 16 or more -> the features of `LAYERS`.

    `source` as in `vgg.read_vgg` (a file of one of its layouts, or "torchvision"; `WeightsError` if it does not fit),
    or what that gave.
    """

    def __init__(self, source: str | os.PathLike[str] | Sequence[Layer]) -> None:
        super().__init__()
        layers = read_vgg(source) if isinstance(source, (str, os.PathLike)) else source
        for name, (weight, bias) in zip(VGG_NAMES, layers, strict=True):
            self.register_buffer(f"weight{name}", weight)
            self.register_buffer(f"bias{name}", bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Run it; see the class."""
        layers = [(getattr(self, f"weight{name}"), getattr(self, f"bias{name}")) for name in VGG_NAMES]
        return [features for name, features in run_vgg(layers, x) if name.endswith("1")]

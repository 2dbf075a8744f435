"""The frozen network in whose features the losses are measured.

Here: VGG-19's topology to relu4_1 as the slim file of Collaborative Distillation (Wang et al., CVPR 2020; MIT) has it.
`conv0` is a 1x1 input map; `conv11 conv12 | conv21 conv22 | conv31..conv34 | conv41` are 3x3 behind reflection padding,
2x2 max-pools between.
"""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from adainkit.errors import WeightsError

__all__ = ["LossNetwork"]

_BLOCKS = (("11", "12"), ("21", "22"), ("31", "32", "33", "34"), ("41",))


class LossNetwork(nn.Module):
    """`(B, 3, H, W)` RGB in [0, 1], sides 16 or more -> relu1_1, relu2_1, relu3_1, relu4_1. `WeightsError` if the file
    does not fit."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path}: cannot be read as the loss network's .safetensors ({error})") from error
        for name in ("0", *(n for block in _BLOCKS for n in block)):
            weight, bias = tensors.get(f"conv{name}.weight"), tensors.get(f"conv{name}.bias")
            if weight is None or bias is None:
                raise WeightsError(f"{path}: has no conv{name}; expected conv0, conv11 ... conv41 (VGG-19 to relu4_1)")
            self.register_buffer(f"weight{name}", weight.contiguous(memory_format=torch.channels_last))
            self.register_buffer(f"bias{name}", bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Run it; see the class."""
        x, found = F.conv2d(x, self.weight0, self.bias0), []
        for block in _BLOCKS:
            if found:
                x = F.max_pool2d(x, 2)
            for name in block:
                x = F.pad(x, (1, 1, 1, 1), mode="reflect")
                x = F.relu(F.conv2d(x, getattr(self, f"weight{name}"), getattr(self, f"bias{name}")))
                if name.endswith("1"):
                    found.append(x)
        return found

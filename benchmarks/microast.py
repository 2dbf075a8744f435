"""MicroAST as published (Wang et al., AAAI 2023), written out: with its weights, for what its pictures look like.

The weights are four files of the authors' repository (github.com/EndyWon/MicroAST, folder `models`, MIT); none is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .networks import adain, mean_std

__all__ = ["Painter"]

Weights = Mapping[str, Tensor]
Pixels = NDArray[np.uint8]
_FILES = ("content_encoder", "style_encoder", "modulator", "decoder")


class Painter:
    """Paints `(H, W, 3)` uint8 pictures in the style of one. `folder` has the four files of weights."""

    def __init__(self, folder: Path, style: Pixels) -> None:
        found = [torch.load(folder / f"{name}_iter_160000.pth.tar", weights_only=True) for name in _FILES]
        self._content, encoder, modulator, self._decoder = found
        features = _encode(_tensor(style), encoder)
        self._statistics = [mean_std(level) for level in features]
        self._filters = [
            [
                _convolved(level, modulator, f"{kind}{number}.0").mean((2, 3), keepdim=True)
                for kind in ("weight", "bias")
            ]
            for number, level in enumerate(features, 1)
        ]

    @torch.inference_mode()
    def paint(self, picture: Pixels) -> Pixels:
        """One picture, of the same size."""
        x = _encode(_tensor(picture), self._content)[1]
        for number, level in ((1, 1), (2, 0)):
            x = _residual(adain(x, *self._statistics[level]), self._decoder, f"dec{number}", self._filters[level])
        for first in (1, 6):
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
            for layer in (first, first + 2):
                x = _convolved(x, self._decoder, f"dec3.{layer}").relu()
        x = _convolved(x, self._decoder, "dec3.10")[0, :, : picture.shape[0], : picture.shape[1]]
        return (x.clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()


def _tensor(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def _encode(x: Tensor, weights: Weights) -> list[Tensor]:
    """The features at both levels, a quarter as wide as the picture."""
    for layer, stride in ((0, 1), (2, 2), (4, 1), (6, 2), (8, 1)):
        x = _convolved(x, weights, f"enc1.{layer}", stride).relu()
    x = _residual(x, weights, "enc1.10")
    return [x, _residual(x, weights, "enc2.0")]


def _residual(x: Tensor, weights: Weights, name: str, filters: list[Tensor] | None = None) -> Tensor:
    """A residual layer; `filters`: the scale and the shift of both of its convolutions, which a style gives."""
    scale, shift = filters or [torch.ones(()), torch.zeros(())]
    hidden = (scale * _convolved(x, weights, f"{name}.conv1") + shift * x).relu()
    return x + scale * _convolved(hidden, weights, f"{name}.conv2") + shift * hidden


def _convolved(x: Tensor, weights: Weights, name: str, stride: int = 1) -> Tensor:
    """A convolution behind reflection padding, in as many groups as its weights say."""
    weight, bias = (weights[f"{name}.conv_layer.{kind}"] for kind in ("weight", "bias"))
    padded = F.pad(x, [weight.shape[-1] // 2] * 4, mode="reflect")
    return F.conv2d(padded, weight, bias, stride, groups=x.shape[1] // weight.shape[1])

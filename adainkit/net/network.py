"""What the engine asks of a network: a model in torch is one, another runtime may be one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from .adain import AffineMap, Moments
from .config import ModelConfig

__all__ = ["Network"]


class Network(Protocol):
    """Features in, maps between, a picture out; every method as `AdaINModel` describes it.

    Padding of small pictures, tiles, regions and cropping are outside of it. What is the same for a whole picture is in
    the maps, so that every tile of it is decoded with the same ones.
    """

    @property
    def config(self) -> ModelConfig:
        """Its architecture: the engine takes levels, places, halos and memory from it."""

    @property
    def digest(self) -> str:
        """Names the encoder: what a `Style` is bound to."""

    @property
    def kept(self) -> torch.dtype | None:
        """What features are kept as without a loss that is seen; None: as they come."""

    @property
    def layout(self) -> torch.memory_format:
        """In which order it gives the values of features, and takes them fastest."""

    @property
    def taken(self) -> torch.memory_format:
        """In which order it takes the values of pictures fastest."""

    @property
    def keeps_memory(self) -> bool:
        """Whether it computes windows of a size in memory that is there from the last one, and another size is dear:
        tiles are then all of one size, and large."""

    def encode(self, x: Tensor) -> Sequence[Tensor]:
        """A picture `(B, 3, H, W)` -> the features of `config.levels`."""

    def style_tensors(self, features: Sequence[Tensor], statistics: Sequence[Moments]) -> dict[str, Tensor]:
        """What a style holds, `config.style_shapes`, of the features of its picture and their statistics."""

    def modulate(
        self, statistics: Sequence[Moments], styles: Sequence[Mapping[str, Tensor]], alphas: Sequence[float]
    ) -> Sequence[AffineMap]:
        """The content's statistics and a style's tensors -> the maps of `config.places`."""

    def decode(self, features: Sequence[Tensor], maps: Sequence[AffineMap], origin: tuple[int, int] = (0, 0)) -> Tensor:
        """Features and maps of a window, whose first cell is `origin` in the whole picture -> its pixels."""

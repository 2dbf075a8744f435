"""The engine's `Network` with encoder and decoder in another runtime than torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..net.adain import AffineMap, Moments
from ..net.config import ModelConfig
from ..net.model import AdaINModel
from . import coders
from .coders import Precision
from .engines import Program, load_program

__all__ = ["CompiledNetwork", "compile_network"]


@dataclass(frozen=True)
class CompiledNetwork:
    """A model whose convolutions an engine runs, on the CPU; float32 tensors in and out.

    What is computed once for a picture, the maps of its style, is the model's in torch.
    """

    model: AdaINModel
    encoder: Program
    decoder: Program
    mixed: bool = False  # features are float32, whatever is computed inside

    @property
    def config(self) -> ModelConfig:
        """The model's."""
        return self.model.config

    @property
    def digest(self) -> str:
        """The model's."""
        return self.model.digest

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """As `AdaINModel.encode`."""
        return tuple(map(torch.from_numpy, self.encoder({"picture": x.float().contiguous().numpy()})))

    def style_tensors(self, features: Sequence[Tensor], statistics: Sequence[Moments]) -> dict[str, Tensor]:
        """As `AdaINModel.style_tensors`."""
        return self.model.style_tensors(features, statistics)

    def modulate(
        self, statistics: Sequence[Moments], styles: Sequence[Mapping[str, Tensor]], alphas: Sequence[float]
    ) -> list[AffineMap]:
        """As `AdaINModel.modulate`."""
        return self.model.modulate(statistics, styles, alphas)

    def decode(self, features: Sequence[Tensor], maps: Sequence[AffineMap], origin: tuple[int, int] = (0, 0)) -> Tensor:
        """As `AdaINModel.decode`."""
        inputs = {f"level{i}": f.float().contiguous().numpy() for i, f in enumerate(features)}
        # a map may go on beyond the features
        sides = coders.place_sides(self.config, [f.shape[2:] for f in features])
        for i, (affine, side) in enumerate(zip(maps, sides, strict=True)):
            fitted = affine.window(slice(side[0]), slice(side[1]))
            for part in ("center", "gain", "shift") if i < len(features) else ("gain", "shift"):
                values = getattr(fitted, part)
                inputs[f"{part}{i}"] = (values if values.ndim == 4 else values[:, :, None, None]).contiguous().numpy()
        if coders.moves(self.config):
            inputs["origin"] = torch.tensor([int(cell) for cell in origin]).numpy()
        return torch.from_numpy(self.decoder(inputs)[0])


def compile_network(
    model: AdaINModel, engine: str, precision: Precision, *, threads: int, cache: Path | None = None
) -> CompiledNetwork:
    """`model`, which is float32 on the CPU, for an engine. Errors: `load_program`."""
    tensors = {name: t.numpy() for name, t in model.state_dict().items()}
    programs = [
        load_program(engine, make(model.config, tensors, precision).SerializeToString(), threads=threads, cache=cache)
        for make in (coders.encoder, coders.decoder)
    ]
    return CompiledNetwork(model, *programs)

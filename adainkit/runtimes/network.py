"""The engine's `Network` with encoder and decoder in another runtime than torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..net.adain import AffineMap, Moments
from ..net.config import ModelConfig
from ..net.model import AdaINModel
from . import coders
from .coders import Precision
from .engines import Program, load_program
from .tensorrt_engine import load_engine, profiles

__all__ = ["CompiledNetwork", "compiled"]


@dataclass(frozen=True)
class CompiledNetwork:
    """A model, float32 on the CPU (for TensorRT on its GPU), whose convolutions an engine runs in `precision`; float32
    tensors in and out.

    The maps of a style, which are computed once for a picture, are the model's in torch. The two graphs are compiled
    when they are first needed; `cache` and `calls` as in `load_program`.
    """

    model: AdaINModel
    engine: str
    precision: Precision = "float32"
    threads: int = 1
    cache: Path | None = None
    layout: torch.memory_format = torch.contiguous_format
    calls: int = 1

    @property
    def kept(self) -> torch.dtype:
        """The features' type, as the graphs take and give them."""
        kinds = {"float32": torch.float32, "mixed": torch.float16, "bfloat16": torch.bfloat16, "float16": torch.float16}
        return kinds[self.precision]

    @property
    def config(self) -> ModelConfig:
        """The model's."""
        return self.model.config

    @property
    def digest(self) -> str:
        """The model's."""
        return self.model.digest

    @property
    def keeps_memory(self) -> bool:
        """OpenVINO compiles for a size (`engines`)."""
        return self.engine == "openvino"

    @property
    def taken(self) -> torch.memory_format:
        """OpenVINO is given pictures as files have them, and gives them so: what it computes in lies so, too."""
        return torch.channels_last if self.keeps_memory else torch.contiguous_format

    @cached_property
    def encoder(self) -> Program:
        """The compiled encoder."""
        return compiled(self, coders.encoder)

    @cached_property
    def decoder(self) -> Program:
        """The compiled decoder."""
        return compiled(self, coders.decoder)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """As `AdaINModel.encode`."""
        picture = _array(x.permute(0, 2, 3, 1) if self.keeps_memory else x)
        return tuple(map(_tensor, self.encoder({"picture": picture}).values()))

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
        inputs = {f"level{i}": _array(f, self.kept) for i, f in enumerate(features)}
        sides = coders.place_sides(self.config, [f.shape[2:] for f in features])
        for i, (affine, (rows, columns)) in enumerate(zip(maps, sides, strict=True)):
            own = affine.window(slice(rows), slice(columns))  # a map may go on beyond the features
            for part in coders.parts_of(i, len(features)):
                values: Tensor = getattr(own, part)
                inputs[f"{part}{i}"] = _array(values if values.ndim == 4 else values[:, :, None, None])
        if coders.moves(self.config):
            inputs["origin"] = torch.tensor([int(cell) for cell in origin]).numpy()
        found = _tensor(self.decoder(inputs)["picture"])
        return found.permute(0, 3, 1, 2) if self.keeps_memory else found


def compiled(network: CompiledNetwork, make: Any) -> Program:
    """One of the graphs of `coders`, ready to run; "maps", which exports have, in float32."""
    model, kept = network.model, "BFLOAT16" if network.kept == torch.bfloat16 else "FLOAT16"
    kinds = {"precision": network.precision, "kept": kept, "last": network.keeps_memory}
    tensors = {name: t.detach().cpu().numpy() for name, t in model.state_dict().items()}
    graph = make(model.config, tensors, **({} if make is coders.maps else kinds)).SerializeToString()
    if network.engine == "tensorrt":
        device = next(model.parameters()).device
        return load_engine(graph, profiles(model.config)[make.__name__], device, network.cache)
    return load_program(network.engine, graph, threads=network.threads, cache=network.cache, calls=network.calls)


def _array(x: Tensor, kind: torch.dtype = torch.float32) -> Any:
    x = x.detach().to(kind).contiguous()
    if x.is_cuda:  # TensorRT takes tensors as they are, and gives them
        return x
    return x.view(torch.uint16).numpy() if kind == torch.bfloat16 else x.numpy()


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    return torch.from_numpy(x).view(torch.bfloat16) if x.dtype == np.uint16 else torch.from_numpy(x)

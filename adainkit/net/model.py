"""AdaINModel: a configuration, its encoder and its decoder, read from and written to one .safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..atomic import write_atomically
from ..errors import ModelError, WeightsError
from .adain import AffineMap, Moments, affine_map, apply_affine
from .coders import Decoder, Encoder, Origin
from .config import ModelConfig
from .digest import digest
from .head import Statistics
from .layers import no_autocast

__all__ = ["FORMAT_VERSION", "AdaINModel"]

FORMAT_VERSION = "2"
"""The version of the model file, which holds the tensors `encoder.*` and `decoder.*` and, in its metadata, what
`_OWN_FACTS` names. Format 2 is that of a decoder that knows the style; every other model is written in format 1, which
older releases read."""
_READABLE = ("1", FORMAT_VERSION)
_OWN_FACTS = ("format_version", "config", "encoder_sha256", "decoder_sha256")


class AdaINModel(nn.Module):
    """An encoder and its decoder. Takes plain RGB in [0, 1]; differentiable; random weights until some are loaded.

    It is the `Network` of the engine in torch: `encode`, `modulate` and `decode` are all that it is asked for.
    """

    taken = torch.channels_last
    """Pictures lie as features do: see `layout`."""
    keeps_memory = False
    """torch takes new memory for every tensor."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        with torch.inference_mode(False):  # made inside somebody's inference mode, it is an ordinary model all the same
            self.encoder = Encoder(config)
            self.decoder = Decoder(config)
        self.metadata: dict[str, str] = {}

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)`, RGB, [0, 1] -> features of every AdaIN level, finest first, `(B, C, ceil(H / stride), ceil(W
        / stride))`.

        `ModelError` for another shape, and for a side below `config.min_size`.
        """
        if x.ndim != 4 or x.shape[1] != 3 or 0 in x.shape:
            raise ModelError(f"encode expects (B, 3, H, W) with nothing empty, got {tuple(x.shape)}")
        if min(x.shape[2:]) < self.config.min_size:
            raise ModelError(
                f"encode expects sides of {self.config.min_size} pixels or more, got {tuple(x.shape[2:])}; "
                "replicate the border of a smaller picture up to that"
            )
        levels: tuple[Tensor, ...] = self.encoder(x)
        return levels

    def style_tensors(self, features: Sequence[Tensor], statistics: Sequence[Moments]) -> dict[str, Tensor]:
        """The tensors of a style (`config.style_shapes`), made from the features of its picture and their statistics.

        The pictures of a batch count in equal shares.
        """
        means = {f"mean{i}": m.mean.mean(0) for i, m in enumerate(statistics)}
        return means | {f"std{i}": m.std.mean(0) for i, m in enumerate(statistics)}

    def modulate(
        self, statistics: Sequence[Moments], styles: Sequence[Mapping[str, Tensor]], alphas: Sequence[float]
    ) -> list[AffineMap]:
        """The map of each of `config.places`, on the device of `statistics`, those of the content, level by level.

        `styles`: the tensors of one style, or of one for each picture of a batch. `alphas`: a strength for each level.
        """
        device = statistics[0].mean.device
        wanted = [
            (_stacked(styles, f"mean{i}", device), _stacked(styles, f"std{i}", device)) for i in range(len(statistics))
        ]
        return self.maps([(m.mean, m.std) for m in statistics], wanted, alphas)

    def maps(self, content: Statistics, style: Statistics, alphas: Sequence[Tensor | float]) -> list[AffineMap]:
        """What `modulate` gives, from means and deviations `(B, C)` of both, level by level; differentiable.

        `alphas`: by level, numbers or `(B, 1)` tensors.
        """
        with no_autocast(content[0][0].device.type):
            found = [
                affine_map(*c, *s, alpha, self.config.gain_cap)
                for c, s, alpha in zip(content, style, alphas, strict=True)
            ]
            if self.decoder.head is not None:
                found += self.decoder.head(content, style, alphas)
        return found

    def decode(self, features: Sequence[Tensor], maps: Sequence[AffineMap], origin: Origin = (0, 0)) -> Tensor:
        """Features of every level under the maps of `config.places`, decoded to `(B, 3, h * stride, w * stride)`
        float32 RGB, not clamped.

        Crop the result to the picture's size: `decode(...)[..., :height, :width]`. A map may go on beyond the features.
        `origin`: row and column of the first cell in the whole picture, in cells of the coarsest level, where the
        features are a window of it.
        """
        kind = _kind(self.decoder) if self.kept else None  # None: the features', which autocast may have rounded
        levels = len(self.config.levels)
        mapped = [apply_affine(f, m.fitting(f), kind) for f, m in zip(features, maps[:levels], strict=True)]
        output: Tensor = self.decoder(mapped, maps[levels:], origin)
        return output

    @property
    def kept(self) -> torch.dtype | None:
        """float16 where encoder and decoder were given two types by `cast`: with a decoder in bfloat16, 11 bits are
        enough, in half the memory. None: as they come."""
        return torch.float16 if _kind(self.encoder) != _kind(self.decoder) else None

    @property
    def layout(self) -> torch.memory_format:
        """Channels last: the fastest for convolutions in torch."""
        return torch.channels_last

    def cast(self, encoder: torch.dtype, decoder: torch.dtype) -> None:
        """Round the parameters: the encoder's, and the decoder's but for its last layer, which stays float32.

        Two types are a mixed precision: `decode` then brings features of the one to the other behind AdaIN, which
        amplifies what was rounded before it (a flat picture's features up to `config.gain_cap` times). Of the encoder's
        levels the coarsest, where the least of that is seen, goes with the decoder, unless it is the only one.
        """
        self.encoder.to(encoder)
        self.encoder.cast_coarsest(decoder if decoder != encoder else None)
        for layer in self.decoder.layers[:-1]:
            layer.to(decoder)

    @property
    def digest(self) -> str:
        """sha256 of the encoder's tensors as they are: what a `Style` is bound to. A decoder may be fine-tuned under
        it."""
        return _digest(self.state_dict(), "encoder.")

    def save(
        self,
        path: str | os.PathLike[str],
        metadata: Mapping[str, str] | None = None,
        dtype: torch.dtype = torch.float16,
    ) -> Path:
        """Write a .safetensors file of `dtype`, whole or not at all; `WeightsError` if that cannot be done.

        `metadata`: more strings, over the model's own. Styles belong to the values as they are written: encode them
        with the model that is loaded again, when `dtype` rounds.
        """
        tensors = {name: t.detach().to("cpu", dtype).contiguous() for name, t in self.state_dict().items()}
        facts = {
            **self.metadata,
            **(metadata or {}),
            "format_version": FORMAT_VERSION if self.config.code else "1",
            "config": self.config.to_json(),
            "encoder_sha256": _digest(tensors, "encoder."),
            "decoder_sha256": _digest(tensors, "decoder."),
        }
        try:
            return write_atomically(path, save(tensors, facts))
        except OSError as error:
            raise WeightsError(f"{path}: the model cannot be written ({error.strerror or error})") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AdaINModel:
        """Read a file that `save` wrote: float32, on the CPU, in eval mode. `WeightsError` if it is missing, damaged or
        something else."""
        try:
            with safe_open(path, "pt") as file:
                facts = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path}: cannot be read as a model file ({error})") from error
        if "config" not in facts:
            raise WeightsError(
                f"{path}: has no model configuration in its metadata; expected a file written by adainkit"
            )
        if facts.get("format_version") not in _READABLE:
            raise WeightsError(
                f"{path}: format {facts.get('format_version')}, expected {' or '.join(_READABLE)}; update adainkit"
            )
        for part in ("encoder", "decoder"):
            if _digest(tensors, f"{part}.") != facts.get(f"{part}_sha256"):
                raise WeightsError(
                    f"{path}: the {part}'s checksum differs from its metadata; the file is damaged, get it again"
                )
        try:
            with torch.device("meta"):  # no random numbers are drawn for what the file overwrites
                model = cls(ModelConfig.from_json(facts["config"]))
            with torch.inference_mode(False):
                wide = {name: t.to(torch.float32, copy=True) for name, t in tensors.items()}  # not the file's memory
                model.load_state_dict(wide, assign=True)
        except ModelError as error:
            raise WeightsError(f"{path}: unusable model configuration: {error}") from error
        except RuntimeError as error:
            raise WeightsError(f"{path}: tensors do not fit the file's own configuration ({error})") from error
        model.metadata = {k: v for k, v in facts.items() if k not in _OWN_FACTS}
        return model.eval().requires_grad_(False)


def _stacked(styles: Sequence[Mapping[str, Tensor]], name: str, device: torch.device) -> Tensor:
    return torch.stack([style[name] for style in styles]).to(device, torch.float32)


def _kind(part: nn.Module) -> torch.dtype | None:
    first = next(part.parameters(), None)
    return None if first is None else first.dtype


def _digest(tensors: Mapping[str, Tensor], prefix: str) -> str:
    own = {name: t.detach().to("cpu", torch.float32).numpy() for name, t in tensors.items() if name.startswith(prefix)}
    return digest(own, prefix)

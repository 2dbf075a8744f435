"""Style: the channel statistics of one or several pictures under one encoder, a few kilobytes; presets; the cache of
styles."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from . import preset_list
from .atomic import write_atomically
from .errors import StyleError
from .moved import moved_name
from .net.adain import blend
from .preset_list import STYLE_VERSIONS, Preset, check_version, presets_file, styles

__all__ = [
    "Preset",
    "Style",
    "interpolate",
    "presets_file",
    "styles",
    "write_presets",
]

FORMAT_VERSION, _MORE_VERSION = STYLE_VERSIONS
PALETTE = {"color_mean": (3,), "color_covariance": (3, 3)}
"""The tensors of a style's colors, RGB in [0, 1], and their shapes: `look.color.palette_of`."""


@dataclass(frozen=True, eq=False, init=False)
class Style:
    """What a network needs to know of a style: `tensors`, named as in `ModelConfig.style_shapes`, float32 on the CPU.

    The channel means and deviations of each AdaIN level, `means` and `stds`, are always among them: the finest level
    comes first, each tensor is `(C,)`. They alone are enough to make a style: `Style(means, stds, digest)`. The mean
    `(3,)` and covariance `(3, 3)` of its colors, `color_mean` and `color_covariance`, are there for models that give
    results their styles' palettes; without them the model's colors stay as they come.

    `digest` names the encoder (`AdaINModel.digest`): only models with that encoder can apply the style. `name` and
    `description` are for people.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    digest: str
    name: str
    description: str

    def __init__(
        self,
        means: Sequence[Tensor] = (),
        stds: Sequence[Tensor] = (),
        digest: str = "",
        name: str = "",
        description: str = "",
        *,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> None:
        if tensors is None:
            tensors = {f"{kind}{i}": v for kind, found in (("mean", means), ("std", stds)) for i, v in enumerate(found)}
        facts = {"tensors": tensors, "digest": digest, "name": name, "description": description}
        for key, value in facts.items():
            object.__setattr__(self, key, value)

    @property
    def means(self) -> tuple[Tensor, ...]:
        """The channels' means, level by level."""
        return self._levels("mean")

    @property
    def stds(self) -> tuple[Tensor, ...]:
        """The channels' deviations, level by level."""
        return self._levels("std")

    def _levels(self, kind: str) -> tuple[Tensor, ...]:
        return tuple(self.tensors[f"{kind}{i}"] for i in range(sum(key.startswith("mean") for key in self.tensors)))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a .safetensors file, completely or not at all, and return its path. `StyleError` if that
        cannot be done."""
        plain = len(self.tensors) == len(self.means) + len(self.stds)
        facts = {
            "format_version": FORMAT_VERSION if plain else _MORE_VERSION,
            "encoder_sha256": self.digest,
            "name": self.name,
            "description": self.description,
        }
        try:
            return write_atomically(path, save(_tensors(self, ""), facts))
        except OSError as error:
            raise StyleError(f"{path}: the style cannot be written ({error.strerror or error})") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Style:
        """Read a file that `save` wrote. `StyleError` if it is missing, damaged or something else."""
        facts, tensors = _read(path)
        if "config" in facts:
            raise StyleError(
                f"{path}: is a model, not a style; give it as the model, and a picture or a style file as the style"
            )
        return _style(
            tensors,
            "",
            facts.get("encoder_sha256", ""),
            facts.get("name", ""),
            facts.get("description", ""),
            path,
        )

    @classmethod
    def blend(cls, parts: Iterable[tuple[Style, float]] | Mapping[Style, float]) -> Style:
        """The weighted mean of styles of one encoder: `Style.blend([(a, 0.7), (b, 0.3)])`, or a mapping.

        Weights are scaled to sum 1. `StyleError` for none, negative or all-zero weights, or styles of several encoders.
        """
        pairs = list(parts.items() if isinstance(parts, Mapping) else parts)
        weights = [float(w) for _, w in pairs]
        styles_of = [s for s, _ in pairs]
        for style in styles_of:
            if not isinstance(style, Style):
                raise StyleError(
                    f"a blend is of Styles, got {style!r}; use Stylizer.as_style(...) for a picture, Style.preset(...)"
                )
        if len({s.digest for s in styles_of}) > 1:
            raise StyleError("styles of different encoders cannot be mixed; encode all of them with one model")
        if not styles_of:
            raise StyleError("a blend needs at least one style")
        names = [name for name in styles_of[0].tensors if name not in PALETTE or all(map(has_palette, styles_of))]
        if any(set(s.tensors) - set(PALETTE) != set(names) - set(PALETTE) for s in styles_of):
            raise StyleError("styles that hold different tensors cannot be mixed; encode all of them with one model")
        with torch.inference_mode(False):  # ordinary tensors, whatever mode the caller is in
            mixed = {name: blend([s.tensors[name] for s in styles_of], weights) for name in names}
        name = " + ".join(f"{s.name or 'style'}:{w:g}" for s, w in pairs)
        return cls(tensors=mixed, digest=styles_of[0].digest, name=name)

    @classmethod
    def preset(cls, name: str, model: str = "lite") -> Style:
        """A style that comes with the package; `styles(model)` lists them. An unknown name is a `StyleError`, which
        names the styles that there are."""
        file = preset_list.presets_file(model)
        known = styles(model)
        if name not in known:
            there = ", ".join(known) if known else f"none for the model {model!r}"
            raise StyleError(f"no preset is called {name!r}; there are: {there}")
        facts, tensors = _read(file)
        return _style(tensors, f"{name}.", facts["encoder_sha256"], name, known[name].description, file)


def has_palette(style: Style) -> bool:
    """Whether a style knows its colors."""
    return all(name in style.tensors for name in PALETTE)


def interpolate(styles: Sequence[Style], n: int) -> list[Any]:
    """Make the steps between two styles, or the grid between four styles.

    - Two styles: a list of `n` styles in even steps, from the first style to the second.
    - Four styles (top left, top right, bottom left, bottom right): a list of `n` rows of `n` styles, with the given
      ones at the corners and bilinear shares between them, as in the figure of the AdaIN paper.

    The ends and corners are the given styles themselves. `StyleError` for another number of styles, for `n` below 2,
    and for styles of several encoders.

    >>> [style.name for style in interpolate([Style.preset("iris"), Style.preset("ember")], 3)]
    ['iris', 'iris:0.5 + ember:0.5', 'ember']
    """
    corners = list(styles)
    if len(corners) not in (2, 4):
        raise StyleError(f"interpolate is between 2 or 4 styles, got {len(corners)}; Style.blend mixes any number")
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise StyleError(f"interpolate makes 2 or more steps, both ends among them, got {n!r}")
    Style.blend([(corner, 1.0) for corner in corners])  # an error here, before any of the work
    steps = [step / (n - 1) for step in range(n)]
    if len(corners) == 2:
        return [_mixed(corners, (1 - x, x)) for x in steps]
    return [[_mixed(corners, ((1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x)) for x in steps] for y in steps]


def _mixed(corners: Sequence[Style], shares: Sequence[float]) -> Style:
    """`Style.blend` of those that have a share; a style alone is itself."""
    parts = [(style, share) for style, share in zip(corners, shares, strict=True) if share]
    return parts[0][0] if len(parts) == 1 else Style.blend(parts)


def write_presets(model: str, found: Mapping[Preset, Style]) -> Path:
    """Write a model's presets, statistics of pictures and nothing else, into the package; the path back."""
    tensors = {k: v for preset, style in found.items() for k, v in _tensors(style, f"{preset.name}.").items()}
    rows = [{"name": p.name, "description": p.description, "source": p.source} for p in found]
    digests = {s.digest for s in found.values()}
    if len(digests) != 1:
        raise StyleError(f"presets of one encoder expected, got {len(digests)}")
    version = _MORE_VERSION if any(map(has_palette, found.values())) else FORMAT_VERSION
    facts = {"format_version": version, "encoder_sha256": digests.pop(), "presets": json.dumps(rows)}
    return write_atomically(preset_list.presets_file(model), save(tensors, facts))


def _tensors(style: Style, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": v.detach().cpu().contiguous().clone() for name, v in style.tensors.items()}


def _style(
    tensors: Mapping[str, Tensor], prefix: str, digest: str, name: str, description: str, where: object
) -> Style:
    own = {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}
    count = sum(key.startswith("mean") for key in own)
    levels = [f"{kind}{i}" for kind in ("mean", "std") for i in range(count)]
    if missing := [key for key in levels if key not in own]:
        raise StyleError(f"{where}: is not a style, the tensor {missing[0]!r} is missing")
    whole = all(v.is_floating_point() and bool(torch.isfinite(v).all()) for v in own.values())
    if not levels or not digest or not whole or any(own[key].ndim != 1 for key in levels):
        raise StyleError(f"{where}: is not a style; expected finite tensors mean0, std0 ... and an encoder's digest")
    return Style(tensors=own, digest=digest, name=name, description=description)


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        # copies, since what safe_open gives changes with the file, and ordinary ones, whatever mode the caller is in
        with torch.inference_mode(False), safe_open(path, "pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise StyleError(f"{path}: cannot be read as a style ({error}); encode its picture again") from error
    check_version(path, facts)
    return facts, tensors


def __getattr__(name: str) -> Any:
    if name in ("StyleCache", "style_key"):
        return moved_name(__name__, name, "store.style_cache")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""A style may be named in several ways: this finds what a name or a path means."""

from __future__ import annotations

import os
from pathlib import Path

from .net.config import ModelConfig
from .preset_list import check_style, is_file, styles
from .style import PALETTE, Style

__all__ = ["find_style", "fits"]


def find_style(name: str | os.PathLike[str], model: str, digest: str) -> Style | Path:
    """A saved style or a preset of the `model` with that encoder; the path where it is a picture, to be encoded.

    An existing file first, then a preset. `StyleError` for what is neither, with the nearest presets.
    """
    presets = styles(model, digest=digest)
    check_style(name, presets, model)
    path = Path(name)
    if not is_file(path):
        return Style.preset(str(name), model)
    return Style.load(path) if path.suffix.lower() == ".safetensors" else path


def fits(style: Style, config: ModelConfig) -> bool:
    """Whether its tensors are what the model asks for, as in an undamaged style of its encoder they are."""
    found = {name: tuple(v.shape) for name, v in style.tensors.items()}
    colors = all(found.get(name, shape) == shape for name, shape in PALETTE.items())
    return colors and all(found.get(name) == shape for name, shape in config.style_shapes.items())

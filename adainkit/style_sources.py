"""A style may be named in several ways: this finds what a name or a path means."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from .errors import StyleError
from .net.config import ModelConfig
from .preset_list import styles
from .style import Style

__all__ = ["find_style", "fits"]


def find_style(name: str | os.PathLike[str], model: str, digest: str) -> Style | Path:
    """A saved style or a preset of the `model` with that encoder; the path where it is a picture, to be encoded.

    An existing file first, then a preset. `StyleError` for what is neither, with the nearest presets.
    """
    path = Path(name)
    if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name that is too long for a file
        return Style.load(path) if path.suffix.lower() == ".safetensors" else path
    presets = styles(model, digest=digest)
    if str(name) in presets:
        return Style.preset(str(name), model)
    close = difflib.get_close_matches(str(name), presets, n=3)
    if close:
        there = f"did you mean {' or '.join(map(repr, close))}?"
    elif presets:
        there = f"the presets are: {', '.join(presets)}"
    else:
        there = f"there are no presets for this {model!r} model"
    raise StyleError(f"{os.fspath(name)!r} is neither an existing file nor a preset; {there}")


def fits(style: Style, config: ModelConfig) -> bool:
    """Whether its tensors are what the model asks for, as in an undamaged style of its encoder they are."""
    found = {name: tuple(v.shape) for name, v in style.tensors.items()}
    return all(found.get(name) == shape for name, shape in config.style_shapes.items())

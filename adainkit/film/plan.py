"""What the pictures of a film depend on: a run goes on only where all of it is the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..net.digest import digest
from ..style import Style
from .library import need_av
from .painting import Look
from .pictures import files_of

if TYPE_CHECKING:
    from ..stylizer import Stylizer

__all__ = ["plan_of"]


def plan_of(
    stylizer: Stylizer,
    source: str | os.PathLike[str],
    look: Look,
    mask: Any,
    fps: float | Fraction | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """All of it, as JSON holds it: files by their names, sizes and times, everything else by its values."""
    if mask is not None and not isinstance(mask, (str, os.PathLike)):
        mask = _digest(look.mask.still)
    elif mask is not None:
        mask = _stamp(mask)
    network = [stylizer.digest, _decoder_digest(stylizer), stylizer.precision, stylizer.device.type]
    return {
        "source": _stamp(source),
        "mask": mask,
        "fps": None if fps is None else str(fps),
        "model": [*network, stylizer.runtime],
        "style": [[float(time), _style_digest(style)] for time, style in look.styles.keys],
        "PyAV": need_av().__version__,
        "options": dict(options),
    }


def _stamp(path: str | os.PathLike[str]) -> list[Any]:
    """The name, and of its files how many they are, their sizes in sum and the newest time."""
    facts = [each.stat() for each in files_of(path)]
    newest = max((each.st_mtime_ns for each in facts), default=0)
    return [os.path.realpath(path), len(facts), sum(each.st_size for each in facts), newest]


def _digest(pixels: Any) -> str:
    array = np.ascontiguousarray(pixels.detach().cpu().numpy() if isinstance(pixels, Tensor) else pixels)
    return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()[:16]


def _decoder_digest(stylizer: Stylizer) -> str:
    tensors = stylizer.model.state_dict().items()
    return digest(
        {name: t.detach().float().cpu().numpy() for name, t in tensors if name.startswith("decoder.")}, "decoder."
    )


def _style_digest(style: Style) -> str:
    found = hashlib.sha256()
    for name in sorted(style.tensors):
        found.update(name.encode() + style.tensors[name].float().numpy().tobytes())
    return found.hexdigest()[:16]

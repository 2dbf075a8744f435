"""stylize: the whole library in one call, over a `Stylizer` that stays loaded."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from .engine.two_pass import TileSize
from .errors import ModelError, Progress
from .images import MAX_PIXELS, ImageLike
from .look.controls import Alpha, PreserveColor
from .net.model import AdaINModel
from .stylizer import Regions, StyleLike, Stylizer

__all__ = ["stylize"]


def stylize(
    image: ImageLike,
    style: StyleLike | None,
    *,
    alpha: Alpha = 1.0,
    model: str | os.PathLike[str] = "lite",
    preserve_color: PreserveColor = None,
    color_strength: float = 1.0,
    mask: ImageLike | None = None,
    regions: Regions | None = None,
    scale: float = 1.0,
    detail: float = 0.0,
    style_size: int | None = 512,
    tile: TileSize = "auto",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    max_pixels: int | None = MAX_PIXELS,
    progress: Progress | None = None,
) -> Any:
    """`image` in the style of `style`: `stylize("photo.jpg", "painting.jpg", alpha=0.8).save("out.jpg")`.

    Arguments and result as in `Stylizer.stylize`, which it calls; the model stays loaded for the next call.

    >>> import numpy as np
    >>> photo = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    >>> out = stylize(photo, photo[::-1].copy(), alpha=0.8)
    >>> out.shape, out.dtype
    ((33, 47, 3), dtype('uint8'))
    """
    if isinstance(model, AdaINModel):
        raise ModelError(
            "stylize takes the name or the file of a model; for an AdaINModel use Stylizer(model).stylize(...)"
        )
    name, stamp = os.fspath(model), None
    if Path(name).is_file():
        facts = Path(name).stat()
        stamp = (facts.st_mtime_ns, facts.st_size)  # a file that is written again is another model
    with _shared_lock:  # two first calls at once must not load the model twice
        stylizer = _shared(name, stamp, str(device), dtype)
    return stylizer.stylize(
        image,
        style,
        alpha=alpha,
        preserve_color=preserve_color,
        color_strength=color_strength,
        mask=mask,
        regions=regions,
        scale=scale,
        detail=detail,
        style_size=style_size,
        tile=tile,
        max_pixels=max_pixels,
        progress=progress,
    )


_shared_lock = threading.Lock()


def _renew_lock() -> None:
    """A fork while another thread loads would leave the child a lock that nobody opens."""
    global _shared_lock
    _shared_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@lru_cache(maxsize=2)
def _shared(model: str, stamp: object, device: str, dtype: str | torch.dtype) -> Stylizer:
    return Stylizer(model, device=device, dtype=dtype)

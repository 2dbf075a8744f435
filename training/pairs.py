"""Pairs of content and style to judge models on: which goes with which, and their pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

from torch import Tensor

from adainkit.errors import ImageError
from adainkit.images import open_image
from adainkit.look.color import premix
from adainkit.look.masks import resize

__all__ = ["SMALLEST", "load_picture", "pair_up"]

SMALLEST = 40
"""Shorter side in pixels of the smallest picture that is judged: `metrics.grid_energy` needs 40, AlexNet's pools 31,
the loss network 16, the window of SSIM 11."""


def pair_up(contents: Sequence[Path], styles: Sequence[Path], pairs: int | None, seed: int) -> list[tuple[Path, Path]]:
    """Which style goes with which content: a function of the seed and the names alone. None: every content once.

    Both are shuffled by hashes, so that no release of Python changes them; all are used before any is used again, and
    fewer pairs are the first of more.
    """
    found = zip(_shuffled(contents, f"{seed}:content"), _shuffled(styles, f"{seed}:style"), strict=False)
    return list(islice(found, len(contents) if pairs is None else pairs))


def _shuffled(pictures: Sequence[Path], seed: str) -> Iterator[Path]:
    """Round after round, each in another order."""
    for turn in count():
        yield from sorted(pictures, key=lambda p: hashlib.sha256(f"{seed}:{turn}:{p.name}".encode()).digest())


def load_picture(path: Path, size: int) -> Tensor:
    """`(1, 3, H, W)` RGB in [0, 1]; the shorter side is brought down to `size`, never up. `ImageError` if it is broken
    or smaller than `SMALLEST`."""
    picture = open_image(path)
    rgb = picture.rgb if picture.alpha is None else premix(picture.rgb, picture.alpha)
    short = min(rgb.shape[2:])
    if short < SMALLEST:
        raise ImageError(f"{path}: is {rgb.shape[3]} x {rgb.shape[2]} px; the figures need {SMALLEST} px a side")
    return resize(rgb, [round(n * size / short) for n in rgb.shape[2:]]) if short > size else rgb

"""What a sample shows of a picture, drawn before any pixel is touched: a square crop, flipped, turned, recolored.

Drawn by one function for pictures that are cut on the CPU (`data.Batches`) and on the device (`store.Store`).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor

from adainkit.look.color import LUMA

__all__ = ["Colors", "View", "draw_colors", "pick_crop", "recolor"]

Colors = tuple[tuple[float, ...], ...]
"""An affine map of RGB: three rows of three factors and one summand."""


@dataclass(frozen=True)
class View:
    """`box`: left, top, right, bottom in pixels of the picture, a square. The crop is flipped left to right if `flip`,
    then turned by `turns` quarters counterclockwise, then its colors are mapped."""

    box: tuple[int, int, int, int]
    flip: bool = False
    turns: int = 0
    colors: Colors | None = None


def pick_crop(
    size: tuple[int, int], crop: int, zoom: tuple[float, float], rng: random.Random
) -> tuple[int, int, int, int]:
    """A random square (left, top, right, bottom) inside `size` (width, height). Its side is the crop's times a random
    factor from `zoom` (log-uniform), and at most the shorter side."""
    factor = zoom[0] * (zoom[1] / zoom[0]) ** rng.random()
    side = max(4, min(round(crop * factor), *size))
    left, top = rng.randint(0, size[0] - side), rng.randint(0, size[1] - side)
    return left, top, left + side, top + side


def draw_colors(rng: random.Random, hue: float = 0.0, invert: float = 0.0, dark: float = 0.0) -> Colors | None:
    """A random map of colors: with probability `hue` the channels change places or all hues are rotated about gray,
    with `invert` the luma is inverted and the chroma kept, with `dark` everything is brought down to a half to an
    eighth. None: the colors as they are."""
    found = None
    if hue and rng.random() < hue:
        found = _permuted(rng) if rng.random() < 0.5 else _rotated(rng.uniform(0, 2 * math.pi))
    if invert and rng.random() < invert:
        # Y' = 1 - Y and R' - Y' = R - Y: R' = R + 1 - 2 Y
        found = _after(found, tuple((*((i == j) - 2 * w for j, w in enumerate(LUMA)), 1.0) for i in range(3)))
    if dark and rng.random() < dark:
        share = 0.5 ** rng.uniform(1, 3)
        found = _after(found, tuple((*(share * (i == j) for j in range(3)), 0.0) for i in range(3)))
    return found


def recolor(pixels: Tensor, colors: Tensor) -> Tensor:
    """`(B, H, W, 3)` RGB in [0, 1] by maps `(B, 3, 4)`, clamped."""
    mapped = torch.einsum("bhwj,bij->bhwi", pixels, colors[:, :, :3]) + colors[:, None, None, :, 3]
    return mapped.clamp(0, 1)


def _permuted(rng: random.Random) -> Colors:
    order = rng.choice([(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
    return tuple((*(float(j == k) for j in range(3)), 0.0) for k in order)


def _rotated(angle: float) -> Colors:
    """About the axis of grays (Rodrigues): the sum of R, G, B stays."""
    cosine, sine = math.cos(angle), math.sin(angle) / math.sqrt(3)
    near, ahead, behind = cosine + (1 - cosine) / 3, (1 - cosine) / 3 - sine, (1 - cosine) / 3 + sine
    rows = (near, ahead, behind), (behind, near, ahead), (ahead, behind, near)
    return tuple((*row, 0.0) for row in rows)


def _after(first: Colors | None, second: Colors) -> Colors:
    """The map that is `first`, then `second`."""
    if first is None:
        return second
    return tuple(
        (
            *(sum(row[k] * first[k][j] for k in range(3)) for j in range(3)),
            sum(row[k] * first[k][3] for k in range(3)) + row[3],
        )
        for row in second
    )

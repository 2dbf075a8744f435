"""What the loss networks are shown of a step's pictures: all a little shifted and flipped, so that nothing can settle
on the places of their pooling grids."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["draw_looks", "look_at", "scaled"]


def draw_looks(seed: int, step: int, shift: int, flip: bool, noise_shift: int = 0) -> Tensor:
    """Random looks of a step, `(3, 3)` int64: at contents and results, at styles, and at the copies that are given
    noise. A function of its arguments alone.

    Each is what to shift by downwards and to the right, -shift to shift pixels, and whether to flip (1) or not (0);
    the last one's shift is up to `noise_shift`, and it does not flip.
    """
    rng = random.Random(f"{seed}:{step}:looks")
    kinds = ((shift, flip), (shift, flip), (noise_shift, False))
    return torch.tensor([[rng.randint(-n, n), rng.randint(-n, n), int(f and rng.random() < 0.5)] for n, f in kinds])


def look_at(pictures: Tensor, look: Tensor) -> Tensor:
    """`(B, 3, H, W)` shifted and flipped by `look` `(3,)`, on the same device; same size back, what comes in from
    outside is reflected. Nothing waits for the device, so that it can be a part of a CUDA graph."""
    down, right, flip = look.unbind()
    height, width = pictures.shape[2:]
    rows = _reflected(torch.arange(height, device=pictures.device) - down, height)
    places = torch.arange(width, device=pictures.device)
    columns = _reflected(torch.where(flip > 0, width - 1 - places, places) - right, width)
    return pictures.index_select(2, rows).index_select(3, columns)


def _reflected(places: Tensor, side: int) -> Tensor:
    """Indices inside a side of those up to one side outside of it."""
    return (side - 1) - ((side - 1) - places.abs()).abs()


def scaled(pictures: Tensor, factor: int) -> Tensor:
    """Brought down by a whole factor, each pixel the mean of a square."""
    return pictures if factor == 1 else F.avg_pool2d(pictures, factor)

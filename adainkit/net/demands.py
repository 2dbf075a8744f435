"""What an architecture asks for, derived from its words: how far a tile must see, and how much memory a pixel takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .config import Level, ModelConfig

__all__ = ["Halo", "activations_per_pixel", "halo", "largest_per_pixel"]


@dataclass(frozen=True)
class Halo:
    """How many cells of the coarsest level a tile must see beyond its border, to encode and to decode exactly."""

    encode: int
    decode: int


def halo(config: ModelConfig) -> Halo:
    """Derived from the layers, by following backwards what one cell (or its pixels) depends on.

    VGG-19: a relu4_1 cell sees 30 pixels on either side of its own 8, an output pixel 4 cells:

    >>> from adainkit.net.config import VGG19
    >>> halo(VGG19)
    Halo(encode=4, decode=4)
    """
    stride = config.stride
    low, high = 0, 1  # what is needed, in cells of the scale that the walk is at: [low, high)
    for step in reversed(config.encoding):
        low, high = step.row.reach(low, high)
    encode = max(_cells(-low, stride), _cells(high - stride, stride))
    low, high, decode = 0, stride, 0
    for step in reversed(config.decoding):
        if "level" in step.row.needs:  # the finer level's features are needed just here, too
            scale = step.after.stride
            decode = max(decode, _cells(-low * scale, stride), _cells(high * scale - stride, stride))
        low, high = step.row.reach(low, high)
    return Halo(encode, max(decode, -low, high - 1))


def activations_per_pixel(config: ModelConfig) -> int:
    """How many values per pixel of the picture the most demanding layer holds at once: its input, the same padded, its
    output."""
    steps = (*config.encoding, *config.decoding)
    return math.ceil(max(3.0, *(2 * _values(s.before) + s.row.holds * _values(s.after) for s in steps)))


def largest_per_pixel(config: ModelConfig) -> int:
    """How many values per pixel of the picture the largest tensor between two layers holds."""
    return math.ceil(max(3.0, *(_values(s.after) for s in (*config.encoding, *config.decoding))))


def _values(place: Level) -> float:
    """Values per pixel."""
    return place.channels / place.stride**2


def _cells(amount: int, stride: int) -> int:
    return max(0, -(-amount // stride))

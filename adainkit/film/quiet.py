"""Quiet contents: the camera's noise is taken out of what stands still; the network would draw strokes by it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from .colors import Pixels

__all__ = ["Quiet"]

_KEPT = 0.6  # of the frame before: noise that differs in every frame is halved, and moves a third as much
_NOISE = 8.0  # difference of a neighborhood, of 255, from which on it is taken for motion: noise of 3 has 5 to 6
_PEAK = 15.0  # the same of one pixel, as single pixels of noise have it
_AROUND = 2  # pixels to each side that are a neighborhood
_BY_AROUND = [round(255 * _KEPT * exp(-((level / _NOISE) ** 2))) for level in range(256)]
_BY_PIXEL = [round(255 * exp(-((level / _PEAK) ** 2))) for level in range(256)]


class Quiet:
    """Blends each frame with the quiet one before it where the two differ as noise does; where something moves the
    frame stays as it is. It begins anew with each scene."""

    def __init__(self) -> None:
        self._last: list[Pixels] | None = None

    @staticmethod
    def state(calm: Pixels) -> dict[str, NDArray[Any]]:
        """For `restore`: all that the frame after a `calm` one needs."""
        return {"quiet": calm}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where another one stopped."""
        self._last = _planes(state["quiet"]) if "quiet" in state else None

    def calm(self, pixels: Pixels, new_scene: bool) -> Pixels:
        """A frame, `(H, W, 3 | 4)`, without its noise: a new array of the same type. Alpha stays."""
        planes = _planes(pixels)
        if self._last is not None and not new_scene:
            planes = _blended(planes, self._last)
        self._last = planes
        out = np.empty(pixels.shape, pixels.dtype)
        for place, plane in enumerate(planes):
            out[:, :, place] = plane
        out[:, :, 3:] = pixels[:, :, 3:]
        return out


def _planes(pixels: Pixels) -> list[Pixels]:
    """Red, green and blue, each by itself: half the work of pixels, which Pillow holds in four bytes."""
    return [np.ascontiguousarray(pixels[:, :, place]) for place in range(3)]


def _blended(now: list[Pixels], last: list[Pixels]) -> list[Pixels]:
    """`last` as far as it differs by noise alone, and `now`."""
    pairs = [(_bytes(one), _bytes(other)) for one, other in zip(now, last, strict=True)]
    away = reduce(np.maximum, (np.maximum(one, other) - np.minimum(one, other) for one, other in pairs))
    around = Image.fromarray(_around(away)).point(_BY_AROUND)
    kept = ImageChops.multiply(around, Image.fromarray(away).point(_BY_PIXEL))
    if now[0].dtype == np.uint8:
        return [np.asarray(Image.composite(Image.fromarray(other), Image.fromarray(one), kept)) for one, other in pairs]
    share = np.asarray(kept) / np.float32(255)
    return [
        np.asarray((one + share * (other.astype(np.float32) - one)).round().astype(one.dtype))
        for one, other in zip(now, last, strict=True)
    ]


def _around(away: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean of each pixel's neighborhood, rounded along lines and along columns; the border is repeated. What
    Pillow's `BoxBlur` gives, in a third of its time."""
    for turn in (1, 0):
        along = np.pad(away, [(_AROUND, _AROUND) if axis == turn else (0, 0) for axis in (0, 1)], mode="edge")
        length, count = away.shape[turn], 2 * _AROUND + 1
        parts = [along[:, at : at + length] if turn else along[at : at + length] for at in range(count)]
        total = parts[0].astype(np.uint16)
        for part in parts[1:]:
            total += part
        away = ((total + np.uint16(count // 2)) // np.uint16(count)).astype(np.uint8)
    return away


def _bytes(plane: Pixels) -> NDArray[np.uint8]:
    """With 8 bits, in which noise is told from motion."""
    return plane if plane.dtype == np.uint8 else (plane >> 8).astype(np.uint8)

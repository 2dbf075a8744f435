"""Quiet contents: the camera's noise is taken out of what stands still; the network would draw strokes by it."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

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
        self._last: Pixels | None = None

    @staticmethod
    def state(calm: Pixels) -> dict[str, NDArray[Any]]:
        """For `restore`: all that the frame after a `calm` one needs."""
        return {"quiet": calm}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where another one stopped."""
        self._last = state.get("quiet")

    def calm(self, pixels: Pixels, new_scene: bool) -> Pixels:
        """A frame, `(H, W, 3 | 4)`, without its noise: a new array of the same type. Alpha stays."""
        out = pixels.copy()
        if self._last is not None and not new_scene:
            out[:, :, :3] = _blended(pixels[:, :, :3], self._last[:, :, :3])
        self._last = out
        return out


def _blended(now: Pixels, last: Pixels) -> Pixels:
    """`last` as far as it differs by noise alone, and `now`."""
    one, other = _image(now), _image(last)
    red, green, blue = ImageChops.difference(one, other).split()
    away = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    around = away.filter(ImageFilter.BoxBlur(_AROUND))
    kept = ImageChops.multiply(around.point(_BY_AROUND), away.point(_BY_PIXEL))
    if now.dtype == np.uint8:
        return np.asarray(Image.composite(other, one, kept))
    share = np.asarray(kept)[:, :, None] / np.float32(255)
    return np.asarray((now + share * (last.astype(np.float32) - now)).round().astype(now.dtype))


def _image(pixels: Pixels) -> Image.Image:
    """With 8 bits, in which noise is told from motion."""
    return Image.fromarray(np.ascontiguousarray(pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)))

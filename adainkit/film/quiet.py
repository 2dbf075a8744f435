"""Quiet contents: the camera's noise is taken out of what stands still; the network would draw strokes by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d

from .colors import Pixels

__all__ = ["Quiet"]

_KEPT = 0.6  # of the frame before: noise that differs in every frame is halved, and moves a third as much
_NOISE = 5.0  # mean difference of a neighborhood, of 255, from which on it is taken for motion
_PEAK = 15.0  # the same of one pixel: three times as much, as single pixels of noise have it
_AROUND = 5  # pixels across a neighborhood


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
            most = np.iinfo(pixels.dtype).max
            now, last = (_planes(each) for each in (pixels, self._last))
            away = (last - now) * (255 / most)
            size = away.abs().mean(0, keepdim=True)
            around = avg_pool2d(size, _AROUND, 1, _AROUND // 2, count_include_pad=False)
            kept = _KEPT * torch.exp(-((around / _NOISE) ** 2) - (size / _PEAK) ** 2)
            made = torch.lerp(now, last, kept).round_().clamp_(0, most)
            out[:, :, :3] = made.movedim(0, -1).numpy().astype(pixels.dtype)
        self._last = out
        return out


def _planes(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels[:, :, :3]).astype(np.float32)).movedim(-1, 0)

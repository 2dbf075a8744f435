"""Cuts: where one scene ends and the next begins, found in thumbnails as they come."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from .colors import Pixels

__all__ = ["Cuts"]

_LEAST = 12.0  # mean difference of two thumbnails, of 255, below which nothing is a cut: noise and slow light are less
_RATIO = 3.0  # how much more than the frames before it a cut differs: what moves fast differs much, but steadily
_PAST = 8  # frames that this is compared with, and the least length of a scene


class Cuts:
    """Tells of each thumbnail, in order, whether a scene begins with it; `found` has the numbers of those."""

    def __init__(self) -> None:
        self.found: list[int] = [0]
        self._last: Any = None
        self._past: deque[float] = deque(maxlen=_PAST)
        self._count = 0

    def add(self, thumbnail: Pixels) -> bool:
        """Whether a cut is before this frame. The first frame begins a scene as well."""
        now = thumbnail.astype(np.float32)
        number, last = self._count, self._last
        self._count, self._last = number + 1, now
        if last is None:
            return True
        change = float(np.abs(now - last).mean())
        usual = float(np.median(self._past)) if self._past else 0.0
        self._past.append(change)
        if change < _LEAST or change < _RATIO * usual or number - self.found[-1] < _PAST:
            return False
        self._past.clear()
        self.found.append(number)
        return True

"""How fast a run is, and how much of its time it waits for pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Pace"]


class Pace:
    """Counts steps and pictures since `figures` was last asked for."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._started, self._waited, self._steps, self._pictures = time.monotonic(), 0.0, 0, 0

    @property
    def seconds(self) -> float:
        """Since then."""
        return time.monotonic() - self._started

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what waits for pictures."""
        started = time.monotonic()
        yield
        self._waited += time.monotonic() - started

    def did(self, pictures: int) -> None:
        """A step on so many pictures."""
        self._steps += 1
        self._pictures += pictures

    def figures(self) -> dict[str, float]:
        """Steps and pictures (of content) a second, and the share of the time that was spent waiting for pictures."""
        seconds = max(1e-9, self.seconds)
        found = {
            "steps_per_second": round(self._steps / seconds, 3),
            "pictures_per_second": round(self._pictures / seconds, 2),
            "waiting_share": round(self._waited / seconds, 4),
        }
        self._begin()
        return found

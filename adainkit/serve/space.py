"""The disk: how much the service's folder may take, uploads, pictures and results together."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from .problems import Refusal

__all__ = ["Space"]

_PIECE = 1 << 20
_FRESH = 0.5  # seconds for which a measurement is good


class Space:
    """Measures what lies in the folder, and adds what is written until it measures again: after a moment, and before it
    refuses. For any thread, but not for the event loop's."""

    def __init__(self, folder: Path, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.most, self.clock = folder, most, clock
        self._lock = threading.Lock()
        self._taken, self._measured = 0, -_FRESH

    def check(self, more: int = 0, *, anew: bool = False) -> None:
        """`Refusal` where there is no room for so many bytes more; else they are counted. `anew`: files came that were
        not."""
        with self._lock:
            if anew or self.clock() - self._measured >= _FRESH or self._taken + more > self.most:
                self._taken, self._measured = _bytes_in(self.folder), self.clock()
            if self._taken + more > self.most:
                raise Refusal(507, "the disk space of this service is used up", "delete pictures and jobs, or wait")
            self._taken += more

    def write(self, source: IO[bytes], target: Path, seen: Callable[[int], object] = lambda count: None) -> Path:
        """An uploaded file under a name of ours; `seen(bytes)` is called before each piece is written. `Refusal` where
        it does not fit."""
        with open(target, "wb") as stream:
            while piece := source.read(_PIECE):
                seen(len(piece))
                self.check(len(piece))
                stream.write(piece)
        return target


def _bytes_in(folder: str | os.PathLike[str]) -> int:
    """Bytes of all files; those that go away meanwhile are none."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    inner = entry.is_dir(follow_symlinks=False)
                    total += _bytes_in(entry) if inner else entry.stat(follow_symlinks=False).st_size
                except OSError:
                    continue
    except OSError:
        pass
    return total

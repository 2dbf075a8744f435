"""A worker's temporary folder: what a killed worker leaves, the next one of its machine removes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":  # where no cluster is
    import fcntl

__all__ = ["Scratch"]

_START = "adainkit-worker-"


class Scratch:
    """An empty `folder`. The system holds a lock on it while this process lives, by which others see that it does."""

    def __init__(self) -> None:
        new = Path(tempfile.mkdtemp(prefix="adainkit-new-"))
        self.folder = new.with_name(f"{_START}{new.name.removeprefix('adainkit-new-')}")
        self._lock = _locked(new)
        new.rename(self.folder)  # locked before others know it
        _sweep()

    def close(self) -> None:
        """Remove it, and what dead workers have left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        _sweep()


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the lock; None where another process does, or nobody can."""
    if sys.platform == "win32":
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_START}*"):
        with suppress(OSError):  # another user's, or gone by now
            if (descriptor := _locked(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)

"""The folder `TARGET.parts` beside a film: one run at a time works in it, by a plan, and it has all that is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ..atomic import temporary_beside, write_atomically
from ..errors import FilmError
from .library import film_errors

__all__ = ["Parts", "parts_of"]

_LOCK = ".lock"


def parts_of(target: Path) -> Path:
    """The folder beside a film, which is there while a run is at work or was stopped."""
    return target.with_name(f"{target.name}.parts")


class Parts:
    """The folder, locked until `release`. `FilmError` where it holds something else, or another run is at work in it.

    `goes_on`: whether parts of a run with the same `plan` are there. They are an error where the plan differs, and
    removed without `resume`.
    """

    def __init__(self, target: Path, plan: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = parts_of(target)
        self._lock = _locked(self.folder)
        try:
            self.goes_on = self._agree(json.loads(json.dumps(plan, default=_plain)), resume)
        except BaseException:
            self.release()
            raise

    def _agree(self, plan: dict[str, Any], resume: bool) -> bool:
        file = self.folder / "plan.json"
        found = _plan_of(file)
        if resume and found is not None and found != plan:
            changed = ", ".join(sorted(name for name in {*plan, *found} if plan.get(name) != found.get(name)))
            raise FilmError(
                f"{self.folder}: is of a run with another {changed}; run with the options of then, or without --resume"
            )
        if resume and found is not None:
            return True
        with film_errors(self.folder, "written"):
            self._clear()
            write_atomically(file, json.dumps(plan, indent=1).encode())
        return False

    @property
    def count(self) -> int:
        """Parts that are whole, from the first one on."""
        count = 0
        while self.path(count).exists():
            count += 1
        return count

    def path(self, index: int) -> Path:
        """The file of a part."""
        return self.folder / f"{index:06}.part"

    def state_path(self, index: int) -> Path:
        """The file of the state in which a part ended."""
        return self.folder / f"{index:06}.npz"

    def state(self, index: int) -> dict[str, NDArray[Any]]:
        """What `keep_state` kept. `FilmError` where it is damaged or missing."""
        path = self.state_path(index)
        try:
            with np.load(path, allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise FilmError(f"{path}: is damaged or missing ({error}); run again without --resume") from error

    def keep_state(self, index: int, state: Mapping[str, NDArray[Any]]) -> None:
        """Keep what the next frame needs, in a file that appears whole."""
        with film_errors(self.folder, "written"), temporary_beside(self.state_path(index)) as part:
            np.savez(part, **dict[str, Any](state))

    def _clear(self) -> None:
        for pattern in ("[0-9]*.part", "[0-9]*.npz", ".[0-9]*", "plan.json"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let another run have the folder."""
        if self._lock.is_locked:
            with suppress(OSError):  # where an open file cannot be removed it stays until the next run
                Path(self._lock.lock_file).unlink()
            self._lock.release()

    def remove(self) -> None:
        """Remove the folder with what a run has put into it."""
        self._clear()
        self.release()
        with suppress(OSError):
            (self.folder / _LOCK).unlink(missing_ok=True)
            self.folder.rmdir()


def _locked(folder: Path) -> FileLock:
    strange = [each for each in folder.iterdir() if each.name != _LOCK] if folder.is_dir() else [folder]
    if folder.exists() and strange and _plan_of(folder / "plan.json") is None:
        raise FilmError(f"{folder}: is in the way and holds no parts of a film; move it, or choose another name")
    lock = FileLock(folder / _LOCK, timeout=0, thread_local=False)
    with film_errors(folder, "written"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise FilmError(
                f"{folder}: another run is at work on this film; wait for its end, or choose another name"
            ) from error
    return lock


def _plan_of(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python's."""
    return value.item() if hasattr(value, "item") else str(value)

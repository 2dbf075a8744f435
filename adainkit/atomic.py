"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["obstacle", "remove_leftovers", "temporary_beside", "write_atomically"]

_DIGITS = 12  # of a temporary name, hexadecimal


def obstacle(path: str | os.PathLike[str]) -> str:
    """Why no file can be made at `path`, in words, or nothing where nothing speaks against it. Makes nothing."""
    folder = Path(os.path.realpath(path)).parent
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            return f"{folder} is a file, not a folder"
    except OSError as error:  # a name that is too long, or a folder that may not be entered
        return f"{folder}: {error.strerror or error}"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"the folder {folder} cannot be written to"


@contextmanager
def temporary_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new file in the folder of `path` (made if missing), which replaces `path` when the block ends well and is
    removed when not.

    It keeps the suffix of `path`, so that writers which go by it work. `OSError` as the system gives it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_start(target)}{secrets.token_hex(_DIGITS // 2)}{target.suffix}")
    try:  # from here on: a signal may come right behind the file
        mode = _mode_of(target)
        # not mkstemp: a new file gets the permissions that the user's umask asks for, an old one keeps its own
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else 0o600))
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def remove_leftovers(path: str | os.PathLike[str]) -> int:
    """Remove the temporary files of `path` that killed processes have left beside it; how many. Only where nobody is
    writing it now."""
    target, removed = Path(path), 0
    start, end = _start(target), target.suffix
    with suppress(OSError):
        for entry in os.scandir(target.parent):
            middle = entry.name[len(start) : len(entry.name) - len(end)]
            if entry.name == f"{start}{middle}{end}" and re.fullmatch(rf"[0-9a-f]{{{_DIGITS}}}", middle):
                with suppress(OSError):
                    os.unlink(entry.path)  # noqa: PTH108
                    removed += 1
    return removed


def _start(target: Path) -> str:
    return f".{target.stem[:40]}-"


def _mode_of(target: Path) -> int | None:
    """The permissions of a file; None where there is no such file."""
    try:
        return stat.S_IMODE(target.stat().st_mode) & 0o777
    except OSError:
        return None


def write_atomically(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write `data` to `path` by `temporary_beside`; the path back."""
    with temporary_beside(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)

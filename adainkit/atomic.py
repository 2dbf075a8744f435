"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["temporary_beside", "write_atomically"]


@contextmanager
def temporary_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new file in the folder of `path` (made if missing), which replaces `path` when the block ends well and is
    removed when not.

    It keeps the suffix of `path`, so that writers which go by it work. `OSError` as the system gives it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem[:40]}-{secrets.token_hex(6)}{target.suffix}")
    try:  # from here on: a signal may come right behind the file
        temporary.touch(exist_ok=False)  # not mkstemp: the file gets the permissions that the user's umask asks for
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_atomically(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write `data` to `path` by `temporary_beside`; the path back."""
    with temporary_beside(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)

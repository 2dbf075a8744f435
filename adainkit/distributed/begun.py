"""What a run has begun and not told as done yet: by it the next run knows an unfinished file of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from io import RawIOBase
from pathlib import Path

from ..errors import AdaINKitError
from .places import absolute

__all__ = ["Begun"]


class Begun:
    """A file beside a manifest, `NAME.begun`, of the results that workers were asked for, a JSON string a line.

    A result that is in it and not in the manifest was being made when the driver died: it, or a part of it, may be
    there, and may be replaced. `close` removes the file of a run that came to its end.
    """

    def __init__(self, manifest: str | os.PathLike[str]) -> None:
        self.path = Path(f"{os.fspath(manifest)}.begun")
        self._stream: RawIOBase | None = None
        self.before: set[str] = set()
        with suppress(FileNotFoundError):
            for line in self.path.read_bytes().splitlines(keepends=True):
                with suppress(ValueError):  # the last line may be torn: of that one no worker was told
                    self.before.add(str(json.loads(line)))

    def is_ours(self, target: str) -> bool:
        """Whether an earlier run may have begun it."""
        return absolute(target) in self.before

    def add(self, targets: Iterable[str]) -> None:
        """Note them; on the disk when this returns. `AdaINKitError` if that cannot be done."""
        data = "".join(f"{json.dumps(absolute(target))}\n" for target in targets).encode()
        try:
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
                self._stream = open(self.path, "ab", buffering=0)  # noqa: SIM115 - `close` does
                data = b"\n" * torn + data
            self._stream.write(data)
        except OSError as error:
            raise AdaINKitError(
                f"{self.path}: cannot be written ({error.strerror or error}); make room for it"
            ) from error

    def close(self, *, ended: bool) -> None:
        """Close the file and, where the run `ended` by itself, remove it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if ended:
            with suppress(OSError):
                self.path.unlink()

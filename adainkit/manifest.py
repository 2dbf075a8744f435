"""The manifest of a run: a JSON line for every picture as it ends, by which the same command goes on after a stop."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import AdaINKitError

__all__ = ["Manifest"]

_START = '{"input": '  # of every line


class Manifest:
    """A file of lines `{"input", "output", "style", "options", "seed", "seconds", "error"}`, opened to be added to.

    `facts`: what is the same for all pictures of the run ("options", "seed" and, if all have one, "style"). Pictures of
    an earlier run under the same facts are done and need not be made again. `AdaINKitError` for other facts, for a file
    that is no manifest, and for one that cannot be read or written. A context manager.
    """

    def __init__(self, path: str | os.PathLike[str], facts: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.facts: dict[str, Any] = json.loads(json.dumps(facts, default=str))
        self._made: dict[str, str] = {}  # output: input
        self._stream: RawIOBase | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = open(path, "a+b", buffering=0)  # noqa: SIM115 - it stays open
            self._read(self._stream)
        except OSError as error:
            self.close()
            raise AdaINKitError(
                f"{self.path}: the manifest cannot be written ({error.strerror or error}); expected a file in a "
                "writable folder with free space"
            ) from error
        except AdaINKitError:
            self.close()
            raise

    def is_done(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> bool:
        """Whether an earlier run has made `target` of `source`, and it is still there."""
        return self._made.get(_key(target)) == _key(source) and os.path.exists(target)  # noqa: PTH110 - Path's may raise

    def add(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str] | None,
        *,
        seconds: float,
        error: str | None = None,
        **more: Any,
    ) -> None:
        """Write the line of a picture at once; `more` are facts of its own. `AdaINKitError` if that cannot be done."""
        output = None if target is None else os.fspath(target)
        row = {"input": os.fspath(source), "output": output, **self.facts, **more}
        line = json.dumps({**row, "seconds": round(seconds, 3), "error": error}, default=str)
        try:
            if self._stream is None:
                raise OSError("it is closed")
            data = f"{line}\n".encode()
            if self._stream.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as broken:
            raise AdaINKitError(
                f"{self.path}: the manifest cannot be written ({broken.strerror or broken}); make room for it, then "
                "give the same command again: what is done is not done twice"
            ) from broken

    def close(self) -> None:
        """Close the file; safe to call twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, stream: RawIOBase) -> None:
        stream.seek(0)
        lines = stream.readall().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            torn = lines.pop()  # the process was killed as it wrote, or the disk was full
            if not torn.startswith(_START.encode()[: len(torn)]):
                raise self._foreign("its last line")
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                source, target, error = row["input"], row["output"], row["error"]
            except (ValueError, KeyError, TypeError) as problem:
                raise self._foreign(f"line {number}") from problem
            if error is None:
                self._compare(row)
                self._made[_key(target)] = _key(source)
            elif target is not None:
                self._made.pop(_key(target), None)
        stream.truncate(sum(map(len, lines)))

    def _compare(self, row: Mapping[str, Any]) -> None:
        changes = "; ".join(_changes(row, self.facts, self.facts))
        if changes:
            raise AdaINKitError(
                f"{self.path} was begun with other options: {changes}. Give the same command as then to go on with it, "
                "or another file to begin anew"
            )

    def _foreign(self, where: str) -> AdaINKitError:
        return AdaINKitError(
            f"{self.path}: {where} is not that of a manifest; expected a file that --manifest wrote, or a new name"
        )


def _changes(then: Mapping[str, Any], now: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
    """`alpha was 1.0, now 0.8` for everything of `names` that differs, into the mappings in it."""
    for name in names:
        old, new = then.get(name), now.get(name)
        if old == new:
            continue
        if name == "options" and isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, {**old, **new})
        else:
            yield f"{name} was {json.dumps(old)}, now {json.dumps(new)}"


def _key(path: str | os.PathLike[str]) -> str:
    return os.path.normpath(os.fspath(path))

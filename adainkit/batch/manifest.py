"""The manifest of a run: a JSON line for every picture as it ends, by which the same command goes on after a stop."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import AdaINKitError

__all__ = ["Manifest", "is_file_newer"]

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_START = '{"input": '  # of every line


class Manifest:
    """A file of lines `{"input", "output", "style", "options", "seed", "files", "folder", "seconds", "error"}`.

    `facts`: what is the same for all pictures of the run: "options", "seed", "files" (digests of what is read besides
    the pictures, by name) and, if all have one, "style". Pictures of an earlier run under the same facts are done and
    need not be made again. "folder" is the current one, as seen from the manifest's: names in it are another run's
    where that is another folder.

    `is_newer(source, target)` tells that a target is older than its source, or gone; by default for files. URIs are
    names of their own, whatever the folder is.

    It is read at once, and written, or made, as a context manager: `AdaINKitError` for other facts, for a file that is
    no manifest, and for one that cannot be read or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        facts: Mapping[str, Any],
        is_newer: Callable[[str, str], bool] | None = None,
    ) -> None:
        self.path, self._is_newer = Path(path), is_newer or is_file_newer
        self.facts: dict[str, Any] = json.loads(json.dumps(facts, default=str))
        self._made: dict[str, str] = {}  # output: input
        self._stream: RawIOBase | None = None
        self._torn: int | None = None  # where a line begins that is to be cut off
        self._home = os.path.abspath(self.path.parent)  # noqa: PTH100 - links stay as they are named
        with self._writable(), suppress(FileNotFoundError):
            self._read(self.path.read_bytes())

    def is_done(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> bool:
        """Whether an earlier run has made `target` of `source`, it is still there, and the source is no newer."""
        made = self._made.get(_key(target)) == _key(source)
        return made and not self._is_newer(os.fspath(source), os.fspath(target))

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
        row = {"input": os.fspath(source), "output": output, **self.facts, **more, "folder": self._folder()}
        line = json.dumps({**row, "seconds": round(seconds, 3), "error": error}, default=str)
        try:
            if self._stream is None:
                raise OSError("it is not open")
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
        with self._writable():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = open(self.path, "ab", buffering=0)
            if self._torn is not None:
                self._stream.truncate(self._torn)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            raise AdaINKitError(
                f"{self.path}: the manifest cannot be written ({error.strerror or error}); expected a file in a "
                "writable folder with free space"
            ) from error

    def _read(self, data: bytes) -> None:
        lines = data.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            torn = lines.pop()  # the process was killed as it wrote, or the disk was full
            if not torn.startswith(_START.encode()[: len(torn)]):
                raise self._foreign("its last line")
            self._torn = len(data) - len(torn)
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                source, target, error = row["input"], row["output"], row["error"]
                folder = os.path.join(self._home, row["folder"]) if "folder" in row else ""  # noqa: PTH118
                of, made = _key(source, folder), None if target is None else _key(target, folder)
            except (ValueError, KeyError, TypeError) as problem:
                raise self._foreign(f"line {number}") from problem
            if error is None and made is not None:
                self._compare(row)
                self._made[made] = of
            elif made is not None and self._made.get(made) == of:
                del self._made[made]

    def _folder(self) -> str:
        try:
            return os.path.relpath(os.getcwd(), self._home)  # noqa: PTH109 - so that the whole tree may be moved
        except ValueError:  # on another drive
            return os.getcwd()  # noqa: PTH109

    def _compare(self, row: Mapping[str, Any]) -> None:
        names = [name for name in self.facts if name != "files"]
        then, now = row.get("files") or {}, self.facts.get("files") or {}  # the first manifests told none
        changes = [*_changes(row, self.facts, names)]
        changes = changes or [f"{name} has changed" for name in now if name in then and then[name] != now[name]]
        if changes:
            raise AdaINKitError(
                f"{self.path} was begun with other options: {'; '.join(changes)}. Give the same command as then to go "
                "on with it, or another file to start again"
            )

    def _foreign(self, where: str) -> AdaINKitError:
        return AdaINKitError(
            f"{self.path}: {where} is not that of a manifest; expected a file that --manifest wrote, or a new name"
        )


def _changes(then: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    """`alpha was 1.0, now 0.8` for everything of `names` that differs, into the mappings in it."""
    for name in names:
        old, new = then.get(name), now.get(name)
        if old == new:
            continue
        if name == "options" and isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, {**old, **new})
        else:
            yield f"{name} was {json.dumps(old)}, now {json.dumps(new)}"


def is_file_newer(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> bool:
    """Whether `source` was changed after `target`; so, too, where there is no target."""
    try:
        made = os.stat(target).st_mtime_ns  # noqa: PTH116 - Path's may raise more
    except (OSError, ValueError):
        return True
    try:
        return os.stat(source).st_mtime_ns > made  # noqa: PTH116
    except (OSError, ValueError):
        return False  # it cannot be read, and what was made of it stays


def _key(path: str | os.PathLike[str], folder: str = "") -> str:
    """A value that two names of one place share. `folder` is the one that they are names in, by default the current
    one."""
    if _URI.match(os.fspath(path)):
        return os.fspath(path)
    return os.path.abspath(os.path.join(folder, path))  # noqa: PTH100, PTH118

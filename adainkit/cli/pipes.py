"""`-` for standard input and output: a picture that comes through a pipe is kept in a file while it is worked on, so
that a pipe can do what a file can, and a result is written when all of it is there. The file gets the extension that
its bytes ask for: a result is of the kind of what came in, as it is of files."""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from ..batch.jobs import with_format
from ..errors import ImageError

__all__ = ["Pipes"]

_INPUTS = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_NAMES = {"-": "standard input"}


class Pipes:
    """Takes `-` out of `args` before a run, and gives the result where it belongs after it. A context manager.

    `piped`: whether the result goes to standard output, where nothing else may be written then. `told(text)`: the text
    with `-` where a file stands for it.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args, self._stack = args, ExitStack()
        self._names: dict[str, str] = {}
        inputs = [text for text in args.pictures if _is_pipe(text)]
        self.piped = args.output == "-" or (args.output is None and bool(inputs))
        self._inputs = inputs
        self._result: Path | None = None

    def __enter__(self) -> Pipes:
        args = self._args
        if self._inputs or self.piped:
            self._check(args)
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="adainkit-")))
            if self._inputs:
                self._take(folder)
            if self.piped:
                self._result = folder / with_format(Path(f"result{Path(args.pictures[0]).suffix}"), args.format).name
                self._names[str(self._result)] = "-"
                args.output = str(self._result)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def told(self, text: object) -> str:
        """The text with the names that the user gave."""
        told = str(text)
        for path, name in self._names.items():
            told = told.replace(path, name)
        return told

    def give(self) -> None:
        """Write the result, if there is one, to standard output."""
        if self._result is not None and self._result.exists():
            with self._result.open("rb") as file:
                shutil.copyfileobj(file, _binary(sys.stdout))
            sys.stdout.flush()

    def _check(self, args: argparse.Namespace) -> None:
        if len(self._inputs) > 1:
            args.usage_error(f"standard input is one picture, named {len(self._inputs)} times")
        if self.piped and args.json:
            args.usage_error("--json and the picture would both go to standard output; give -o FILE")
        if args.manifest is not None:
            args.usage_error("--manifest is about files; give files, not -")
        if self.piped and sys.stdout.isatty():
            args.usage_error("standard output is a terminal: give -o FILE, or send it into a file: ... -o - > out.png")

    def _take(self, folder: Path) -> None:
        name = self._inputs[0]
        path = folder / "stdin"
        if name == "-" and sys.stdin.isatty():
            self._args.usage_error("standard input is a terminal: send a picture into it: cat photo.jpg | adainkit ...")
        try:
            with path.open("wb") as file:
                if name in _INPUTS:
                    shutil.copyfileobj(_binary(sys.stdin), file)
                else:
                    with open(name, "rb") as pipe:
                        shutil.copyfileobj(pipe, file)
        except OSError as error:
            raise ImageError(f"{_NAMES.get(name, name)}: cannot be read ({error.strerror or error})") from error
        if not path.stat().st_size:
            raise ImageError(f"{_NAMES.get(name, name)}: is empty; expected the bytes of a picture")
        path = path.rename(path.with_suffix(_kind_in(path, _NAMES.get(name, name))))
        self._names[str(path)] = name
        self._args.pictures[:] = [str(path) if text == name else text for text in self._args.pictures]


def _is_pipe(text: str) -> bool:
    """Whether a CONTENT is to be read to its end: `-`, and a pipe by its name, as a shell's `<(...)` gives it."""
    if text == "-":
        return True
    try:
        return text.startswith(("/dev/", "/proc/")) and stat.S_ISFIFO(os.stat(text).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _kind_in(path: Path, name: str) -> str:
    """The extension of the pictures that a file's bytes are; nothing for other kinds, and for what is no picture."""
    from ..formats import KINDS
    from ..images.decoders import identify
    from ..images.reading import reading

    try:
        with reading(name), path.open("rb") as stream:
            found = identify(stream, name)
    except ImageError:  # told when it is its turn
        return ""
    kind = "TIFF" if found is None else {"MPO": "JPEG"}.get(found.format or "", found.format)
    return next((f".{extension}" for extension, known in KINDS.items() if known == kind), "")


def _binary(stream: Any) -> BinaryIO:
    found: BinaryIO = getattr(stream, "buffer", stream)  # a test may put a plain stream of bytes there
    return found

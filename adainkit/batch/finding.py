"""Which pictures are meant: what files, patterns and folders on a command line name.

Knows paths and nothing else: no torch, no pixels.
"""

# os.path, not Path: its tests never raise, whatever the name and the permissions of the folders.
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH114, PTH118, PTH119, PTH207

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..formats import PICTURES

__all__ = ["Found", "find", "find_contents", "find_pictures"]

_log = logging.getLogger("adainkit")


@dataclass(frozen=True)
class Found:
    """A content: `inner` is its path below `root`, the folder that was named, or its bare name."""

    source: Path
    inner: Path
    root: Path | None = None
    problem: str = ""


def find(contents: Sequence[str], output: str | None = None) -> list[Found]:
    """What they name, each once, as first given: patterns like `**` and overlapping arguments meet it several times.

    Folders are searched with all below them, less hidden ones and the folder `output`: results are no contents.
    """
    unique: dict[str, Found] = {}
    for each in _expand(contents, output):
        unique.setdefault(os.path.normcase(os.path.abspath(each.source)), each)
    return list(unique.values())


def find_contents(contents: Sequence[str]) -> list[Path]:
    """The pictures that files, patterns and folders name, as in `plan_jobs`; `ValueError` for one that is not there."""
    found = find(contents)
    for each in found:
        if each.problem:
            raise ValueError(f"{each.source}: {each.problem}")
    return [each.source for each in found]


def find_pictures(folder: str | os.PathLike[str], suffixes: Collection[str] = PICTURES) -> list[Path]:
    """The pictures of a folder and of all folders below it, by name, as paths below it. Hidden files do not count.

    `suffixes`: of the files that count, in lower case. `ValueError` for a folder that has none, or cannot be read.
    """
    if not os.path.isdir(folder):
        raise ValueError(f"{os.fspath(folder)}: is no folder")
    found = list(_walk(Path(folder), None, suffixes))
    for each in found:
        if each.problem:
            raise ValueError(f"{each.source}: {each.problem}")
    return [each.inner for each in found]


def _expand(contents: Sequence[str], output: str | None) -> Iterator[Found]:
    for text in contents:
        path = Path(text)
        if os.path.isdir(path):
            yield from _walk(path, output)
        elif os.path.exists(path) or not glob.has_magic(text):
            missing = "no such file; expected a picture, a folder or a pattern like *.jpg"
            problem = "" if os.path.exists(path) else missing
            yield Found(path, Path(path.name), problem=problem)
        else:
            matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
            if not matches:
                yield Found(path, path, problem="no file fits this pattern")
            for match in matches:
                yield from _walk(match, output) if os.path.isdir(match) else [Found(match, Path(match.name))]


def _walk(root: Path, output: str | None, suffixes: Collection[str] = PICTURES) -> Iterator[Found]:
    """The pictures of a folder, less hidden ones and, so that results are no contents, the output folder within it."""
    if output is not None and os.path.realpath(output) == os.path.realpath(root):
        output = None
    errors: list[OSError] = []
    others: list[str] = []
    empty = True
    for folder, subfolders, names in os.walk(root, onerror=errors.append):
        here = (os.path.join(folder, name) for name in sorted(subfolders) if not name.startswith("."))
        skipped = None if output is None else os.path.realpath(output)
        subfolders[:] = [os.path.basename(path) for path in here if os.path.realpath(path) != skipped]
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if not os.path.isfile(path) and not os.path.islink(path):
                others.append("pipe, socket or device")  # to open one may take for ever
            elif path.suffix.lower() in suffixes and os.path.exists(path) == os.path.isfile(path):
                empty = False
                yield Found(path, path.relative_to(root), root)
            else:
                others.append(path.suffix.lower() or "no extension")
    if others:
        files = "file" if len(others) == 1 else "files"
        _log.warning("%s: %d %s passed over (%s)", root, len(others), files, ", ".join(sorted(set(others))))
    for error in errors:
        yield Found(Path(error.filename), root, root, f"cannot be read ({error.strerror})")
    if empty and not errors:
        yield Found(root, root, root, "no pictures in this folder")

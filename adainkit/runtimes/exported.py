"""Which files an export has: known without torch, so that what is in their place is told at once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

from ..errors import AdaINKitError

__all__ = ["EXPORTS", "FACTS", "GRAPHS", "README", "exported_files", "may_export", "refuse"]

EXPORTS = {"onnx": (".onnx",), "openvino": (".bin", ".xml"), "tensorrt": (".plan",)}
"""The kinds of export, and the endings of the files of each graph."""
GRAPHS = ("encoder", "maps", "decoder")
FACTS, README = "model.json", "README.md"


def exported_files(kind: str, folder: str | os.PathLike[str]) -> list[Path]:
    """All that an export to `folder` writes, there or not. `AdaINKitError` for a kind that there is not."""
    if kind not in EXPORTS:
        *others, last = EXPORTS
        raise AdaINKitError(f"an export is to {', '.join(others)} or {last}, got {kind!r}")
    names = [f"{graph}{ending}" for graph in GRAPHS for ending in EXPORTS[kind]]
    return [Path(folder) / name for name in (*names, FACTS, README)]


def may_export(kind: str, folder: str | os.PathLike[str], overwrite: bool | None) -> None:
    """`AdaINKitError` where an export would replace a file, unless `overwrite` is True.

    None, for one release more, replaces it with a `FutureWarning` to the caller of the caller.
    """
    files = exported_files(kind, folder)
    if overwrite is not None:
        return refuse(files, overwrite)
    there = _first(files)
    if there is None:
        return
    told = "exists already and is replaced; the next release refuses that: pass overwrite=True, or another folder"
    warnings.warn(f"{there}: {told}", FutureWarning, stacklevel=3)


def refuse(files: Iterable[Path], overwrite: bool) -> None:
    """`AdaINKitError` where one of the files is there, unless they may be replaced."""
    there = None if overwrite else _first(files)
    if there is not None:
        raise AdaINKitError(f"{there}: exists already; pass overwrite=True to replace it, or choose another folder")


def _first(files: Iterable[Path]) -> Path | None:
    return next((path for path in files if os.path.lexists(path)), None)

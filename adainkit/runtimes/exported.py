"""Which files an export has: known without torch, so that what is in their place is told at once."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from ..errors import AdaINKitError

__all__ = ["EXPORTS", "FACTS", "GRAPHS", "README", "exported_files", "may_export"]

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
    there = next((path for path in exported_files(kind, folder) if os.path.lexists(path)), None)
    if there is None or overwrite:
        return
    if overwrite is False:
        raise AdaINKitError(f"{there}: exists already; pass overwrite=True to replace it, or choose another folder")
    told = "exists already and is replaced; the next release refuses that: pass overwrite=True, or another folder"
    warnings.warn(f"{there}: {told}", FutureWarning, stacklevel=3)

"""Checkpoints of a run: one file each, whole or not there, the newest few kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from adainkit.atomic import temporary_beside

from .config import ConfigError

__all__ = ["newest", "read", "write"]

log = logging.getLogger("adainkit.training")


def write(folder: Path, step: int, state: Mapping[str, Any], keep: int) -> Path:
    """Write `folder/STEP.pt`, then remove all but the `keep` newest (at least this one)."""
    target = folder / f"{step:08d}.pt"
    with temporary_beside(target) as path:
        torch.save(dict(state), path)
    for old in _all(folder)[: -max(1, keep)]:
        old.unlink(missing_ok=True)
    return target


def newest(folder: Path) -> Path | None:
    """The newest checkpoint of a run's folder; None if there is none."""
    return _all(folder)[-1] if _all(folder) else None


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """What `write` wrote. `ConfigError` if the file is damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises whatever its unpickler meets in a broken file
        raise ConfigError(
            f"{path}: is damaged ({type(error).__name__}); remove it to go on from the one before it, or from the "
            "beginning"
        ) from error
    return state


def _all(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.pt") if p.stem.isdigit())

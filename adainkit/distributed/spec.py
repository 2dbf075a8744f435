"""What an actor is told once: all that a picture's result depends on besides the picture, and what it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..batch.chosen import ChosenStyles

__all__ = ["Ended", "Member", "Spec"]

Member: TypeAlias = tuple[str, str, str, float, str]
"""What became of a picture of a shard: its place, its result's, its style, seconds, and an error's message or none."""


@dataclass(frozen=True)
class Spec:
    """One run's facts, in values that can be sent. Paths must mean the same on every node."""

    styles: ChosenStyles
    model: str = "lite"
    device: str = "auto"
    dtype: str = "auto"
    runtime: str = "auto"
    style_size: int | None = 512
    max_pixels: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Those of `batch.stylize_files`."""
    record: Mapping[str, Any] | None = None
    """As in `batch.records.complete_record`; None writes none."""
    threads: int = 1
    """Of torch, and those that decode and that encode."""
    batch: int = 1
    """Pictures of one size that are computed together."""
    memory: int = 0
    """Bytes that its pictures may use; 0 is its share of what is free."""
    crowd: int = 1
    """How many actors share a machine."""


@dataclass(frozen=True)
class Ended:
    """What became of one picture or shard, in values that can be sent: `error` is a message, or empty. `members` are
    those of a shard."""

    seconds: float
    error: str = ""
    members: tuple[Member, ...] = ()

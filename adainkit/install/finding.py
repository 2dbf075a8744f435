"""What an examination finds: one fact, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """One fact. "missing": some uses need it; "broken": nothing goes without it; both come with a `remedy`."""

    name: str
    value: str
    status: Literal["ok", "missing", "broken"] = "ok"
    remedy: str = ""

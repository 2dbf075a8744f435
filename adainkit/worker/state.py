"""The state file, by which editors find the worker: port, token, process. One worker serves one file."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["read_state", "remove_state", "write_state"]


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write the file whole, readable by its owner alone from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w") as stream:
            json.dump(state, stream)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def read_state(path: Path) -> dict[str, Any] | None:
    """What the file says, or None if it is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def remove_state(path: Path, token: str) -> None:
    """Remove the file, unless it is another worker's by now."""
    if (read_state(path) or {}).get("token") == token:
        with suppress(OSError):
            path.unlink()

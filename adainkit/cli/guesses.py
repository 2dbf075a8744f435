"""What a command line means that says less than it could: a command that is left out, a flag without its value."""

# os.path, not Path: its tests never raise, whatever the name.
# ruff: noqa: PTH110

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Collection, Sequence
from pathlib import PurePath

from ..formats import PICTURES
from ..look.controls import CONTROLS

__all__ = ["meant"]

_INFORMING = ("-h", "--help", "--version")


def meant(arguments: Sequence[str], commands: Collection[str]) -> list[str]:
    """The same line written out: `stylize` before pictures that follow no command, and its value behind a flag that has
    one by itself and is followed by a picture or a preset. `ValueError` for a first word that is nothing of this."""
    first, rest = arguments[0], list(arguments)
    flags_first = first.startswith("-") and first not in _INFORMING and not set(arguments) & set(commands)
    if first == "-" or flags_first or (first not in commands and _is_content(first)):
        rest.insert(0, "stylize")
    elif first not in commands and not first.startswith("-"):
        close = difflib.get_close_matches(first, commands, n=1)
        there = f"did you mean {close[0]!r}?" if close else f"the commands are {', '.join(commands)}"
        raise ValueError(f"{first!r} is neither a command nor a picture; {there}")
    return rest if rest[0] == "train" else [_with_value(*pair) for pair in zip(rest, [*rest[1:], ""], strict=True)]


def _is_content(text: str) -> bool:
    return os.path.exists(text) or PurePath(text).suffix.lower() in PICTURES or glob.has_magic(text)


def _with_value(flag: str, after: str) -> str:
    control = CONTROLS.get(flag.removeprefix("--").replace("-", "_")) if flag.startswith("--") else None
    if control is None or control.alone is None or after in control.choices:
        return flag
    return f"{flag}={control.alone}" if _is_content(after) or _is_preset(after) else flag


def _is_preset(text: str) -> bool:
    from ..preset_list import styles

    return text in styles()

"""For the reference: examples in docstrings (`>>> ...`) become blocks of code; to Markdown they would be quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["DoctestFences", "with_fences"]

_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!$).*)*", re.MULTILINE)


def with_fences(text: str) -> str:
    """Every run of lines that begins with `>>> ` in a fence; it ends at an empty line, as doctest's output does."""
    return _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", text)


class DoctestFences(griffe.Extension):
    """Puts the fences into each docstring as the package is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring in place."""
        if obj.docstring is not None:
            obj.docstring.value = with_fences(obj.docstring.value)

"""How long work tells how far it is, and is told to stop."""

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Progress"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with (stage, done, total); raise `Cancelled` in it to stop at the next step. A total of 0 is not known."""

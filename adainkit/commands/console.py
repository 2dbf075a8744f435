"""What the commands share: the model that the options name, and errors as one line."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..stylizer import Stylizer

__all__ = ["complain", "make_stylizer", "one_line"]


def make_stylizer(model: str, device: str, dtype: str) -> Stylizer:
    """A Stylizer that keeps its styles on disk."""
    from ..style import StyleCache
    from ..stylizer import Stylizer
    from ..weights import cache_dir

    return Stylizer(model, device=device, dtype=dtype, cache=StyleCache(folder=cache_dir() / "styles"))


def complain(error: BaseException, debug: bool) -> None:
    """One line on stderr and, to debug, where it comes from."""
    print(f"adainkit: error: {one_line(error)}", file=sys.stderr)
    if debug:
        traceback.print_exception(error, file=sys.stderr)


def one_line(error: BaseException) -> str:
    """The message, or what there is instead, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__

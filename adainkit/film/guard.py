"""What a film may replace: nothing that is read while it is painted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..batch.jobs import may_replace
from ..errors import FilmError, ImageError
from .pictures import files_of, is_pattern, written_to

__all__ = ["may_replace_film"]


def may_replace_film(
    target: str | os.PathLike[str], overwrite: bool | None, *, source: Any, mask: Any, style: Any, resume: bool = False
) -> bool:
    """`overwrite` as True or False: None, for one release more, replaces with a `FutureWarning`.

    `FilmError` where the film would replace a file of `source` or `mask`, which are read to the end of the work;
    `ImageError` for a picture of `style`, unless `overwrite` is True, and for what exists, where it is False. With
    `resume` numbered pictures from the first one on are those of the run that goes on.
    """
    there = written_to(target)
    taken = {_identity(path): path for path in there if path.exists()}
    for what, given in (("the film itself", source), ("the mask", mask)):
        for path in files_of(given) if isinstance(given, (str, os.PathLike)) else ():
            if _identity(path) in taken:
                raise FilmError(f"{taken[_identity(path)]} is {what}; choose another name for the result")
    if resume and is_pattern(target):
        return overwrite is not False
    if overwrite is False and there:
        raise ImageError(f"{there[0]} exists already; pass overwrite=True, or choose another name")
    styles = [path for path in _paths(style) if Path(path).exists()]
    for path in there[1:]:  # one warning is enough
        may_replace(path, bool(overwrite), styles)
    return may_replace(there[0] if there else target, overwrite, styles, stacklevel=5)


def _identity(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_dev, facts.st_ino


def _paths(style: Any) -> list[Any]:
    """What may be files among styles, however they are nested."""
    found: list[Any] = []
    waiting = [style]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, (list, tuple)):
            waiting.extend(each)
        elif isinstance(each, (str, os.PathLike)):
            found.append(each)
    return found

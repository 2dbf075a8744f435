"""Where a film goes that was given no name, and whether it is there already."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..batch.jobs import default_name, next_name, with_format
from ..film.codecs import CONTAINERS
from ..film.parts import parts_of
from ..film.pictures import is_pattern, written_to

__all__ = ["default_target", "is_finished"]


def default_target(source: str, styles: Iterable[str], *, preview: bool, overwrite: bool, resume: bool) -> Path:
    """A name beside the film with the styles in it, as `stylize` gives one to a picture: of the film's own kind, MP4
    where that cannot be written, PNG for a GIF; numbered pictures in a folder beside theirs. A preview is a JPEG.

    Nothing that exists has it but for `overwrite`: then a number follows. With `resume` it is the name of the run that
    goes on or, where none does, of the film that is there.
    """
    names = _names(Path(source), default_name(dict.fromkeys(styles)), preview)
    taken: list[Path] = []
    for name in names:
        if overwrite or not written_to(name) or (resume and (is_pattern(name) or parts_of(name).exists())):
            break
        taken.append(name)
    return taken[-1] if resume and taken and not parts_of(name).exists() else name


def is_finished(target: str | os.PathLike[str]) -> bool:
    """Whether a film of this name is there, whole, and no run is left that would go on with it. Never of numbered
    pictures, of which a run sees for itself."""
    return not is_pattern(target) and os.path.isfile(target) and not parts_of(Path(target)).exists()  # noqa: PTH113


def _names(source: Path, style: str, preview: bool) -> Iterator[Path]:
    """The name for a result, and what comes after it where it is taken."""
    folder = Path(os.path.abspath(source.parent)) if is_pattern(source) else None  # noqa: PTH100
    stem = source.stem if folder is None else folder.name or "pictures"
    above = source.parent if folder is None else folder.parent
    place = above / f"{stem}-{style}"
    if preview:
        place = place.with_name(f"{place.name}-preview.jpg")
    elif folder is None:
        place = place.with_name(f"{place.name}{_kind(source)}")
    while True:
        yield place if folder is None or preview else place / with_format(Path(source.name), None)
        place = next_name(place)


def _kind(source: Path) -> str:
    suffix = source.suffix.lower()
    if suffix in (".gif", ".png", ".apng", ".webp"):
        return with_format(Path(f"film{suffix}"), None).suffix
    return suffix if suffix in CONTAINERS else ".mp4"

"""Files that are copied into somebody else's folder, and taken out again. Nothing else is touched, no link followed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ..atomic import write_atomically
from ..errors import AdaINKitError

__all__ = ["are_inside", "copy_files", "refuse_link", "refuse_links", "remove_files"]


def are_inside(names: Iterable[object]) -> bool:
    """Whether all of a list's names are those of files below the folder that the list is in."""
    return all(
        isinstance(name, str) and name and not Path(name).is_absolute() and ".." not in Path(name).parts
        for name in names
    )


def refuse_link(folder: Path) -> None:
    """`AdaINKitError` for a folder that is a link: what it leads to is not ours."""
    if folder.is_symlink():
        raise AdaINKitError(f"{folder} is a link to {folder.readlink()}, which was left alone; remove the link first")


def copy_files(folder: Path, files: Mapping[str, Path], executable: Iterable[str] = ()) -> None:
    """Copy `files`, by their names below `folder`, each whole or not at all. `OSError` as the system gives it."""
    refuse_links(folder, files)
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in files.items():
        path = write_atomically(folder / name, source.read_bytes())
        if name in executable:
            path.chmod(path.stat().st_mode | 0o111)


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove these, what Python compiled of them, and the folders that are empty then, `folder` among them.

    Where a folder of theirs has no Python file any more, all that was compiled there goes. `OSError` as the system
    gives it, also for a folder that has the name of a file.
    """
    names = list(names)
    refuse_links(folder, names)
    parents = {folder}
    for path in (folder / name for name in names):
        compiled = (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc") if path.suffix == ".py" else ()
        for each in (path, *compiled):
            each.unlink(missing_ok=True)
        parents |= {parent for parent in path.parents if parent.is_relative_to(folder)}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        compiled_here = parent / "__pycache__"
        if compiled_here.is_dir() and not compiled_here.is_symlink() and not any(parent.glob("*.py")):
            shutil.rmtree(compiled_here)
        for empty in (compiled_here, parent):
            with suppress(OSError):  # not there, or not empty: somebody's own files
                empty.rmdir()


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Refuse links in place of the folder and of the folders in it that the names lead through."""
    for part in {folder, *(folder / parent for name in names for parent in Path(name).parents)}:
        refuse_link(part)

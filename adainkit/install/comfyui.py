"""Puts the node pack into a ComfyUI, with the library that it runs on, and takes it out: `adainkit comfyui install`.

What is copied is what a clone has, so that it works whatever ComfyUI's Python has installed. A list of the copied files
lies beside them: an upgrade replaces those, and neither it nor `uninstall` touches anything else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..atomic import write_atomically
from ..errors import AdaINKitError
from .copies import are_inside, copy_files, refuse_link, refuse_links, remove_files

__all__ = ["Change", "install", "pack_files", "uninstall"]

NAME = "adainkit"
LIST = ".adainkit-files.json"
_PACK = ("__init__.py", "requirements.txt", "comfyui_nodes", "example_workflows", "locales")
_NOT_LIBRARY = {"__pycache__", "comfyui_pack", "gimp_plugin", "krita_plugin"}


@dataclass(frozen=True)
class Change:
    """What was done: "installed", "upgraded", "reinstalled" or "uninstalled" a version in a folder, by how many files.

    `before`: the version that was there; `kept`: files in the folder that are not the pack's, by their names.
    """

    action: str
    folder: Path
    version: str
    files: int
    before: str | None = None
    kept: tuple[str, ...] = ()


def pack_files() -> dict[str, Path]:
    """The files of the pack by their place in its folder. `AdaINKitError` if this installation has none."""
    package = Path(__file__).parent.parent
    for source in (package / "comfyui_pack", package.parent):  # the wheel's, a checkout's
        if (source / "comfyui_nodes").is_dir():
            break
    else:
        raise AdaINKitError("the node pack is missing from this installation; reinstall adainkit")
    found = {name: source / name for name in _PACK if (source / name).is_file()}
    for folder in (source / name for name in _PACK if (source / name).is_dir()):
        found |= {path.relative_to(source).as_posix(): path for path in _walk(folder)}
    return found | {path.relative_to(package.parent).as_posix(): path for path in _walk(package)}


def install(comfyui: str | os.PathLike[str]) -> Change:
    """Copy the pack into `comfyui`, ComfyUI's folder or its custom_nodes, over an older copy if there is one.

    `AdaINKitError` if that is no ComfyUI, has the pack in another way already (a clone), or cannot be written.
    """
    nodes = _custom_nodes(comfyui)
    folder = nodes / NAME
    refuse_link(folder)
    for other in sorted(nodes.iterdir()):
        if other != folder and (other / "comfyui_nodes" / "apply_nodes.py").is_file() and other.suffix != ".disabled":
            raise AdaINKitError(f"{other} is the node pack, too; remove it first, or update it with git pull")
    before = _read_list(folder)
    if before is None and os.path.lexists(folder):
        raise AdaINKitError(f"{folder} was not made by this command; move it away (a clone: git pull updates it)")
    files = pack_files()
    had, old = before or (None, set())
    refuse_links(folder, old | set(files) | {LIST})
    try:
        _write_list(folder, had or __version__, old | set(files))  # for a run that is cut off
        copy_files(folder, files)
        remove_files(folder, old - set(files))
        _write_list(folder, __version__, set(files))
    except OSError as error:
        raise _storage_error(error, folder) from error
    action = "installed" if had is None else "reinstalled" if had == __version__ else "upgraded"
    return Change(action, folder, __version__, len(files), had)


def uninstall(comfyui: str | os.PathLike[str]) -> Change:
    """Remove what `install` copied. `AdaINKitError` if there is nothing of it, or it cannot be removed."""
    folder = _custom_nodes(comfyui) / NAME
    refuse_link(folder)
    listed = _read_list(folder)
    if not os.path.lexists(folder):
        raise AdaINKitError(f"there is no {folder}: the node pack is not installed there")
    if listed is None:
        raise AdaINKitError(f"{folder} was not made by `adainkit comfyui install`; nothing was removed")
    refuse_links(folder, listed[1] | {LIST})
    try:
        remove_files(folder, listed[1])
        remove_files(folder, {LIST})  # last: a run that is cut off can be done again
        kept = tuple(sorted(path.relative_to(folder).as_posix() for path in _walk(folder)))
    except OSError as error:
        raise _storage_error(error, folder) from error
    return Change("uninstalled", folder, listed[0], len(listed[1]), kept=kept)


def _custom_nodes(comfyui: str | os.PathLike[str]) -> Path:
    given = Path(comfyui).expanduser().absolute()
    for folder in (given / "custom_nodes", given):
        if folder.name == "custom_nodes" and folder.is_dir():
            return folder
    raise AdaINKitError(f"{given} is no ComfyUI: it has no folder custom_nodes; name the folder that main.py lies in")


def _walk(folder: Path) -> Iterator[Path]:
    """All files below, but what is not of the library and what Python compiled."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - _NOT_LIBRARY)
        yield from (Path(parent, name) for name in sorted(files))


def _read_list(folder: Path) -> tuple[str, set[str]] | None:
    """The version that `install` copied, and its files; None where it did not."""
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
        names = listed["files"]
        return (listed["version"], set(names)) if are_inside(names) else None  # nothing that `install` writes
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_list(folder: Path, version: str, files: set[str]) -> None:
    text = json.dumps({"version": version, "files": sorted(files)}, indent=1)
    write_atomically(folder / LIST, text.encode())


def _storage_error(error: OSError, folder: Path) -> AdaINKitError:
    told = f"{error.filename or folder}: {error.strerror or error}"
    return AdaINKitError(f"{told}; close ComfyUI, make sure that you may write there, and run this again")

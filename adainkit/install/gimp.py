"""Puts the GIMP plug-in where GIMP 3 looks for it and tells it how to start the worker: `adainkit gimp install`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import AdaINKitError
from . import editors
from .editors import Installed, Plugin
from .finding import Finding

__all__ = ["Installed", "advice", "examine", "gimp_folders", "install", "plugin_folders", "plugin_source", "uninstall"]

MENU = "Filters > Artistic > AdaIN Style Transfer"
NAME = "adainkit"
_INSTALL = "adainkit gimp install"
_FLATPAK_APP = Path(".var/app/org.gimp.GIMP")


def plugin_source() -> Path:
    """The plug-in's folder in the wheel, or in the checkout. `AdaINKitError` if neither is there."""
    return editors.source_folder("gimp_plugin", NAME, f"{NAME}.py", "GIMP")


def _plugin() -> Plugin:
    source = plugin_source()
    names = [f"{NAME}.py", *sorted(path.name for path in source.glob("*.py") if path.stem != NAME)]
    return Plugin("GIMP", "org.gimp.GIMP", {name: source / name for name in names}, executable=True)


def gimp_folders(
    environment: Mapping[str, str] | None = None, home: Path | None = None, platform: str = sys.platform
) -> list[Path]:
    """The folders that GIMP 3 has made for this user, one for each version and kind of GIMP: `.../GIMP/3.0`."""
    env = os.environ if environment is None else environment
    home = Path.home() if home is None else home
    if platform == "win32":
        parents = [Path(env.get("APPDATA") or home / "AppData" / "Roaming") / "GIMP"]
    elif platform == "darwin":
        parents = [home / "Library" / "Application Support" / "GIMP"]
    else:
        parents = [
            Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "GIMP",
            home / _FLATPAK_APP / "config" / "GIMP",
            home / "snap" / "gimp" / "current" / "GIMP",
        ]
    found = [Path(env["GIMP3_DIRECTORY"])] if env.get("GIMP3_DIRECTORY") else []
    found += [folder for parent in parents for folder in sorted(parent.glob("3.*"))]
    unique = {os.path.realpath(folder): folder for folder in reversed(found) if folder.is_dir()}
    return list(reversed(unique.values()))


def plugin_folders(directory: Path | None) -> list[Path]:
    """Where the plug-in belongs: below `directory`, a folder of GIMP's or its plug-ins (or itself, if it is
    the plug-in's), or below all that there are."""
    if directory is not None:
        if directory.parts[-2:] == ("plug-ins", NAME):
            return [directory]
        return [(directory if directory.name == "plug-ins" else directory / "plug-ins") / NAME]
    found = gimp_folders()
    if not found:
        raise AdaINKitError(
            "no folder of GIMP 3 was found; start GIMP 3 once and run this again, or name the folder: "
            f"{_INSTALL} --dir FOLDER (GIMP shows it under Edit > Preferences > Folders > Plug-ins)"
        )
    return [folder / "plug-ins" / NAME for folder in found]


def install(directory: Path | None = None) -> list[Installed]:
    """Copy the plug-in into every folder, in the place of older copies, and try the worker once.

    `AdaINKitError` with the remedy if a folder is a link or cannot be written, or the worker does not answer.
    """
    plugin = _plugin()
    config = editors.configuration(plugin)
    done = [editors.install_in(folder, plugin, config) for folder in plugin_folders(directory)]
    editors.handshake(done[0].folder, plugin)
    return done


def uninstall(directory: Path | None = None) -> list[Path]:
    """Remove the plug-in from every folder; those where it was. A folder that holds other files stays with them.
    `AdaINKitError` if one is a link or cannot be removed."""
    plugin = _plugin()
    return [folder for folder in plugin_folders(directory) if editors.uninstall_from(folder, plugin)]


def examine(directory: Path | None = None) -> Iterator[Finding]:
    """What keeps the filter out of GIMP's menu or from working, and how to repair it."""
    plugin = _plugin()
    try:
        folders = plugin_folders(directory)
    except AdaINKitError as error:
        yield Finding("gimp", "no folder of GIMP 3", "missing", str(error))
        return
    whole = []
    for folder in folders:
        found = [*_examine_place(folder), *editors.examine_copy(folder, plugin)]
        yield from found
        if all(finding.status == "ok" for finding in found):
            whole.append(folder)
    yield from _examine_python()
    if (Path.home() / _FLATPAK_APP).is_dir() and not editors.flatpak_allowed(plugin.flatpak):
        told = "GIMP from Flatpak starts the worker only if it is allowed to"
        yield Finding("flatpak", told, "missing", plugin.allow)
    if whole:
        yield from editors.examine_worker(whole[0], plugin)


def _examine_place(folder: Path) -> Iterator[Finding]:
    loose = folder.parent / f"{NAME}.py"
    if loose.is_file():
        yield Finding("plug-in", f"{loose} is not in a folder of its own: GIMP ignores it", "broken", f"rm '{loose}'")


def _examine_python() -> Iterator[Finding]:
    """On Linux GIMP runs plug-ins by `env python3`, which an active environment takes over."""
    python = shutil.which("python3")
    if not sys.platform.startswith("linux") or python is None:
        return
    if subprocess.run([python, "-c", "import gi"], capture_output=True, check=False).returncode == 0:
        yield Finding("python3", f"{python}, has gi")
        return
    told = f"{python} has no gi: a GIMP started from this terminal loses all its Python plug-ins"
    yield Finding(
        "python3", told, "missing", "start GIMP from the desktop, or leave the environment (deactivate) before"
    )


def advice(installed: Sequence[Installed]) -> list[str]:
    """What to do next, line by line."""
    lines = [f"Restart GIMP, open a picture and choose {MENU}"]
    if any(_FLATPAK_APP.parts[-1] in each.folder.parts for each in installed):
        lines.append(f"GIMP comes from Flatpak there: allow it to start the worker, once, by\n  {_plugin().allow}")
    return lines

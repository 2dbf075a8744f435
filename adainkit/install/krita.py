"""Puts the Krita plug-in where Krita looks for it and tells it how to start the worker: `adainkit krita install`."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ..atomic import write_atomically
from ..errors import AdaINKitError
from ..look.controls import CONTROLS
from . import editors, gimp
from .editors import Installed, Plugin
from .finding import Finding

__all__ = ["Installed", "advice", "examine", "install", "krita_folders", "plugin_folders", "plugin_source", "uninstall"]

MENU = "Tools > Scripts > AdaIN Style Transfer"
ENABLE = "Settings > Configure Krita > Python Plugin Manager > AdaIN Style Transfer"
NAME = "adainkit_krita"
_DESKTOP = f"{NAME}.desktop"
_INSTALL = "adainkit krita install"
_FLATPAK_APP = Path(".var/app/org.kde.krita")


def plugin_source() -> Path:
    """The plug-in's folder in the wheel, or in the checkout. `AdaINKitError` if neither is there."""
    return editors.source_folder("krita_plugin", NAME, "__init__.py", "Krita")


def _plugin() -> Plugin:
    """Its own files, and the client of the worker, which is GIMP's."""
    source = plugin_source()
    names = ["__init__.py", *sorted(p.name for p in source.iterdir() if p.suffix in (".py", ".html"))]
    files = {name: source / name for name in names} | {editors.LINK: gimp.plugin_source() / editors.LINK}
    return Plugin("Krita", "org.kde.krita", files, more={"controls": [asdict(each) for each in CONTROLS.values()]})


def krita_folders(
    environment: Mapping[str, str] | None = None, home: Path | None = None, platform: str = sys.platform
) -> list[Path]:
    """The resource folders that Krita has made for this user, one for each kind of Krita."""
    env = os.environ if environment is None else environment
    home = Path.home() if home is None else home
    if platform == "win32":
        local = Path(env.get("LOCALAPPDATA") or home / "AppData" / "Local")
        found = [Path(env.get("APPDATA") or home / "AppData" / "Roaming") / "krita"]
        found += sorted(local.glob("Packages/*Krita*/LocalCache/Roaming/krita"))  # from the store
    elif platform == "darwin":
        found = [home / "Library" / "Application Support" / "krita"]
    else:
        found = [
            Path(env.get("XDG_DATA_HOME") or home / ".local" / "share") / "krita",
            home / _FLATPAK_APP / "data" / "krita",
            home / "snap" / "krita" / "current" / ".local" / "share" / "krita",
        ]
    return [folder for folder in found if folder.is_dir()]


def plugin_folders(directory: Path | None) -> list[Path]:
    """Where the plug-in belongs: below `directory`, Krita's resource folder or its pykrita (or itself, if it is the
    plug-in's), or below all that there are."""
    if directory is not None:
        if directory.parts[-2:] == ("pykrita", NAME):
            return [directory]
        return [(directory if directory.name == "pykrita" else directory / "pykrita") / NAME]
    found = krita_folders()
    if not found:
        raise AdaINKitError(
            "no folder of Krita was found; start Krita once and run this again, or name the folder: "
            f"{_INSTALL} --dir FOLDER (Krita opens it by Settings > Manage Resources > Open Resource Folder)"
        )
    return [folder / "pykrita" / NAME for folder in found]


def install(directory: Path | None = None) -> list[Installed]:
    """Copy the plug-in into every folder, in the place of older copies, and try the worker once.

    `AdaINKitError` with the remedy if a folder is a link or cannot be written, or the worker does not answer.
    """
    plugin = _plugin()
    config = editors.configuration(plugin)
    done = []
    for folder in plugin_folders(directory):
        done.append(editors.install_in(folder, plugin, config))
        try:
            write_atomically(folder.parent / _DESKTOP, _desktop().read_bytes())  # last: Krita reads the rest by it
        except OSError as error:
            raise AdaINKitError(f"{folder.parent}: cannot be written ({error.strerror or error})") from error
    editors.handshake(done[0].folder, plugin)
    return done


def uninstall(directory: Path | None = None) -> list[Path]:
    """Remove the plug-in from every folder; those where it was. A folder that holds other files stays with them.
    `AdaINKitError` if one is a link or cannot be removed."""
    plugin, removed = _plugin(), []
    for folder in plugin_folders(directory):
        try:
            (folder.parent / _DESKTOP).unlink(missing_ok=True)
        except OSError as error:
            raise AdaINKitError(f"{folder.parent}: cannot be removed ({error.strerror or error})") from error
        if editors.uninstall_from(folder, plugin):
            removed.append(folder)
    return removed


def examine(directory: Path | None = None) -> Iterator[Finding]:
    """What keeps the entry out of Krita's menu or from working, and how to repair it."""
    plugin = _plugin()
    try:
        folders = plugin_folders(directory)
    except AdaINKitError as error:
        yield Finding("krita", "no folder of Krita", "missing", str(error))
        return
    whole = []
    for folder in folders:
        found = list(editors.examine_copy(folder, plugin))
        if found[-1].status == "ok" and not (folder.parent / _DESKTOP).is_file():
            found = [Finding("plug-in", f"{folder.parent / _DESKTOP}: not there", "broken", _INSTALL)]
        yield from found
        if all(finding.status == "ok" for finding in found):
            whole.append(folder)
    if whole:
        yield from _examine_settings()
    if (Path.home() / _FLATPAK_APP).is_dir() and not editors.flatpak_allowed(plugin.flatpak):
        told = "Krita from Flatpak starts the worker only if it is allowed to"
        yield Finding("flatpak", told, "missing", plugin.allow)
    if whole:
        yield from editors.examine_worker(whole[0], plugin)


def _examine_settings() -> Iterator[Finding]:
    """Whether the plug-in is switched on in the settings of the Kritas that there are."""
    for path in _settings():
        parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), allow_no_value=True)
        with suppress(OSError, UnicodeDecodeError, configparser.Error):
            parser.read_string("[general-of-krita]\n" + path.read_text(encoding="utf-8"))
        if parser.get("python", f"enable_{NAME}", fallback="false") == "true":
            yield Finding("switched on", str(path))
        else:
            yield Finding("switched on", f"not in {path}", "missing", f"{ENABLE}, then restart Krita")


def _settings() -> list[Path]:
    home, env = Path.home(), os.environ
    if sys.platform == "win32":
        found = [Path(env.get("LOCALAPPDATA") or home / "AppData" / "Local") / "kritarc"]
    elif sys.platform == "darwin":
        found = [home / "Library" / "Preferences" / "kritarc"]
    else:
        found = [
            Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "kritarc",
            home / _FLATPAK_APP / "config" / "kritarc",
        ]
    return [path for path in found if path.is_file()]


def _desktop() -> Path:
    return plugin_source().parent / _DESKTOP


def advice(installed: Sequence[Installed]) -> list[str]:
    """What to do next, line by line."""
    lines = [f"Restart Krita, switch the plug-in on once ({ENABLE}), restart Krita, and choose {MENU}"]
    if any(_FLATPAK_APP.parts[-1] in each.folder.parts for each in installed):
        lines.append(f"Krita comes from Flatpak there: allow it to start the worker, once, by\n  {_plugin().allow}")
    return lines

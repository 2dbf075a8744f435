"""Puts the GIMP plug-in where GIMP 3 looks for it and tells it how to start the worker: `adainkit gimp install`.

`worker.json`, which it writes there, lists the copied files: an upgrade replaces those, and neither it nor `uninstall`
touches anything else.
"""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..atomic import write_atomically
from ..errors import AdaINKitError
from .copies import are_inside, copy_files, refuse_link, remove_files
from .finding import Finding

__all__ = ["Installed", "advice", "examine", "gimp_folders", "install", "plugin_folders", "plugin_source", "uninstall"]

MENU = "Filters > Artistic > AdaIN Style Transfer"
NAME = "adainkit"
CONFIG = "worker.json"
_WORKER_S = {"worker-state.json", "worker-state.json.lock", "worker.log"}  # an upgrade leaves them alone
_INSTALL = "adainkit gimp install"
_FLATPAK_APP = Path(".var/app/org.gimp.GIMP")
_FLATPAK_SYSTEM = Path("/var/lib/flatpak")
FLATPAK = "flatpak override --user --talk-name=org.freedesktop.Flatpak org.gimp.GIMP"


@dataclass(frozen=True)
class Installed:
    """One copy of the plug-in: its folder, and the version that it replaced, if any."""

    folder: Path
    replaced: str | None = None


def plugin_source() -> Path:
    """The plug-in's folder in the wheel, or in the checkout. `AdaINKitError` if neither is there."""
    package = Path(__file__).parent.parent
    for folder in (package / "gimp_plugin" / NAME, package.parent / "gimp_plugin" / NAME):
        if (folder / f"{NAME}.py").is_file():
            return folder
    raise AdaINKitError("the GIMP plug-in is missing from this installation; reinstall adainkit")


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
    config = _config()
    done = []
    for folder in plugin_folders(directory):
        refuse_link(folder)
        old = _read_config(folder)
        try:
            _stop_worker(folder)
            _copy(folder, config)
        except OSError as error:
            raise AdaINKitError(f"{folder}: cannot be written ({error.strerror or error})") from error
        done.append(Installed(folder, None if old is None else str(old.get("version", "?"))))
    _handshake(done[0].folder)
    return done


def uninstall(directory: Path | None = None) -> list[Path]:
    """Remove the plug-in from every folder; those where it was. A folder that holds other files stays with them.
    `AdaINKitError` if one is a link or cannot be removed."""
    removed = []
    for folder in plugin_folders(directory):
        if not (folder / f"{NAME}.py").is_file():
            continue
        refuse_link(folder)
        try:
            _stop_worker(folder)
            _remove(folder)
        except OSError as error:
            raise AdaINKitError(f"{folder}: cannot be removed ({error.strerror or error})") from error
        removed.append(folder)
    return removed


def examine(directory: Path | None = None) -> Iterator[Finding]:
    """What keeps the filter out of GIMP's menu or from working, and how to repair it."""
    try:
        folders = plugin_folders(directory)
    except AdaINKitError as error:
        yield Finding("gimp", "no folder of GIMP 3", "missing", str(error))
        return
    whole = []
    for folder in folders:
        found = list(_examine_copy(folder))
        yield from found
        if all(finding.status == "ok" for finding in found):
            whole.append(folder)
    yield from _examine_python()
    if (Path.home() / _FLATPAK_APP).is_dir() and not _flatpak_allowed():
        yield Finding("flatpak", "GIMP from Flatpak starts the worker only if it is allowed to", "missing", FLATPAK)
    if whole:
        try:
            _handshake(whole[0])
            yield Finding("worker", "starts and answers")
        except AdaINKitError as error:
            yield Finding("worker", "does not answer", "broken", str(error))


def _examine_copy(folder: Path) -> Iterator[Finding]:
    where = str(folder)
    script, source = folder / f"{NAME}.py", plugin_source()
    loose = folder.parent / f"{NAME}.py"
    if loose.is_file():
        yield Finding("plug-in", f"{loose} is not in a folder of its own: GIMP ignores it", "broken", f"rm '{loose}'")
    if not script.is_file():
        yield Finding("plug-in", f"{where}: not there", "missing", _INSTALL)
        return
    if os.name == "posix" and not os.access(script, os.X_OK):
        yield Finding("plug-in", f"{script} is not executable: GIMP ignores it", "broken", _INSTALL)
        return
    files = sorted(path.name for path in source.glob("*.py"))
    if any(not _same(source / name, folder / name) for name in files):
        yield Finding("plug-in", f"{where}: a copy of another release", "broken", _INSTALL)
        return
    config = _read_config(folder)
    if config is None:
        yield Finding("plug-in", f"{where}: worker.json is missing or damaged", "broken", _INSTALL)
        return
    python = str(config["command"][0])
    if shutil.which(python) is None:
        yield Finding("plug-in", f"{where}: its Python {python} is not there any more", "broken", _INSTALL)
    elif {**config, "environment": {}} != {**_config(), "environment": {}}:  # variables may differ between shells
        yield Finding("plug-in", f"{where}: set up for another installation, {python}", "broken", _INSTALL)
    else:
        yield Finding("plug-in", where)


def _flatpak_allowed() -> bool:
    """Whether GIMP's Flatpak may start programs outside it; the user's overrides come after the system's."""
    data = os.environ.get("XDG_DATA_HOME")
    own = (Path(data) if data else Path.home() / ".local" / "share") / "flatpak"
    policy = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    with suppress(OSError, UnicodeDecodeError, configparser.Error):
        folders = [installation / "overrides" for installation in (_FLATPAK_SYSTEM, own)]
        policy.read([folder / name for folder in folders for name in ("global", "org.gimp.GIMP")], encoding="utf-8")
    return policy.get("Session Bus Policy", "org.freedesktop.Flatpak", fallback="none") in ("talk", "own")


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


def _config() -> dict[str, Any]:
    """What the plug-in must know: how to start the worker, and the names that its menus show."""
    from .. import __version__
    from ..preset_list import styles
    from ..store.weights import models
    from ..worker.protocol import PROTOCOL

    presets = [{"name": p.name, "description": p.description} for p in styles("lite").values()]
    return {
        "version": __version__,
        "protocol": PROTOCOL,
        "command": [sys.executable, "-m", "adainkit.worker"],
        "environment": _environment(),
        "presets": presets,
        "models": list(models()),
        "files": _files(),
    }


def _files() -> list[str]:
    """The names of what `install` puts into a folder."""
    return sorted([CONFIG, *(path.name for path in plugin_source().glob("*.py"))])


def _environment() -> dict[str, str]:
    """What the worker needs of this shell's variables: those of adainkit, and the way to a checkout that is not
    installed."""
    package = Path(__file__).resolve().parent.parent
    found = {name: value for name, value in sorted(os.environ.items()) if name.startswith("ADAINKIT_")}
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    ask = [sys.executable, "-c", "import adainkit; print(adainkit.__path__[0])"]
    told = subprocess.run(ask, capture_output=True, text=True, check=False, env=clean, cwd=package.anchor)
    if told.returncode or Path(told.stdout.strip()).resolve() != package:
        found["PYTHONPATH"] = str(package.parent)
    return found


def _copy(folder: Path, config: Mapping[str, Any]) -> None:
    source, old = plugin_source(), _own_files(folder)
    files = {name: source / name for name in _files() if name != CONFIG}
    copy_files(folder, files, executable=[f"{NAME}.py"])
    remove_files(folder, old - set(_files()))  # of another release
    write_atomically(folder / CONFIG, json.dumps(config, indent=2).encode())  # last: until then the old list counts


def _own_files(folder: Path) -> set[str]:
    """The names that `install` put there, by the list; those of this release where it is of an older one, or lost."""
    listed = (_read_config(folder) or {}).get("files")
    names = {name for name in (listed if isinstance(listed, list) else []) if are_inside([name])}
    own = {name for name in names if Path(name).name == name} | set(_files())
    return {name for name in own if (folder / name).is_symlink() or not (folder / name).is_dir()}


def _remove(folder: Path, seconds: float = 10.0) -> None:
    """A worker that has just been told to end may hold its log for a moment, which Windows minds."""
    deadline, names = time.monotonic() + seconds, _own_files(folder) | _WORKER_S
    while True:
        try:
            remove_files(folder, names)
            return
        except OSError:
            if os.name != "nt" or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _handshake(folder: Path) -> None:
    """Start the worker as the plug-in will, by the plug-in's own code, and let it go."""
    link = _link(folder)
    try:
        worker = link.Worker(str(folder))
        worker.request({"do": "hello"}).close()
        worker.stop()
    except link.Failure as failure:
        raise AdaINKitError(str(failure)) from failure


def _stop_worker(folder: Path) -> None:
    """An older worker must not serve the new plug-in, nor outlive the last one."""
    if _read_config(folder) is not None:
        link = _link(plugin_source())
        with suppress(link.Failure):  # a configuration that starts no worker
            link.Worker(str(folder)).stop()


def _link(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("adainkit_worker_link", folder / "worker_link.py")
    if spec is None or spec.loader is None:
        raise AdaINKitError(f"{folder}: worker_link.py is missing; run {_INSTALL}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read_config(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    command = found.get("command") if isinstance(found, dict) else None
    right = isinstance(command, list) and command and all(isinstance(part, str) for part in command)
    return found if right else None


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def advice(installed: Sequence[Installed]) -> list[str]:
    """What to do next, line by line."""
    lines = [f"Restart GIMP, open a picture and choose {MENU}"]
    if any(_FLATPAK_APP.parts[-1] in each.folder.parts for each in installed):
        lines.append(f"GIMP comes from Flatpak there: allow it to start the worker, once, by\n  {FLATPAK}")
    return lines

"""What is the same for the plug-in of every editor: its files, `worker.json` beside them, the worker's first answer.

`worker.json` lists the copied files: an upgrade replaces those, and neither it nor `uninstall` touches anything else.
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
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ..atomic import write_atomically
from ..errors import AdaINKitError
from .copies import are_inside, copy_files, refuse_link, remove_files
from .finding import Finding

__all__ = ["Installed", "Plugin", "examine_copy", "examine_worker", "flatpak_allowed", "install_in", "uninstall_from"]

CONFIG = "worker.json"
LINK = "worker_link.py"
_WORKER_S = {"worker-state.json", "worker-state.json.lock", "worker.log"}  # an upgrade leaves them alone
_FLATPAK_SYSTEM = Path("/var/lib/flatpak")


@dataclass(frozen=True)
class Plugin:
    """The plug-in of one editor: its files by their names in its folder, the first of them its entry."""

    editor: str
    flatpak: str
    """The editor's name as a Flatpak."""
    files: Mapping[str, Path]
    executable: bool = False
    """Whether the entry must be."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What its configuration says beside what all do."""

    @property
    def command(self) -> str:
        """The command that installs it."""
        return f"adainkit {self.editor.lower()} install"

    @property
    def entry(self) -> str:
        """The file without which there is no plug-in."""
        return next(iter(self.files))

    @property
    def allow(self) -> str:
        """The command that lets the editor's Flatpak start the worker."""
        return f"flatpak override --user --talk-name=org.freedesktop.Flatpak {self.flatpak}"


@dataclass(frozen=True)
class Installed:
    """One copy of the plug-in: its folder, and the version that it replaced, if any."""

    folder: Path
    replaced: str | None = None


def source_folder(room: str, folder: str, entry: str, editor: str) -> Path:
    """A folder of the plug-in in the wheel, or in the checkout. `AdaINKitError` if neither is there."""
    package = Path(__file__).parent.parent
    for found in (package / room / folder, package.parent / room / folder):
        if (found / entry).is_file():
            return found
    raise AdaINKitError(f"the {editor} plug-in is missing from this installation; reinstall adainkit")


def install_in(folder: Path, plugin: Plugin, config: Mapping[str, Any]) -> Installed:
    """Copy the plug-in into its folder, in the place of an older copy. `AdaINKitError` if that is a link or cannot be
    written."""
    refuse_link(folder)
    old = _read_config(folder)
    try:
        _stop_worker(folder, plugin)
        _copy(folder, plugin, config)
    except OSError as error:
        raise AdaINKitError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return Installed(folder, None if old is None else str(old.get("version", "?")))


def uninstall_from(folder: Path, plugin: Plugin) -> bool:
    """Remove the plug-in from its folder; whether it was there. A folder that holds other files stays with them.
    `AdaINKitError` if it is a link or cannot be removed."""
    if not (folder / plugin.entry).is_file():
        return False
    refuse_link(folder)
    try:
        _stop_worker(folder, plugin)
        _remove(folder, plugin)
    except OSError as error:
        raise AdaINKitError(f"{folder}: cannot be removed ({error.strerror or error})") from error
    return True


def examine_copy(folder: Path, plugin: Plugin) -> Iterator[Finding]:
    """Whether a folder holds the plug-in as this installation has it."""
    entry = folder / plugin.entry
    if not entry.is_file():
        yield Finding("plug-in", f"{folder}: not there", "missing", plugin.command)
        return
    if plugin.executable and os.name == "posix" and not os.access(entry, os.X_OK):
        told = f"{entry} is not executable: {plugin.editor} ignores it"
        yield Finding("plug-in", told, "broken", plugin.command)
        return
    if any(not _same(source, folder / name) for name, source in plugin.files.items()):
        yield Finding("plug-in", f"{folder}: a copy of another release", "broken", plugin.command)
        return
    config = _read_config(folder)
    if config is None:
        yield Finding("plug-in", f"{folder}: worker.json is missing or damaged", "broken", plugin.command)
        return
    python = str(config["command"][0])
    if shutil.which(python) is None:
        yield Finding("plug-in", f"{folder}: its Python {python} is not there any more", "broken", plugin.command)
    elif {**config, "environment": {}} != {**configuration(plugin), "environment": {}}:  # shells may differ in those
        yield Finding("plug-in", f"{folder}: set up for another installation, {python}", "broken", plugin.command)
    else:
        yield Finding("plug-in", str(folder))


def examine_worker(folder: Path, plugin: Plugin) -> Iterator[Finding]:
    """Whether the worker answers the plug-in of a folder."""
    try:
        handshake(folder, plugin)
        yield Finding("worker", "starts and answers")
    except AdaINKitError as error:
        yield Finding("worker", "does not answer", "broken", str(error))


def flatpak_allowed(app: str) -> bool:
    """Whether a Flatpak may start programs outside it; the user's overrides come after the system's."""
    data = os.environ.get("XDG_DATA_HOME")
    own = (Path(data) if data else Path.home() / ".local" / "share") / "flatpak"
    policy = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    with suppress(OSError, UnicodeDecodeError, configparser.Error):
        folders = [installation / "overrides" for installation in (_FLATPAK_SYSTEM, own)]
        policy.read([folder / name for folder in folders for name in ("global", app)], encoding="utf-8")
    return policy.get("Session Bus Policy", "org.freedesktop.Flatpak", fallback="none") in ("talk", "own")


def configuration(plugin: Plugin) -> dict[str, Any]:
    """What the plug-in must know: how to start the worker, and the names that its menus show."""
    from .. import __version__
    from ..preset_list import styles
    from ..store.weights import models
    from ..worker.protocol import PROTOCOL

    told = {
        "version": __version__,
        "protocol": PROTOCOL,
        "command": [sys.executable, "-m", "adainkit.worker"],
        "environment": environment(),
        "presets": [{"name": p.name, "description": p.description} for p in styles("lite").values()],
        "models": list(models()),
        **plugin.more,
        "files": sorted([CONFIG, *plugin.files]),
    }
    return dict(json.loads(json.dumps(told)))  # as it will be read


def environment() -> dict[str, str]:
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


def handshake(folder: Path, plugin: Plugin) -> None:
    """Start the worker as the plug-in will, by the plug-in's own code, and let it go."""
    link = _link(folder / LINK, plugin)
    try:
        worker = link.Worker(str(folder), _editor(link, plugin))
        worker.request({"do": "hello"}).close()
        worker.stop()
    except link.Failure as failure:
        raise AdaINKitError(str(failure)) from failure


def _copy(folder: Path, plugin: Plugin, config: Mapping[str, Any]) -> None:
    old, new = _own_files(folder, plugin), {CONFIG, *plugin.files}
    copy_files(folder, plugin.files, executable=[plugin.entry] if plugin.executable else [])
    remove_files(folder, old - new)  # of another release
    write_atomically(folder / CONFIG, json.dumps(config, indent=2).encode())  # last: until then the old list counts


def _own_files(folder: Path, plugin: Plugin) -> set[str]:
    """The names that `install` put there, by the list; those of this release where it is of an older one, or lost."""
    listed = (_read_config(folder) or {}).get("files")
    names = {name for name in (listed if isinstance(listed, list) else []) if are_inside([name])}
    own = {name for name in names if Path(name).name == name} | {CONFIG, *plugin.files}
    return {name for name in own if (folder / name).is_symlink() or not (folder / name).is_dir()}


def _remove(folder: Path, plugin: Plugin, seconds: float = 10.0) -> None:
    """A worker that has just been told to end may hold its log for a moment, which Windows minds."""
    deadline, names = time.monotonic() + seconds, _own_files(folder, plugin) | _WORKER_S
    while True:
        try:
            remove_files(folder, names)
            return
        except OSError:
            if os.name != "nt" or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _stop_worker(folder: Path, plugin: Plugin) -> None:
    """An older worker must not serve the new plug-in, nor outlive the last one."""
    if _read_config(folder) is not None:
        link = _link(plugin.files[LINK], plugin)
        with suppress(link.Failure):  # a configuration that starts no worker
            link.Worker(str(folder)).stop()


def _editor(link: ModuleType, plugin: Plugin) -> Any:
    return link.Editor(plugin.editor, plugin.command, plugin.flatpak)


def _link(path: Path, plugin: Plugin) -> ModuleType:
    spec = importlib.util.spec_from_file_location("adainkit_worker_link", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise AdaINKitError(f"{path.parent}: {path.name} is missing; run {plugin.command}")
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

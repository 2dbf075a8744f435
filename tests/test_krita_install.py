"""`adainkit krita install | uninstall | doctor`: in fake homes of every system, from checkout and wheel."""

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from worker_client import PLUGIN, ROOT, load_link

import adainkit
from adainkit.cli import main
from adainkit.errors import AdaINKitError
from adainkit.install import editors
from adainkit.install import krita as krita_install
from adainkit.install.krita import install, krita_folders, plugin_source, uninstall
from adainkit.look.controls import CONTROLS

KRITA = ROOT / "krita_plugin" / "adainkit_krita"
FILES = {path.name for path in KRITA.iterdir() if path.is_file()} | {"worker.json", "worker_link.py"}
HANDSHAKE = editors.handshake


@pytest.fixture(autouse=True)
def handshakes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose worker was tried: starting a real one takes seconds, so one test does it."""
    tried: list[Path] = []
    monkeypatch.setattr(editors, "handshake", lambda folder, _: tried.append(folder))
    monkeypatch.setattr(editors, "environment", dict)  # which asks a Python, a second each time
    return tried


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody who has used Krita on Linux."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(krita_folders, "__defaults__", (None, None, "linux"))
    (tmp_path / ".local" / "share" / "krita").mkdir(parents=True)
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "kritarc").write_text("version=5\n[theme]\nTheme=dark\n[python]\nenable_other=true\n")
    return tmp_path


def pykrita(home: Path) -> Path:
    return home / ".local" / "share" / "krita" / "pykrita"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*argv: str) -> SimpleNamespace:
        code = main(["krita", *argv])
        found = capsys.readouterr()
        return SimpleNamespace(code=code, out=found.out, err=found.err)

    return call


@pytest.mark.parametrize(
    ("platform", "environment", "folders"),
    [
        ("linux", {}, [".local/share/krita"]),
        ("linux", {"XDG_DATA_HOME": "HOME/elsewhere"}, ["elsewhere/krita"]),
        ("linux", {}, [".local/share/krita", ".var/app/org.kde.krita/data/krita"]),
        ("linux", {}, ["snap/krita/current/.local/share/krita"]),
        ("win32", {"APPDATA": "HOME/AppData/Roaming"}, ["AppData/Roaming/krita"]),
        ("win32", {}, ["AppData/Roaming/krita", "AppData/Local/Packages/49800Krita_x/LocalCache/Roaming/krita"]),
        ("darwin", {}, ["Library/Application Support/krita"]),
    ],
)
def test_the_folders_of_every_system(platform: str, environment: dict[str, str], folders: list[str], tmp_path: Path):
    for folder in (*folders, "unrelated/krita"):
        (tmp_path / folder).mkdir(parents=True)
    variables = {name: value.replace("HOME", str(tmp_path)) for name, value in environment.items()}
    assert krita_folders(variables, tmp_path, platform) == [tmp_path / folder for folder in folders]


def test_install_puts_a_whole_plug_in_there_and_says_how_to_switch_it_on(
    person: Path, handshakes: list[Path], run: Any
):
    found = run("install")
    assert found.code == 0
    assert "Tools > Scripts > AdaIN Style Transfer" in found.out
    assert "Configure Krita > Python Plugin Manager" in found.out
    folder = pykrita(person) / "adainkit_krita"
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "worker_link.py").read_bytes() == (PLUGIN / "worker_link.py").read_bytes()
    desktop = (pykrita(person) / "adainkit_krita.desktop").read_text()
    assert f"X-KDE-Library={folder.name}\n" in desktop
    assert (folder / desktop.split("X-Krita-Manual=")[1].splitlines()[0]).is_file()
    assert handshakes == [folder]


def test_the_configuration_has_the_presets_the_models_and_every_control(person: Path):
    install()
    config = json.loads((pykrita(person) / "adainkit_krita" / "worker.json").read_text())
    assert config["command"] == [sys.executable, "-m", "adainkit.worker"]
    assert [preset["name"] for preset in config["presets"]] == list(adainkit.styles("lite"))
    assert config["models"] == list(adainkit.models())
    assert [each["name"] for each in config["controls"]] == list(CONTROLS)
    for each in config["controls"]:
        control = CONTROLS[each["name"]]
        assert (each["kind"], each["default"], each["low"], each["high"]) == (
            control.kind,
            control.default,
            control.low,
            control.high,
        )


def test_installing_again_upgrades_and_uninstall_leaves_only_what_is_not_the_plug_in_s(person: Path, run: Any):
    install()
    folder = pykrita(person) / "adainkit_krita"
    (folder / "dialog.py").write_text("old")
    config = json.loads((folder / "worker.json").read_text())
    (folder / "gone.py").write_text("of an older release")
    (folder / "worker.json").write_text(json.dumps({**config, "version": "0.0.1", "files": ["gone.py", "../x"]}))
    (pykrita(person) / "x").write_text("mine")
    (pykrita(person) / "other.desktop").write_text("mine")
    assert [each.replaced for each in install()] == ["0.0.1"]
    assert {path.name for path in folder.iterdir()} == FILES
    found = run("uninstall", "--json")
    assert json.loads(found.out) == {"removed": [str(folder)]}
    assert sorted(path.name for path in pykrita(person).iterdir()) == ["other.desktop", "x"]
    assert "none of Krita's folders" in run("uninstall").out


@pytest.mark.parametrize("given", ["krita", "krita/pykrita", "krita/pykrita/adainkit_krita"])
def test_a_folder_can_be_named(given: str, tmp_path: Path, run: Any):
    assert run("install", "--dir", str(tmp_path / given)).code == 0
    assert (tmp_path / "krita" / "pykrita" / "adainkit_krita.desktop").is_file()
    assert len(list(tmp_path.rglob("action.py"))) == 1


def test_without_krita_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, run: Any):
    monkeypatch.setattr(krita_install, "krita_folders", list)
    found = run("install")
    assert found.code == 1
    assert "start Krita once" in found.err
    assert "--dir FOLDER" in found.err
    assert run("doctor").code == 0  # nothing is broken, something is missing


def test_a_link_in_its_place_is_refused(tmp_path: Path):
    (tmp_path / "checkout").mkdir()
    (tmp_path / "pykrita").mkdir()
    (tmp_path / "pykrita" / "adainkit_krita").symlink_to(tmp_path / "checkout")
    with pytest.raises(AdaINKitError, match="is a link"):
        install(tmp_path)
    assert not (tmp_path / "pykrita" / "adainkit_krita.desktop").exists()


def remedies(home: Path) -> dict[str, str]:
    found = krita_install.examine(home / ".local" / "share" / "krita")
    return {finding.value: finding.remedy for finding in found if finding.status != "ok"}


def test_doctor_names_what_is_wrong(person: Path, run: Any):
    ((value, remedy),) = remedies(person).items()
    assert "not there" in value
    assert remedy == "adainkit krita install"
    install()
    settings = person / ".config" / "kritarc"
    ((value, remedy),) = remedies(person).items()
    assert value == f"not in {settings}"
    assert "Python Plugin Manager" in remedy
    settings.write_text(settings.read_text() + "enable_adainkit_krita=true\n")
    assert remedies(person) == {}
    assert run("doctor").code == 0

    desktop = pykrita(person) / "adainkit_krita.desktop"
    desktop.rename(person / "aside")
    assert list(remedies(person)) == [f"{desktop}: not there"]
    (person / "aside").rename(desktop)
    (desktop.parent / "adainkit_krita" / "qt.py").write_text("an older release")
    assert any("another release" in value for value in remedies(person))
    install()
    (desktop.parent / "adainkit_krita" / "worker.json").write_text("{")
    assert any("worker.json is missing or damaged" in value for value in remedies(person))


def test_flatpak_users_are_told_what_to_allow(person: Path, run: Any):
    (person / ".var" / "app" / "org.kde.krita" / "data" / "krita").mkdir(parents=True)
    command = "flatpak override --user --talk-name=org.freedesktop.Flatpak org.kde.krita"
    assert command in run("install").out
    assert command in run("doctor").out


# ---- the plug-in


def test_its_modules_need_nothing_but_the_standard_library_krita_and_qt():
    allowed = {*sys.stdlib_module_names, "krita"} - {"adainkit"}
    for path in KRITA.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert {name.partition(".")[0] for name in names} <= allowed, path


@pytest.mark.parametrize("binding", ["PyQt5", "PyQt6"])
def test_its_dialog_is_right_with_both_bindings_of_qt(binding: str, tmp_path: Path):
    """Krita 5 has PyQt5, Krita 6 PyQt6; a Python that has the binding is taken, this one or the system's."""
    script, offscreen = (
        Path(__file__).with_name("krita_dialog_alone.py"),
        {**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    install(tmp_path)
    for python in (sys.executable, "/usr/bin/python3"):
        ask = [python, "-c", f"import {binding}.QtWidgets"]
        if Path(python).exists() and not subprocess.run(ask, capture_output=True, check=False).returncode:
            break
    else:
        pytest.skip(f"no Python here has {binding}")
    command = [python, str(script), binding, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=offscreen, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["binding"] == f"{binding}.QtCore"
    assert found["color"] is True
    assert found["free"] == list(CONTROLS)
    first, second = found["choices"]["styles"]
    assert (first["preset"], first["weight"], second["weight"]) == (next(iter(adainkit.styles("lite"))), 0.5, 0.5)
    assert found["choices"]["options"] == {**{c.name: c.default for c in CONTROLS.values()}, "alpha": 0.5}


def test_its_messages_are_of_krita(tmp_path: Path):
    link = load_link()
    editor = link.Editor("Krita", "adainkit krita install", "org.kde.krita")
    with pytest.raises(link.Failure, match="adainkit krita install"):
        link.Worker(tmp_path, editor)
    (tmp_path / "worker.json").write_text(json.dumps({"command": [str(tmp_path / "gone")]}))
    with pytest.raises(link.Failure, match="adainkit krita install"):
        link.Worker(tmp_path, editor).request({"do": "hello"})


def test_the_wheel_carries_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hatchling.builders.wheel import WheelBuilder

    path = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"), versions=["standard"]))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.setattr(editors, "__file__", str(tmp_path / "site" / "adainkit" / "install" / "editors.py"))
    assert plugin_source() == tmp_path / "site" / "adainkit" / "krita_plugin" / "adainkit_krita"
    (done,) = install(tmp_path / "krita")
    assert {path.name for path in done.folder.iterdir()} == FILES
    assert (done.folder.parent / "adainkit_krita.desktop").is_file()


def test_install_shakes_hands_with_the_real_worker(person: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(person))
    (done,) = install(person / ".local" / "share" / "krita")
    worker = load_link().Worker(done.folder)
    assert not worker.is_there()
    assert "serving" in worker.log.read_text()
    uninstall(person / ".local" / "share" / "krita")
    assert not done.folder.exists()

"""`adainkit gimp install | uninstall | doctor`: in fake homes of every system, from the checkout and from the wheel."""

import json
import os
import shutil
import stat
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
from adainkit.install import gimp as gimp_install
from adainkit.install.gimp import gimp_folders, install, plugin_source, uninstall

FILES = {path.name for path in PLUGIN.glob("*.py")} | {"worker.json"}
FLATPAK = "flatpak override --user --talk-name=org.freedesktop.Flatpak org.gimp.GIMP"
HANDSHAKE = editors.handshake


@pytest.fixture(autouse=True)
def handshakes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose worker was tried: starting a real one takes seconds, so one test does it."""
    tried: list[Path] = []
    monkeypatch.setattr(editors, "handshake", lambda folder, _: tried.append(folder))
    return tried


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody who has used GIMP 3.0 and 3.2 on Linux, and GIMP 2.10 before."""
    for name in ("XDG_CONFIG_HOME", "GIMP3_DIRECTORY", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(gimp_folders, "__defaults__", (None, None, "linux"))
    for version in ("2.10", "3.0", "3.2"):
        (tmp_path / ".config" / "GIMP" / version).mkdir(parents=True)
    return tmp_path


def plugins(home: Path, version: str = "3.0") -> Path:
    return home / ".config" / "GIMP" / version / "plug-ins" / "adainkit"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*argv: str) -> SimpleNamespace:
        code = main(["gimp", *argv])
        found = capsys.readouterr()
        return SimpleNamespace(code=code, out=found.out, err=found.err)

    return call


@pytest.mark.parametrize(
    ("platform", "environment", "folders"),
    [
        ("linux", {}, [".config/GIMP/3.0", ".config/GIMP/3.2"]),
        ("linux", {"XDG_CONFIG_HOME": "HOME/elsewhere"}, ["elsewhere/GIMP/3.0"]),
        ("linux", {}, [".config/GIMP/3.0", ".var/app/org.gimp.GIMP/config/GIMP/3.0"]),
        ("linux", {}, ["snap/gimp/current/GIMP/3.0"]),
        ("linux", {"GIMP3_DIRECTORY": "HOME/my gimp"}, ["my gimp", ".config/GIMP/3.2"]),
        ("win32", {"APPDATA": "HOME/AppData/Roaming"}, ["AppData/Roaming/GIMP/3.0", "AppData/Roaming/GIMP/3.2"]),
        ("win32", {}, ["AppData/Roaming/GIMP/3.0"]),
        ("darwin", {}, ["Library/Application Support/GIMP/3.0"]),
    ],
)
def test_the_folders_of_every_system(platform: str, environment: dict[str, str], folders: list[str], tmp_path: Path):
    for folder in (*folders, ".config/GIMP/2.10", "unrelated/GIMP/3.0"):
        (tmp_path / folder).mkdir(parents=True)
    variables = {name: value.replace("HOME", str(tmp_path)) for name, value in environment.items()}
    assert gimp_folders(variables, tmp_path, platform) == [tmp_path / folder for folder in folders]


def test_a_folder_that_is_found_twice_is_one(tmp_path: Path):
    (tmp_path / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    variables = {"GIMP3_DIRECTORY": str(tmp_path / ".config" / "GIMP" / "3.0")}
    assert len(gimp_folders(variables, tmp_path, "linux")) == 1


def test_install_puts_a_whole_plug_in_into_every_version(person: Path, handshakes: list[Path], run: Any):
    found = run("install")
    assert found.code == 0
    assert "Filters > Artistic > AdaIN Style Transfer" in found.out
    assert "Restart GIMP" in found.out
    for version in ("3.0", "3.2"):
        folder = plugins(person, version)
        assert {path.name for path in folder.iterdir()} == FILES
        assert str(folder) in found.out
        if os.name == "posix":
            assert os.access(folder / "adainkit.py", os.X_OK)
    assert not plugins(person, "2.10").exists()
    assert len(handshakes) == 1


def test_the_configuration_says_how_to_start_the_worker(person: Path, home: Path):
    install()
    config = json.loads((plugins(person) / "worker.json").read_text())
    assert config["command"] == [sys.executable, "-m", "adainkit.worker"]
    assert config["version"] == adainkit.__version__
    assert [preset["name"] for preset in config["presets"]] == list(adainkit.styles("lite"))
    assert config["models"] == list(adainkit.models())
    assert config["environment"]["ADAINKIT_HOME"] == str(home)  # what this shell says, GIMP's may not


def test_a_checkout_that_is_not_installed_is_found_by_the_worker(person: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(editors.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stdout=""))
    install()
    assert json.loads((plugins(person) / "worker.json").read_text())["environment"]["PYTHONPATH"] == str(ROOT)
    answer = SimpleNamespace(returncode=0, stdout=f"{ROOT / 'adainkit'}\n")
    monkeypatch.setattr(editors.subprocess, "run", lambda *_, **__: answer)
    install()
    assert "PYTHONPATH" not in json.loads((plugins(person) / "worker.json").read_text())["environment"]


def test_installing_again_upgrades_in_place(person: Path):
    install()
    folder = plugins(person)
    (folder / "adainkit.py").write_text("old")
    (folder / "gone.py").write_text("of an older release")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "gone.cpython-311.pyc").write_text("compiled")
    (folder / "worker.log").write_text("kept")
    config = json.loads((folder / "worker.json").read_text())
    older = {**config, "version": "0.0.1", "files": [*config["files"], "gone.py", "../../outside", ".."]}
    (folder / "worker.json").write_text(json.dumps(older))
    (folder.parent.parent / "outside").write_text("kept")
    done = install()
    assert [each.replaced for each in done] == ["0.0.1", adainkit.__version__]
    assert {path.name for path in folder.iterdir()} == FILES | {"worker.log"}
    assert (folder / "adainkit.py").read_bytes() == (PLUGIN / "adainkit.py").read_bytes()
    assert (folder / "worker.log").read_text() == "kept"
    assert (folder.parent.parent / "outside").read_text() == "kept"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    install()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("listed", [True, False])
def test_what_is_not_the_plug_in_s_is_never_touched(
    listed: bool, person: Path, run: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(editors, "environment", dict)  # which asks a Python, a second each time
    install()
    folder = plugins(person)
    if not listed:  # as the first release wrote it
        config = json.loads((folder / "worker.json").read_text())
        (folder / "worker.json").write_text(json.dumps({k: v for k, v in config.items() if k != "files"}))
    (folder / "notes.txt").write_text("mine")
    (folder / "own.py").write_text("mine")
    (folder / "__pycache__").mkdir()
    for name in ("own", "layers"):
        (folder / "__pycache__" / f"{name}.cpython-311.pyc").write_text("compiled")
    (folder / "paintings").mkdir()
    (folder / "paintings" / "sea.xcf").write_text("mine")
    mine = {"notes.txt", "own.py", "__pycache__", "paintings"}
    install()
    assert {path.name for path in folder.iterdir()} == FILES | mine
    found = run("uninstall")
    assert f"{folder} stays: it holds other files" in found.out
    assert {path.name for path in folder.iterdir()} == mine
    assert [path.name for path in (folder / "__pycache__").iterdir()] == ["own.cpython-311.pyc"]
    assert (folder / "paintings" / "sea.xcf").read_text() == "mine"


def test_a_link_in_its_place_is_refused_and_its_target_left_alone(tmp_path: Path):
    checkout, folder = tmp_path / "checkout", tmp_path / "3.0" / "plug-ins" / "adainkit"
    (checkout / "src").mkdir(parents=True)
    (checkout / "adainkit.py").write_text("mine")
    folder.parent.mkdir(parents=True)
    folder.symlink_to(checkout)
    for command in (install, uninstall):
        with pytest.raises(AdaINKitError, match="is a link"):
            command(tmp_path / "3.0")
    assert folder.is_symlink()
    assert sorted(path.name for path in checkout.iterdir()) == ["adainkit.py", "src"]
    assert (checkout / "adainkit.py").read_text() == "mine"


@pytest.mark.parametrize("config", [{"command": "python"}, {"command": [1]}, {"command": []}, {"command": True}, []])
def test_a_damaged_configuration_is_in_nobody_s_way(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(editors, "environment", dict)
    (folder,) = (each.folder for each in install(tmp_path))
    (folder / "worker.json").write_text(json.dumps(config))
    assert any("damaged" in finding.value for finding in gimp_install.examine(tmp_path))
    assert [each.replaced for each in install(tmp_path)] == [None]
    (folder / "worker.json").write_text(json.dumps(config))
    assert uninstall(tmp_path) == [folder]
    assert not folder.exists()


@pytest.mark.parametrize("given", ["3.9", "3.9/plug-ins", "3.9/plug-ins/adainkit"])
def test_a_folder_can_be_named(given: str, tmp_path: Path, run: Any):
    assert run("install", "--dir", str(tmp_path / given)).code == 0
    assert (tmp_path / "3.9" / "plug-ins" / "adainkit" / "adainkit.py").is_file()
    assert len(list(tmp_path.rglob("adainkit.py"))) == 1


def test_without_gimp_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any):
    monkeypatch.setattr(gimp_install, "gimp_folders", list)
    found = run("install")
    assert found.code == 1
    assert "start GIMP 3 once" in found.err
    assert "--dir FOLDER" in found.err
    assert run("doctor").code == 0  # nothing is broken, something is missing


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(AdaINKitError, match="cannot be written"):
        install(tmp_path / "3.0")
    tmp_path.chmod(0o700)


def test_a_file_in_the_way_is_named(tmp_path: Path, run: Any):
    (tmp_path / "plug-ins").write_text("not a folder")
    found = run("install", "--dir", str(tmp_path))
    assert found.code == 1
    assert "plug-ins" in found.err
    assert "cannot be written" in found.err


def test_flatpak_users_are_told_what_to_allow(person: Path, run: Any):
    (person / ".var" / "app" / "org.gimp.GIMP" / "config" / "GIMP" / "3.0").mkdir(parents=True)
    command = "flatpak override --user --talk-name=org.freedesktop.Flatpak org.gimp.GIMP"
    assert command in run("install").out
    assert command in run("doctor").out


@pytest.mark.parametrize("where", ["user", "system"])
def test_doctor_sees_that_flatpak_allows_it(where: str, person: Path, run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(editors, "_FLATPAK_SYSTEM", person / "system")
    (person / ".var" / "app" / "org.gimp.GIMP" / "config" / "GIMP" / "3.0").mkdir(parents=True)
    overrides = {"user": person / ".local" / "share" / "flatpak", "system": person / "system"}[where] / "overrides"
    overrides.mkdir(parents=True)
    file = overrides / "org.gimp.GIMP"
    file.write_text("[Context]\nfilesystems=/x;\n\n[Session Bus Policy]\norg.freedesktop.Flatpak=talk\n")
    assert FLATPAK not in run("doctor").out
    for text in ("[Session Bus Policy]\norg.freedesktop.Flatpak=none\n", "", "nonsense"):
        file.write_text(text)
        assert FLATPAK in run("doctor").out


def test_uninstall_leaves_nothing_and_may_be_run_again(person: Path, run: Any):
    install()
    found = run("uninstall", "--json")
    assert json.loads(found.out) == {"removed": [str(plugins(person, v)) for v in ("3.0", "3.2")]}
    assert not plugins(person).exists()
    assert plugins(person).parent.is_dir()
    again = run("uninstall")
    assert again.code == 0
    assert "none of GIMP's folders" in again.out


# ---- doctor


def remedies(home: Path) -> dict[str, str]:
    return {f.value: f.remedy for f in gimp_install.examine(home / ".config" / "GIMP" / "3.0") if f.status != "ok"}


def test_doctor_finds_nothing_wrong_after_install(person: Path, run: Any, monkeypatch: pytest.MonkeyPatch):
    install()
    monkeypatch.setattr(gimp_install, "_examine_python", lambda: iter(()))
    found = run("doctor")
    assert found.code == 0, found.out
    assert found.out.count("ok ") == 3  # two copies and the worker
    assert json.loads(run("doctor", "--json").out)["healthy"] is True


def test_doctor_names_what_is_wrong(person: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gimp_install, "_examine_python", lambda: iter(()))
    folder = plugins(person)
    (found,) = remedies(person).items()
    assert "not there" in found[0]
    assert found[1] == "adainkit gimp install"

    install()
    script, config = folder / "adainkit.py", folder / "worker.json"
    (folder.parent / "adainkit.py").write_text("put in the wrong place")
    assert any("not in a folder of its own" in value for value in remedies(person))
    (folder.parent / "adainkit.py").unlink()

    if os.name == "posix":
        script.chmod(0o644)
        assert any("not executable" in value for value in remedies(person))
        script.chmod(0o755)

    written = script.read_text()
    script.write_text("an older release")
    assert any("another release" in value for value in remedies(person))
    script.write_text(written)

    facts = json.loads(config.read_text())
    config.write_text(json.dumps({**facts, "command": [str(person / "venv" / "python"), "-m", "adainkit.worker"]}))
    assert any("not there any more" in value for value in remedies(person))
    config.write_text(json.dumps({**facts, "version": "0.0.1"}))
    assert any("another installation" in value for value in remedies(person))
    config.write_text("{")
    assert any("worker.json is missing or damaged" in value for value in remedies(person))
    config.write_text(json.dumps(facts))
    assert remedies(person) == {}


def test_doctor_tells_when_the_worker_does_not_start(person: Path, monkeypatch: pytest.MonkeyPatch):
    install()

    def fail(*_: Any) -> None:
        raise AdaINKitError("the worker is unwell; do this")

    monkeypatch.setattr(editors, "handshake", fail)
    assert remedies(person)["does not answer"] == "the worker is unwell; do this"


@pytest.mark.skipif(os.name != "posix", reason="a script as python3")
def test_doctor_finds_the_environment_that_takes_gimp_s_python_over(person: Path, monkeypatch: pytest.MonkeyPatch):
    install()
    bin = person / "venv" / "bin"
    bin.mkdir(parents=True)
    (bin / "python3").write_text("#!/bin/sh\nexit 1\n")
    (bin / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", str(bin), prepend=os.pathsep)
    ((value, remedy),) = remedies(person).items()
    assert f"{bin / 'python3'} has no gi" in value
    assert "deactivate" in remedy
    (bin / "python3").write_text("#!/bin/sh\nexit 0\n")
    assert remedies(person) == {}


# ---- the real worker, and the wheel


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The wheel's content, unpacked."""
    from hatchling.builders.wheel import WheelBuilder

    path = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"), versions=["standard"]))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "site")
    return tmp_path / "site"


def test_the_wheel_carries_the_plug_in(wheel: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(editors, "__file__", str(wheel / "adainkit" / "install" / "editors.py"))
    assert plugin_source() == wheel / "adainkit" / "gimp_plugin" / "adainkit"
    for path in PLUGIN.glob("*.py"):
        assert (plugin_source() / path.name).read_bytes() == path.read_bytes()
    shutil.rmtree(wheel / "adainkit" / "gimp_plugin")
    with pytest.raises(AdaINKitError, match="reinstall"):
        plugin_source()


def test_the_checkout_has_it_too():
    assert plugin_source() == PLUGIN
    if os.name == "posix":
        assert (PLUGIN / "adainkit.py").stat().st_mode & stat.S_IXUSR


def test_install_shakes_hands_with_the_real_worker_and_lets_it_go(person: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(editors, "handshake", HANDSHAKE)
    install()
    worker = load_link().Worker(plugins(person))
    assert not worker.is_there()
    assert "serving" in worker.log.read_text()
    worker.request({"do": "hello"}).close()
    uninstall()  # a worker that runs is told to end
    assert not plugins(person).exists()

"""`adainkit comfyui install|uninstall`: what it copies, what it leaves alone, what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import adainkit
from adainkit.cli import main
from adainkit.errors import AdaINKitError
from adainkit.install import copies
from adainkit.install.comfyui import LIST, install, pack_files, uninstall

ROOT = Path(__file__).parents[2]


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    """As much of a ComfyUI as the command looks at."""
    folder = tmp_path / "Comfy UI"
    (folder / "custom_nodes").mkdir(parents=True)
    (folder / "main.py").touch()
    return folder


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_install_copies_pack_and_library_and_no_more(comfyui):
    change = install(comfyui)
    folder = comfyui / "custom_nodes" / "adainkit"
    assert (change.action, change.folder, change.version) == ("installed", folder, adainkit.__version__)
    found = files_below(folder)
    assert found == {*pack_files(), LIST}
    assert change.files == len(found) - 1
    assert {"__init__.py", "requirements.txt", "comfyui_nodes/engine.py", "locales/zh/nodeDefs.json"} <= found
    assert {"adainkit/stylizer.py", "adainkit/weights/lite.safetensors", "adainkit/presets/lite.safetensors"} <= found
    assert {"comfyui_nodes/web/docs/AdaINApply.md", "example_workflows/one_picture.json"} <= found
    assert not {name for name in found if "__pycache__" in name or "gimp" in name.partition("/")[2].split("/")}
    for name, source in pack_files().items():
        assert (folder / name).read_bytes() == source.read_bytes()


def test_copied_library_works_alone(comfyui):
    """Nothing in it asks for the installed package: relative imports only."""
    install(comfyui / "custom_nodes")
    code = (
        "import importlib, sys, types\n"
        "pack = types.ModuleType('pack'); pack.__path__ = [sys.argv[1]]; sys.modules['pack'] = pack\n"
        "sys.modules['adainkit'] = None\n"
        "core = importlib.import_module('pack.adainkit')\n"
        "print(core.Style.preset('ember').name, core.models()['lite'].available)"
    )
    folder = str(comfyui / "custom_nodes" / "adainkit")
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["ember", "True"], done.stderr


def test_upgrade_replaces_its_own_files_and_leaves_others(comfyui, monkeypatch):
    install(comfyui)
    folder = comfyui / "custom_nodes" / "adainkit"
    (folder / "comfyui_nodes" / "gone.py").touch()
    (folder / "mine.txt").write_text("mine")
    listed = json.loads((folder / LIST).read_text())
    (folder / LIST).write_text(json.dumps({"version": "0.0.1", "files": [*listed["files"], "comfyui_nodes/gone.py"]}))
    (folder / "comfyui_nodes" / "engine.py").write_text("old")
    change = install(comfyui)
    assert (change.action, change.before) == ("upgraded", "0.0.1")
    assert files_below(folder) == {*pack_files(), LIST, "mine.txt"}
    assert (folder / "comfyui_nodes" / "engine.py").read_text() != "old"
    assert install(comfyui).action == "reinstalled"


def test_upgrade_that_was_cut_off_can_be_run_again_or_undone(comfyui, monkeypatch):
    write, left = copies.write_atomically, [20]

    def failing(path: Path, data: bytes) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(copies, "write_atomically", failing)
    with pytest.raises(AdaINKitError, match="No space left on device"):
        install(comfyui)
    monkeypatch.undo()
    assert uninstall(comfyui).kept == ()
    assert list((comfyui / "custom_nodes").iterdir()) == []
    install(comfyui)


def test_uninstall_takes_all_of_it_out_and_nothing_else(comfyui):
    folder = comfyui / "custom_nodes" / "adainkit"
    install(comfyui)
    for compiled in (folder, folder / "comfyui_nodes", folder / "adainkit" / "images"):
        (compiled / "__pycache__").mkdir()
        (compiled / "__pycache__" / "x.pyc").touch()
    assert uninstall(comfyui).kept == ()
    assert not folder.exists()
    install(comfyui)
    (folder / "locales" / "mine.txt").touch()
    assert uninstall(comfyui).kept == ("locales/mine.txt",)
    assert files_below(folder) == {"locales/mine.txt"}


def test_a_link_in_its_place_is_refused_and_its_target_left_alone(comfyui, tmp_path):
    install(comfyui)
    (comfyui / "custom_nodes" / "adainkit").rename(tmp_path / "clone")
    before = files_below(tmp_path / "clone")
    (comfyui / "custom_nodes" / "adainkit").symlink_to(tmp_path / "clone")
    for command in (install, uninstall):
        with pytest.raises(AdaINKitError, match="is a link"):
            command(comfyui)
    assert files_below(tmp_path / "clone") == before


def test_uninstall_of_what_is_not_there_says_so(comfyui):
    with pytest.raises(AdaINKitError, match="not installed there"):
        uninstall(comfyui)


def test_uninstall_that_is_cut_off_can_be_done_again(comfyui):
    folder = comfyui / "custom_nodes" / "adainkit"
    install(comfyui)
    locked = folder / "adainkit" / "errors.py"  # as Windows has it for what a running ComfyUI uses
    locked.unlink()
    locked.mkdir()
    with pytest.raises(AdaINKitError, match="close ComfyUI"):
        uninstall(comfyui)
    assert (folder / LIST).is_file()
    locked.rmdir()
    uninstall(comfyui)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../../victim.txt", "/etc/victim.txt"])
def test_list_that_names_files_elsewhere_is_not_believed(comfyui, name):
    install(comfyui)
    (comfyui / "victim.txt").touch()
    listed = comfyui / "custom_nodes" / "adainkit" / LIST
    listed.write_text(json.dumps({"version": "0", "files": [name]}))
    with pytest.raises(AdaINKitError, match="not made by"):
        uninstall(comfyui)
    assert (comfyui / "victim.txt").exists()


@pytest.mark.parametrize("action", [install, uninstall])
def test_folder_of_somebody_else_is_left_alone(comfyui, action):
    folder = comfyui / "custom_nodes" / "adainkit"
    folder.mkdir()
    (folder / "__init__.py").write_text("a clone")
    with pytest.raises(AdaINKitError, match="not made by"):
        action(comfyui)
    assert files_below(folder) == {"__init__.py"}


def test_clone_under_another_name_is_told(comfyui):
    clone = comfyui / "custom_nodes" / "Comfy-AdaIN"
    (clone / "comfyui_nodes").mkdir(parents=True)
    (clone / "comfyui_nodes" / "apply_nodes.py").touch()
    with pytest.raises(AdaINKitError, match="Comfy-AdaIN is the node pack, too"):
        install(comfyui)
    clone.rename(clone.with_suffix(".disabled"))
    assert install(comfyui).action == "installed"


@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_folder_that_is_no_comfyui_is_told(tmp_path, capsys, action):
    assert main(["comfyui", action, str(tmp_path)]) == 1
    assert "no ComfyUI" in capsys.readouterr().err


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_folder_without_permission_is_told(comfyui):
    (comfyui / "custom_nodes").chmod(0o500)
    with pytest.raises(AdaINKitError, match="may write there"):
        install(comfyui)


def test_command_says_what_it_did(comfyui, capsys):
    assert main(["comfyui", "install", str(comfyui)]) == 0
    said = capsys.readouterr().out
    folder = comfyui / "custom_nodes" / "adainkit"
    assert f"installed adainkit {adainkit.__version__}: {len(pack_files())} files in {folder}" in said
    assert str(folder / "requirements.txt") in said
    assert "restart ComfyUI" in said
    assert main(["comfyui", "install", str(comfyui), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["action"] == "reinstalled"
    (folder / "mine.txt").touch()
    assert main(["comfyui", "uninstall", str(comfyui)]) == 0
    assert "mine.txt" in capsys.readouterr().out


def test_wheel_carries_the_pack_and_installs_it(tmp_path, comfyui):
    import zipfile

    from hatchling.builders.wheel import WheelBuilder

    path = next(iter(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])))
    site = tmp_path / "site"
    with zipfile.ZipFile(path) as wheel:
        wheel.extractall(site)
    code = "import sys; from adainkit.cli import main; sys.exit(main(['comfyui', 'install', sys.argv[1]]))"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", code, str(comfyui)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files_below(comfyui / "custom_nodes" / "adainkit") == {*pack_files(), LIST}


@pytest.mark.skipif(os.name == "nt", reason="links are a POSIX matter")
@pytest.mark.parametrize("place", ["", "adainkit", "adainkit/images"])
@pytest.mark.parametrize("command", [install, uninstall])
def test_nothing_behind_a_link_is_touched(comfyui, tmp_path, place, command):
    install(comfyui)
    folder = comfyui / "custom_nodes" / "adainkit"
    inside, checkout = folder / place, tmp_path / "checkout"
    inside.rename(checkout)
    inside.symlink_to(checkout, target_is_directory=checkout.is_dir())
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} or checkout.read_bytes()
    with pytest.raises(AdaINKitError, match="is a link"):
        command(comfyui)
    assert (
        {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} or checkout.read_bytes()
    ) == before

"""The filter in a real Krita under Xvfb: `krita_inside.py` and `krita_driver.py` do the work there; their findings are
read here."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from worker_client import ROOT

import adainkit

INSIDE = Path(__file__).parent / "krita_inside.py"
DRIVER = Path(__file__).parent / "krita_driver.py"
CHECKS = [
    node.name
    for node in ast.parse(INSIDE.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
]
KEEP = os.environ.get("ADAINKIT_KEEP_SCREENSHOTS", "")  # tests do not see the variable: conftest.py
MISSING = [name for name in ("krita", "kritarunner", "xvfb-run") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"no real Krita here: {', '.join(MISSING)} missing"),
]


class RealKrita:
    """Krita with a home of its own, and the plug-in in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pykrita = folder / "pykrita"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "ADAINKIT_HOME": str(folder / "cache")}
        command = [sys.executable, "-m", "adainkit", "krita", "install", "--dir", str(folder)]
        subprocess.run(command, env=environment, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        from skimage import data

        cat = Image.fromarray(data.chelsea())
        cat.save(folder / "photo.png")
        cat.convert("L").save(folder / "gray.png")
        cat.resize((2400, 1600)).save(folder / "large.png")
        patches = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(patches).resize((480, 360), Image.Resampling.NEAREST).save(folder / "painting.png")

    def run(self, *command: str, inside: str, **variables: str) -> str:
        """Run a program of Krita's on a display of its own; what it printed."""
        home = self.folder / "home"
        runtime = home / "run"
        runtime.mkdir(parents=True, exist_ok=True)
        runtime.chmod(0o700)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "PYTHON"))},
            # Krita's Python looks for itself by the first python3 of the path: one of pyenv's knows no PyQt
            "PATH": os.pathsep.join([str(Path(shutil.which("krita") or "/usr/bin/krita").parent), os.environ["PATH"]]),
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(runtime),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ADAINKIT_INSIDE": inside,
            **variables,
        }
        # a number of its own: that of another root's display is not seen to be taken, and leads to that one
        number = str(200 + os.getpid() % 700)
        screen = ["xvfb-run", "-a", "-n", number, "-s", "-screen 0 1400x1050x24"]
        done = subprocess.run(
            [*screen, *command], env=environment, capture_output=True, text=True, timeout=300, cwd=self.folder
        )
        told = done.stdout + done.stderr
        if "could not connect to display" in told:
            pytest.skip(f"no X server answers here: {told.splitlines()[0]}")
        return told

    def headless(self, *checks: str) -> dict[str, Any]:
        inside = os.pathsep.join([str(self.folder), *checks])
        told = self.run("kritarunner", "-s", INSIDE.stem, "-f", "main", inside=inside, PYTHONPATH=str(INSIDE.parent))
        assert (self.folder / "results.json").is_file(), told
        return dict(json.loads((self.folder / "results.json").read_text()))

    def driven(self) -> dict[str, Any]:
        """What the driver saw in the whole program."""
        resources = self.folder / "home" / ".local" / "share" / "krita"
        resources.mkdir(parents=True, exist_ok=True)
        (resources / "pykrita").symlink_to(self.pykrita)
        (self.pykrita / DRIVER.stem).mkdir()
        shutil.copy(DRIVER, self.pykrita / DRIVER.stem / "__init__.py")
        desktop = (self.pykrita / "adainkit_krita.desktop").read_text(encoding="utf-8")
        (self.pykrita / f"{DRIVER.stem}.desktop").write_text(desktop.replace("adainkit_krita", DRIVER.stem))
        settings = self.folder / "home" / ".config"
        settings.mkdir(exist_ok=True)
        (settings / "kritarc").write_text(f"[python]\nenable_adainkit_krita=true\nenable_{DRIVER.stem}=true\n")
        told = self.run("krita", "--nosplash", inside=str(self.folder))
        assert (self.folder / "driven.json").is_file(), told
        return dict(json.loads((self.folder / "driven.json").read_text()))

    def close(self) -> None:
        state = self.pykrita / "adainkit_krita" / "worker-state.json"
        with suppress(OSError, ValueError):
            os.kill(json.loads(state.read_text())["pid"], signal.SIGTERM)


@pytest.fixture(scope="module")
def krita(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKrita]:
    found = RealKrita(tmp_path_factory.mktemp("krita"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def found_headless(krita: RealKrita) -> dict[str, str]:
    found = krita.headless(*CHECKS)
    sys.stderr.write(f"\nKrita: {found['seconds']} seconds\n")
    return dict(found["results"])


@pytest.mark.parametrize("check", CHECKS)
def test_inside_krita(check: str, found_headless: dict[str, str]):
    assert found_headless.get(check, "Krita ended before it") == ""


def test_the_pixels_are_those_of_the_core(krita: RealKrita, found_headless: dict[str, str]):
    assert found_headless["check_rgb_of_8_bits"] == ""
    with Image.open(krita.folder / "photo.png") as photo:
        expected = np.asarray(adainkit.stylize(photo, "calanque", device="cpu"))
    got = np.frombuffer((krita.folder / "rgb8.bin").read_bytes(), np.uint8).reshape(*expected.shape[:2], 4)
    assert np.abs(got[..., :3].astype(int) - expected).max() <= 1


def test_the_dialog_and_all_that_a_person_clicks(krita: RealKrita):
    found = krita.driven()
    for path in krita.folder.glob("*.png") if KEEP else ():
        shutil.copy(path, KEEP)
    assert found["error"] == ""
    assert found["where"] == "AdaIN Style Transfer..."
    assert found["status"] == "Preview"
    assert (found["color is offered for colors"], found["color is offered for gray"]) == (False, True)
    assert found["gray became"] == "RGBA"
    (before,) = found["after the cross"]
    assert found["after OK"] == [before, f"{before} (calanque)"]
    assert found["after one undo"] == [before]
    assert found["after cancel"] == [before]
    assert "adainkit krita install" in found["message"]
    with Image.open(krita.folder / "dialog.png") as dialog:
        assert np.asarray(dialog.convert("RGB")).std() > 20

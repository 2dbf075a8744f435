"""The filter in real GIMPs, 3.0 and 3.2: `gimp_inside.py` does the work there, and its findings are read here.

ADAINKIT_GIMP3 is a program that runs a GIMP in a folder (`py`, `gui`, as `.ci/run` finds one beside the checkout), and
ADAINKIT_GIMP_ROOTS lists such folders.
"""

import ast
import json
import os
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

TOOL = os.environ.get("ADAINKIT_GIMP3", "")
ROOTS = [root for root in os.environ.get("ADAINKIT_GIMP_ROOTS", "").split(os.pathsep) if root]
INSIDE = Path(__file__).parent / "gimp_inside.py"
CHECKS = [
    node.name
    for node in ast.parse(INSIDE.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
]
WITH_A_DISPLAY = ("check_one_step_undoes_it", "check_text_is_refused_in_place_and_taken_as_a_layer")
CROSS = "check_the_cross_of_the_dialog_changes_nothing"
TOGETHER = "check_calls_beside_another_gimp"
HEADLESS = [name for name in CHECKS if name not in (*WITH_A_DISPLAY, CROSS, TOGETHER)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (TOOL and ROOTS), reason="no real GIMP here: ADAINKIT_GIMP3 and ADAINKIT_GIMP_ROOTS"),
]


class RealGimp:
    """One version of GIMP with the plug-in in its personal folder."""

    def __init__(self, root: str, folder: Path) -> None:
        self.root, self.profile, self.folder = root, folder / "profile", folder / "pictures"
        self.folder.mkdir(parents=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "ADAINKIT_HOME": str(folder / "cache")}
        command = [sys.executable, "-m", "adainkit", "gimp", "install", "--dir", str(self.profile)]
        subprocess.run(command, env=environment, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        from skimage import data

        Image.fromarray(data.chelsea()).save(self.folder / "photo.png")
        patches = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(patches).resize((480, 360), Image.Resampling.NEAREST).save(self.folder / "painting.png")

    def start(self, *command: str) -> "subprocess.Popen[str]":
        first = [TOOL, command[0], "--root", self.root, "--profile", str(self.profile), "--quiet", *command[1:]]
        return subprocess.Popen(first, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder)

    def headless(self, *checks: str) -> "subprocess.Popen[str]":
        return self.start("py", str(INSIDE), str(self.folder), *checks)

    def findings(self, process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
        """What all sessions since the last call found."""
        told, _ = process.communicate(timeout=600)
        found = [json.loads(path.read_text()) for path in self.folder.glob("results-*.json")]
        assert found, told
        for path in self.folder.glob("results-*.json"):
            path.unlink()
        return found

    def close(self) -> None:
        state = self.profile / "plug-ins" / "adainkit" / "worker-state.json"
        with suppress(OSError, ValueError):
            os.kill(json.loads(state.read_text())["pid"], signal.SIGTERM)


@pytest.fixture(scope="module", params=ROOTS, ids=lambda root: Path(root).name)
def gimp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGimp]:
    found = RealGimp(request.param, tmp_path_factory.mktemp("gimp"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def found_headless(gimp: RealGimp) -> dict[str, str]:
    (found,) = gimp.findings(gimp.headless(*HEADLESS))
    sys.stderr.write(f"\n{Path(gimp.root).name}: {found['seconds']} seconds\n")
    return dict(found["results"])


@pytest.mark.parametrize("check", HEADLESS)
def test_inside_gimp(check: str, found_headless: dict[str, str]):
    assert found_headless[check] == ""


def test_the_pixels_are_those_of_the_core(gimp: RealGimp, found_headless: dict[str, str]):
    assert found_headless["check_rgb_of_8_bits"] == ""
    with Image.open(gimp.folder / "photo.png") as photo:
        expected = np.asarray(adainkit.stylize(photo, "calanque", device="cpu"))
    got = np.frombuffer((gimp.folder / "rgb8.bin").read_bytes(), np.uint8).reshape(expected.shape)
    assert np.abs(got.astype(int) - expected).max() <= 1


def test_two_gimps_at_once_are_served_by_one_worker(gimp: RealGimp):
    processes = [gimp.headless(TOGETHER) for _ in range(2)]
    processes[0].communicate(timeout=300)
    found = gimp.findings(processes[1])
    assert [each["results"] for each in found] == [{TOGETHER: ""}] * 2
    log = (gimp.profile / "plug-ins" / "adainkit" / "worker.log").read_text()
    starts = log.count(" INFO serving ")
    assert starts <= 3, "each GIMP started a worker of its own"  # install, the first session, the one that was killed


def test_with_a_display(gimp: RealGimp):
    """Undo is not to be had from a script: Ctrl+Z is typed into GIMP's window."""
    photo, more = str(gimp.folder / "photo.png"), []
    arguments = [str(INSIDE), str(gimp.folder), *WITH_A_DISPLAY]
    code = f"import sys; sys.argv = {arguments!r}; exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))"
    for result in ("layer", "in-place"):
        more += ["--do", f"wait undo {result}", "--do", "sleep 1", "--do", "xdo key --clearmodifiers ctrl+z"]
    process = gimp.start(
        "gui", *more, "--do", "sleep 20", "--", photo, "--batch-interpreter=python-fu-eval", "-b", code
    )
    (found,) = gimp.findings(process)
    assert found["results"] == dict.fromkeys(WITH_A_DISPLAY, "")


def test_the_cross_of_the_dialog(gimp: RealGimp):
    arguments = [str(INSIDE), str(gimp.folder), CROSS]
    code = f"import sys; sys.argv = {arguments!r}; exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))"
    actions = ("wait AdaIN Style", "sleep 5", "xdo key --clearmodifiers alt+F4", "sleep 45")
    more = [word for action in actions for word in ("--do", action)]
    photo = str(gimp.folder / "photo.png")
    (found,) = gimp.findings(gimp.start("gui", *more, "--", photo, "--batch-interpreter=python-fu-eval", "-b", code))
    assert found["results"] == {CROSS: ""}

"""`make` takes torch from an index of its builds for CPUs, where it is told one: held to one of two small wheels."""

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("torch", "torchvision")


def make_index(folder: Path, versions: tuple[str, ...]) -> Path:
    """A folder in the layout of an index, with wheels of nothing."""
    for name in PACKAGES:
        there = folder / name
        there.mkdir(parents=True)
        links = []
        for version in versions:
            wheel = there / f"{name}-{version}-py3-none-any.whl"
            facts = f"{name}-{version}.dist-info"
            with zipfile.ZipFile(wheel, "w") as file:
                file.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
                file.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
                file.writestr(f"{facts}/RECORD", "")
            links.append(f'<a href="{wheel.name.replace("+", "%2B")}">{wheel.name}</a>')
        (there / "index.html").write_text(f"<html><body>{''.join(links)}</body></html>")
    return folder


@pytest.mark.slow  # an environment, twenty seconds
@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="only there CUDA comes along")
@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="a GPU is here, which wants CUDA")
def test_torch_comes_from_the_index_of_builds_for_cpus_and_else_from_where_pip_finds_it(tmp_path: Path) -> None:
    index, empty = make_index(tmp_path / "index", ("9.9.0", "9.9.0+cpu")), make_index(tmp_path / "empty", ())
    venv, stamp = tmp_path / "venv", tmp_path / "venv" / "torch.stamp"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull

    def make(place: str) -> str:
        stamp.unlink(missing_ok=True)
        line = ["make", "--no-print-directory", f"VENV={venv}", f"TORCH_INDEX={place}", str(stamp)]
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert stamp.exists()
        return done.stdout

    def installed() -> set[str]:
        return {path.name for path in venv.glob("lib/python*/site-packages/torch*.dist-info")}

    for place in (empty.as_uri(), "http://127.0.0.1:9/simple"):
        told = make(place)
        assert "They cannot be had here (ERROR: No matching distribution found for torch" in told
        assert installed() == set()
    assert make("") == ""
    assert installed() == set()
    assert "cannot be had" not in make(index.as_uri())
    assert installed() == {f"{name}-9.9.0+cpu.dist-info" for name in PACKAGES}

"""`training/on_gpu.sh` rehearsed on the CPU from a folder that has nothing but the packages and its data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_training import TINY

import adainkit
from adainkit.net.model import AdaINModel

ROOT = Path(adainkit.__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")


@pytest.fixture
def place(teacher: Path, pictures: tuple[Path, Path], tmp_path: Path) -> Path:
    place = tmp_path / "place"
    data = place / ".gpu" / "data"
    data.mkdir(parents=True)
    for name in ("adainkit", "training", "tests", "benchmarks", "pyproject.toml"):
        (place / name).symlink_to(ROOT / name)
    for name, folder in (("content", pictures[0]), ("large", pictures[0]), ("style", pictures[1])):
        shutil.copytree(folder, data / name)
    (place / ".gpu" / "teacher").mkdir()
    for name in ("a", "b"):
        shutil.copy(teacher, place / ".gpu" / "teacher" / f"{name}.safetensors")
    return place


def run(place: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    binaries = place / "bin"
    binaries.mkdir(exist_ok=True)
    if not (binaries / "python3").exists():
        (binaries / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (binaries / "python3").chmod(0o755)
    env = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "OUT": str(place / "out"), "OMP_NUM_THREADS": "1"}
    command = ["sh", str(place / "training" / "on_gpu.sh"), *arguments]
    return subprocess.run(command, env=env | variables, capture_output=True, text=True, timeout=570, cwd=place)


def settings() -> list[str]:
    kept = {k: v for k, v in TINY.items() if k not in ("checkpoint_every", "sample_every")}
    kept |= {"scales": [1], "look_shift": 2, "noise_shift": 1, "data_on_device": "always"}
    kept |= {"decoder": "canvas2 mod8 merge shuffle4 rgb", "code": 8}  # as the recipe's, which knows the style
    return [part for key, value in kept.items() for part in (f"--{key.replace('_', '-')}", json.dumps(value))]


@pytest.mark.slow
def test_training_alone_leaves_a_model_a_log_and_a_sheet(place: Path) -> None:
    done = run(place, "train", "0.5", *settings(), EVERY="2")
    assert done.returncode == 0, done.stdout + done.stderr
    out = place / "out"
    assert {p.name for p in out.iterdir()} >= {"model.safetensors", "log.jsonl", "log.txt", "config.yaml", "sheet.png"}
    assert len(list(out.iterdir())) <= 8
    assert AdaINModel.load(out / "model.safetensors").config.encoder == TINY["encoder"]


def test_another_word_is_refused(place: Path) -> None:
    assert run(place, "other", "1").returncode == 2

"""Every program of examples/ does what it says, on its sample pictures, in a few seconds."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example_names_the_pictures_it_makes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run(name, tmp_path, monkeypatch)
    told = capsys.readouterr().out
    made = sorted(path for path in tmp_path.rglob("*.*") if path.suffix in {".png", ".jpg", ".webp"})
    assert made
    for path in made:
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 10, f"{path} is flat"
        if "photos" not in path.parts:
            assert path.name in told
    assert {path.name for path in tmp_path.iterdir()} == {f"{Path(name).stem}-out"}, "one folder for each example"


def test_batch_does_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    run("batch.py", tmp_path, monkeypatch)
    first, _, second = capsys.readouterr().out.partition("the second time:")
    assert "0 of 3 were done before" in first
    assert second.split() == ["3", "of", "3", "were", "done", "before"]
    rows = [json.loads(line) for line in Path("batch-out/run.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 3
    assert all(row["error"] is None and row["seed"] == 0 and row["style"] for row in rows)


def test_mix_has_its_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import adainkit

    run("mix.py", tmp_path, monkeypatch)
    with Image.open("mix-out/strip.png") as strip, Image.open("mix-out/grid.png") as grid:
        assert strip.size[0] == 5 * 300 + 6 * 8
        assert grid.size == (4 * 300 + 5 * 2, 4 * 200 + 5 * 2)
        shown = np.asarray(strip.crop((8, 8, 308, 208))).astype(int)
    from skimage import data

    photo = Image.fromarray(data.coffee()).resize((300, 200), Image.Resampling.LANCZOS)
    assert abs(shown - np.asarray(adainkit.stylize(photo, "ukiyo-e"))).max() <= 1

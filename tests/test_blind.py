"""Sheets without names, and what was chosen of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.blind import BlindError, count, draw, main, places

SHADES = {"ours": 40, "theirs": 120, "others": 200}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("content", "style", *SHADES)}
    for name, folder in made.items():
        folder.mkdir()
        for i in range(6):
            size = (60, 90) if name == "style" else (64 + i, 48)
            Image.new("RGB", size, (SHADES.get(name, 255),) * 3).save(folder / f"{i:02d}.png")
    return made


def results(folders: dict[str, Path]) -> dict[str, Path]:
    return {name: folders[name] for name in SHADES}


def test_sheets_hide_names_and_the_key_tells_them(folders: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "sheets"
    key = draw(folders["content"], folders["style"], results(folders), out, sheets=5, side=40)
    assert sorted(p.name for p in out.iterdir()) == [f"0{i}.png" for i in range(1, 6)]
    assert json.loads((tmp_path / "sheets.key.json").read_text()) == key
    assert len({tuple(order) for order in key.values()}) > 1, "an order of its own for every sheet"
    for sheet, order in key.items():
        pixels = np.asarray(Image.open(out / f"{sheet}.png").convert("L"))
        row = pixels[int(pixels.shape[0] * 0.75)]
        seen = [int(v) for i, v in enumerate(row) if v in SHADES.values() and (i == 0 or row[i - 1] != v)]
        assert seen == [SHADES[name] for name in order]
    again, other = (
        draw(folders["content"], folders["style"], results(folders), tmp_path / f"s{i}", sheets=5, side=40, seed=i)
        for i in (0, 1)
    )
    assert again == key != other
    with pytest.raises(BlindError, match="not empty"):
        draw(folders["content"], folders["style"], results(folders), out, sheets=5, side=40)


def test_choices_are_counted() -> None:
    key = {"01": ["ours", "theirs"], "02": ["theirs", "ours"], "03": ["ours", "theirs"]}
    ranked = places(key, "# a remark\n01: A B\n 2: a, b\n03:  A  > B. \nnothing else")
    assert ranked == [["ours", "theirs"], ["theirs", "ours"], ["ours", "theirs"]]
    assert count(ranked).splitlines() == [
        "|  | mean place | first | last | before ours | before theirs |",
        "| --- | --- | --- | --- | --- | --- |",
        "| ours | 1.33 | 2 | 1 |  | 2 |",
        "| theirs | 1.67 | 1 | 2 | 1 |  |",
    ]


@pytest.mark.parametrize("line", ["04: A B", "01: A", "01: A A", "01: A C", "01: AB", "01: A B\n1: B A"])
def test_answers_that_fit_no_sheet_are_told(line: str) -> None:
    with pytest.raises(BlindError, match="expected a sheet"):
        places({"01": ["ours", "theirs"]}, line)


def test_the_command(folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--content", str(folders["content"]), "--style", str(folders["style"]), "--out", str(tmp_path / "s")]
    given += [f"--result={name}={folder}" for name, folder in results(folders).items()]
    assert main(["draw", *given]) == 1
    assert "6 pictures have the same name in all folders; --sheets 20" in capsys.readouterr().err
    assert main(["draw", *given, "--sheets", "0"]) == 1
    assert main(["draw", *given, given[-1], "--sheets", "3"]) == 1
    assert "two results have one name" in capsys.readouterr().err
    assert main(["draw", *given, "--sheets", "3", "--side", "30"]) == 0
    answers = tmp_path / "eyes.txt"
    answers.write_text("01: A B C\n02: B A C\n")
    assert main(["count", str(tmp_path / "s.key.json"), str(answers)]) == 0
    told = capsys.readouterr().out
    assert "| mean place |" in told
    assert "eyes.txt: 2 of 3 sheets" in told
    answers.write_text("all of them are nice\n")
    assert main(["count", str(tmp_path / "s.key.json"), str(answers)]) == 1
    assert "no line of the answers" in capsys.readouterr().err
    assert main(["draw", *given[:-2], "--sheets", "3"]) == 1
    assert "2 to 26 results" in capsys.readouterr().err
    given[5] = str(tmp_path / "t")
    Image.new("RGB", (48, 64)).save(folders["ours"] / "00.png")
    assert main(["draw", *given, "--sheets", "6"]) == 1
    assert "another shape" in capsys.readouterr().err
    (folders["ours"] / "00.png").write_bytes(b"no picture")
    assert main(["draw", *given, "--sheets", "6"]) == 1
    assert "cannot be read" in capsys.readouterr().err
    Image.new("RGB", (64, 48)).save(folders["ours"] / "00.jpg")
    assert main(["draw", *given, "--sheets", "6"]) == 1
    assert "have one name" in capsys.readouterr().err

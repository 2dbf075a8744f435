"""`adainkit grid`: every picture of the sheet is where it belongs, and is what `stylize` would make of it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, noise, runner
from PIL import Image
from test_images import ADOBE

import adainkit
from adainkit.cli import grid
from adainkit.images import open_image
from adainkit.images.sheet import Cell

WIDTH, HEIGHT = 60, 40


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys, "grid", after=("--device", "cpu"))


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[list[list[Cell]]]:
    """The cells of all sheets that were drawn."""
    from adainkit.images import sheet

    drawn: list[list[list[Cell]]] = []
    draw = sheet.draw_sheet

    def noted(rows: Any) -> Image.Image:
        drawn.append(rows)
        return draw(rows)

    monkeypatch.setattr(sheet, "draw_sheet", noted)
    return drawn


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: in/a.png, in/b.png; art/1.png to art/4.png."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("in/a", "in/b", "art/1", "art/2", "art/3", "art/4")):
        noise(f"{name}.png", number, (WIDTH, HEIGHT))
    return tmp_path


def labels(rows: list[list[Cell]]) -> list[list[str]]:
    return [[cell.label for cell in row] for row in rows]


def stylized(content: str, style: Any, **options: Any) -> np.ndarray:
    with adainkit.Stylizer("lite", device="cpu") as stylizer:
        return np.asarray(stylizer.stylize(content, style, **options))


def assert_shows(cell: Cell, expected: Any) -> None:
    assert cell.picture is not None
    assert abs(np.asarray(cell.picture).astype(int) - np.asarray(expected)).max() <= 1


def test_contents_by_styles(run: Run, here: Path, sheets: list[Any], keep_picture: Callable[[str, Any], None]):
    found = run("in", "--style", "art/1.png", "--style", "calanque", "--preserve-color", "luma", "-o", "sheet.png")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("sheet.png  (")
    rows = sheets[0]
    assert labels(rows) == [["", "1.png", "calanque"], ["a.png", "", ""], ["b.png", "", ""]]
    assert_shows(rows[0][1], Image.open("art/1.png"))
    assert rows[0][2].picture is None
    assert_shows(rows[2][0], Image.open("in/b.png"))
    assert_shows(rows[1][1], stylized("in/a.png", "art/1.png", preserve_color="luma"))
    assert_shows(rows[2][2], stylized("in/b.png", "calanque", preserve_color="luma"))
    with Image.open("sheet.png") as sheet:
        keep_picture("sheet", sheet)
        assert sheet.size == (3 * WIDTH + 4 * 8, 3 * HEIGHT + 4 * 8 + 3 * 20)


def test_colors_are_those_of_srgb_whatever_profile_a_picture_has(run: Run, here: Path, sheets: list[Any]):
    picture = Image.open("in/a.png")
    picture.save("in/a.png", icc_profile=ADOBE)
    assert run("in/a.png", "art/1.png", "-o", "sheet.png").code == 0
    shown = np.asarray(sheets[0][1][0].picture).astype(int)
    expected = open_image("in/a.png").rgb[0].permute(1, 2, 0).numpy() * 255
    assert abs(shown - expected).max() <= 0.5001
    assert abs(shown - np.asarray(picture)).max() > 10
    assert "icc_profile" not in Image.open("sheet.png").info


def test_steps_of_alpha(run: Run, here: Path, sheets: list[Any]):
    assert run("in/a.png", "art/2.png", "--alphas", "0,0.25,1", "-o", "sheet.png").code == 0
    rows = sheets[0]
    assert labels(rows) == [["style: 2.png", "alpha 0", "alpha 0.25", "alpha 1"], ["a.png", "", "", ""]]
    for cell, alpha in zip(rows[1][1:], (0, 0.25, 1), strict=True):
        assert_shows(cell, stylized("in/a.png", "art/2.png", alpha=alpha))


def test_between_two_styles(run: Run, here: Path, sheets: list[Any]):
    styles = ("--style", "art/1.png", "--style", "calanque")
    assert run("in", *styles, "--interpolate", 3, "--alpha", 0.8, "-o", "sheet.png").code == 0
    rows = sheets[0]
    assert labels(rows) == [["", "1.png", "50% : 50%", "calanque"], ["a.png", "", "", ""], ["b.png", "", "", ""]]
    assert_shows(rows[1][1], stylized("in/a.png", "art/1.png", alpha=0.8))
    assert_shows(rows[2][2], stylized("in/b.png", ["art/1.png", "calanque"], alpha=0.8))


@pytest.mark.parametrize("n", [2, 3])
def test_between_four_styles(run: Run, here: Path, sheets: list[Any], n: int):
    assert run("in/a.png", "--style", "art", "--interpolate", n, "-o", "sheet.png").code == 0
    rows = sheets[0]
    if n == 2:
        assert rows[0][1].label == "a.png"
        rows = rows[1:]
    else:
        assert rows[1][0].label == "a.png"
        assert_shows(rows[1][0], Image.open("in/a.png"))
        assert_shows(rows[1][2], stylized("in/a.png", [f"art/{i}.png" for i in (1, 2, 3, 4)]))
    assert [len(row) for row in rows] == [n + 2] * n
    corners = {(0, 0): "1.png", (0, -1): "2.png", (-1, 0): "3.png", (-1, -1): "4.png"}
    for (row, column), name in corners.items():
        assert rows[row][column].label == name
        inner = rows[row][1 if column == 0 else -2]
        assert_shows(inner, stylized("in/a.png", f"art/{name}"))


@pytest.mark.parametrize("options", [{}, {"scale": 2.5}, {"scale": 7, "detail": 0.4, "preserve_color": "luma"}])
def test_cells_smaller_than_their_picture_are_its_previews(
    run: Run, here: Path, sheets: list[Any], options: dict[str, Any], keep_picture: Callable[..., None]
):
    """Whose strokes are those of the full picture: finer than those of a small one."""
    noise("in/b.png", 9, (400, 240))
    flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
    assert run("in/b.png", "--style", "art", "--size", 50, *flags, "-o", "sheet.png").code == 0
    head, row = sheets[0]
    assert_shows(row[0], Image.open("in/b.png").resize(row[0].picture.size, Image.Resampling.LANCZOS))
    with adainkit.Stylizer("lite", device="cpu") as stylizer:
        small = Image.open("in/b.png").resize((50, 30), Image.Resampling.LANCZOS)
        for cell, name in zip(row[1:], (cell.label for cell in head[1:]), strict=True):
            expected = np.asarray(stylizer.preview("in/b.png", f"art/{name}", size=50, **options)).astype(int)
            other = np.asarray(stylizer.preview(small, f"art/{name}", size=50, **options)).astype(int)
            keep_picture(name, cell.picture)
            shown = np.asarray(cell.picture).astype(int)
            assert shown.shape == expected.shape
            assert abs(shown - expected).mean() < 0.1
            assert abs(other - expected).mean() > 2


def test_a_picture_is_opened_and_reduced_once_for_all_its_cells(
    run: Run, here: Path, sheets: list[Any], monkeypatch: pytest.MonkeyPatch
):
    noise("in/b.png", 9, (400, 240))
    seen = []
    preview = adainkit.Stylizer.preview

    def noted(self: Any, picture: Any, *args: Any, **more: Any) -> Any:
        seen.append(picture)
        return preview(self, picture, *args, **more)

    monkeypatch.setattr(adainkit.Stylizer, "preview", noted)
    assert run("in/b.png", "--style", "art", "--size", 50, "-o", "sheet.png").code == 0
    assert len(seen) == 4
    assert {id(picture) for picture in seen} == {id(seen[0])}
    assert (seen[0].height, seen[0].width) == (60, 100)


def test_cells_are_as_large_as_asked_and_long_names_are_short(run: Run, here: Path, sheets: list[Any]):
    Path("in/a.png").rename(here / f"in/{'a-long-name-' * 8}.png")
    assert run("in", "art/1.png", "--size", 30, "-o", "sheet.png").code == 0
    assert {cell.picture.size for row in sheets[0] for cell in row if cell.picture} == {(30, 20)}
    with Image.open("sheet.png") as sheet:
        assert sheet.width == 2 * 30 + 3 * 8


def test_without_a_style_all_presets_are_shown(run: Run, here: Path, sheets: list[Any]):
    assert run("in/a.png", "--size", 16).code == 0
    assert Path("adainkit-grid.png").exists()
    told = [label for row in labels(sheets[0]) for label in row if label not in ("", "a.png")]
    assert told == list(adainkit.styles("lite"))
    assert max(map(len, sheets[0])) == 1 + grid._BESIDE


def test_broken_pictures_are_told_and_left_out(run: Run, here: Path, sheets: list[Any]):
    Path("in/b.png").write_bytes(b"no picture")
    Path("art/2.png").write_bytes(b"no picture")
    Path("bad.safetensors").write_bytes(b"no style")
    found = run("in", "--style", "art", "--style", "bad.safetensors", "-o", "sheet.png", "--json")
    assert found.code == 1
    assert [row[0] for row in labels(sheets[0])] == ["", "a.png"]
    assert labels(sheets[0])[0][1:] == ["1.png", "3.png", "4.png"]
    report = json.loads(found.out)
    assert report["output"] == "sheet.png"
    assert len(report["errors"]) == found.err.count("adainkit: error: ") == 3
    assert "bad.safetensors" in found.err
    assert "b.png" in found.err
    assert "2.png" in found.err
    nothing = run("in/b.png", "art/1.png", "-o", "other.png")
    assert nothing.code == 1
    assert "nothing is left to be shown" in nothing.err
    assert not Path("other.png").exists()


def test_nothing_is_replaced_unasked(run: Run, here: Path):
    before = Path("art/4.png").read_bytes()
    found = run("in", "art/1.png", "-o", "art/4.png")
    assert found.code == 1
    assert "--overwrite" in found.err
    for target, argv in (("in/a.png", ("in", "art/1.png")), ("art/1.png", ("in", "art/1.png"))):
        found = run(*argv, "-o", target, "--overwrite")
        assert found.code == 1
        assert "choose another -o" in found.err
    assert Path("art/4.png").read_bytes() == before
    assert run("in", "art/1.png", "-o", "art/4.png", "--overwrite", "--size", 16).code == 0
    assert Path("art/4.png").read_bytes() != before


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        ("in --style art --alphas 0,1", 2, "exactly one style"),
        ("in/a.png --alphas 0,1", 2, "exactly one style"),
        ("in art/1.png --alphas 0,2", 2, "number from 0 to 1"),
        ("in art/1.png --alphas 0,1 --alpha 0.5", 2, "not allowed with"),
        ("in --style art/1.png --style art/2.png --style art/3.png --interpolate 3", 2, "2 or 4 styles, got 3"),
        ("in/a.png --interpolate 3", 2, "2 or 4 styles, got 0"),
        ("in --style art --interpolate 3", 2, "exactly one CONTENT, got 2"),
        ("in/a.png --style art --interpolate 1", 2, "whole number from 2"),
        ("in --style art/1.png:0.5", 2, "no weights"),
        ("in art/1.png --size 0", 2, "whole number from 1"),
        ("missing.png art/1.png", 1, "missing.png: no such file"),
        ("empty art/1.png", 1, "no pictures in this folder"),
        ("in --style empty", 1, "no pictures in this folder"),
        ("in/a.png no-such-preset --alphas 0,1", 1, "no-such-preset"),
        ("in/a.png --style art/1.png --style no-such-preset", 1, "no-such-preset"),
        ("in/a.png --style art/1.png --style ember --interpolate 3 --model in/b.png", 1, "cannot be read as a model"),
        ("in/a.png art/1.png -o sheet.ppm", 1, "sheet.ppm"),
    ],
)
def test_what_cannot_be_is_told(run: Run, here: Path, argv: str, code: int, told: str):
    Path("empty").mkdir()
    found = run(*argv.split())
    assert (found.code, found.out) == (code, "")
    assert told in found.err
    assert not list(Path().glob("*.png"))


def test_stylize_without_a_style_shows_the_presets_on_the_picture(
    here: Path, sheets: list[Any], capsys: pytest.CaptureFixture[str]
):
    stylize = runner(capsys, "stylize", after=("--device", "cpu"))
    found = stylize("in/a.png")
    assert found.code == 0
    assert found.out.startswith("in/a-presets.png  (".replace("/", os.sep))
    assert f"adainkit {Path('in/a.png')} PRESET" in found.err
    shown = [label for row in labels(sheets[0]) for label in row]
    assert shown.count("a.png") == 1 + (len(adainkit.styles("lite")) - 1) // 8
    assert set(adainkit.styles("lite")) < set(shown)
    with Image.open("in/a-presets.png") as sheet:
        assert min(sheet.size) > 300
    assert stylize("in/a.png", "--detail", "1", "--json").code == 0
    assert Path("in/a-presets-2.png").is_file()  # nothing is replaced
    assert not np.array_equal(np.asarray(Image.open("in/a-presets.png")), np.asarray(Image.open("in/a-presets-2.png")))

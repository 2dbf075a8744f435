"""The `adainkit` command as a user meets it: files in, files out, exit codes, and messages of one line."""

import argparse
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Run, files_below
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import adainkit
from adainkit import preset_list, style
from adainkit.batch import jobs
from adainkit.batch import run as batch_run
from adainkit.batch.jobs import default_name, plan_jobs, split_weight
from adainkit.cli import arguments, values
from adainkit.cli.demo import contact_sheet, draw_landscape
from adainkit.images import MAX_PIXELS
from adainkit.store import weights

ROOT = Path(__file__).parent.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a.png and b.jpg, contents; art.png, a style."""
    monkeypatch.chdir(tmp_path)
    picture("a.png", 1)
    picture("b.jpg", 2)
    picture("art.png", 3, size=(40, 56))
    return tmp_path


def picture(path: str | Path, seed: int = 0, size: tuple[int, int] = (51, 38), mode: str = "RGB") -> Path:
    """A file of colored noise, `size` wide and high, in folders that are made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8)).convert(mode).save(path)
    return Path(path)


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def python(*argv: str, **more: Any) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *argv], text=True, env=environment, **more)


# ---- weights of a blend


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("art.jpg", ("art.jpg", 1.0)),
        ("art.jpg:0.7", ("art.jpg", 0.7)),
        ("art.jpg:.5", ("art.jpg", 0.5)),
        ("art.jpg:2.", ("art.jpg", 2.0)),
        ("art.jpg:1e-1", ("art.jpg", 0.1)),
        ("art.jpg:0", ("art.jpg", 0.0)),
        (r"C:\x.jpg", (r"C:\x.jpg", 1.0)),
        (r"C:\x.jpg:0.3", (r"C:\x.jpg", 0.3)),
        ("C:x.jpg", ("C:x.jpg", 1.0)),
        ("a:b:3", ("a:b", 3.0)),
        ("art.jpg:nan", ("art.jpg:nan", 1.0)),
        ("art.jpg:1_0", ("art.jpg:1_0", 1.0)),
        ("art.jpg:", ("art.jpg:", 1.0)),
        (":0.5", (":0.5", 1.0)),
    ],
)
def test_weight_follows_the_last_colon_if_it_is_a_number(text: str, expected: tuple[str, float]):
    assert split_weight(text) == expected


@pytest.mark.parametrize("text", ["art.jpg:-0.5", "art.jpg:1e999"])
def test_impossible_weight_is_an_error(text: str):
    with pytest.raises(ValueError, match=r"art\.jpg.*finite number from 0"):
        split_weight(text)


@pytest.mark.skipif(os.name == "nt", reason="no colons in names there")
def test_existing_file_with_a_colon_is_a_file(here: Path):
    Path("art:0.5").write_bytes(b"")
    assert split_weight("art:0.5") == ("art:0.5", 1.0)
    assert split_weight("art:0.5:2") == ("art:0.5", 2.0)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1), st.floats(0, 1e6))
def test_weight_comes_back(name: str, weight: float):
    assert split_weight(f"{name}:{weight!r}") == (name, weight)


# ---- values of options


@pytest.mark.parametrize(
    ("kind", "good", "bad", "told"),
    [
        (values.steps, "2", ("1", "2.5", "x", ""), "a whole number from 2, got"),
        (values.positive, "1", ("0", "-1", "1e3"), "a whole number from 1, got"),
        (values.count, "1", ("0", "some"), "a whole number from 1, or none, got"),
        (values.quality, "100", ("0", "101"), "a whole number from 1 to 100, got"),
        (values.within(1, 64), "64", ("0.9", "64.1", "nan"), "a number from 1 to 64, got"),
        (values.fraction, "1", ("-0.1", "1.1", "nan", "inf"), "a number from 0 to 1, got"),
    ],
)
def test_a_number_out_of_its_range_is_told_with_the_range(kind: Any, good: str, bad: tuple[str, ...], told: str):
    assert kind(good) == int(good)
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=rf"^expected {told} {text!r}$"):
            kind(text)


def test_words_in_the_place_of_numbers():
    assert values.count("None") is None
    assert (values.tile("Auto"), values.tile("none"), values.tile("64")) == ("auto", None, 64)
    assert (values.alphas("0.5"), values.alphas("0,1")) == (0.5, [0.0, 1.0])


def test_a_region_is_parted_where_its_mask_is_a_file(here: Path):
    assert values.region("sky.png=art.png") == ("sky.png", "art.png")
    assert values.region("sky=1.png=ember") == ("sky=1.png", "ember")
    Path("a=b.png").write_bytes(b"")
    assert values.region("a=b.png=ember") == ("a=b.png", "ember")
    assert values.region("a.png=a=b.png") == ("a.png", "a=b.png")
    for text in ("a.png", "=ember", "a.png=", "="):
        with pytest.raises(argparse.ArgumentTypeError, match="MASK=STYLE"):
            values.region(text)


# ---- which file goes where


def planned(*contents: str, output: str | None = None, **more: Any) -> dict[str, str]:
    """Source to target, or to what is wrong."""
    found = plan_jobs(contents, output, style_name="art", **more)
    return {j.source.as_posix(): j.problem or Path(os.path.relpath(j.target)).as_posix() for j in found}


@pytest.mark.parametrize(
    ("output", "target"),
    [
        ("c.png", "c.png"),
        ("new/", "new/a.png"),
        ("new", "new/a.png"),
        ("there.d", "there.d/a.png"),
        ("x/c.webp", "x/c.webp"),
    ],
)
def test_output_is_a_file_or_a_folder(here: Path, output: str, target: str):
    Path("there.d").mkdir()
    assert planned("a.png", output=output) == {"a.png": target}


def test_several_pictures_go_into_a_folder(here: Path):
    assert planned("a.png", "b.jpg", output="out.d") == {"a.png": "out.d/a.png", "b.jpg": "out.d/b.jpg"}
    for output in ("c.png", "art.png"):
        with pytest.raises(ValueError, match="must be a folder"):
            planned("a.png", "b.jpg", output=output)


def test_folder_keeps_its_tree(here: Path):
    for name in ("in/1.png", "in/deep/2.JPG", "in/deep/.hidden.png", "in/.cache/3.png"):
        picture(name)
    Path("in/notes.txt").write_text("no picture")
    assert planned("in", output="out") == {"in/1.png": "out/1.png", "in/deep/2.JPG": "out/deep/2.JPG"}
    assert planned("in", output="out", format="webp") == {"in/1.png": "out/1.webp", "in/deep/2.JPG": "out/deep/2.webp"}
    # One picture in it: a folder all the same, so that its next picture has a place.
    picture("single/1.png")
    with pytest.raises(ValueError, match="must be a folder"):
        planned("single", output="x.png")


def test_results_are_no_contents(here: Path):
    picture("in/1.png")
    picture("in/out/1.png")
    assert list(planned("in", output="in/out", overwrite=True)) == ["in/1.png"]


def test_patterns_and_repetitions(here: Path):
    picture("in/deep/1.png")
    picture("in/odd[1].png")
    assert planned("*.png", output="out") == {"a.png": "out/a.png", "art.png": "out/art.png"}
    assert planned("in/**", output="out") == {"in/deep/1.png": "out/deep/1.png", "in/odd[1].png": "out/odd[1].png"}
    assert planned("in/odd[1].png", output="out/") == {"in/odd[1].png": "out/odd[1].png"}
    assert planned("a.png", "*a.png", "./a.png", output="out") == {"a.png": "out/a.png"}
    assert "no file fits" in planned("*.gif", output="out")["*.gif"]


def test_what_cannot_be_a_picture_is_told(here: Path):
    Path("empty").mkdir()
    found = planned("missing.png", "empty", "a.png", output="out")
    assert "no such file" in found["missing.png"]
    assert "no pictures" in found["empty"]
    assert found["a.png"] == "out/a.png"


def test_default_name_is_new(here: Path):
    assert planned("a.png", "b.jpg") == {"a.png": "a-art.png", "b.jpg": "b-art.jpg"}
    Path("a-art.png").write_bytes(b"mine")
    Path("a-art-2.png").write_bytes(b"mine")
    assert planned("a.png") == {"a.png": "a-art-3.png"}
    assert planned("a.png", overwrite=True) == {"a.png": "a-art.png"}
    picture("in/deep/1.png")
    assert planned("in") == {"in/deep/1.png": "in-art/deep/1.png"}
    assert planned("in", format="tif") == {"in/deep/1.png": "in-art/deep/1.tif"}


def test_default_names_of_two_contents_differ(here: Path):
    picture("a.jpg")
    assert planned("a.png", "a.jpg", format="png") == {"a.png": "a-art.png", "a.jpg": "a-art-2.png"}


def test_name_of_styles_is_safe_in_a_file_name():
    assert default_name([r"C:\art\the wave?.JPG"]) == "the-wave"
    assert default_name(["art/a.jpg", "mosaic"]) == "a+mosaic"
    assert default_name(["v1.5"]) == "v1.5"
    assert default_name(["..", "???"]) == "+"
    assert default_name(["???"]) == "stylized"
    assert len(default_name(["x" * 500])) == 60


def test_two_results_never_share_a_file(here: Path):
    picture("x/a.png")
    found = planned("a.png", "x/a.png", output="out", overwrite=True)
    assert found["a.png"] == "out/a.png"
    assert "out/a.png" in found["x/a.png"].replace(os.sep, "/")
    assert "made of a.png" in found["x/a.png"]


def test_format_of_the_result(here: Path):
    picture("x.gif", mode="P")
    assert planned("x.gif", output="out/") == {"x.gif": "out/x.png"}
    assert planned("b.jpg", output="out/", format="jpeg") == {"b.jpg": "out/b.jpg"}
    assert planned("a.png", output="c.jpg", format="jpeg") == {"a.png": "c.jpg"}
    with pytest.raises(ValueError, match="contradict"):
        planned("a.png", output="c.png", format="jpg")


def test_a_fact_that_is_kept_twice_agrees():
    """The parser must not import what imports torch."""
    assert arguments.parse_arguments(["stylize", "a", "b"]).max_pixels == MAX_PIXELS


def test_unreadable_folder_is_told(here: Path, monkeypatch: pytest.MonkeyPatch):
    picture("in/1.png")

    def walk(root: Path, onerror: Callable[[OSError], None]) -> Any:
        onerror(PermissionError(13, "Permission denied", "in/closed"))
        yield "in", [], ["1.png"]

    monkeypatch.setattr(jobs.os, "walk", walk)
    found = planned("in", output="out")
    assert found["in/1.png"] == "out/1.png"
    assert "Permission denied" in found["in/closed"]


# ---- stylize


def test_one_picture(run: Run, here: Path):
    found = run("stylize", "a.png", "art.png", "-o", "out.png")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("a.png -> out.png")
    assert pixels("out.png").shape == (38, 51, 3)
    assert abs(pixels("out.png").astype(float) - pixels("a.png")).mean() > 5
    assert files_below(here) == {"a.png", "b.jpg", "art.png", "out.png"}


def test_options_reach_the_library(run: Run, here: Path):
    Image.linear_gradient("L").save("mask.png")
    options = {"alpha": 0.6, "preserve_color": "luma", "style_size": 24, "mask": "mask.png"}
    with adainkit.Stylizer("lite", device="cpu") as stylizer:
        stylizer.stylize_file("a.png", "api.png", "art.png", **options)
    flags = [text for key, value in options.items() for text in (f"--{key.replace('_', '-')}", value)]
    assert run("stylize", "a.png", "art.png", "-o", "cli.png", "--device", "cpu", *flags).code == 0
    assert np.array_equal(pixels("cli.png"), pixels("api.png"))
    for flag, other in (("--alpha", 1), ("--preserve-color", "match"), ("--style-size", "none"), ("--mask", "a.png")):
        changed = [*flags, flag, other]
        assert run("stylize", "a.png", "art.png", "-o", f"c{flag}.png", "--device", "cpu", *changed).code == 0
        assert not np.array_equal(pixels(f"c{flag}.png"), pixels("api.png")), flag


def test_blend_of_a_picture_and_a_preset(run: Run, here: Path):
    preset = next(iter(adainkit.styles("lite")))
    with adainkit.Stylizer("lite", device="cpu") as stylizer:
        parts = [(stylizer.encode_style("art.png"), 7.0), (adainkit.Style.preset(preset), 3.0)]
        stylizer.stylize_file("a.png", "api.png", adainkit.Style.blend(parts))
    styles = ("--style", "art.png:0.7", "--style", f"{preset}:0.3")
    assert run("stylize", *styles, "a.png", "b.jpg", "--device", "cpu", "-o", "out").code == 0
    assert np.array_equal(pixels("out/a.png"), pixels("api.png"))
    assert files_below("out") == {"a.png", "b.jpg"}


def test_preset_and_saved_style(run: Run, here: Path):
    preset = list(adainkit.styles("lite"))[-1]
    adainkit.Style.preset(preset).save("mine.safetensors")
    assert run("stylize", "a.png", preset, "-o", "1.png").code == 0
    assert run("stylize", "a.png", "mine.safetensors", "-o", "2.png").code == 0
    assert np.array_equal(pixels("1.png"), pixels("2.png"))


def test_without_output_the_result_lies_beside(run: Run, here: Path):
    picture("in/c.png")
    assert run("stylize", "in/c.png", "art.png").code == 0
    assert run("stylize", "in/c.png", "art.png").code == 0
    assert files_below("in") == {"c.png", "c-art.png", "c-art-2.png"}


def test_options_may_stand_between_the_pictures(run: Run, here: Path):
    assert run("stylize", "a.png", "-o", "out.png", "art.png").code == 0
    assert Path("out.png").exists()


def test_format_and_quality(run: Run, here: Path):
    sizes = []
    for quality in (5, 95):
        assert (
            run("stylize", "a.png", "art.png", "-o", f"{quality}/", "--format", ".WebP", "--quality", quality).code == 0
        )
        with Image.open(f"{quality}/a.webp") as image:
            assert image.format == "WEBP"
        sizes.append(Path(f"{quality}/a.webp").stat().st_size)
    assert sizes[0] < 0.7 * sizes[1]


def test_folder_with_a_broken_picture(run: Run, here: Path):
    for name in ("in/1.png", "in/deep/3.jpg"):
        picture(name)
    whole = picture("in/2.png").read_bytes()
    Path("in/2.png").write_bytes(whole[: len(whole) // 2])
    found = run("stylize", "in", "art.png", "-o", "out")
    assert found.code == 1
    assert files_below("out") == {"1.png", "deep/3.jpg"}
    errors = [line for line in found.err.splitlines() if line.startswith("adainkit: error: ")]
    assert len(errors) == 1
    assert "2.png" in errors[0]
    assert "2 of 3 pictures done, 1 failed" in found.err


def test_unforeseen_error_is_one_pictures_own(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch):
    whole = batch_run.save_image

    def fails(result: Any, target: Path, **more: Any) -> Path:
        if target.stem in "ax":
            raise ZeroDivisionError("by\nchance")
        return whole(result, target, **more)

    monkeypatch.setattr(batch_run, "save_image", fails)
    found = run("stylize", "a.png", "b.jpg", "art.png", "-o", "out")
    assert found.code == 1
    assert "adainkit: error: a.png: ZeroDivisionError: by chance; --debug shows where\n" in found.err
    assert files_below("out") == {"b.jpg"}
    assert "in fails" in run("stylize", "a.png", "art.png", "-o", "x.png", "--debug").err


def test_existing_file_is_replaced_only_on_demand(run: Run, here: Path):
    Path("out.png").write_bytes(b"mine")
    found = run("stylize", "a.png", "art.png", "-o", "out.png")
    assert found.code == 1
    assert "--overwrite" in found.err
    assert Path("out.png").read_bytes() == b"mine"
    assert run("stylize", "a.png", "art.png", "-o", "out.png", "--overwrite").code == 0
    assert pixels("out.png").shape == (38, 51, 3)


@pytest.mark.parametrize("target", ["a.png", "./a.png", "sub/../a.png", "link.png", "art.png", "mask.png"])
def test_nothing_that_is_read_is_written(run: Run, here: Path, target: str):
    picture("mask.png")
    Path("sub").mkdir()
    try:
        Path("link.png").symlink_to("a.png")
    except OSError:
        pytest.skip("no links can be made here")
    before = {name: (here / name).read_bytes() for name in ("a.png", "art.png", "mask.png")}
    found = run("stylize", "a.png", "art.png", "--mask", "mask.png", "-o", target, "--overwrite")
    assert found.code == 1
    assert "replace" in found.err
    assert {name: (here / name).read_bytes() for name in before} == before


def test_folder_onto_itself(run: Run, here: Path):
    before = picture("in/1.png").read_bytes()
    assert run("stylize", "in", "art.png", "-o", "in", "--overwrite").code == 1
    assert Path("in/1.png").read_bytes() == before
    assert run("stylize", "in", "art.png", "-o", "in", "--format", "webp").code == 0
    assert files_below("in") == {"1.png", "1.webp"}


def test_json_lines(run: Run, here: Path):
    Path("bad.png").write_bytes(b"no picture")
    found = run("stylize", "a.png", "bad.png", "missing.png", "art.png", "-o", "out", "--json")
    rows = [json.loads(line) for line in found.out.splitlines()]
    assert found.code == 1
    rows.sort(key=lambda row: row["input"])  # they come in the order in which they end
    assert [row["input"] for row in rows] == ["a.png", "bad.png", "missing.png"]
    assert rows[0]["style"] == {"art.png": 1.0}
    assert [row["output"] for row in rows] == [str(Path("out/a.png")), None, None]
    assert [row["error"] is None for row in rows] == [True, False, False]
    assert rows[0]["seconds"] > 0
    assert all(list(row) == ["input", "output", "style", "seconds", "error"] for row in rows)


def test_max_pixels(run: Run, here: Path):
    for limit, told in ((51 * 38 - 1, "40 x 56"), (40 * 56, "60 x 60")):  # of the style, then of the content
        picture("large.png", size=(60, 60))
        found = run("stylize", "large.png", "art.png", "-o", "out.png", "--max-pixels", limit)
        assert found.code == 1
        assert told in found.err
    assert run("stylize", "large.png", "art.png", "-o", "out.png", "--max-pixels", "none").code == 0


def test_library_warnings_reach_the_user(run: Run, here: Path):
    picture("see-through.png", mode="RGBA")
    Image.new("RGBA", (20, 20), (10, 200, 30, 99)).save("see-through.png")
    found = run("stylize", "see-through.png", "art.png", "-o", "out.jpg")
    assert found.code == 0
    assert "JPEG has no transparency" in found.err


def test_styles_are_cached_on_disk(run: Run, here: Path, home: Path):
    assert run("stylize", "a.png", "art.png", "-o", "1.png").code == 0
    kept = files_below(home / "styles")
    assert len(kept) == 1
    assert run("stylize", "a.png", "art.png", "-o", "2.png").code == 0
    assert files_below(home / "styles") == kept
    assert np.array_equal(pixels("1.png"), pixels("2.png"))


def test_unwritable_cache_is_harmless(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch):
    Path("a file").write_bytes(b"")
    monkeypatch.setenv("ADAINKIT_HOME", str(here / "a file" / "cache"))
    found = run("stylize", "a.png", "art.png", "-o", "out.png")
    assert (found.code, found.err) == (0, "")


# ---- failures and wrong usage


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("a.png no-such-style -o x.png", "no-such-style"),
        ("a.png art.png -o x.png --model no-such-model", "no-such-model"),
        ("a.png art.png -o x.png --model a.png", "cannot be read as a model"),
        ("a.png art.png -o x.png --device no-such-device", "no-such-device"),
        ("a.png art.png -o x.png --mask missing.png", "missing.png"),
        ("missing.png art.png -o x.png", "missing.png"),
        ("a.png b.jpg art.png:0.5 -o x", "art.png:0.5"),
    ],
)
def test_failure_is_one_line_and_exit_code_1(run: Run, here: Path, arguments: str, told: str):
    found = run("stylize", *arguments.split())
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("adainkit: error: ")
    assert found.err.count("\n") == 1
    assert told in found.err
    assert files_below(here) == {"a.png", "b.jpg", "art.png"}


def test_unknown_style_names_the_presets(run: Run, here: Path):
    found = run("stylize", "a.png", "no-such-style", "-o", "x.png")
    assert all(name in found.err for name in adainkit.styles("lite"))


def test_debug_shows_the_traceback(run: Run, here: Path):
    assert "Traceback" in run("stylize", "a.png", "no-such-style", "--debug").err


@pytest.mark.parametrize(
    "arguments",
    [
        "no-such-command",
        "stylize",
        "stylize no-such.png",
        "stylize a.png -o x.png",
        "stylize a.png --mask b.jpg",
        "stylize a.png art.png --alpha 1.5",
        "stylize a.png art.png --alpha -0.1",
        "stylize a.png art.png --alpha nan",
        "stylize a.png art.png --alpha much",
        "stylize a.png art.png --quality 0",
        "stylize a.png art.png --quality 101",
        "stylize a.png art.png --style-size 0",
        "stylize a.png art.png --max-pixels 1.5",
        "stylize a.png art.png --preserve-color all",
        "stylize a.png art.png --dtype int8",
        "stylize a.png art.png --format ppm",
        "stylize a.png art.png -o x.png --format jpg",
        "stylize a.png art.png -o x.ppm",
        "stylize a.png art.png -o x.txt",
        "stylize a.png b.jpg art.png -o x.png",
        "stylize a.png --style art.png:-1",
        "stylize a.png --style art.png:0 --style a.png:0",
        "stylize a.png art.png --no-such-option",
        "stylize a.png -o x.png art.png --no-such-option",
        "stylize a.png art.png --over",
        "styles one-too-many",
        "download",
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, here: Path, arguments: str):
    found = run(*arguments.split())
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("adainkit")
    assert ": error: " in found.err
    assert found.err.count("\n") == 1
    assert "--help` tells more" in found.err
    assert files_below(here) == {"a.png", "b.jpg", "art.png"}


# ---- the other commands


def test_styles(run: Run):
    presets = adainkit.styles("lite")
    lines = run("styles").out.splitlines()
    assert [line.split()[0] for line in lines] == list(presets)
    assert all(p.description in line for p, line in zip(presets.values(), lines, strict=True))
    rows = json.loads(run("styles", "--json").out)
    assert [(r["name"], r["description"], r["source"]) for r in rows] == [
        (p.name, p.description, p.source) for p in presets.values()
    ]
    by_path = run("styles", "--model", adainkit.models()["lite"].path)
    assert by_path.out.splitlines() == lines
    none = run("styles", "--model", "vgg19")
    assert (none.code, none.out) == (0, "")
    assert "no presets" in none.err
    assert json.loads(run("styles", "--model", "vgg19", "--json").out) == []
    assert run("styles", "--model", "no-such-model").code == 1


def test_models(run: Run):
    rows = {row["name"]: row for row in json.loads(run("models", "--json").out)}
    assert set(rows) == set(adainkit.models())
    assert rows["lite"]["available"] is True
    assert rows["lite"]["size"] == Path(rows["lite"]["path"]).stat().st_size
    assert (rows["vgg19"]["available"], rows["vgg19"]["size"]) == (False, None)
    text = run("models").out
    assert all(word in text for word in ("lite", "vgg19", "not here", "MIT"))


def test_download(run: Run, here: Path):
    assert run("download", "lite").out.strip() == str(adainkit.models()["lite"].path)
    offline = run("download", "vgg19")
    assert offline.code == 1
    assert "ADAINKIT_OFFLINE" in offline.err
    for name in ("vgg_normalised.pth", "decoder.pth"):
        (here / name).write_bytes(b"something else")
    wrong = run("download", "vgg19", "--from", here)
    assert wrong.code == 1
    assert "sha256" in wrong.err
    unchecked = run("download", "vgg19", "--from", here, "--no-verify")
    assert unchecked.code == 1
    assert "state dict" in unchecked.err
    assert run("download", "no-such-model").code == 1


def findings(run: Run) -> tuple[int, dict[str, dict[str, str]]]:
    found = run("doctor", "--json")
    report = json.loads(found.out)
    assert report["healthy"] is (found.code == 0)
    return found.code, {row["name"]: row for row in report["findings"]}


def test_doctor_of_a_healthy_installation(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ADAINKIT_MIRROR", "https://me:secret@mirror.example/files")
    code, rows = findings(run)
    assert code == 0, [row for row in rows.values() if row["status"] == "broken"]
    assert rows["torch"]["value"] == torch.__version__.partition("+")[0] or torch.__version__ in rows["torch"]["value"]
    assert rows["model lite"]["status"] == rows["trial run"]["status"] == rows["cache"]["status"] == "ok"
    assert rows["presets of lite"]["value"] == str(len(adainkit.styles("lite")))
    assert rows["model vgg19"]["status"] == "missing"
    assert rows["model vgg19"]["remedy"] == "adainkit download vgg19"
    assert {"python", "numpy", "pillow", "cpu", "cuda", "mps", "webp", "avif"} <= set(rows)
    assert rows["ADAINKIT_MIRROR"]["value"] == "https://***@mirror.example/files"
    assert all(row["remedy"] for row in rows.values() if row["status"] != "ok")
    assert files_below(home) == set()
    text = run("doctor")
    assert text.code == 0
    assert "secret" not in text.out
    assert "-> adainkit download vgg19" in text.out


def test_doctor_finds_damaged_weights(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = bytearray(adainkit.models()["lite"].path.read_bytes())
    data[-4096:] = bytes(4096)  # zeros in the last tensors, the encoder's: size and header stay right
    (tmp_path / "lite.safetensors").write_bytes(data)
    monkeypatch.setattr(weights.Weights, "path", property(lambda self: tmp_path / f"{self.name}.safetensors"))
    code, rows = findings(run)
    assert code == 1
    assert rows["model lite"]["status"] == "broken"
    assert "reinstall" in rows["model lite"]["remedy"]
    assert rows["trial run"]["status"] == "broken"
    (tmp_path / "lite.safetensors").unlink()
    assert findings(run)[0] == 1


def test_doctor_finds_foreign_and_missing_presets(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preset_list, "presets_file", lambda model: tmp_path / f"{model}.safetensors")
    assert findings(run)[1]["presets of lite"]["status"] == "broken"
    one = adainkit.Style((torch.zeros(3),), (torch.ones(3),), "another encoder's digest")
    style.write_presets("lite", {style.Preset("odd", "odd", "nowhere"): one})
    code, rows = findings(run)
    assert code == 1
    assert "other weights" in rows["presets of lite"]["value"]


def test_doctor_tells_of_an_unwritable_cache(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a file").write_bytes(b"")
    monkeypatch.setenv("ADAINKIT_HOME", str(tmp_path / "a file" / "cache"))
    code, rows = findings(run)
    assert code == 0  # everything works without it
    assert rows["cache"]["status"] == "missing"
    assert "ADAINKIT_HOME" in rows["cache"]["remedy"]


def test_doctor_finds_libraries_that_are_missing_or_old(run: Run, monkeypatch: pytest.MonkeyPatch):
    from adainkit.cli import doctor

    wanted = ["numpy>=99", "no-such-library>=1.0", 'no-such-extra>=1; extra == "tiff"', 'x; extra == "test"']
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    facts = SimpleNamespace(get_all=lambda key: ["tiff", "test"])
    monkeypatch.setattr(doctor.metadata, "metadata", lambda name: facts)
    code, rows = findings(run)
    assert code == 1
    assert rows["numpy"]["status"] == rows["no-such-library"]["status"] == "broken"
    assert rows["no-such-library"]["remedy"] == 'pip install "no-such-library>=1.0"'
    assert rows["extra tiff"]["value"] == "no-such-extra not installed"
    assert rows["extra tiff"]["remedy"] == 'pip install "adainkit[tiff]"'
    assert "extra test" not in rows


def test_doctor_survives_its_own_faults(run: Run, monkeypatch: pytest.MonkeyPatch):
    from adainkit.cli import doctor

    def _devices() -> Any:
        raise RuntimeError("driver")

    monkeypatch.setattr(doctor, "_devices", _devices)
    code, rows = findings(run)
    assert code == 1
    assert rows["devices"]["value"] == "cannot be examined: RuntimeError: driver"
    assert rows["model lite"]["status"] == "ok"


def test_demo_needs_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    found = run("demo")
    assert found.code == 0
    written = sorted(files_below(tmp_path / "adainkit-demo"))
    assert len(written) == 5
    assert all(name in found.out for name in written)
    landscape = pixels("adainkit-demo/demo-landscape.png").astype(float)
    painted = [pixels(f"adainkit-demo/{n}") for n in written if n not in ("demo-landscape.png", "demo-sheet.png")]
    for each in painted:
        assert each.shape == landscape.shape
        assert each.std() > 10
        assert abs(each - landscape).mean() > 5
    assert not np.array_equal(painted[0], painted[1])
    monkeypatch.setattr("adainkit.cli.demo.run_demo", lambda stylizer, styles, folder: [Path(folder, "a.png")])
    again = json.loads(run("demo", "-o", "other", "--json").out)
    assert again["outputs"] == [str(Path("other", "a.png"))]
    assert again["seconds"] > 0


def test_demo_without_presets_is_one_error(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preset_list, "presets_file", lambda model: tmp_path / "none.safetensors")
    found = run("demo")
    assert found.code == 1
    assert "no presets" in found.err
    assert files_below(tmp_path) == set()


def test_landscape_is_a_picture(keep_picture: Callable[[str, Any], None]):
    drawn = draw_landscape(320, 200)
    keep_picture("landscape", drawn)
    assert (drawn.size, drawn.mode) == ((320, 200), "RGB")
    x = np.asarray(drawn).astype(float)
    assert np.array_equal(x, np.asarray(draw_landscape(320, 200)))
    assert not np.array_equal(x, np.asarray(draw_landscape(320, 200, seed=1)))
    cells = x[:200, :320].reshape(10, 20, 16, 20, 3).std(axis=(1, 3)).mean(-1)
    assert cells.min() > 1  # texture everywhere
    assert np.ptp(x.mean(-1)) > 150  # and the whole range of light
    top, bottom = x[:40].mean((0, 1)), x[-40:].mean((0, 1))
    assert top[2] > top[1]  # a blue sky
    assert bottom[1] > bottom[2]  # above grass


def test_contact_sheet_shows_every_picture():
    colors = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    sheet = np.asarray(contact_sheet({name: Image.new("RGB", (30, 20), color) for name, color in colors.items()}))
    for color in colors.values():
        assert (sheet == color).all(-1).sum() == 30 * 20


def test_train_hands_its_arguments_on(run: Run, monkeypatch: pytest.MonkeyPatch):
    train = pytest.importorskip("training.train")
    seen: list[list[str]] = []
    log = logging.getLogger("adainkit")
    before = (log.level, list(log.handlers))

    def pretended(argv: list[str], program: str) -> int:
        seen.append(argv)
        assert program == "adainkit train"
        assert (log.level, log.handlers) == before, "training sets its log up itself"
        return 7

    monkeypatch.setattr(train, "main", pretended)
    assert run("train", "--config", "lite", "--help", "-o", "x").code == 7
    assert seen == [["--config", "lite", "--help", "-o", "x"]]


def test_train_is_ours_also_where_another_training_lies(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    for name in ("__init__.py", "train.py"):
        (tmp_path / "training" / name).write_text("raise SystemExit('not ours')")
    path = Path(adainkit.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{path}"}
    command = [sys.executable, "-m", "adainkit", "train", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: adainkit train ")
    assert "--content" in done.stdout


def test_train_without_its_extra_says_so(run: Run, monkeypatch: pytest.MonkeyPatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "training"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "yaml", None)
    found = run("train", "--help")
    assert found.code == 1
    assert 'pip install "adainkit[train]"' in found.err
    assert "yaml" in found.err


# ---- help, interrupts, pipes


COMMANDS = ("stylize", "grid", "model3d", "styles", "models", "download", "doctor", "demo")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_are_right(run: Run, command: str):
    found = run(command, "--help")
    assert found.code == 0
    examples = [line.strip() for line in found.out.splitlines() if line.startswith("  adainkit")]
    assert examples
    for example in examples:
        assert arguments.parse_arguments(shlex.split(example)[1:]).command == command


def test_help_names_every_command(run: Run):
    text = run("--help").out
    assert all(command in text for command in (*COMMANDS, "train"))
    assert run("--version").out == f"adainkit {adainkit.__version__}\n"


def test_quick_answers_need_no_torch(here: Path):
    Path("README.md").touch()  # an export is not to replace it
    lines = ["", "--help", "--version", "stylize --help", "models", "styles", "styles --json", "stylize a b --alpha 2"]
    lines += ["info a.png", "a.png nosuch", "grid a.png nosuch", "film a.mp4 nosuch", "model3d a.glb nosuch -o b.glb"]
    lines += ["a.png ember --mask nosuch.png", "export lite --to onnx -o ."]
    lines += ["cluster a.png nosuch -o out --manifest run.jsonl"]
    code = (
        "import sys\nfrom adainkit.cli import main\n"
        "for line in sys.argv[1:]:\n"
        "    try: main(line.split())\n    except SystemExit: pass\n"
        "    if 'torch' in sys.modules: sys.exit(f'torch was imported: {line}')\n"
    )
    process = python("-c", code, *lines, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.communicate(timeout=60)[1]
    assert "Traceback" not in said
    assert process.returncode == 0, said
    assert said.count("'nosuch' is neither an existing file nor a preset") == 5


def test_interrupt_leaves_nothing_half_written(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(self: Image.Image, stream: Any, *_: Any, **__: Any) -> None:
        stream.write(b"half a picture")
        raise KeyboardInterrupt

    Path("b.png").write_bytes(b"an earlier result")
    monkeypatch.setattr(Image.Image, "save", interrupted)
    found = run("stylize", "a.png", "art.png", "-o", "b.png", "--overwrite")
    assert found.code == 130
    assert found.err == "adainkit: interrupted\n"
    assert files_below(here) == {"a.png", "b.jpg", "art.png", "b.png"}
    assert Path("b.png").read_bytes() == b"an earlier result"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_control_c_ends_the_process(here: Path):
    for index in range(40):
        picture(f"in/{index:02}.png", index, size=(300, 300))
    command = ("-m", "adainkit", "stylize", "in", "art.png", "-o", "out", "--json")
    process = python(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "adainkit: interrupted\n"
    assert pixels(first["output"]).shape == (300, 300, 3)
    assert len(files_below("out")) < 40
    assert all(pixels(f"out/{name}").shape == (300, 300, 3) for name in files_below("out"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_sigterm_clears_away_what_was_begun(here: Path, monkeypatch: pytest.MonkeyPatch):
    picture("large.tif", size=(900, 2400))
    monkeypatch.setenv("ADAINKIT_MEMORY", "20M")  # in strips: the target is begun long before its end
    before = files_below(here)
    process = python("-m", "adainkit", "stylize", "large.tif", "art.png", "-o", "out.tif", stderr=subprocess.PIPE)
    while files_below(here) == before and process.poll() is None:
        time.sleep(0.01)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert err.endswith("adainkit: terminated\n")
    assert files_below(here) == before


def test_the_command_leaves_the_handlers_of_its_process_as_they_were(run: Run, here: Path):
    assert run("styles").code == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, handler := lambda *_: None)
    try:
        assert run("styles").code == 0
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_reader_that_goes_away_causes_no_noise():
    process = python("-m", "adainkit", "models", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX terminals")
def test_bar_is_for_terminals(here: Path):
    import fcntl
    import pty
    import struct
    import termios

    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
    command = ("-m", "adainkit", "stylize", "a.png", "b.jpg", "art.png", "-o", "out")
    process = python(*command, stdout=subprocess.PIPE, stderr=end)
    out = process.communicate(timeout=60)[0]
    os.close(end)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert process.returncode == 0
    assert "0 of 2 pictures" in shown
    assert len(out.splitlines()) == 2

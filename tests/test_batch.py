"""Folders: side by side gives the files of one by one; manifests that go on; random styles for data sets."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Run, files_below, noise, runner
from PIL import Image, ImageCms

import adainkit
from adainkit.batch import stylize_files
from adainkit.batch.finding import find_pictures
from adainkit.batch.jobs import Job, plan_jobs
from adainkit.batch.random_styles import RandomStyles, choose, once_each
from adainkit.engine import memory as executor
from adainkit.errors import StyleError
from adainkit.images import open_image, save_image

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys, "stylize", after=("--device", "cpu"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: in/ with six pictures in a tree; art/ with four styles in a tree."""
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        noise(f"in/{'deep/' * (number % 2)}{number}.png", number)
    for number, name in enumerate(("wave", "night", "old/wave", "old/garden")):
        noise(f"art/{name}.png", 100 + number, (40, 56))
    return tmp_path


def lines(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


# ---- side by side


def test_the_files_are_those_of_stylize_file_bit_for_bit(tmp_path: Path, photo: np.ndarray):
    image = Image.fromarray(photo[:90, :130])
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "turned"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50), np.uint16)
    sources = {
        "rgb.png": lambda p: image.save(p),
        "alpha.webp": lambda p: alpha.save(p, lossless=True),
        "palette.gif": lambda p: image.convert("P").save(p),
        "gray.png": lambda p: image.convert("L").save(p),
        "turned.jpg": lambda p: image.save(p, exif=exif, dpi=(300, 300), icc_profile=profile),
        "deep.png": lambda p: save_image(deep, p, info={"dpi": (240, 240), "exif": exif.tobytes()}),
        "deep-alpha.png": lambda p: save_image(np.dstack([deep] * 4), p),
    }
    for name, save in sources.items():
        save(tmp_path / name)
    targets = {name: f"{name.partition('.')[0]}.{'jpg' if 'jpg' in name else 'png'}" for name in sources}
    options = {"alpha": 0.7, "preserve_color": "luma", "mask": np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)}
    with adainkit.Stylizer("lite", device="cpu") as stylizer:
        style = adainkit.Style.preset("calanque")
        jobs = [Job(tmp_path / name, tmp_path / "together" / target) for name, target in targets.items()]
        outcomes = list(stylize_files(stylizer, jobs, lambda job: style, **options))
        assert [o.error for o in outcomes] == [None] * len(sources)
        for name, target in targets.items():
            one = stylizer.stylize_file(tmp_path / name, tmp_path / "alone" / target, style, **options)
            assert (tmp_path / "together" / target).read_bytes() == one.read_bytes(), name
    assert open_image(tmp_path / "together/deep-alpha.png").dtype == np.uint16


def test_a_picture_that_is_too_large_to_share_goes_alone(here: Path, monkeypatch: pytest.MonkeyPatch):
    noise("in/large.png", 9, (400, 300))
    monkeypatch.setattr(executor, "memory_budget", lambda device: 1 << 25)
    monkeypatch.setattr("adainkit.engine.file_to_file.memory_budget", lambda device: 1 << 25)
    alone = []
    whole = adainkit.Stylizer.stylize_file

    def noted(self: Any, source: Path, *args: Any, **more: Any) -> Path:
        alone.append(source.name)
        return whole(self, source, *args, **more)

    monkeypatch.setattr(adainkit.Stylizer, "stylize_file", noted)
    with adainkit.Stylizer("lite", device="cpu", dtype="float32") as stylizer:
        style = adainkit.Style.preset("calanque")
        outcomes = list(stylize_files(stylizer, plan_jobs(["in"], "out", style_name=""), lambda job: style))
    assert [o.error for o in outcomes] == [None] * 7
    assert alone == ["large.png"]
    assert files_below("out") == files_below("in")


def test_errors_are_each_pictures_own(run: Run, here: Path):
    Path("in/2.png").write_bytes(b"no picture")
    found = run("in", "calanque", "-o", "out", "--json")
    assert found.code == 1
    assert {row["input"] for row in found.rows if row["error"]} == {str(Path("in/2.png"))}
    assert files_below("out") == files_below("in") - {"2.png"}
    assert "5 of 6 pictures done, 1 failed" in found.err


# ---- a manifest


def test_a_manifest_has_a_line_for_every_picture(run: Run, here: Path):
    Path("in/2.png").write_bytes(b"no picture")
    styles = ("--style", "art/wave.png:3", "--style", "calanque", "--alpha", 0.8)
    assert run("in", *styles, "-o", "out", "--manifest", "run.jsonl").code == 1
    rows = {row["input"]: row for row in lines("run.jsonl")}
    assert set(rows) == {str(Path("in") / name) for name in files_below("in")}
    row = rows[str(Path("in/0.png"))]
    assert row["output"] == str(Path("out/0.png"))
    assert row["style"] == {"art/wave.png": 3.0, "calanque": 1.0}
    assert row["options"]["alpha"] == 0.8
    assert {"preserve_color", "style_size", "mask", "model", "dtype", "format", "quality"} <= set(row["options"])
    assert not {"json", "debug", "overwrite", "device", "manifest", "pictures"} & set(row["options"])
    assert row["seconds"] > 0
    assert row["error"] is None
    assert "2.png" in rows[str(Path("in/2.png"))]["error"]


@pytest.mark.parametrize("output", [("-o", "out"), ()])
def test_the_same_command_again_does_what_is_left(run: Run, here: Path, output: tuple[str, ...]):
    command = ("in", "art/wave.png", *output, "--manifest", "run.jsonl", "--json")
    whole = Path("in/2.png").read_bytes()
    Path("in/2.png").write_bytes(b"no picture")
    first = run(*command)
    assert (first.code, len(first.rows)) == (1, 6)
    folder = Path(output[1] if output else "in-wave")
    stamps = {name: (folder / name).stat().st_mtime_ns for name in files_below(folder)}
    assert len(stamps) == 5
    Path("in/2.png").write_bytes(whole)
    (folder / "deep/3.png").unlink()
    noise("in/new.png", 7)
    again = run(*command)
    assert again.code == 0, again.err
    assert sorted(Path(row["input"]).name for row in again.rows) == ["2.png", "3.png", "new.png"]
    assert "4 of 7 pictures were done before, as run.jsonl says" in again.err
    assert files_below(folder) == files_below("in")
    untouched = set(stamps) - {"deep/3.png"}
    assert {n: (folder / n).stat().st_mtime_ns for n in untouched} == {n: stamps[n] for n in untouched}
    third = run(*command)
    assert (third.code, third.rows) == (0, [])
    assert "7 of 7 pictures were done before" in third.err
    assert len(lines("run.jsonl")) == 6 + 3


def test_two_pictures_that_want_one_name_leave_it_to_the_first(run: Run, here: Path):
    noise("two/a.jpg", 0)
    noise("two/a.png", 1)
    command = ("two", "calanque", "-o", "out", "--format", "png", "--manifest", "run.jsonl", "--json")
    assert {row["input"] for row in run(*command).rows if row["error"] is None} == {str(Path("two/a.jpg"))}
    for _ in range(3):
        again = run(*command)
        assert [row["input"] for row in again.rows] == [str(Path("two/a.png"))]
        assert "made of" in again.rows[0]["error"]


@pytest.mark.parametrize("name", ["art/wave.png", "left.png", "mask.png", "mine.safetensors", "model.safetensors"])
def test_another_file_of_the_same_name_stops_the_run(run: Run, here: Path, name: str):
    for number, mask in enumerate(("left.png", "mask.png")):
        noise(mask, 30 + number)
    adainkit.Style.preset("ember").save("mine.safetensors")
    model = adainkit.AdaINModel.load(adainkit.models()["lite"].path)
    model.save("model.safetensors")
    regions = ("--region", "left.png=art/wave.png", "--region", "left.png=mine.safetensors")
    command = (
        "in",
        *regions,
        "--mask",
        "mask.png",
        "--model",
        "model.safetensors",
        "-o",
        "out",
        "--manifest",
        "m.jsonl",
    )
    assert run(*command).code == 0
    assert run(*command).code == 0
    before = files_below(here)
    if name == "model.safetensors":  # another decoder of the same encoder
        with torch.no_grad():
            model.decoder.get_parameter(next(iter(dict(model.decoder.named_parameters())))).mul_(1.01)
        model.save(name)
    elif name == "mine.safetensors":
        adainkit.Style.preset("iris").save(name)
    else:
        noise(name, 40, (40, 56))
    told = run(*command)
    assert (told.code, told.out) == (1, "")
    assert f"m.jsonl was begun with other options: {name} has changed." in told.err
    assert files_below(here) == before


def test_a_random_style_that_has_changed_stops_the_run(run: Run, here: Path):
    command = ("in", "--random-style", "art/", "-o", "out", "--manifest", "m.jsonl")
    assert run(*command).code == 0
    assert run(*command).code == 0
    noise("art/night.png", 9, (41, 57))
    told = run(*command)
    assert told.code == 1
    assert "art has changed" in told.err


def test_a_content_that_has_changed_is_made_again(run: Run, here: Path):
    command = ("in", "calanque", "-o", "out", "--manifest", "m.jsonl", "--json")
    assert run(*command).code == 0
    noise("in/2.png", 50)
    os.utime("in/2.png", (time.time() + 60, time.time() + 60))
    assert "--overwrite" in run(*command).rows[0]["error"]
    again = run(*command, "--overwrite")
    assert [row["input"] for row in again.rows] == [str(Path("in/2.png"))]


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        ("-o x.gif", 2, "must be a folder"),
        ("--alpha 0,1", 1, "2 alphas for a model of 3 AdaIN levels"),
        ("--mask missing.png", 1, "missing.png"),
        ("--mask broken.png", 1, "broken.png"),
        ("--mask cut.png", 1, "cut.png"),
        ("--region art/wave.png=calanque --region missing.png=ember", 1, "missing.png"),
    ],
)
def test_what_no_picture_can_be_made_with_is_told_once(run: Run, here: Path, more: str, code: int, told: str):
    Path("broken.png").write_bytes(b"no picture")
    Path("cut.png").write_bytes(Path("in/0.png").read_bytes()[:300])
    before = files_below(here)
    style = () if "--region" in more else ("--style", "calanque")
    found = run("in", *style, "-o", "out", *more.split(), "--manifest", "m.jsonl", "--json")
    assert found.code == code
    (line,) = found.out.splitlines()
    assert told in json.loads(line)["error"]
    assert told in found.err
    assert found.err.count("error: ") == 1
    assert files_below(here) == before, "nothing is begun, a manifest neither"


def test_masks_that_are_pictures_and_arrays_are_not_opened_as_files(here: Path):
    with adainkit.Stylizer("lite", device="cpu") as stylizer:
        jobs, style = plan_jobs(["in/0.png"], "out", style_name=""), adainkit.Style.preset("calanque")
        for mask in (np.ones((4, 5), np.float32), Image.new("L", (5, 4), 255)):
            with_mask = stylize_files(stylizer, jobs, lambda job: style, mask=mask)
            assert [o.error for o in with_mask] == [None]
        with pytest.raises(StyleError, match="2 alphas"):
            stylize_files(stylizer, jobs, lambda job: style, alpha=(0, 1))


def test_a_manifest_is_never_a_target(run: Run, here: Path):
    for _ in range(2):
        found = run("in/0.png", "calanque", "--manifest", "o.png", "-o", "o.png", "--overwrite")
        assert found.code == 1
        assert "its result o.png would replace what is read here" in found.err
        assert all(row["error"] for row in lines("o.png"))


def test_what_somebody_else_made_is_not_replaced(run: Run, here: Path):
    command = ("in", "calanque", "-o", "out", "--manifest", "run.jsonl")
    noise("out/0.png", 50)
    before = Path("out/0.png").read_bytes()
    first = run(*command)
    assert first.code == 1
    assert "--overwrite" in first.err
    assert run(*command).code == 1
    assert Path("out/0.png").read_bytes() == before
    done = run(*command, "--overwrite", "--json")
    assert done.code == 0
    assert [row["input"] for row in done.rows] == [str(Path("in/0.png"))]
    assert Path("out/0.png").read_bytes() != before


def test_a_manifest_of_other_options_stops_the_run_before_it_begins(run: Run, here: Path):
    assert run("in", "calanque", "-o", "out", "--manifest", "run.jsonl").code == 0
    before = (Path("run.jsonl").read_bytes(), files_below(here))
    for changed, told in ((("calanque", "--alpha", 0.5), "alpha was 1.0, now 0.5"), (("ukiyo-e",), "style was")):
        found = run("in", *changed, "-o", "out", "--manifest", "run.jsonl", "--overwrite")
        assert (found.code, found.out) == (1, "")
        assert told in found.err
        assert (Path("run.jsonl").read_bytes(), files_below(here)) == before
    assert run("in", "calanque", "-o", "out", "--manifest", "run.jsonl", "--tile", 512, "--json").code == 0


@pytest.mark.parametrize("path", ["in", "art/wave.png", "in/0.png/run.jsonl"])
def test_a_manifest_that_cannot_be_one_is_an_error_before_the_work(run: Run, here: Path, path: str):
    before = {name: (here / name).read_bytes() for name in files_below(here)}
    found = run("in", "calanque", "-o", "out", "--manifest", path)
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith(f"adainkit: error: {Path(path)}")
    assert found.err.count("\n") == 1
    assert {name: (here / name).read_bytes() for name in files_below(here)} == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_goes_on(run: Run, here: Path, kind: signal.Signals):
    for number in range(10):
        noise(f"in/{number:02}.png", number, (300, 300))
    command = ["in", "calanque", "-o", "out", "--manifest", "run.jsonl"]
    process = subprocess.Popen(
        [sys.executable, "-m", "adainkit", "stylize", *command, "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(kind)
    process.communicate(timeout=60)
    made = {row["output"] for row in lines("run.jsonl")}
    assert 0 < len(made) < 16
    again = run(*command, "--overwrite", "--json")  # one picture may have been killed before its line was written
    assert again.code == 0, again.err
    assert not made & {row["output"] for row in again.rows}
    finished = {name for name in files_below("out") if not Path(name).name.startswith(".")}
    assert finished == files_below("in")
    assert all(Image.open(Path("out", name)).load() for name in finished)


# ---- random styles


def test_every_picture_has_its_style_for_ever(run: Run, here: Path):
    first = run("in", "--random-style", "art", "-o", "1", "--json")
    assert first.code == 0, first.err
    assert files_below("1") == files_below("in")
    chosen = {row["input"]: row["style"] for row in first.rows}
    assert all(list(style.values()) == [1.0] for style in chosen.values())
    assert {name for style in chosen.values() for name in style} <= {str(p) for p in Path("art").rglob("*.png")}
    assert len({str(style) for style in chosen.values()}) > 1
    for name in ("0.png", "4.png"):  # neither the order nor the others matter
        Path("in", name).unlink()
    noise("in/00-first.png", 20)
    again = run("in", "--random-style", "art/", "--seed", 0, "-o", "2", "--json")
    later = {row["input"]: row["style"] for row in again.rows}
    both = set(chosen) & set(later)
    assert len(both) == 4
    assert {name: chosen[name] for name in both} == {name: later[name] for name in both}
    assert all(Path("1", n).read_bytes() == Path("2", n).read_bytes() for n in ("2.png", "deep/1.png"))
    other = run("in", "--random-style", "art", "--seed", 1, "-o", "3", "--json")
    assert {row["input"]: row["style"] for row in other.rows} != later


def test_the_picture_is_in_the_style_that_is_told(run: Run, here: Path):
    row = run("in/0.png", "--random-style", "art", "-o", "out.png", "--json").rows[0]
    assert run("in/0.png", *row["style"], "-o", "same.png").code == 0
    assert Path("out.png").read_bytes() == Path("same.png").read_bytes()


def test_several_styles_for_each_picture(run: Run, here: Path):
    found = run("in", "--random-style", "art", "--styles-per-image", 4, "-o", "out", "--json")
    assert found.code == 0, found.err
    names = {name.rpartition("-")[0] or name for name in files_below("out")}
    assert len(files_below("out")) == len(found.rows) == 4 * 6
    assert {"0-wave.png", "0-wave-2.png", "0-night.png", "0-garden.png", "deep/1-night.png"} <= files_below("out"), (
        names
    )
    for source in {row["input"] for row in found.rows}:
        styles = [name for row in found.rows if row["input"] == source for name in row["style"]]
        assert len(set(styles)) == 4
    too_many = run("in", "--random-style", "art", "--styles-per-image", 5, "-o", "out2")
    assert too_many.code == 1
    assert "5 for each picture were asked for, and art has 4" in too_many.err


def test_a_random_run_goes_on_by_its_manifest(run: Run, here: Path):
    command = ("in", "--random-style", "art", "--styles-per-image", 2, "-o", "out", "--manifest", "m.jsonl", "--json")
    first = run(*command)
    assert first.code == 0
    made = sorted(files_below("out"))
    Path("out", made[3]).unlink()
    again = run(*command)
    assert [row["output"] for row in again.rows] == [str(Path("out", made[3]))]
    assert sorted(files_below("out")) == made
    row = lines("m.jsonl")[-1]
    assert row["seed"] == 0
    assert row["style"] == again.rows[0]["style"]
    noise("art/new.png", 0)
    told = run(*command)
    assert told.code == 1
    assert 'random_style was {"folder": "art", "pictures": 4, ' in told.err
    assert 'now {"folder": "art", "pictures": 5, ' in told.err


def test_without_output_the_folder_is_named_after_the_styles(run: Run, here: Path):
    assert run("in", "--random-style", "art/").code == 0
    assert files_below("in-art") == files_below("in")


def test_a_broken_style_fails_its_pictures_alone(run: Run, here: Path):
    Path("art/night.png").write_bytes(b"no picture")
    found = run("in", "--random-style", "art", "-o", "out", "--json")
    bad = [row for row in found.rows if row["error"]]
    assert found.code == 1
    assert 0 < len(bad) < 6
    assert all(list(row["style"]) == [str(Path("art/night.png"))] and "night.png" in row["error"] for row in bad)


def test_each_style_is_encoded_once(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch):
    seen: Counter[str] = Counter()
    encode = adainkit.Stylizer.encode_style

    def counted(self: Any, image: Any, **more: Any) -> Any:
        seen[str(image)] += 1
        return encode(self, image, **more)

    monkeypatch.setattr(adainkit.Stylizer, "encode_style", counted)
    assert run("in", "--random-style", "art", "--styles-per-image", 3, "-o", "out").code == 0
    assert set(seen.values()) == {1}


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        ("in --random-style missing -o out", 1, "missing: is no folder"),
        ("in --random-style empty -o out", 1, "empty: no pictures in this folder"),
        ("in --random-style in/0.png -o out", 1, "is no folder"),
        ("in --random-style art --style calanque -o out", 2, "exclude each other"),
        ("in --region art/wave.png=calanque --random-style art -o out", 2, "exclude each other"),
        ("in --random-style art --styles-per-image 0 -o out", 2, "whole number from 1"),
        ("in --random-style art --seed much -o out", 2, "--seed"),
        ("in calanque --seed 3 -o out", 2, "--random-style"),
        ("in calanque --styles-per-image 2 -o out", 2, "--random-style"),
        ("empty --random-style art -o out", 1, "no pictures in this folder"),
    ],
)
def test_what_cannot_be_is_told_before_the_work(run: Run, here: Path, argv: str, code: int, told: str):
    Path("empty").mkdir()
    found = run(*argv.split())
    assert (found.code, found.out) == (code, "")
    assert told in found.err
    assert not Path("out").exists()


def test_the_choice_is_even_and_does_not_change_between_versions():
    names = [f"{i}.jpg" for i in range(10)]
    assert [choose(names, f"{i}.png") for i in range(5)] == [choose(names, f"{i}.png", 0, 1) for i in range(5)]
    counts = Counter(choose(names, f"a/{i}.png", 3)[0] for i in range(5000))
    assert set(counts) == set(names)
    assert max(abs(count - 500) for count in counts.values()) < 5 * 500**0.5
    every = choose(names, "x", 0, 10)
    assert sorted(every) == names
    assert choose(names, "x", 0, 3) == every[:3]
    assert choose(names, "a/0001.jpg", 7, 3) == ["3.jpg", "4.jpg", "9.jpg"]


def test_styles_of_a_folder_are_known_by_their_names(here: Path):
    styles = RandomStyles("art", seed=2, count=2)
    assert styles.names == ["night.png", "old/garden.png", "old/wave.png", "wave.png"]
    assert [p.as_posix() for p in find_pictures("art")] == ["night.png", "wave.png", "old/garden.png", "old/wave.png"]
    assert len(set(styles.of("a.png"))) == 2
    before = styles.facts
    assert (before["folder"], before["pictures"]) == ("art", 4)
    assert RandomStyles("art", 7).facts == before
    Path("art/night.png").rename("art/day.png")
    assert RandomStyles("art").facts != before
    with pytest.raises(StyleError, match="give a folder with pictures"):
        RandomStyles("nowhere")


def test_once_each_keeps_results_and_errors():
    calls = []

    def encode(name: str) -> str:
        calls.append(name)
        if name == "bad":
            raise StyleError("broken")
        return name.upper()

    found = once_each(encode)
    assert [found("a"), found("b"), found("a")] == ["A", "B", "A"]
    for _ in range(2):
        with pytest.raises(StyleError, match="broken"):
            found("bad")
    assert calls == ["a", "b", "bad"]


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_the_choice_is_that_of_drawing_from_what_is_left(count: int):
    import hashlib

    for name in map(str, range(50)):
        left, expected = list("abcdefghi"), []
        for draw in range(count):
            digest = hashlib.sha256(f"7\0{draw}\0{name}".encode()).digest()
            expected.append(left.pop(int.from_bytes(digest, "big") % len(left)))
        assert choose("abcdefghi", name, 7, count) == expected

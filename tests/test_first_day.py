"""What a new user tries on the first day: a guess that is right, a pipe, and a word while it works."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Run, files_below, noise
from PIL import Image

from adainkit import atomic
from adainkit.cli import progress
from adainkit.cli.arguments import UsageError, parse_arguments
from adainkit.cli.guesses import meant

ROOT = Path(__file__).parent.parent
COMMANDS = ("stylize", "grid", "styles", "train")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    noise("a.png", 1, (70, 50))
    noise("art/one.png", 2, (64, 64))
    noise("art/two.png", 3, (64, 64))
    return tmp_path


# ---- guesses


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a.png ember", "stylize a.png ember"),
        ("- ember", "stylize - ember"),
        ("missing.jpg ember", "stylize missing.jpg ember"),
        ("*.jpg ember", "stylize *.jpg ember"),
        ("-s ember a.png", "stylize -s ember a.png"),
        ("--help", "--help"),
        ("styles --json", "styles --json"),
        ("a.png --preserve-color ember", "stylize a.png --preserve-color=luma ember"),
        ("a.png ember --preserve-color match", "stylize a.png ember --preserve-color match"),
        ("a.png ember --preserve-color", "stylize a.png ember --preserve-color"),
        ("train --preserve-color a.png", "train --preserve-color a.png"),
    ],
)
def test_a_line_that_says_less_is_understood(here: Path, line: str, expected: str) -> None:
    assert meant(line.split(), COMMANDS) == expected.split()


def test_a_flag_without_its_value_has_one() -> None:
    assert parse_arguments(["a.png", "ember", "--preserve-color"]).preserve_color == "luma"
    assert parse_arguments(["a.png", "--preserve-color", "ember"]).pictures == ["a.png", "ember"]
    with pytest.raises(UsageError, match="invalid choice: 'lumma'"):
        parse_arguments(["a.png", "ember", "--preserve-color", "lumma"])


def test_a_command_that_is_none_is_told_with_the_nearest(run: Run, here: Path) -> None:
    found = run("stylise", "a.png", "ember")
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert "did you mean 'stylize'?" in found.err


def test_the_command_alone_shows_its_help(run: Run) -> None:
    found = run()
    assert (found.code, found.out) == (2, "")
    assert "adainkit photo.jpg ukiyo-e" in found.err


def test_a_folder_as_style_is_an_average_where_style_names_it(run: Run, here: Path) -> None:
    refused = run("a.png", "art", "-o", "x.png")
    assert refused.code == 2
    assert "--random-style art" in refused.err
    assert "--style art" in refused.err
    assert not Path("x.png").exists()
    assert run("a.png", "-s", "art", "-o", "x.png").code == 0
    assert run("a.png", "--style", "art/one.png", "--style", "art/two.png", "-o", "y.png").code == 0
    assert np.array_equal(np.asarray(Image.open("x.png")), np.asarray(Image.open("y.png")))


def test_what_was_meant_is_guessed(run: Run, here: Path) -> None:
    found = run("a.png", "art/onne.png")
    assert found.code == 1
    assert f"did you mean {str(Path('art/one.png'))!r}" in found.err
    found = run("a.png", "ember", "iris")
    assert found.code == 2
    assert "ember is a preset, and the last word alone is the STYLE; --style ember --style iris mixes them" in found.err
    assert files_below(here) == {"a.png", "art/one.png", "art/two.png"}


def test_a_black_mask_is_told(run: Run, here: Path) -> None:
    Image.new("L", (8, 8), 0).save("black.png")
    found = run("a.png", "ember", "--mask", "black.png", "-o", "x.png")
    assert found.code == 0
    assert "black.png is black all over" in found.err
    assert np.array_equal(np.asarray(Image.open("x.png")), np.asarray(Image.open("a.png")))


def test_max_size_bounds_the_longer_side(run: Run, here: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    exif.get_ifd(0x8769)[40962] = 70
    picture = Image.open("a.png").convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save("b.png", exif=exif)
    assert run("b.png", "ember", "-o", "x.png", "--max-size", "40").code == 0
    with Image.open("x.png") as found:
        assert (found.size, found.mode) == ((40, 29), "RGBA")
        assert found.getexif()[0x0110] == "a camera"
        assert 40962 not in found.getexif().get_ifd(0x8769)
    assert run("a.png", "ember", "-o", "y.png", "--max-size", "400").code == 0
    assert Image.open("y.png").size == (70, 50)
    Image.new("RGB", (90, 9), "red").save("f.gif", save_all=True, append_images=[Image.new("RGB", (90, 9), "blue")])
    found = run("f.gif", "ember", "-o", "f2.gif", "--max-size", "40")
    assert found.code == 1
    assert "keeps its size" in found.err


def test_json_tells_an_error_of_the_whole_run(run: Run, here: Path) -> None:
    for line, code in (("stylize a.png nosuch --json -o x.png", 1), ("stylize a.png ember --alpha 7 --json", 2)):
        found = run(*line.split())
        assert found.code == code
        row = json.loads(found.out)
        assert row["output"] is None
        assert row["error"]
        assert row["error"] in found.err
    assert json.loads(run("styles", "--model", "nosuch", "--json").out)["error"]


def test_what_cannot_be_written_is_told_before_the_work(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in ("stylize a.png ember -o a.png/x/", "grid a.png ember -o a.png/x.png"):
        found = run(*line.split())
        assert found.code == 1
        assert "is a file, not a folder" in found.err
        assert found.err.count("\n") == 1
    monkeypatch.setattr("adainkit.atomic.os.access", lambda path, mode: False)
    monkeypatch.setattr("adainkit.cli.stylize.make_stylizer", None)  # no model is loaded
    for line in ("stylize a.png ember -o x.png", "stylize a.png ember"):
        found = run(*line.split())
        assert found.code == 1
        assert "cannot be written to" in found.err
        assert found.err.count("\n") == 1


def test_obstacle_makes_nothing(tmp_path: Path) -> None:
    assert atomic.obstacle(tmp_path / "new" / "folders" / "x.png") == ""
    assert list(tmp_path.iterdir()) == []
    assert "too long" in atomic.obstacle(tmp_path / ("x" * 5000) / "x.png")


# ---- pipes


def piped(here: Path, *arguments: str, data: bytes = b"") -> SimpleNamespace:
    command = [sys.executable, "-m", "adainkit", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, input=data, capture_output=True, cwd=here, env=environment, timeout=120)
    return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr.decode())


def test_a_picture_through_a_pipe_is_the_one_through_files(run: Run, here: Path) -> None:
    data = (here / "a.png").read_bytes()
    assert run("stylize", "a.png", "ember", "-o", "x.png").code == 0
    through = piped(here, "stylize", "-", "ember", "-o", "-", data=data)
    assert through.code == 0
    assert Image.open(io.BytesIO(through.out)).format == "PNG"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(through.out))), np.asarray(Image.open("x.png")))
    assert "- -> -" in through.err
    assert files_below(here) == {"a.png", "x.png", "art/one.png", "art/two.png"}


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("JPEG", (), "JPEG"),
        ("WEBP", (), "WEBP"),
        ("TIFF", (), "TIFF"),
        ("GIF", (), "PNG"),  # as with files
        ("PPM", (), "PNG"),
        ("JPEG", ("--format", "png"), "PNG"),
    ],
)
def test_what_comes_out_of_a_pipe_is_of_the_kind_that_went_in(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, kind: str, more: tuple[str, ...], expected: str
) -> None:
    sent, out = io.BytesIO(), Standard()
    Image.open("a.png").save(sent, kind)
    monkeypatch.setattr("sys.stdin", Standard(sent.getvalue()))
    with monkeypatch.context() as inner:
        inner.setattr("sys.stdout", out)
        assert run("-", "ember", *more).code == 0
    assert Image.open(io.BytesIO(out.getvalue())).format == expected


class Standard(io.BytesIO):
    """A standard stream: one of bytes, which says that it is one of text."""

    buffer: Any

    def __init__(self, data: bytes = b"", terminal: bool = False) -> None:
        super().__init__(data)
        self.buffer, self.terminal = self, terminal

    def isatty(self) -> bool:
        return self.terminal


def test_standard_input_into_a_file_and_a_file_to_standard_output(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (here / "a.png").read_bytes()
    monkeypatch.setattr("sys.stdin", Standard(data))
    found = run("-", "ember", "-o", "out/", "--json")
    assert found.code == 0
    row = json.loads(found.out)
    assert row["input"] == "-"
    assert files_below("out") == {"stdin.png"}
    out = Standard()
    with monkeypatch.context() as inner:
        inner.setattr("sys.stdout", out)
        assert run("a.png", "ember", "-o", "-", "--format", "jpg").code == 0
    assert Image.open(io.BytesIO(out.getvalue())).format == "JPEG"


@pytest.mark.parametrize(
    ("line", "data", "told"),
    [
        ("- ember -o x.png", b"", "standard input: is empty"),
        ("- ember -o x.png", b"no picture", "-: "),
        ("- - ember -o x", b"a", "named 2 times"),
        ("- ember -o - --json", b"a", "both go to standard output"),
        ("- ember -o x.png --manifest m.jsonl", b"a", "--manifest"),
        ("a.png art/one.png ember -o -", b"", "several pictures do not fit into one file: -o - "),
    ],
)
def test_a_pipe_that_cannot_work_is_one_line(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, line: str, data: bytes, told: str
) -> None:
    monkeypatch.setattr("sys.stdin", Standard(data))
    before = files_below(here)
    found = run(*line.split())
    assert found.code in (1, 2)
    assert told in found.err
    assert found.err.count("\n") == 1
    assert "adainkit-" not in found.err  # the folder it is kept in is nobody's business
    assert files_below(here) == before


def test_a_terminal_gets_no_picture(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Standard(terminal=True))
    found = run("-", "ember", "-o", "x.png")
    assert (found.code, "standard input is a terminal" in found.err) == (2, True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    found = run("a.png", "ember", "-o", "-")
    assert (found.code, "standard output is a terminal" in found.err) == (2, True)


# ---- never silent


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_a_line_comes_every_so_often(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress.Meter(200, "pictures", clock=clock) as meter:
        for second in range(100):
            clock.now = float(second)
            meter.at(second / 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "adainkit: 5 of 200 pictures, 00:10 gone, about 06:30 left"
    assert len(lines) == 3
    clock = Clock()
    with progress.Meter(1, clock=clock) as meter:
        clock.now = 20.0
        meter.at(0.25)
    assert capsys.readouterr().err == "adainkit: 25%, 00:20 gone, about 01:00 left\n"


def test_what_is_left_is_that_of_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress.Meter(1, "frames", clock=clock) as meter:
        meter.at(1, 10, "scan")
        clock.now = 50.0
        meter.at(0, 10, "stylize")
        clock.now = 90.0
        meter.at(5, 10, "stylize")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "adainkit: stylize, 5 of 10 frames, 01:30 gone, about 00:40 left"


def test_results_of_a_folder_are_named_as_it_is(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{Path('art/one.png')} -> {Path('art-ember/one.png')}" in run("art", "ember").out
    monkeypatch.chdir("art")
    assert run(".", "ember").code == 0
    assert (here / "art-ember" / "one-2.png").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_a_terminal_has_a_bar_with_what_is_left(here: Path) -> None:
    import fcntl
    import pty
    import struct
    import termios

    script = (
        "from adainkit.cli.progress import Meter\n"
        "import time\n"
        "with Meter(3, 'pictures') as meter:\n"
        "    for done in range(1, 4):\n        time.sleep(0.15)\n        meter.at(done - 0.5)\n"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", script], stderr=theirs, cwd=here, env=environment)
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        told += part
    os.close(ours)
    assert process.wait(60) == 0
    assert b"1.5 of 3 pictures" in told
    assert b" left" in told

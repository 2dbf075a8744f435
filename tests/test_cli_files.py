"""The command on files as they come: what is kept, told and recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, noise, runner
from PIL import Image

from adainkit.images import describe, open_image


@pytest.fixture
def stylize(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys, "stylize")


@pytest.fixture
def info(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys, "info")


def test_a_result_tells_its_settings(tmp_path: Path, stylize: Run, info: Run) -> None:
    content = noise(tmp_path / "secret folder" / "a.png", 1, (32, 24))
    style = noise(tmp_path / "another folder" / "wave.png", 2, (32, 24))
    assert stylize(content, style, "--alpha", "0.5", "-o", tmp_path / "out.jpg").code == 0
    record = describe(tmp_path / "out.jpg")["record"]
    assert record["style"] == {"wave.png": 1.0}
    assert (record["alpha"], record["model"]) == (0.5, "lite")
    assert "folder" not in json.dumps(record)
    shown = info(tmp_path / "out.jpg")
    assert shown.code == 0
    assert "alpha: 0.5" in shown.out
    assert json.loads(info(tmp_path / "out.jpg", "--json").out)[0]["record"] == record
    assert stylize(content, style, "--no-record", "--strip", "-o", tmp_path / "plain.jpg").code == 0
    assert "no settings" in info(tmp_path / "plain.jpg").out
    missing = info(tmp_path / "none.jpg", tmp_path / "plain.jpg")
    assert missing.code == 1
    assert "no such file" in missing.err
    assert "plain.jpg" in missing.out


def test_strip_leaves_the_words_out_and_the_profile_in(tmp_path: Path, stylize: Run) -> None:
    exif = Image.Exif()
    exif[315] = "Ann"
    Image.fromarray(np.full((24, 32, 3), 90, np.uint8)).save(tmp_path / "a.png", exif=exif.tobytes())
    assert stylize(tmp_path / "a.png", "ember", "-o", tmp_path / "b.png").code == 0
    assert {"exif", "xmp"} <= set(open_image(tmp_path / "b.png").info)
    assert stylize(tmp_path / "a.png", "ember", "--strip", "-o", tmp_path / "c.png").code == 0
    assert set(open_image(tmp_path / "c.png").info) == {"xmp"}  # the record


def test_errors_name_flags(tmp_path: Path, stylize: Run) -> None:
    noise(tmp_path / "a.png", 1, (32, 24))
    told = stylize(tmp_path / "a.png", "ember", "--max-pixels", "10", "-o", tmp_path / "b.png")
    assert told.code == 1
    assert "--max-pixels" in told.err
    assert "max_pixels" not in told.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are a POSIX matter")
def test_a_folder_with_a_pipe_is_done(tmp_path: Path, stylize: Run) -> None:
    noise(tmp_path / "in" / "a.jfif.png", 1, (32, 24)).rename(tmp_path / "in" / "a.jfif")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    (tmp_path / "in" / "notes.txt").touch()
    told = stylize(tmp_path / "in", "ember", "-o", tmp_path / "out")
    assert told.code == 0
    assert "2 files passed over (.txt, pipe, socket or device)" in told.err
    assert Image.open(tmp_path / "out" / "a.jfif").format == "JPEG"
    told = stylize(tmp_path / "in" / "pipe.jpg", "ember", "-o", tmp_path / "b.png")
    assert told.code == 1
    assert "is a pipe, a socket or a device" in told.err


def test_a_warning_of_pillows_comes_once_with_a_name(tmp_path: Path, stylize: Run) -> None:
    for name in ("a", "b"):
        Image.fromarray(np.full((24, 32, 3), 90, np.uint8)).save(tmp_path / f"{name}.tif", tiffinfo={270: "x"})
        data = bytearray((tmp_path / f"{name}.tif").read_bytes())
        at = data.index(b"\x0e\x01\x02\x00")
        data[at + 4 : at + 12] = b"\x10\0\0\0\xff\xff\xff\x0f"  # a description that lies far behind the file
        (tmp_path / f"{name}.tif").write_bytes(data)
    told = stylize(tmp_path / "a.tif", tmp_path / "b.tif", "--style", "ember", "-o", tmp_path / "out")
    assert told.code == 0
    lines = [line for line in told.err.splitlines() if "Truncated" in line or "corrupt" in line.lower()]
    assert all("a.tif: " in line or "b.tif: " in line for line in lines)
    assert len(lines) == len(set(lines))
    assert "UserWarning" not in told.err


def test_a_mask_may_have_its_shape_in_alpha(tmp_path: Path, stylize: Run) -> None:
    noise(tmp_path / "a.png", 1, (32, 24))
    shape = np.zeros((24, 32), np.uint8)
    shape[:, 16:] = 255
    mask = Image.new("RGBA", (32, 24), "black")
    mask.putalpha(Image.fromarray(shape))
    mask.save(tmp_path / "mask.png")
    assert stylize(tmp_path / "a.png", "ember", "--mask", tmp_path / "mask.png", "-o", tmp_path / "b.png").code == 0
    before, after = (np.asarray(Image.open(tmp_path / name)).astype(int) for name in ("a.png", "b.png"))
    assert np.array_equal(before[:, :16], after[:, :16])
    assert np.abs(before[:, 16:] - after[:, 16:]).mean() > 3

"""Films at their edges: ends, names, files that are read and written at once, runs that meet, errors before the work."""

import logging
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
import av
from small_films import look_at, make_film, picture
from test_stylizer import tiny

from adainkit import Cancelled, FilmError, ImageError, Style, Stylizer
from adainkit.film import segments


class Mirror(Stylizer):
    """Gives every picture back as it is."""

    def stylize(self, image: Any, style: Any, **options: Any) -> Any:
        self.masks = [*getattr(self, "masks", []), options.get("mask")]
        return image


@pytest.fixture(scope="module")
def mirror() -> Mirror:
    return Mirror(tiny(), device="cpu", dtype="float32", cache=None)


@pytest.fixture(scope="module")
def style(mirror: Mirror) -> Style:
    return mirror.encode_style(picture(0))


def moving(path: Path, times: list[int]) -> Path:
    """A GIF."""
    shown = [Image.fromarray(picture(i)) for i in range(len(times))]
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=times, loop=0)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_last_frame_lasts_as_long_as_it_did(tmp_path: Path, mirror: Mirror, style: Style, suffix: str) -> None:
    source = moving(tmp_path / "in.gif", [100, 100, 100, 2000])
    film = mirror.stylize_film(source, tmp_path / f"a{suffix}", style)
    assert look_at(film)["duration"] == 2_300_000
    if suffix != ".mkv":
        with av.open(str(film)) as found:
            stream = found.streams.video[0]
            assert stream.duration * stream.time_base == Fraction(23, 10)
    again = mirror.stylize_film(film, tmp_path / f"b{suffix}", style)  # and through a film once more
    assert look_at(again)["duration"] == 2_300_000
    rated = make_film(tmp_path / f"in{suffix}", 30, sound=None)
    assert abs(look_at(mirror.stylize_film(rated, tmp_path / f"c{suffix}", style))["duration"] - 1_001_000) <= 1000


def test_a_cut_mp4_is_told(
    tmp_path: Path, mirror: Mirror, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    source = mirror.stylize_film(make_film(tmp_path / "in.mp4", 90, sound=None), tmp_path / "fast.mp4", style)
    whole = mirror.stylize_film(source, tmp_path / "whole.mp4", style, statistics="frame")
    assert "cut off" not in caplog.text
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    out = look_at(mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame"))
    assert 0 < len(out["times"]) < 90 == len(look_at(whole)["times"])
    assert "seems to be cut off" in caplog.text

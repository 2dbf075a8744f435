"""Films at their edges: ends, names, files that are read and written at once, runs that meet, early errors."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("av")
import av
from mirror import Mirror
from small_films import look_at, make_film, picture

from adainkit import Cancelled, FilmError, ImageError, Style
from adainkit.film import preview, segments
from adainkit.film.pictures import AnimationClip, _starts


@pytest.fixture(scope="module")
def mirror() -> Mirror:
    return Mirror()


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


knows_index = pytest.mark.skipif(not hasattr(av.video.VideoStream, "index_entries"), reason="PyAV has it since 17")


@knows_index
def test_a_cut_mp4_is_told(tmp_path: Path, mirror: Mirror, style: Style, caplog: pytest.LogCaptureFixture) -> None:
    source = mirror.stylize_film(make_film(tmp_path / "in.mp4", 90, sound=None), tmp_path / "fast.mp4", style)
    whole = mirror.stylize_film(source, tmp_path / "whole.mp4", style, statistics="frame")
    assert "cut off" not in caplog.text
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    out = look_at(mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame"))
    assert 0 < len(out["times"]) < 90 == len(look_at(whole)["times"])
    assert "seems to be cut off" in caplog.text


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of ten frames."""
    monkeypatch.setattr(segments, "LENGTH", 10)


def stop_at(frame: int) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "stylize" and done >= frame:
            raise Cancelled

    return progress


def numbered(folder: Path, count: int, name: str = "{:05}.png", value: int | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for i in range(count):
        shown = picture(i) if value is None else np.full((48, 64), value, np.uint8)
        Image.fromarray(shown).save(folder / name.format(i + 1))
    return folder


def test_what_is_read_is_not_replaced(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    frames = numbered(tmp_path / "d", 3)
    before = {path.name: path.read_bytes() for path in frames.iterdir()}
    clip = make_film(tmp_path / "in.mkv", 3, sound=None)
    with pytest.raises(FilmError, match="is the film itself"):
        mirror.stylize_film(frames / "%d.png", frames / "%05d.png", style, overwrite=True)
    with pytest.raises(FilmError, match="is the mask"):
        mirror.stylize_film(clip, frames / "%05d.png", style, mask=frames / "%d.png", overwrite=True)
    (tmp_path / "link.mkv").hardlink_to(clip)
    with pytest.raises(FilmError, match="is the film itself"):
        mirror.stylize_film(clip, tmp_path / "link.mkv", style, overwrite=True)
    with pytest.raises(ImageError, match="would replace a picture that is read"):
        mirror.stylize_film(clip, frames / "%05d.png", frames / "00002.png")
    assert {path.name: path.read_bytes() for path in frames.iterdir()} == before


def test_replacing_warns_where_nothing_is_said(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    clip, frames = make_film(tmp_path / "in.mkv", 3, sound=None), numbered(tmp_path / "d", 3)
    target = mirror.stylize_film(clip, tmp_path / "out.mkv", style)
    with pytest.warns(FutureWarning, match="is replaced") as told:
        mirror.stylize_film(clip, target, style)
    assert told[0].filename == __file__
    with pytest.warns(FutureWarning, match="is replaced"):
        mirror.stylize_film(clip, frames / "%05d.png", style)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mirror.stylize_film(clip, target, style, overwrite=True)
    (frames / "00001.png").unlink()
    with pytest.raises(ImageError, match=r"00002.png exists already"):
        mirror.stylize_film(clip, frames / "%05d.png", style, overwrite=False)
    with pytest.raises(FilmError, match=r"00002.png exists already, and number 1"):
        mirror.stylize_film(clip, frames / "%05d.png", style, overwrite=False, resume=True)


def test_a_run_does_not_go_on_with_another_look(tmp_path: Path, style: Style, short: None) -> None:
    stylizer = Mirror()
    source, target = make_film(tmp_path / "in.mkv", 25, sound=None), tmp_path / "out.mkv"
    covers = numbered(tmp_path / "m", 3, value=255)
    other = stylizer.encode_style(picture(0, scene=1))

    def begin(style: Any, **more: Any) -> None:
        with pytest.raises(Cancelled):
            stylizer.stylize_film(source, target, style, progress=stop_at(13), **more)

    def differs(what: str, style: Any, **more: Any) -> None:
        with pytest.raises(FilmError, match=f"another {what};"):
            stylizer.stylize_film(source, target, style, resume=True, **more)

    begin({0.0: style, 0.3: other}, mask=np.ones((4, 4), np.float32))
    differs("style", {0.0: style, 0.6: other}, mask=np.ones((4, 4), np.float32))
    differs("mask", {0.0: style, 0.3: other}, mask=np.zeros((4, 4), np.float32))
    begin(style, mask=covers / "%05d.png", color_strength=np.float32(0.5))
    Image.fromarray(np.zeros((50, 64), np.uint8)).save(covers / "00002.png")
    differs("mask", style, mask=covers / "%05d.png", color_strength=np.float32(0.5))
    begin(style)
    with torch.no_grad():
        next(stylizer.model.decoder.parameters()).add_(0.01)
    differs("model", style)


def test_two_runs_do_not_share_a_target(tmp_path: Path, mirror: Mirror, style: Style, short: None) -> None:
    source, target = make_film(tmp_path / "in.mkv", 25, sound=None), tmp_path / "out.mkv"
    told: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "stylize" and done == 13:
            for resume in (False, True):
                with pytest.raises(FilmError, match="another run is at work"):
                    mirror.stylize_film(source, target, style, resume=resume)
            told.append(stage)

    mirror.stylize_film(source, target, style, progress=progress)
    assert told == ["stylize"]
    assert len(look_at(target)["times"]) == 25
    assert not (tmp_path / "out.mkv.parts").exists()


def test_damaged_parts_are_told_before_the_work(tmp_path: Path, mirror: Mirror, style: Style, short: None) -> None:
    source, target = make_film(tmp_path / "in.mkv", 35, sound=None), tmp_path / "out.mkv"
    parts = tmp_path / "out.mkv.parts"

    def again() -> None:
        with pytest.raises(Cancelled):
            mirror.stylize_film(source, target, style, steady=0.5, progress=stop_at(24))

    def fails(words: str) -> None:
        with pytest.raises(FilmError, match=words):
            mirror.stylize_film(
                source, target, style, steady=0.5, resume=True, progress=lambda stage, *_: pytest.fail(stage)
            )

    pytest.importorskip("cv2")
    again()
    (parts / "000000.part").write_bytes((parts / "000000.part").read_bytes()[:-600])
    fails("run again without --resume")
    (parts / "000000.part").write_bytes(b"nothing")
    fails("000000.part: cannot be read.*run again without --resume")
    again()
    state = next(parts.glob("*.npz"))
    state.write_bytes(state.read_bytes()[:50])
    fails("npz: is damaged or missing.*without --resume")
    state.unlink()
    fails("npz: is damaged or missing.*without --resume")
    mirror.stylize_film(source, target, style)
    parts.write_text("a file")
    with pytest.raises(FilmError, match="is in the way"):
        mirror.stylize_film(source, target, style, overwrite=True)


def test_a_still_mask_is_opened_once_and_first(
    tmp_path: Path, mirror: Mirror, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_film(tmp_path / "in.mkv", 4, sound=None)
    with pytest.raises(ImageError, match=r"none\.png"):
        mirror.stylize_film(source, tmp_path / "out.mkv", style, mask=tmp_path / "none.png")
    covers = numbered(tmp_path / "m", 1, value=255)
    mirror.masks = []
    mirror.stylize_film(source, tmp_path / "out.mkv", style, mask=covers / "00001.png")
    assert len(mirror.masks) == 4
    assert all(mask is mirror.masks[0] for mask in mirror.masks)


def test_numbered_masks_go_at_the_rate_of_the_film(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    source = make_film(tmp_path / "in.mkv", 12, rate=Fraction(10), sound=None)
    covers = numbered(tmp_path / "m", 12)
    mirror.masks = []
    mirror.stylize_film(source, tmp_path / "out.mkv", style, mask=covers / "%05d.png")
    for number, mask in enumerate(mirror.masks):
        assert np.array_equal(mask, picture(number))


def test_a_percent_sign_may_be_in_a_name(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    source = make_film(tmp_path / "50%discount.mp4", 3, sound=None)
    mirror.stylize_film(source, tmp_path / "50%off_%05d.png", style)
    assert (tmp_path / "50%off_00003.png").exists()
    film = mirror.stylize_film(tmp_path / "50%off_%05d.png", tmp_path / "100%done.mp4", style)
    assert len(look_at(film)["times"]) == 3


@knows_index
def test_a_live_run_tells_and_ends_as_the_others(
    tmp_path: Path, mirror: Mirror, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    source = moving(tmp_path / "in.gif", [100, 100, 100, 2000])
    film = mirror.stylize_film(source, tmp_path / "a.mp4", style, statistics="live")
    assert look_at(film)["duration"] == 2_300_000
    again = mirror.stylize_film(film, tmp_path / "b.mp4", style, statistics="live")
    assert look_at(again)["duration"] == 2_300_000
    assert "cut off" not in caplog.text
    long = mirror.stylize_film(make_film(tmp_path / "in.mp4", 90, sound=None), tmp_path / "fast.mp4", style)
    long.write_bytes(long.read_bytes()[: long.stat().st_size * 6 // 10])
    mirror.stylize_film(long, tmp_path / "c.mp4", style, statistics="live")
    assert caplog.text.count("cut off") == 1


def test_times_of_animations_are_rounded_as_a_whole(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    images = [Image.fromarray(picture(i)) for i in range(60)]
    images[0].save(tmp_path / "in.png", save_all=True, append_images=images[1:], duration=1000 / 60)
    clip = AnimationClip(tmp_path / "in.png")
    clip.film = replace(clip.film, durations=(1000 / 60,) * 60)
    assert _starts(clip.film.durations)[::15] == [0, 250, 500, 750, 1000]
    with pytest.raises(FilmError, match="times of its own"):
        mirror.stylize_film(tmp_path / "in.png", tmp_path / "out.mp4", style, fps=12)


def test_a_chapter_ends_where_the_film_is_cut(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    source = make_film(tmp_path / "in.mkv", 12, rate=Fraction(30), chapters=True, sound=None)
    film = mirror.stylize_film(source, tmp_path / "out.mkv", style, start=0.1, stop=0.3, codec="ffv1")
    with av.open(str(film)) as found:
        ends = [float(c["end"] * c["time_base"]) for c in found.chapters()]
    assert ends == pytest.approx([0.1, 0.2])


def test_a_size_that_grows_in_mid_stream_is_bounded(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    one = make_film(tmp_path / "a.h264", 5, sound=None)
    other = make_film(tmp_path / "b.h264", 5, sound=None, pictures=[picture(i, 96, 80) for i in range(5)])
    (tmp_path / "ab.h264").write_bytes(one.read_bytes() + other.read_bytes())
    with av.open(str(tmp_path / "ab.h264")) as film, av.open(str(tmp_path / "in.mkv"), "w") as out:
        stream = out.add_stream_from_template(film.streams.video[0], opaque=True)
        for number, packet in enumerate(p for p in film.demux() if p.size):
            packet.pts, packet.dts, packet.time_base, packet.stream = number, number, Fraction(1, 25), stream
            out.mux(packet)
    with pytest.raises(FilmError, match="96 x 80 pixels, expected at most 4000"):
        mirror.stylize_film(tmp_path / "in.mkv", tmp_path / "out.mkv", style, max_pixels=4000)


@pytest.mark.parametrize("more", [{"start": float("nan")}, {"stop": float("nan")}, {"start": float("inf")}])
def test_seconds_that_are_none_are_told(tmp_path: Path, mirror: Mirror, style: Style, more: dict[str, float]) -> None:
    source = make_film(tmp_path / "in.mkv", 3, sound=None)
    with pytest.raises(FilmError, match="begins at 0 s or later"):
        mirror.stylize_film(source, tmp_path / "out.mkv", style, **more)


def test_what_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, mirror: Mirror, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_film(tmp_path / "in.mkv", 12, sound=None)

    def fails(target: str, words: str, **more: Any) -> None:
        with pytest.raises((FilmError, ImageError), match=words):
            mirror.stylize_film(source, tmp_path / target, style, progress=before_painting, **more)
        assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]

    def before_painting(stage: str, done: int, total: int) -> None:
        assert stage == "scan"

    for codec in ("h264", "h265", "av1", "vp9"):
        fails("out.mkv", "does not take .*nonsense", codec=codec, preset="nonsense")
    fails("p%05d.xyz", "unknown format")
    fails("out.gif", "12 frames have 36864 pixels", max_pixels=64 * 48 * 3)


def test_a_gray_film_becomes_a_painting_of_colors(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    source = make_film(tmp_path / "in.mkv", 2, codec="ffv1", form="gray", sound=None)
    film = look_at(mirror.stylize_film(source, tmp_path / "out.mkv", style, codec="ffv1"))
    assert film["form"] == "yuv444p"


def test_words_about_colors_of_rgb_films_are_kept_and_unknown_ones_refused(
    tmp_path: Path, mirror: Mirror, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_film(tmp_path / "in.mkv", 2, codec="ffv1", form="bgr0", colors=(0, 2, 9, 14), sound=None)
    film = look_at(mirror.stylize_film(source, tmp_path / "out.mp4", style))
    assert film["colors"][2:] == (9, 14)
    assert caplog.text == ""
    mirror.stylize_film(source, tmp_path / "out.png", style)
    assert "primaries (FFmpeg's number 9)" in caplog.text
    wide = make_film(tmp_path / "wide.mp4", 2, aspect=Fraction(4, 3), sound=None)
    mirror.stylize_film(wide, tmp_path / "%d.png", style)
    assert "pixels are 4:3" in caplog.text
    strange = make_film(tmp_path / "s.mkv", 2, codec="ffv1", form="yuv444p", colors=(8, 1, 1, 1), sound=None)
    with pytest.raises(FilmError, match=r"color matrix \(FFmpeg's number 8\)"):
        mirror.stylize_film(strange, tmp_path / "o.mp4", style)


def test_bits_that_are_lost_are_told(
    tmp_path: Path, mirror: Mirror, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_film(tmp_path / "in.mov", 2, codec="prores_ks", form="yuva444p10le", sound=None)
    mirror.stylize_film(source, tmp_path / "out.webm", style)
    assert "more than 8 bits become 8" in caplog.text


def test_a_preview_ends_where_it_is_told(
    tmp_path: Path, mirror: Mirror, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, shown, seconds = make_film(tmp_path / "in.mkv", 30, rate=Fraction(10), sound=None), [], []
    monkeypatch.setattr(
        preview, "draw_sheet", lambda rows: seconds.extend(c.label for c in rows[0]) or Image.new("RGB", (9, 9))
    )
    preview.preview_film(mirror, source, tmp_path / "a.png", style, count=3, start=1.0, stop=1.6, told=shown.append)
    assert seconds == ["1.10 s", "1.30 s", "1.50 s"]
    preview.preview_film(mirror, source, tmp_path / "b.png", style, count=9, start=1.0, stop=1.3, told=shown.append)
    assert shown == [3, 2]

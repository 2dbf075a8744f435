"""Films from file to file: every frame, its time, its colors, and all that is beside the pictures."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
import av
from mirror import Mirror
from small_films import HIGH, RATE, WIDE, look_at, make_film, picture

from adainkit import FilmError, Style
from adainkit.film.joining import decoding_times
from adainkit.images import find_film

FINE = {"crf": 2}


@pytest.fixture(scope="module")
def mirror() -> Mirror:
    return Mirror()


@pytest.fixture(scope="module")
def style(mirror: Mirror) -> Style:
    return mirror.encode_style(picture(0))


def away(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_times_rate_sound_chapters_and_texts_are_those_of_the_source(
    tmp_path: Path, mirror: Mirror, style: Style, suffix: str
) -> None:
    source = make_film(tmp_path / f"in{suffix}", 30, chapters=True, colors=(1, 1, 1, 1), artist="Somebody")
    out = mirror.stylize_film(source, tmp_path / f"out{suffix}", style, statistics="frame", **FINE)
    before, after = look_at(source), look_at(out)
    for what in ("times", "rate", "size", "colors", "chapters", "streams", "sound", "codec", "form", "rotation"):
        assert after[what] == before[what], what
    assert abs(after["duration"] - before["duration"]) <= 1e6 / RATE
    assert (after["metadata"]["title"], after["metadata"].get("artist", after["metadata"].get("ARTIST"))) == (
        "A small film",
        "Somebody",
    )
    for one, other in zip(after["pixels"], before["pixels"], strict=True):
        assert away(one, other) < 2
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".parts"] == []


def test_a_variable_rate_is_kept_to_the_tick(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    times = [0, 300, 700, 710, 2000, 2001, 2600, 5000, 5100, 9000, 9500, 9800, 11000, 11100, 12345]
    base = Fraction(1, 12800)
    source = make_film(tmp_path / "in.mp4", len(times), times=times, base=base, rate=Fraction(25))
    out = mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame")
    assert look_at(out)["times"] == look_at(source)["times"] == [time * base for time in times]
    assert look_at(out)["sound"] == look_at(source)["sound"]


@pytest.mark.parametrize(
    ("colors", "form"),
    [
        ((1, 1, 1, 1), "yuv420p"),
        ((1, 2, 1, 1), "yuv420p"),
        ((6, 1, 6, 6), "yuv420p"),
        ((5, 2, 5, 6), "yuv420p"),
        ((9, 1, 9, 14), "yuv420p10le"),
        ((2, 0, 2, 2), "yuv420p"),
        ((1, 1, 1, 1), "yuv444p"),
    ],
)
def test_colors_are_read_by_their_tags_and_written_with_them(
    tmp_path: Path, mirror: Mirror, style: Style, colors: tuple[int, int, int, int], form: str
) -> None:
    deep = form.endswith("10le")
    shown = [np.full((HIGH, WIDE, 3), (200, 60, 40), np.uint8) for _ in range(3)]
    source = make_film(tmp_path / "in.mp4", pictures=shown, form=form, colors=colors, sound=None)
    mirror.seen = []
    out = mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame", **FINE)
    seen = mirror.seen[0]
    assert seen.dtype == (np.uint16 if deep else np.uint8)
    assert away(seen[8:-8, 8:-8] / (257 if deep else 1), (200, 60, 40)) < 2.5
    after = look_at(out)
    assert after["colors"] == colors
    assert after["form"] == ("yuv420p10le" if deep else "yuvj420p" if colors[1] == 2 else "yuv420p")
    mirror.seen = []
    mirror.stylize_film(out, tmp_path / "again.mp4", style, statistics="frame")
    assert away(mirror.seen[0], seen) < (2 * 257 if deep else 2)


def test_ten_bits_stay_ten(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    ramp = np.repeat(np.linspace(20000, 24000, WIDE).astype(np.uint16)[None, :, None], 3, 2).repeat(HIGH, 0)
    source = make_film(tmp_path / "in.mkv", pictures=[ramp] * 3, codec="ffv1", form="yuv444p10le", sound=None)
    out = mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame", crf=1)
    found = look_at(out, "rgb48le")
    assert found["codec"] == "hevc"
    assert found["form"] == "yuv420p10le"
    assert len(np.unique(found["pixels"][1][HIGH // 2, :, 0])) > 30  # 16 levels of 8 bits


@pytest.mark.parametrize(("turned", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_a_turned_film_is_painted_upright(
    tmp_path: Path, mirror: Mirror, style: Style, turned: int, turns: int
) -> None:
    source = make_film(tmp_path / "in.mp4", 2, turned=turned, aspect=Fraction(4, 3), colors=(6, 1, 6, 6))
    mirror.seen = []
    out = look_at(mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame", **FINE))
    plain = look_at(source)
    assert away(mirror.seen[0], np.rot90(plain["pixels"][0], turns)) < 3
    assert out["rotation"] == 0
    assert out["size"] == ((HIGH, WIDE) if turns % 2 else (WIDE, HIGH))
    assert out["aspect"] == (Fraction(3, 4) if turns % 2 else Fraction(4, 3))


@pytest.mark.parametrize(
    ("suffix", "codec", "form", "into"),
    [
        (".mov", "prores_ks", "yuva444p10le", ".mov"),
        (".webm", "libvpx-vp9", "yuva420p", ".webm"),
        (".mkv", "ffv1", "yuva420p", ".mkv"),
    ],
)
def test_alpha_is_kept(
    tmp_path: Path, mirror: Mirror, style: Style, suffix: str, codec: str, form: str, into: str
) -> None:
    more = {"crf": "4", "b": "0"} if "vpx" in codec else {}
    source = make_film(tmp_path / f"in{suffix}", 6, codec=codec, form=form, sound=None, options=more)
    mirror.seen = []
    out = mirror.stylize_film(source, tmp_path / f"out{into}", style, statistics="frame")
    first = [frame / (257 if frame.dtype == np.uint16 else 1) for frame in mirror.seen]
    wanted = picture(0, alpha=True)[:, :, 3]
    assert away(first[0][:, :, 3], wanted) < 6
    mirror.seen = []
    mirror.stylize_film(out, tmp_path / "again.mkv", style, statistics="frame")
    again = [frame / (257 if frame.dtype == np.uint16 else 1) for frame in mirror.seen]
    assert len(again) == 6
    for one, other in zip(first, again, strict=True):
        assert away(one[:, :, 3], other[:, :, 3]) < 4
        assert away(one[:, : WIDE // 2], other[:, : WIDE // 2]) < 6


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        ("h264", ".mkv", "h264"),
        ("h265", ".mov", "hevc"),
        ("vp9", ".webm", "vp9"),
        ("av1", ".mp4", "av1"),
        ("libsvtav1", ".webm", "av1"),
        ("prores", ".mov", "prores"),
        ("ffv1", ".mkv", "ffv1"),
    ],
)
def test_every_codec_gives_all_frames_back(
    tmp_path: Path, mirror: Mirror, style: Style, codec: str, suffix: str, name: str
) -> None:
    sound = "libopus" if suffix == ".webm" else "aac"
    source = make_film(tmp_path / "in.mkv", 20, sound=sound, colors=(1, 1, 1, 1))
    out = look_at(mirror.stylize_film(source, tmp_path / f"out{suffix}", style, statistics="frame", codec=codec))
    before = look_at(source)
    assert out["codec"].removeprefix("lib").removesuffix("dec").removesuffix("-vp9").startswith((name, "dav1d", "vpx"))
    assert len(out["times"]) == 20
    assert max(abs(a - b) for a, b in zip(out["times"], before["times"], strict=True)) <= Fraction(1, 1000)
    assert [data for _, data in out["sound"]] == [data for _, data in before["sound"]]
    assert max(away(a, b) for a, b in zip(out["pixels"], before["pixels"], strict=True)) < 8


def test_ffv1_is_lossless(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    source = make_film(tmp_path / "in.mkv", 4, codec="ffv1", form="bgr0", sound=None)
    out = mirror.stylize_film(source, tmp_path / "out.mkv", style, statistics="frame", codec="ffv1")
    for one, other in zip(look_at(out)["pixels"], look_at(source)["pixels"], strict=True):
        assert np.array_equal(one, other)


def test_subtitles_go_where_they_fit_and_are_told_where_not(
    tmp_path: Path, mirror: Mirror, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n", encoding="utf-8")
    plain = make_film(tmp_path / "plain.mkv", 12)
    source = tmp_path / "in.mkv"
    with av.open(str(plain)) as film, av.open(str(words)) as text, av.open(str(source), "w") as out:
        streams = {s: out.add_stream_from_template(s, opaque=True) for s in (*film.streams, *text.streams)}
        for container in (film, text):
            for packet in container.demux():
                if packet.size:
                    packet.stream = streams[packet.stream]
                    out.mux(packet)
    kept = look_at(mirror.stylize_film(source, tmp_path / "out.mkv", style, statistics="frame"))
    assert kept["streams"] == ["video", "audio", "subtitle"]
    with av.open(str(tmp_path / "out.mkv")) as film:
        assert b"Hello" in b"".join(bytes(p) for p in film.demux(film.streams.subtitles) if p.size)
    left = look_at(mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame"))
    assert left["streams"] == ["video", "audio"]
    assert "subtitle stream 2" in caplog.text


def test_sound_that_a_container_does_not_hold_is_told_before_the_work(
    tmp_path: Path, mirror: Mirror, style: Style
) -> None:
    source = make_film(tmp_path / "in.mp4", 4)
    with pytest.raises(FilmError, match=r"sound is aac.*webm does not hold.*--no-sound"):
        mirror.stylize_film(source, tmp_path / "out.webm", style)
    assert list(tmp_path.glob("*out*")) == []
    opus = make_film(tmp_path / "opus.mkv", 4, sound="libopus")
    with pytest.raises(FilmError, match=r"sound is .*opus.*mov does not hold"):
        mirror.stylize_film(opus, tmp_path / "out.mov", style)
    out = look_at(mirror.stylize_film(source, tmp_path / "out.webm", style, sound=False, statistics="frame"))
    assert out["streams"] == ["video"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_where_a_film_was_made_is_left_out_where_that_is_asked_for(
    tmp_path: Path, mirror: Mirror, style: Style, suffix: str
) -> None:
    source = make_film(tmp_path / f"in{suffix}", 12, chapters=True, location="+48.1000+011.5000/", comment="at home")
    assert "location" in {name.lower() for name in look_at(source)["metadata"]}
    out = mirror.stylize_film(source, tmp_path / f"out{suffix}", style, strip=True, statistics="frame")
    found = look_at(out)
    assert not {"location", "comment", "title"} & {name.lower().partition("-")[0] for name in found["metadata"]}
    assert b"+48.1" not in out.read_bytes()
    assert len(found["chapters"]) == len(look_at(source)["chapters"])
    assert b"Two" not in out.read_bytes()


def test_a_part_of_a_film(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    source = make_film(tmp_path / "in.mp4", 60, rate=Fraction(30), chapters=True, options={"crf": "4", "g": "12"})
    out = mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame", start=0.5, stop=1.5, **FINE)
    before, after = look_at(source), look_at(out)
    assert after["times"] == [time - Fraction(1, 2) for time in before["times"][15:45]]
    for one, other in zip(after["pixels"], before["pixels"][15:45], strict=True):
        assert away(one, other) < 2
    begins, ends = after["sound"][0][0], after["sound"][-1][0]
    assert 0 <= begins < 0.03
    assert 0.9 < ends < 1.0
    kept = {data for _, data in before["sound"]}
    assert all(data in kept for _, data in after["sound"])


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_animations_in_and_out(tmp_path: Path, mirror: Mirror, style: Style, suffix: str) -> None:
    shown = [Image.fromarray(picture(i)) for i in range(4)]
    source = tmp_path / f"in{suffix}"
    more = {"lossless": True} if suffix == ".webp" else {}
    shown[0].save(source, save_all=True, append_images=shown[1:], duration=[100, 250, 40, 70], loop=0, **more)
    film = look_at(mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame", **FINE))
    assert film["times"] == [Fraction(t, 1000) for t in (0, 100, 350, 390)]
    assert film["duration"] == 460_000
    assert away(film["pixels"][2], picture(2)) < (12 if suffix == ".gif" else 6)
    again = find_film(mirror.stylize_film(tmp_path / "out.mp4", tmp_path / f"a{suffix}", style, scale=1.0), None)
    assert again is not None
    assert again.durations == (100, 250, 40, 70)
    back = find_film(mirror.stylize_film(source, tmp_path / f"b{suffix}", style), None)
    assert back is not None
    assert (back.durations, back.plays) == ((100, 250, 40, 70), 0)


def test_numbered_pictures_in_and_out(tmp_path: Path, mirror: Mirror, style: Style) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for i in range(5):
        Image.fromarray(picture(i)).save(frames / f"{i + 7:05}.png")
    film = mirror.stylize_film(
        frames / "%05d.png", tmp_path / "out.mkv", style, fps=Fraction(24000, 1001), codec="ffv1"
    )
    assert look_at(film)["rate"] == Fraction(24000, 1001)
    out = tmp_path / "out"
    mirror.stylize_film(frames / "%05d.png", out / "p-%03d.png", style)
    assert sorted(path.name for path in out.iterdir()) == [f"p-{i + 7:03}.png" for i in range(5)]
    assert np.array_equal(np.asarray(Image.open(out / "p-009.png")), picture(2))
    mirror.stylize_film(film, out / "q%d.png", style)
    assert (out / "q5.png").exists()


def test_odd_sides_are_made_even_where_a_codec_wants_it(
    tmp_path: Path, mirror: Mirror, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    shown = [picture(i, 63, 47) for i in range(3)]
    source = make_film(tmp_path / "in.mkv", pictures=shown, codec="ffv1", form="bgr0", sound=None)
    out = look_at(mirror.stylize_film(source, tmp_path / "out.mp4", style, statistics="frame", **FINE))
    assert out["size"] == (64, 48)
    assert away(out["pixels"][0][:47, :63], shown[0]) < 6
    assert "63 x 47 became 64 x 48" in caplog.text


def test_decoding_times_grow_and_are_never_after_their_pictures() -> None:
    order = [0, 40, 20, 10, 30, 100, 70, 50, 90, 101, 400, 300]
    times = decoding_times(order)
    assert all(dts <= pts for dts, pts in zip(times, order, strict=True))
    assert sorted(set(times)) == times
    assert decoding_times([5]) == [5]

"""Films that go wrong, or are stopped: nothing half, one clear error, and a run that goes on makes the same film."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
import av
from small_films import RATE, look_at, make_film, picture
from test_stylizer import tiny

from adainkit import Cancelled, FilmError, ImageError, Style, StyleError, Stylizer
from adainkit.cli import main
from adainkit.film import segments, sinks
from adainkit.film.codecs import choose_encoding
from adainkit.film.source import open_clip


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(tiny(), device="cpu", dtype="float32", cache=None)


@pytest.fixture(scope="module")
def style(stylizer: Stylizer) -> Style:
    return stylizer.encode_style(picture(0))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of ten frames."""
    monkeypatch.setattr(segments, "LENGTH", 10)


def stopping(after: int) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "stylize" and done >= after:
            raise Cancelled("enough")

    return progress


@pytest.mark.parametrize("more", [{}, {"steady": 0.8}, {"statistics": "live"}], ids=["plain", "steady", "live"])
def test_a_stopped_run_goes_on_and_makes_the_same_film(
    tmp_path: Path, stylizer: Stylizer, style: Style, short: None, more: dict[str, Any]
) -> None:
    if "steady" in more:
        pytest.importorskip("cv2")
    source = make_film(tmp_path / "in.mp4", 34)
    more = {**more, "codec": "ffv1"}
    whole = look_at(stylizer.stylize_film(source, tmp_path / "whole.mkv", style, **more))
    target = tmp_path / "out.mkv"
    with pytest.raises(Cancelled):
        stylizer.stylize_film(source, target, style, progress=stopping(23), **more)
    parts = tmp_path / "out.mkv.parts"
    assert not target.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("[0-9]*.part")}
    assert 1 <= len(kept) <= 2
    seen: list[int] = []
    stylizer.stylize_film(
        source, target, style, resume=True, progress=lambda s, d, t: seen.append(d) if s == "stylize" else None, **more
    )
    assert min(seen) > 10 * len(kept)
    assert not parts.exists()
    found = look_at(target)
    assert len(found["times"]) == 34
    for what in ("times", "sound", "chapters"):
        assert found[what] == whole[what]
    for one, other in zip(found["pixels"], whole["pixels"], strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
def test_a_run_that_goes_on_writes_the_same_file(
    tmp_path: Path, stylizer: Stylizer, style: Style, short: None, codec: str
) -> None:
    source, target = make_film(tmp_path / "in.mp4", 34), tmp_path / "out.mp4"
    whole = stylizer.stylize_film(source, tmp_path / "whole.mp4", style, codec=codec)
    with pytest.raises(Cancelled):
        stylizer.stylize_film(source, target, style, codec=codec, progress=stopping(23))
    assert list((tmp_path / "out.mp4.parts").glob("[0-9]*.part"))
    stylizer.stylize_film(source, target, style, codec=codec, resume=True)
    assert target.read_bytes() == whole.read_bytes()


def test_x264_writes_the_same_bytes_whatever_lies_in_memory(tmp_path: Path) -> None:
    """As it comes, its mb-tree reads memory that nobody has written, where the CPU has AVX-512."""
    grain = np.random.default_rng(0).integers(-20, 21, (50, 144, 176, 3))
    shown = [(picture(i, 176, 144) + grain[i]).clip(0, 255).astype(np.uint8) for i in range(50)]
    clip = open_clip(make_film(tmp_path / "in.mp4", pictures=shown, sound=None))
    encoding, made, held = choose_encoding("out.mp4", clip.facts), set(), []
    for number in range(4):
        held = [*held[-1:], np.full((1000 + 317 * number) * 100, 37 * number, np.uint8)]
        with av.open(io.BytesIO(), "w", format=encoding.store) as out:
            stream, written = encoding.add_stream(out), b""
            for place, pixels in enumerate(shown):
                frame = encoding.frame(pixels)
                frame.pts, frame.time_base = place, 1 / encoding.rate
                written += b"".join(bytes(packet) for packet in stream.encode(frame))
            made.add(written + b"".join(bytes(packet) for packet in stream.encode(None)))
    assert len(made) == 1


@pytest.mark.parametrize("more", [{}, {"steady": 0.8}, {"statistics": "live"}], ids=["plain", "steady", "live"])
def test_numbered_pictures_go_on_with_the_first_missing_one(
    tmp_path: Path, stylizer: Stylizer, style: Style, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    if "steady" in more:
        pytest.importorskip("cv2")
    monkeypatch.setattr(sinks, "_EVERY", 10)
    source, target = make_film(tmp_path / "in.mp4", 34), tmp_path / "out" / "%03d.png"
    stylizer.stylize_film(source, tmp_path / "whole" / "%03d.png", style, **more)
    with pytest.raises(Cancelled):
        stylizer.stylize_film(source, target, style, progress=stopping(23), **more)
    there = {path.name: path.stat().st_mtime_ns for path in target.parent.glob("*.png")}
    assert 23 <= len(there) < 34
    with pytest.raises(FilmError, match="another options"):
        stylizer.stylize_film(source, target, style, alpha=0.5, resume=True, **more)
    (target.parent / f"{len(there):03}.png").unlink()
    seen: list[int] = []
    note = lambda stage, done, total: seen.append(done) if stage == "stylize" else None  # noqa: E731
    stylizer.stylize_film(source, target, style, resume=True, progress=note, **more)
    assert min(seen) == 21
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert {path.name: path.read_bytes() for path in target.parent.iterdir()} == whole
    assert len(whole) == 34
    kept = [path for path in target.parent.glob("*.png") if path.stat().st_mtime_ns == there.get(path.name)]
    assert len(kept) == len(there) - 1


def test_numbered_pictures_without_a_plan_are_taken_as_they_are(
    tmp_path: Path, stylizer: Stylizer, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = make_film(tmp_path / "in.mp4", 6), tmp_path / "out" / "%03d.png"
    stylizer.stylize_film(source, target, style)
    stylizer.stylize_film(
        source, target, style, resume=True, progress=lambda stage, *_: stage == "stylize" and pytest.fail(stage)
    )
    assert "no plan is there" in caplog.text
    (target.parent / "006.png").unlink()
    stylizer.stylize_film(source, target, style, alpha=0.0, resume=True)
    assert sorted(path.name for path in target.parent.iterdir()) == [f"{i:03}.png" for i in range(1, 7)]


def test_a_run_goes_on_only_where_all_is_the_same(
    tmp_path: Path, stylizer: Stylizer, style: Style, short: None
) -> None:
    source, target = make_film(tmp_path / "in.mp4", 25), tmp_path / "out.mp4"
    with pytest.raises(Cancelled):
        stylizer.stylize_film(source, target, style, progress=stopping(14))
    with pytest.raises(FilmError, match="another options"):
        stylizer.stylize_film(source, target, style, alpha=0.5, resume=True)
    with pytest.raises(FilmError, match="another style"):
        stylizer.stylize_film(source, target, picture(1, scene=2), resume=True)
    stylizer.stylize_film(source, target, style, alpha=0.5)  # anew
    assert not (tmp_path / "out.mp4.parts").exists()
    again = stylizer.stylize_film(source, tmp_path / "b.mp4", style, alpha=0.5, resume=True)  # nothing to go on with
    assert look_at(again)["times"] == look_at(target)["times"]


def test_a_foreign_folder_is_left_alone(tmp_path: Path, stylizer: Stylizer, style: Style) -> None:
    source = make_film(tmp_path / "in.mp4", 3)
    (tmp_path / "out.mp4.parts").mkdir()
    (tmp_path / "out.mp4.parts" / "mine.txt").write_text("mine")
    with pytest.raises(FilmError, match="in the way"):
        stylizer.stylize_film(source, tmp_path / "out.mp4", style)
    assert (tmp_path / "out.mp4.parts" / "mine.txt").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_killed_command_goes_on(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mp4", 620)
    command = [sys.executable, "-m", "adainkit", "film", str(source), "ember", "--json", "-o"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ADAINKIT_RUNTIME": "torch"}
    process = subprocess.Popen([*command, str(tmp_path / "out.mp4")], env=env, stdout=subprocess.PIPE)
    ended = threading.Event()
    parts = tmp_path / "out.mp4.parts"
    for _ in range(2000):
        if list(parts.glob("[0-9]*.part")) or process.poll() is not None:
            break
        ended.wait(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(parts.glob("[0-9]*.part"))
    assert not (tmp_path / "out.mp4").exists()
    subprocess.run([*command, str(tmp_path / "out.mp4"), "--resume"], env=env, check=True, stdout=subprocess.PIPE)
    subprocess.run([*command, str(tmp_path / "b.mp4")], env=env, check=True, stdout=subprocess.PIPE)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert len(look_at(tmp_path / "b.mp4")["times"]) == 620


def test_what_is_no_film_is_one_clear_error(tmp_path: Path, stylizer: Stylizer, style: Style) -> None:
    target = tmp_path / "out.mp4"
    text = tmp_path / "text.mp4"
    text.write_text("no film at all " * 100)
    empty = tmp_path / "empty.mkv"
    empty.touch()
    song = tmp_path / "song.mkv"
    with av.open(str(make_film(tmp_path / "film.mkv", 3))) as film, av.open(str(song), "w") as out:
        voice = out.add_stream_from_template(film.streams.audio[0])
        for packet in film.demux(film.streams.audio[0]):
            if packet.size:
                packet.stream = voice
                out.mux(packet)
    whole = make_film(tmp_path / "whole.mp4", 20)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:2000])
    still = tmp_path / "still.gif"
    Image.fromarray(picture(0)).save(still)
    cases = {
        text: "cannot be read",
        empty: "cannot be read",
        song: "only sound",
        cut: "cannot be read",
        still: "does not move",
        tmp_path / "none.mp4": "no such file",
        tmp_path / "f-%d.png": "no such picture",
    }
    for source, words in cases.items():
        with pytest.raises(FilmError, match=words) as caught:
            stylizer.stylize_film(source, target, style)
        assert str(source.name).split("%")[0] in str(caught.value)
    assert not target.exists()
    assert list(tmp_path.glob("*.parts")) == []


def test_options_that_do_not_fit_are_told_before_the_work(tmp_path: Path, stylizer: Stylizer, style: Style) -> None:
    source = make_film(tmp_path / "in.mp4", 3)
    film = stylizer.stylize_film
    with pytest.raises(FilmError, match="holds h264"):
        film(source, tmp_path / "out.mp4", style, codec="prores")
    with pytest.raises(FilmError, match="codec must be one of"):
        film(source, tmp_path / "out.mp4", style, codec="theora")
    with pytest.raises(FilmError, match="crf from 0 to 51, got 99"):
        film(source, tmp_path / "out.mp4", style, crf=99)
    for more, word in (({"quality": 101}, "from 1 to 100"), ({"quality": 50, "crf": 9}, "or a crf")):
        with pytest.raises(FilmError, match=word):
            film(source, tmp_path / "out.mp4", style, **more)
    with pytest.raises(FilmError, match="ffv1 takes no quality"):
        film(source, tmp_path / "out.mkv", style, codec="ffv1", quality=50)
    with pytest.raises(FilmError, match="are for video files"):
        film(source, tmp_path / "out.gif", style, crf=9)
    with pytest.raises(FilmError, match="expected a film's name"):
        film(source, tmp_path / "out.xyz", style)
    with pytest.raises(FilmError, match="film itself"):
        film(source, source, style)
    with pytest.raises(FilmError, match="times of its own"):
        film(source, tmp_path / "out.mp4", style, fps=25)
    with pytest.raises(FilmError, match="begins at 0 s or later"):
        film(source, tmp_path / "out.mp4", style, start=2, stop=1)
    with pytest.raises(FilmError, match="no frame between 50 s"):
        film(source, tmp_path / "out.mp4", style, start=50)
    with pytest.raises(StyleError, match="statistics must be"):
        film(source, tmp_path / "out.mp4", style, statistics="some")
    with pytest.raises(StyleError, match="alpha"):
        film(source, tmp_path / "out.mp4", style, alpha={0: 1, 2: 3})
    with pytest.raises(ImageError, match="exists already"):
        film(tmp_path / "none.mp4", source, style, overwrite=False)
    hdr = make_film(tmp_path / "hdr.mkv", 2, form="yuv420p10le", colors=(9, 1, 9, 16), sound=None)
    with pytest.raises(FilmError, match=r"HDR \(PQ\)"):
        film(hdr, tmp_path / "out.mp4", style)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".mkv", ".mp4"]


def test_bombs_are_refused(tmp_path: Path, stylizer: Stylizer, style: Style) -> None:
    source = make_film(tmp_path / "in.mp4", 12)
    with pytest.raises(FilmError, match="more than 5 frames"):
        stylizer.stylize_film(source, tmp_path / "out.mp4", style, max_frames=5)
    with pytest.raises(FilmError, match="more than 5 frames"):
        stylizer.stylize_film(source, tmp_path / "out.mp4", style, max_frames=5, statistics="live")
    with pytest.raises(FilmError, match="at most 1000"):
        stylizer.stylize_film(source, tmp_path / "out.mp4", style, max_pixels=1000)
    shown = [Image.new("RGB", (1, 1), (i, 0, 0)) for i in range(64)]
    shown[0].save(tmp_path / "bomb.gif", save_all=True, append_images=shown[1:])
    with pytest.raises(ImageError, match=r"64 frames of 1 x 1 .*pass a larger max_pixels"):
        stylizer.stylize_film(tmp_path / "bomb.gif", tmp_path / "out.mp4", style, max_pixels=1 << 17)
    with pytest.raises(FilmError, match="held until its end"):
        stylizer.stylize_film(source, tmp_path / "out.gif", style, max_pixels=64 * 48 * 3)
    assert not list(tmp_path.glob("*out*"))


def test_damaged_packets_are_skipped_and_told(
    tmp_path: Path, stylizer: Stylizer, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_film(tmp_path / "in.mp4", 40, options={"g": "10", "bf": "0", "crf": "10"}, sound=None)
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as film:
        places = [(p.pos, p.size) for p in film.demux(film.streams.video[0]) if p.size]
    for pos, size in places[15:17]:
        data[pos : pos + size] = bytes(size)
    source.write_bytes(data)
    out = look_at(stylizer.stylize_film(source, tmp_path / "out.mp4", style))
    assert "packets were skipped" in caplog.text
    assert 30 <= len(out["times"]) <= 39
    assert out["times"][-1] == 39 / RATE


def test_a_cut_webm_is_told(tmp_path: Path, stylizer: Stylizer, style: Style, caplog: pytest.LogCaptureFixture) -> None:
    source = make_film(tmp_path / "in.webm", 90, codec="libvpx-vp9", sound=None, options={"cpu-used": "8"})
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 3])
    out = look_at(stylizer.stylize_film(source, tmp_path / "out.mp4", style))
    assert 0 < len(out["times"]) < 60
    assert "seems to be cut off" in caplog.text


def test_a_size_that_changes_in_mid_stream_is_scaled_and_told(
    tmp_path: Path, stylizer: Stylizer, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    one = make_film(tmp_path / "a.h264", 10, sound=None)
    other = make_film(tmp_path / "b.h264", 10, sound=None, pictures=[picture(i, 96, 80) for i in range(10)])
    source = tmp_path / "in.mkv"
    (tmp_path / "ab.h264").write_bytes(one.read_bytes() + other.read_bytes())
    with av.open(str(tmp_path / "ab.h264")) as film, av.open(str(source), "w") as out:
        stream = out.add_stream_from_template(film.streams.video[0], opaque=True)
        for number, packet in enumerate(p for p in film.demux() if p.size):
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = 1 / RATE, stream
            out.mux(packet)
    made = look_at(stylizer.stylize_film(source, tmp_path / "out.mp4", style))
    assert made["size"] == (64, 48)
    assert len(made["times"]) >= 15
    assert "changes its size" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is made of /dev/full")
def test_a_full_disk_is_one_error(
    tmp_path: Path, stylizer: Stylizer, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_film(tmp_path / "in.mp4", 6)
    real = segments.need_av().open

    def full(name: str, mode: str = "r", **more: Any) -> Any:
        return real("/dev/full" if mode == "w" and "parts" in name else name, mode, **more)

    monkeypatch.setattr(av, "open", full)
    with pytest.raises(FilmError, match="free space"):
        stylizer.stylize_film(source, tmp_path / "out.mp4", style)
    assert not (tmp_path / "out.mp4").exists()
    assert list(tmp_path.glob("*.parts")) == []


def test_without_pyav_the_extra_is_named(
    tmp_path: Path, stylizer: Stylizer, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FilmError, match=r'pip install "adainkit\[film\]"'):
        stylizer.stylize_film("in.mp4", tmp_path / "out.mp4", style)
    monkeypatch.setitem(sys.modules, "cv2", None)
    from adainkit.film.steady import Steady

    with pytest.raises(FilmError, match=r'pip install "adainkit\[steady\]"'):
        Steady(0.5)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = make_film(tmp_path / "in.mp4", 8)
    painting = tmp_path / "painting.png"
    Image.fromarray(picture(0, scene=1)).save(painting)
    out = tmp_path / "out.mp4"
    words = ["film", str(source), "--style", f"{painting}:0.5", "--style", "ember:0.5", "--style", "iris@0.2"]
    more = ["--alpha", "0@0,1@0.2", "--live", "--crf", "30", "--keep-noise", "--json"]
    assert main([*words, "-o", str(out), *more]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 8
    assert len(look_at(out)["times"]) == 8
    assert main(["film", str(source), "ember", "-o", str(out)]) == 1
    assert "exists already; pass --overwrite" in capsys.readouterr().err
    sheet = tmp_path / "sheet.png"
    assert main(["film", str(source), "ember", "-o", str(sheet), "--preview", "3"]) == 0
    assert np.asarray(Image.open(sheet)).shape[1] > 3 * 64
    assert main(["film", str(source), "ember", "-o", str(tmp_path / "c.mkv"), "--from", "0.1", "--to", "0:00.2"]) == 0
    assert len(look_at(tmp_path / "c.mkv")["times"]) == 3
    with pytest.raises(SystemExit, match="2"):
        main(["film", str(source), "-o", str(out)])

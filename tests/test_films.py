"""Animated GIF, APNG and WebP from file to file: every frame, its time and its transparency, or a plain error."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import GifImagePlugin, Image

from adainkit import ImageError, Stylizer
from adainkit.cli.entry import main
from adainkit.errors import Cancelled
from adainkit.images import describe, find_film, write_film

SUFFIXES = [".gif", ".png", ".webp"]
TIMES = [100, 250, 40, 70]
LOSSLESS = {"lossless": True}
WIDE, HIGH = 40, 32


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(device="cpu", dtype="float32", cache=None)


def pictures(count: int = 4, mode: str = "RGB") -> list[Image.Image]:
    """A square that moves over a ground of few colors; with alpha, the ground is a hole."""
    made = []
    for index in range(count):
        image = Image.new(mode, (WIDE, HIGH), (20, 60, 120, 0)[: len(mode)])
        image.paste((230, 40 * index % 250, 10, 255)[: len(mode)], (4 + 3 * index % 20, 6, 18 + 3 * index % 20, 20))
        made.append(image)
    return made


def film(path: Path, images: list[Image.Image] | None = None, times: list[int] | None = None, **more: object) -> Path:
    images = images or pictures()
    more = {"loop": 0, **(LOSSLESS if path.suffix == ".webp" else {}), **more}
    images[0].save(path, save_all=True, append_images=images[1:], duration=times or TIMES[: len(images)], **more)
    return path


def frames_of(path: Path) -> list[Image.Image]:
    with Image.open(path) as image:
        found = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            found.append(image.convert("RGBA"))
        return found


def away(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())


@pytest.mark.parametrize("into", SUFFIXES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_becomes_every_kind(tmp_path: Path, stylizer: Stylizer, suffix: str, into: str) -> None:
    source = film(tmp_path / f"in{suffix}")
    out = stylizer.stylize_file(source, tmp_path / f"out{into}", "ember", quality=100)
    found = find_film(out, None)
    assert found is not None
    assert (found.frames, found.width, found.height, found.plays) == (4, WIDE, HIGH, 0)
    assert list(found.durations) == TIMES
    assert not found.transparent
    originals = [image.convert("RGB") for image in frames_of(source)]
    statistics = stylizer.content_statistics(originals)
    for got, original in zip(found.images(), originals, strict=True):
        wanted = stylizer.stylize(original, "ember", content_statistics=statistics)
        assert got.mode == "RGB"
        assert away(got, wanted) <= {".png": 0, ".webp": 3, ".gif": 4}[into]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_holes_stay_holes(tmp_path: Path, stylizer: Stylizer, suffix: str) -> None:
    source = film(tmp_path / f"in{suffix}", pictures(mode="RGBA"), disposal=2 if suffix == ".gif" else 1)
    out = stylizer.stylize_file(source, tmp_path / f"out{suffix}", "ember")
    for got, original in zip(frames_of(out), frames_of(source), strict=True):
        assert got.getchannel("A").tobytes() == original.getchannel("A").tobytes()


@pytest.mark.parametrize("disposal", [1, 2, 3])
@pytest.mark.parametrize("into", [".gif", ".png"])
def test_parts_of_frames_are_composed(tmp_path: Path, stylizer: Stylizer, disposal: int, into: str) -> None:
    """The file holds only what changes; what is stylized is what a player shows."""
    ground, square = Image.new("P", (WIDE, HIGH), 0), Image.new("P", (8, 8), 1)
    colors = [20, 60, 120, 230, 40, 10, 0, 0, 0]
    ground.putpalette(colors)
    square.putpalette(colors)
    path = tmp_path / "in.gif"
    with path.open("wb") as stream:
        for part in GifImagePlugin._get_global_header(ground, {"loop": 2}):
            stream.write(part)
        for image, at in ((ground, (0, 0)), (square, (2, 2)), (square, (20, 12))):
            facts = {"duration": 80, "disposal": disposal if image is square else 1, "include_color_table": True}
            facts |= {"transparency": 2} if disposal == 2 else {}
            GifImagePlugin._write_frame_data(stream, image, at, facts)
        stream.write(b";")
    found = find_film(path, None)
    assert found is not None
    assert (found.frames, found.plays) == (3, 3)
    last = list(found.images())[2].convert("RGB")
    first_square = {1: (230, 40, 10), 2: None, 3: (20, 60, 120)}[disposal]
    assert last.getpixel((22, 14)) == (230, 40, 10)
    assert first_square is None or last.getpixel((4, 4)) == first_square
    assert found.transparent == (disposal == 2)  # what was cleared shows what is behind the film
    out = stylizer.stylize_file(path, tmp_path / f"out{into}", "ember")
    told = find_film(out, None)
    assert told is not None
    assert (told.frames, told.plays, told.durations) == (3, 3, (80, 80, 80))
    statistics = stylizer.content_statistics(found.images())
    for got, original in zip(frames_of(out), found.images(), strict=True):
        wanted = stylizer.stylize(original, "ember", content_statistics=statistics).convert("RGBA")
        assert got.getchannel("A").tobytes() == wanted.getchannel("A").tobytes()
        seen = np.asarray(wanted)[:, :, 3:] > 0
        assert np.abs((np.asarray(got, np.float32) - np.asarray(wanted)) * seen).mean() <= (into == ".gif") * 4


def test_times_that_a_gif_cannot_hold_keep_their_sum(tmp_path: Path) -> None:
    source = film(tmp_path / "in.webp", pictures(6), [16, 17, 16, 17, 16, 18])
    found = find_film(source, None)
    assert found is not None
    write_film(found.images(), tmp_path / "out.gif", found)
    again = find_film(tmp_path / "out.gif", None)
    assert again is not None
    assert sum(again.durations) == 100
    assert max(again.durations) <= 20


@pytest.mark.parametrize(("suffix", "told"), [(".gif", None), (".gif", 0), (".gif", 4), (".png", 5), (".webp", 5)])
def test_the_number_of_plays_is_kept(tmp_path: Path, suffix: str, told: int | None) -> None:
    images = pictures()
    more = {} if told is None else {"loop": told}
    images[0].save(tmp_path / f"in{suffix}", save_all=True, append_images=images[1:], duration=50, **more)
    source = find_film(tmp_path / f"in{suffix}", None)
    assert source is not None
    assert source.plays == {None: 1, 0: 0, 4: 5, 5: 5}[told]
    for into in SUFFIXES:
        found = find_film(write_film(source.images(), tmp_path / f"out{into}", source), None)
        assert found is not None
        assert found.plays == source.plays


def test_a_picture_before_a_png_film_is_none_of_its_frames(tmp_path: Path) -> None:
    path = film(tmp_path / "in.png", pictures(), TIMES[:3], default_image=True)
    found = find_film(path, None)
    assert found is not None
    assert (found.frames, list(found.durations)) == (3, TIMES[:3])
    assert next(found.images()).tobytes() == pictures()[1].tobytes()
    assert describe(path)["frames"] == 3


def test_bombs_are_refused_before_a_frame_is_decoded(tmp_path: Path, stylizer: Stylizer) -> None:
    small = Image.new("P", (1, 1))
    small.putpalette([0, 0, 0, 255, 255, 255])
    other = small.copy()
    other.putpixel((0, 0), 1)
    path = film(tmp_path / "many.gif", [small, other] * 2500, [20] * 5000)
    with pytest.raises(ImageError, match=r"5000 frames of 1 x 1 = 20480000 pixels, expected at most 16777216.*max_pi"):
        stylizer.stylize_file(path, tmp_path / "out.gif", "ember", max_pixels=1 << 24)
    with pytest.raises(ImageError, match="in all frames together"):
        stylizer.stylize_file(film(tmp_path / "a.webp"), tmp_path / "out.gif", "ember", max_pixels=WIDE * HIGH * 3)
    claim = film(tmp_path / "claim.png").read_bytes()
    at = claim.index(b"acTL")
    chunk = b"acTL" + (1 << 30).to_bytes(4, "big") + claim[at + 8 : at + 12]
    (tmp_path / "claim.png").write_bytes(claim[:at] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + claim[at + 16 :])
    with pytest.raises(ImageError, match="1073741824 frames"):
        stylizer.stylize_file(tmp_path / "claim.png", tmp_path / "out.gif", "ember")
    assert not (tmp_path / "out.gif").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_broken_last_frame_is_told_before_the_work(tmp_path: Path, stylizer: Stylizer, suffix: str) -> None:
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (HIGH, WIDE, 3), np.uint8)) for i in range(4)]
    path = film(tmp_path / f"in{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[:-400])
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    with pytest.raises(ImageError, match=rf"in\{suffix}.*(frame 4|damaged)"):
        stylizer.stylize_file(path, target, "ember", progress=lambda *_: pytest.fail("work was done"))
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "out.png"])


def test_a_frame_outside_of_the_picture_is_an_error(tmp_path: Path) -> None:
    path = film(tmp_path / "in.gif")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\x21\xf9\x04") + 8  # the image descriptor behind the last control block
    assert data[at] == 0x2C
    data[at + 1 : at + 3] = (60000).to_bytes(2, "little")
    path.write_bytes(bytes(data))
    with pytest.raises(ImageError, match="frame 4"):
        find_film(path, None)


def test_progress_goes_up_to_its_total_and_stops_the_work(tmp_path: Path, stylizer: Stylizer) -> None:
    source = film(tmp_path / "in.gif", pictures(40), [50] * 40)
    seen: list[tuple[str, int, int]] = []
    stylizer.stylize_file(source, tmp_path / "a.webp", "ember", progress=lambda *told: seen.append(told))
    assert seen == sorted(seen)
    assert seen[-1] == ("stylize", 100, 100)  # 20 of 40 frames are measured, 40 painted in two steps each

    def stop(stage: str, done: int, total: int) -> None:
        if done > 30:
            raise Cancelled

    with pytest.raises(Cancelled):
        stylizer.stylize_file(source, tmp_path / "b.webp", "ember", progress=stop)
    assert not (tmp_path / "b.webp").exists()


def test_a_still_picture_and_a_still_format_are_as_before(
    tmp_path: Path, stylizer: Stylizer, caplog: pytest.LogCaptureFixture
) -> None:
    first = pictures()[0]
    for suffix in SUFFIXES:
        first.save(tmp_path / f"one{suffix}", **(LOSSLESS if suffix == ".webp" else {}))
        out = stylizer.stylize_file(tmp_path / f"one{suffix}", tmp_path / "one-out.png", "ember")
        wanted = stylizer.stylize(tmp_path / f"one{suffix}", "ember")
        assert Image.open(out).convert("RGB").tobytes() == wanted.convert("RGB").tobytes()
        assert find_film(out, None) is None
    caplog.clear()
    stylizer.stylize_file(film(tmp_path / "in.webp"), tmp_path / "out.jpg", "ember")
    assert "has more than one page or frame; the first is taken" in caplog.text
    caplog.clear()
    stylizer.stylize_file(tmp_path / "in.webp", tmp_path / "out.webp", "ember")
    assert not caplog.text


def test_upright_words_and_record_are_kept(tmp_path: Path, stylizer: Stylizer) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a turning square"
    source = film(tmp_path / "in.webp", exif=exif.tobytes())
    out = stylizer.stylize_file(source, tmp_path / "out.png", "ember", record={"style": "ember"})
    with Image.open(out) as image:
        assert image.size == (HIGH, WIDE)
        assert image.getexif()[0x010E] == "a turning square"
        assert image.getexif().get(0x0112, 1) == 1
    assert describe(out)["record"] == {"style": "ember"}
    bare = stylizer.stylize_file(source, tmp_path / "bare.webp", "ember", strip=True)
    assert describe(bare)["kept"] == []


def test_statistics_that_are_given_and_a_mask_count(tmp_path: Path, stylizer: Stylizer) -> None:
    source = film(tmp_path / "in.png")
    fixed = stylizer.content_statistics([torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))])
    mask = np.zeros((HIGH, WIDE), np.float32)
    mask[:, : WIDE // 2] = 1
    options = {"content_statistics": fixed, "mask": mask, "alpha": 0.7}
    out = stylizer.stylize_file(source, tmp_path / "out.png", "ember", **options)
    wanted = stylizer.stylize(pictures()[2], "ember", **options)
    assert away(frames_of(out)[2].convert("RGB"), wanted) == 0


def test_the_command_makes_films_of_files_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    film(Path("in/anim.gif"))
    film(Path("in/anim2.webp"))
    pictures()[0].save("in/still.jpg")
    assert main(["stylize", "in/anim.gif", "ember", "-o", "out.webp", "--device", "cpu"]) == 0
    assert main(["stylize", "in", "ember", "-o", "out", "--device", "cpu"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["anim.png", "anim2.webp", "still.jpg"]
    capsys.readouterr()
    assert main(["info", "--json", "out.webp", "out/anim.png", "out/anim2.webp", "out/still.jpg", "in/anim.gif"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [facts["frames"] for facts in found] == [4, 4, 4, None, 4]
    assert found[0]["record"]["style"] == {"ember": 1.0}
    assert main(["info", "out.webp"]) == 0
    assert "WEBP, 40 x 32, 4 frames" in capsys.readouterr().out
    assert main(["stylize", "in/anim.gif", "ember", "-o", "x.gif", "--device", "cpu", "--max-pixels", "2000"]) == 1
    assert "--max-pixels" in capsys.readouterr().err
    assert not Path("x.gif").exists()

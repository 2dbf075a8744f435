"""What a film looks like: one tone for each scene, styles and strengths over the time, masks, steadiness."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("av")
from small_films import HIGH, RATE, WIDE, look_at, make_film, picture
from test_stylizer import tiny

from adainkit import Style, StyleError, Stylizer
from adainkit.film import painting
from adainkit.film.quiet import Quiet
from adainkit.film.scenes import Cuts
from adainkit.film.statistics import plan_measuring
from adainkit.film.timeline import Timeline, alpha_timeline, mix_alphas

LOSSLESS = {"codec": "ffv1"}


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(tiny(), device="cpu", dtype="float32", cache=None)


@pytest.fixture(scope="module")
def style(stylizer: Stylizer) -> Style:
    return stylizer.encode_style(picture(0))


def away(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())


def lossless(path: Path, pictures: list[np.ndarray]) -> Path:
    return make_film(path, pictures=pictures, codec="ffv1", form="bgr0", sound=None)


def test_cuts_are_found_and_motion_is_none() -> None:
    cuts = Cuts()
    for number in range(40):
        cuts.add(picture(number, scene=0 if number < 15 else 1 if number < 32 else 2))
    assert cuts.found == [0, 15, 32]
    moving = Cuts()
    wall = np.random.default_rng(0).integers(0, 256, (27, 400, 3)).astype(np.uint8)
    for number in range(30):
        moving.add(wall[:, 9 * number : 9 * number + 48])
    assert moving.found == [0]


def test_each_scene_is_painted_under_statistics_of_its_own(tmp_path: Path, stylizer: Stylizer, style: Style) -> None:
    shown = [picture(i, scene=0) for i in range(9)] + [picture(i, scene=1) for i in range(9)]
    source = lossless(tmp_path / "in.mkv", shown)
    found = look_at(stylizer.stylize_film(source, tmp_path / "out.mkv", style, **LOSSLESS))["pixels"]
    for frames, numbers in ((shown[:9], range(9)), (shown[9:], range(9, 18))):
        chosen = next(c for _, _, c in plan_measuring(18, [0, 9], True) if c[0] in numbers)
        statistics = stylizer.content_statistics([shown[i] for i in chosen])
        for number, frame in zip(numbers, frames, strict=True):
            wanted = stylizer.stylize(frame, style, content_statistics=statistics)
            assert np.array_equal(found[number], wanted)
    clip = look_at(stylizer.stylize_film(source, tmp_path / "clip.mkv", style, statistics="clip", **LOSSLESS))
    alone = look_at(stylizer.stylize_film(source, tmp_path / "alone.mkv", style, statistics="frame", **LOSSLESS))
    assert np.array_equal(alone["pixels"][3], stylizer.stylize(shown[3], style))
    assert away(clip["pixels"][3], found[3]) > 0.2


def test_a_live_run_gives_all_frames_and_is_near_the_two_passes(
    tmp_path: Path, stylizer: Stylizer, style: Style
) -> None:
    shown = [picture(i, scene=0) for i in range(20)] + [picture(i, scene=1) for i in range(13)]
    source = lossless(tmp_path / "in.mkv", shown)
    two = look_at(stylizer.stylize_film(source, tmp_path / "two.mkv", style, **LOSSLESS))
    live = look_at(stylizer.stylize_film(source, tmp_path / "live.mkv", style, statistics="live", **LOSSLESS))
    assert live["times"] == two["times"]
    assert max(away(a, b) for a, b in zip(live["pixels"], two["pixels"], strict=True)) < 4


def test_statistics_between_two_measurements_are_those_of_a_mixture(stylizer: Stylizer) -> None:
    one, other = (stylizer.content_statistics([picture(0, scene=scene)]) for scene in (0, 1))
    both = stylizer.content_statistics([picture(0, scene=0), picture(0, scene=1)])
    for half, wanted in zip(one.mixed(other, 0.5), both, strict=True):
        torch.testing.assert_close(half.mean, wanted.mean)
        torch.testing.assert_close(half.variance, wanted.variance)
    assert plan_measuring(3, [0], True) == [(1, 0, [0, 1, 2])]
    long = plan_measuring(1000, [0, 900], True)
    assert [knot for knot, _, _ in long] == [112, 337, 562, 787, 949]
    assert [scene for _, scene, _ in long] == [0, 0, 0, 0, 1]


def test_styles_and_strengths_over_the_time(tmp_path: Path, stylizer: Stylizer, style: Style) -> None:
    other = stylizer.encode_style(picture(0, scene=1))
    source = lossless(tmp_path / "in.mkv", [picture(i) for i in range(31)])
    options = {"statistics": "frame", **LOSSLESS}
    keys = {0.0: style, float(30 / RATE): other}
    made = stylizer.stylize_film(source, tmp_path / "out.mkv", keys, alpha={0: 0.0, float(15 / RATE): 1}, **options)
    found = look_at(made)["pixels"]
    assert away(found[0], stylizer.stylize(picture(0), style, alpha=0.0)) == 0
    half = Style.blend([(style, 0.5), (other, 0.5)])
    assert away(found[15], stylizer.stylize(picture(15), half)) < 0.6
    assert away(found[30], stylizer.stylize(picture(30), other)) < 0.6
    assert alpha_timeline({0: 0.0, 2: [0.5, 1.0]}).at(1) == [0.25, 0.5]
    assert mix_alphas(0.0, 1.0, 0.25) == 0.25
    assert Timeline({1: 3.0}, mix_alphas).at(-7) == 3.0
    with pytest.raises(StyleError, match="one or more seconds"):
        Timeline({}, mix_alphas)


def test_a_mask_may_be_a_film(tmp_path: Path, stylizer: Stylizer, style: Style) -> None:
    shown = [picture(i) for i in range(12)]
    source = lossless(tmp_path / "in.mkv", shown)
    covers = [np.full((HIGH, WIDE, 3), 0 if i < 6 else 255, np.uint8) for i in range(12)]
    mask = lossless(tmp_path / "mask.mkv", covers)
    options = {"statistics": "frame", **LOSSLESS}
    found = look_at(stylizer.stylize_film(source, tmp_path / "out.mkv", style, mask=mask, **options))["pixels"]
    assert np.array_equal(found[5], shown[5])
    assert np.array_equal(found[6], stylizer.stylize(shown[6], style))
    still = tmp_path / "mask.png"
    Image.fromarray(covers[0]).save(still)
    plain = look_at(stylizer.stylize_film(source, tmp_path / "b.mkv", style, mask=still, **options))["pixels"]
    assert np.array_equal(plain[7], shown[7])


@pytest.mark.parametrize("deep", [False, True])
def test_frames_together_are_frames_one_by_one(stylizer: Stylizer, style: Style, deep: bool) -> None:
    look = painting.Look(Timeline({0: style}, mix_alphas), alpha_timeline(0.8), painting.Mask(None, None))
    frames = [picture(i).astype(np.uint16) * 257 if deep else picture(i) for i in range(3)]
    statistics = [stylizer.content_statistics([picture(i, scene=i)]) for i in range(3)]
    items = [
        painting.Item(painting.Frame(i, i, frame), found, False, False)
        for i, (frame, found) in enumerate(zip(frames, statistics, strict=True))
    ]
    together = painting._together(stylizer, items, style, 0.8, look.controls)
    for made, frame, found in zip(together, frames, statistics, strict=True):
        wanted = stylizer.stylize(frame, style, alpha=0.8, content_statistics=found)
        assert made.dtype == wanted.dtype
        assert int(np.abs(made.astype(int) - wanted.astype(int)).max()) <= (257 if deep else 1)


def test_steady_keeps_what_stays_and_lets_go_at_cuts() -> None:
    pytest.importorskip("cv2")
    from adainkit.film.steady import Steady

    random = np.random.default_rng(0)
    photo = np.asarray(Image.fromarray(random.integers(0, 256, (12, 16, 3)).astype(np.uint8)).resize((160, 120)))
    calm, shown = Steady(0.8), []
    for _ in range(6):
        painted = (photo + random.normal(0, 8, photo.shape)).clip(0, 255).astype(np.uint8)
        shown.append((painted, calm.blend(photo, painted, False)))
    assert away(shown[5][1], shown[4][1]) < 0.4 * away(shown[5][0], shown[4][0])
    again = Steady(0.8)
    again.restore(calm.state)
    assert np.array_equal(again.blend(photo, photo, False), calm.blend(photo, photo, False))
    other = 255 - photo
    assert np.array_equal(calm.blend(other, other, True), other)
    assert (
        away(calm.blend(photo, photo, False), photo) < 1
    )  # another scene without a word: hardly anything is found again
    moved = np.roll(photo, 3, 1)
    assert away(calm.blend(moved, moved, False)[:, 8:-8], moved[:, 8:-8]) < 3


def test_flicker_is_measured_along_the_motion() -> None:
    pytest.importorskip("cv2")
    from benchmarks.flicker import warping_error

    wall = np.asarray(
        Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 14, 3)).astype(np.uint8)).resize((224, 144))
    )
    frames = [np.ascontiguousarray(wall[:, 2 * i : 2 * i + 192]) for i in range(4)]
    noisy = [f ^ np.random.default_rng(i).integers(0, 32, f.shape).astype(np.uint8) for i, f in enumerate(frames)]
    still, restless = warping_error(frames, frames), warping_error(frames, noisy)
    assert still < 0.02
    assert restless > 3 * still


def test_noise_of_what_stands_still_is_taken_out(tmp_path: Path, stylizer: Stylizer, style: Style) -> None:
    random = np.random.default_rng(0)
    wall = np.asarray(Image.fromarray(random.integers(60, 200, (5, 7, 3)).astype(np.uint8)).resize((64, 48)))
    noisy = [(wall + random.normal(0, 3, wall.shape)).round().clip(0, 255).astype(np.uint8) for _ in range(6)]
    quiet = Quiet()
    calm = [quiet.calm(frame, number == 0) for number, frame in enumerate(noisy)]
    assert np.array_equal(calm[0], noisy[0])
    assert away(calm[5], calm[4]) < 0.6 * away(noisy[5], noisy[4])
    assert away(calm[5], wall) < 0.8 * away(noisy[5], wall)
    again = Quiet()
    again.restore(Quiet.state(calm[4]))
    assert np.array_equal(again.calm(noisy[5], False), calm[5])
    assert np.array_equal(quiet.calm(noisy[0], True), noisy[0])
    deep = [frame.astype(np.uint16) * 257 for frame in noisy]
    quiet = Quiet()
    made = [quiet.calm(frame, number == 0) for number, frame in enumerate(deep)]
    assert made[5].dtype == np.uint16
    assert away(made[5] / 257.0, calm[5]) < 0.6
    moving = Quiet()  # what moves stays as it is, sharp, and so does alpha
    for number in range(5):
        frame = picture(number, alpha=True)
        assert np.array_equal(moving.calm(frame, False), frame)
    source, covers = lossless(tmp_path / "in.mkv", noisy), np.zeros((48, 64), np.float32)
    covers[:, 32:] = 1
    more = {"mask": covers, "statistics": "frame", **LOSSLESS}
    made = look_at(stylizer.stylize_film(source, tmp_path / "a.mkv", style, **more))["pixels"]
    assert all(np.array_equal(a[:, :32], b[:, :32]) for a, b in zip(made, noisy, strict=True))  # the mask leaves frames
    loud = look_at(stylizer.stylize_film(source, tmp_path / "b.mkv", style, keep_noise=True, **more))["pixels"]
    assert np.array_equal(loud[4], stylizer.stylize(noisy[4], style, mask=covers))
    assert away(made[5][:, 36:], made[4][:, 36:]) < 0.8 * away(loud[5][:, 36:], loud[4][:, 36:])


def test_steady_leaves_strokes_where_only_flat_things_move() -> None:
    """A flat panel that moves: its strokes lie still in each painting, and are not dragged along and blurred."""
    pytest.importorskip("cv2")
    from adainkit.film.steady import Steady

    random = np.random.default_rng(0)
    strokes = np.asarray(Image.fromarray(random.integers(0, 256, (24, 32, 3)).astype(np.uint8)).resize((160, 200)))
    calm, before = Steady(0.8), strokes
    for number in range(5):
        content = np.full((200, 160, 3), 90, np.uint8)
        content[10 + 6 * number : 150 + 6 * number, 20:140] = 210
        content[30 + 6 * number : 36 + 6 * number, 60:100] = 20  # what it has on it tells that it moves
        painted = (content // 2 + strokes // 2).astype(np.uint8)
        before = calm.blend(content, painted, False)
    flat = (slice(95, 130), slice(60, 100))
    assert away(before[flat], painted[flat]) < 2

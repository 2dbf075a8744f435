"""The quick ways from a decoder's pixels to those of the network give what the slow ones do, bit for bit."""

from itertools import product

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter

pytest.importorskip("av")
import av

from adainkit.film import colors, quiet, steady
from adainkit.film.colors import Colors, to_rgb
from adainkit.film.quiet import Quiet

FORMS = [
    "yuv420p",
    "yuvj422p",
    "yuv444p",
    "yuv420p10le",
    "yuva420p",
    "yuva444p10le",
    "gray",
    "nv12",
    "bgr0",
    "gbrp10le",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(64, 36), (67, 35)])
def test_planes_hold_the_pixels(monkeypatch: pytest.MonkeyPatch, form: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 4), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, "rgba").reformat(format=form)
    ways = list(product((1, 5, 9), (False, True), (False, True), (False, True)))

    def given() -> list[np.ndarray]:
        return [to_rgb(frame, Colors(2, 0, 2, 2, c, full), deep=deep, alpha=alpha) for c, full, deep, alpha in ways]

    found = given()
    monkeypatch.setattr(colors, "_PLANAR", colors._PACKED)
    monkeypatch.setattr(colors, "_interleaved", lambda packed, deep, alpha: packed.to_ndarray())
    for one, other in zip(found, given(), strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


def slowly_blended(now: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The formula, on Pillow's pixels."""
    one, other = (
        Image.fromarray(np.ascontiguousarray(each if each.dtype == np.uint8 else (each >> 8).astype(np.uint8)))
        for each in (now[:, :, :3], last[:, :, :3])
    )
    red, green, blue = ImageChops.difference(one, other).split()
    away = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    around = away.filter(ImageFilter.BoxBlur(quiet._AROUND))
    kept = ImageChops.multiply(around.point(quiet._BY_AROUND), away.point(quiet._BY_PIXEL))
    out = now.copy()
    if now.dtype == np.uint8:
        out[:, :, :3] = np.asarray(Image.composite(other, one, kept))
    else:
        share = np.asarray(kept)[:, :, None] / np.float32(255)
        ways = last[:, :, :3].astype(np.float32) - now[:, :, :3]
        out[:, :, :3] = (now[:, :, :3] + share * ways).round().astype(now.dtype)
    return out


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(36, 64, 3), (37, 65, 4), (1, 1, 3), (3, 300, 4)])
def test_quiet_frames_are_those_of_the_formula(kind: type, shape: tuple[int, int, int]) -> None:
    random, most = np.random.default_rng(0), np.iinfo(kind).max
    still = random.integers(0, most, shape)
    calm, last = Quiet(), None
    for number in range(6):
        noise = random.normal(0, most / 85 * random.random((shape[0], shape[1], 1)), shape)
        frame = (still + noise).round().clip(0, most).astype(kind)
        begins = number in (0, 3)
        expected = frame if begins or last is None else slowly_blended(frame, last)
        last = calm.calm(frame, begins)
        assert np.array_equal(last, expected)
        if number == 4:  # another one goes on
            calm, state = Quiet(), Quiet.state(last)
            calm.restore(state)
    assert not np.array_equal(last, frame)


def test_sums_and_places_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(0, 9, (37, 51, 3)).astype(np.float32)
    assert np.array_equal(steady._summed(values), values.sum(2))
    flow = values[:, :, :2]
    columns, lines = np.meshgrid(np.arange(51, dtype=np.float32), np.arange(37, dtype=np.float32))
    there = steady._there(flow)
    assert np.array_equal(there[0], columns + flow[:, :, 0])
    assert np.array_equal(there[1], lines + flow[:, :, 1])


@pytest.mark.parametrize("shape", [(16, 300), (31, 300), (16, 640), (300, 16), (64, 80)])
def test_a_steady_film_may_be_flat_or_narrow(shape: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), np.uint8)
    held = steady.Steady(0.8)
    first, second = (held.blend(frame, frame, False) for frame in frames)
    assert first.shape == second.shape == (*shape, 3)

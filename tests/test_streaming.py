"""Strips in, strips out: the result of the whole picture, in bounded memory, and nothing is left half-done."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from adainkit.engine import file_to_file as streaming
from adainkit.engine.strips import TiledStrips
from adainkit.engine.tiles import plan_tiles
from adainkit.engine.two_pass import Executor
from adainkit.errors import Cancelled, ImageError
from adainkit.images import open_image, open_strips, save_image, write_tiff_rows
from adainkit.images import tiff as tiff_module
from adainkit.look.controls import Controls
from adainkit.look.masks import MaskWindows, resize
from adainkit.net.adain import Moments
from adainkit.net.config import LITE, ModelConfig
from adainkit.net.model import AdaINModel
from adainkit.style import PALETTE, Style
from adainkit.stylizer import Stylizer

tifffile = pytest.importorskip("tifffile")

TINY = ModelConfig("tiny", "unshuffle conv6 res6 tap down8 tap", "conv8 merge res6 shuffle4 rgb", gain_cap=16.0)
POOLED = ModelConfig("pooled", "conv4 pool conv6 tap", "up conv4 conv4 rgb")
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 7},
    "one strip": {},
    "deflated strips": {"rowsperstrip": 5, "compression": "zlib"},
    "tiles": {"tile": (16, 32)},
    "deflated tiles": {"tile": (32, 16), "compression": "zlib"},
    "big": {"bigtiff": True, "tile": (16, 16)},
    "big-endian": {"byteorder": ">", "rowsperstrip": 9},
    "predicted": {"rowsperstrip": 8, "compression": "zlib", "predictor": True},
}
SMALL = "1"  # byte: no picture is kept whole


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Hundreds of tiny tiles: a second thread is only waited for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def _colors_in_bands() -> Iterator[None]:
    """Colors are measured in bands from 24 pixels a side on, not from 256."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adainkit.engine.bands._BAND", 8)
        patch.setattr("adainkit.engine.bands._BANDS", 3)
        yield


def stylizer_of(config: ModelConfig) -> Stylizer:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = AdaINModel(config)
    with torch.no_grad():  # results around mid gray: little of them is clamped, and flat ones are no ties of rounding
        model.decoder.layers[-1].conv.weight.mul_(0.1)
        model.decoder.layers[-1].conv.bias.fill_(0.503)
    return Stylizer(model, device="cpu", dtype="float32", cache=None)


STYLIZERS = {
    "tiny": stylizer_of(TINY),
    "pooled": stylizer_of(POOLED),
    "with palette": stylizer_of(replace(TINY, palette=True)),
}


def picture(height: int, width: int, channels: int, kind: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """Blobs of random color with some noise; alpha, if there is one, has holes."""
    rng = np.random.default_rng(seed)
    small = rng.random((-(-height // 6), -(-width // 6), channels))
    x = 0.8 * small.repeat(6, 0).repeat(6, 1)[:height, :width] + 0.2 * rng.random((height, width, channels))
    if channels in (2, 4):
        x[:, :, -1] = np.where(x[:, :, -1] < 0.4, 0, x[:, :, -1])
    return (x * np.iinfo(kind).max).astype(kind)


def write_tiff(path: Path, array: np.ndarray, **options: Any) -> None:
    channels = array.shape[2]
    facts: dict[str, Any] = {"photometric": "rgb" if channels > 2 else "minisblack", "metadata": None}
    if channels in (2, 4):
        facts["extrasamples"] = ["unassalpha"]
    tifffile.imwrite(path, array[:, :, 0] if channels == 1 else array, **facts, **options)


@cache
def style_of(stylizer: Stylizer) -> Style:
    return stylizer.encode_style(picture(40, 50, 3, seed=9))


def levels(path: Path) -> np.ndarray:
    """The samples of a file, at full scale."""
    found = open_image(path)
    x = found.rgb if found.alpha is None else torch.cat([found.rgb, found.alpha], 1)
    return (x[0].movedim(0, -1) * (255 if found.dtype == np.uint8 else 65535)).round().numpy().astype(int)


def both(stylizer: Stylizer, source: Path, folder: Path, suffix: str = ".tif", **options: Any) -> tuple[Any, Any]:
    """The result's samples, kept whole and streamed."""
    style = None if options.get("regions") else style_of(stylizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adainkit.stylizer.stream_file", None)
        stylizer.stylize_file(source, folder / f"whole{suffix}", style, **{**options, "tile": None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAINKIT_MEMORY", SMALL)
        patch.setattr(stylizer, "encode_content", None)
        stylizer.stylize_file(source, folder / f"streamed{suffix}", style, **options)
    return levels(folder / f"whole{suffix}"), levels(folder / f"streamed{suffix}")


def assert_equal(streamed: np.ndarray, whole: np.ndarray, deep: bool) -> None:
    assert streamed.shape == whole.shape
    # float tolerance: one level of 8 bits where it falls on the edge of rounding, 2e-4 in 16 bits
    assert np.abs(streamed - whole).max() <= (14 if deep else 1)
    if not deep:
        assert (streamed != whole).sum() <= max(2, 0.01 * whole.size)


# ---- streamed equals whole ----


@given(
    name=st.sampled_from(sorted(STYLIZERS)),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tile=st.one_of(st.integers(16, 100), st.just("auto")),
    channels=st.sampled_from([1, 2, 3, 4]),
    layout=st.sampled_from(sorted(LAYOUTS)),
    deep=st.booleans(),
    alpha=st.floats(0, 1),
    color=st.sampled_from([None, "luma", "match"]),
    mask=st.sampled_from([None, (5, 5), (120, 9), "same"]),
    regions=st.integers(0, 2),
    detail=st.sampled_from([0, 0.6]),
    scale=st.sampled_from([1, 1, 1.5, 4]),
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_streamed_equals_whole(
    tmp_path: Path,
    name: str,
    height: int,
    width: int,
    tile: Any,
    channels: int,
    layout: str,
    deep: bool,
    alpha: float,
    color: Any,
    mask: Any,
    regions: int,
    detail: float,
    scale: float,
) -> None:
    deep = deep and channels != 2  # Pillow has no 16-bit gray with alpha
    source = tmp_path / "source.tif"
    write_tiff(source, picture(height, width, channels, np.uint16 if deep else np.uint8), **LAYOUTS[layout])
    size = (height, width) if mask == "same" else mask
    cover = None if mask is None else np.random.default_rng(3).random(size).astype(np.float32).round(1)
    options = {"alpha": alpha, "preserve_color": color, "mask": cover, "tile": tile, "detail": detail, "scale": scale}
    if regions:
        style, masks = style_of(STYLIZERS[name]), np.random.default_rng(4).random((2, 6, 4), dtype=np.float32).round(0)
        colors = {name: v / 2 for name, v in style.tensors.items() if name in PALETTE}
        turned = Style(style.stds, style.means, style.digest)
        other = Style(tensors={**turned.tensors, **colors}, digest=style.digest)
        options |= {"regions": list(zip(masks, (style, other), strict=True))[:regions], "color_strength": 0.4}
    whole, streamed = both(STYLIZERS[name], source, tmp_path, **options)
    assert_equal(streamed, whole, deep)


def test_an_alpha_that_hides_nothing_is_streamed_as_without(tmp_path: Path) -> None:
    stylizer, photo = STYLIZERS["with palette"], picture(60, 75, 3)
    write_tiff(tmp_path / "plain.tif", photo)
    write_tiff(tmp_path / "opaque.tif", np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)]))
    whole, streamed = both(stylizer, tmp_path / "opaque.tif", tmp_path, tile=16)
    assert_equal(streamed, whole, False)
    expected, _ = both(stylizer, tmp_path / "plain.tif", tmp_path, tile=16)
    assert_equal(streamed[..., :3], expected, False)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("channels", [3, 4])
def test_other_formats_are_streamed_as_well_and_upright(tmp_path: Path, suffix: str, channels: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    Image.fromarray(picture(50, 71, channels)).save(tmp_path / "source.png", exif=exif, dpi=(144, 144))
    whole, streamed = both(STYLIZERS["tiny"], tmp_path / "source.png", tmp_path, suffix, tile=32)
    assert streamed.shape[:2] == (71, 50)
    if suffix in (".png", ".bmp"):
        assert_equal(streamed, whole, False)
    else:
        assert np.abs(streamed - whole).mean() < 1
    with Image.open(tmp_path / f"whole{suffix}") as a, Image.open(tmp_path / f"streamed{suffix}") as b:
        assert a.info.get("dpi") == b.info.get("dpi")
        assert dict(a.getexif()) == dict(b.getexif())


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "CMYK", "I;16", "F"])
def test_every_mode_of_pillow_is_streamed(tmp_path: Path, mode: str) -> None:
    source = tmp_path / ("source.tif" if mode in ("CMYK", "F") else "source.png")
    image = Image.fromarray(picture(40, 31, 3))
    if mode == "I;16":
        image = Image.fromarray(picture(40, 31, 1, np.uint16)[:, :, 0])
    elif mode == "F":
        image = Image.fromarray(picture(40, 31, 1)[:, :, 0].astype(np.float32) / 255)
    else:
        image = image.convert(mode)
    image.save(source, **({"transparency": 3} if mode == "P" else {}))
    whole, streamed = both(STYLIZERS["tiny"], source, tmp_path, ".png", tile=24)
    assert_equal(streamed, whole, mode in ("I;16", "F"))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_foreign_profile_is_understood_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: Any) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    foreign = bytearray(lab)
    at = lab.index(b"rXYZ") + 4  # the red primary is moved: another RGB, with a way back
    offset = int.from_bytes(lab[at : at + 4], "big") + 8
    foreign[offset : offset + 4] = (0x5000).to_bytes(4, "big")
    write_tiff(
        tmp_path / "a.tif",
        picture(40, 50, 3, kind),
        extratags=[(34675, 7, len(lab), bytes(foreign), True)],
        resolution=(300, 300),
    )
    with caplog.at_level(logging.WARNING):
        whole, streamed = both(STYLIZERS["tiny"], tmp_path / "a.tif", tmp_path, tile=16)
    assert_equal(streamed, whole, kind == np.uint16)
    assert "16-bit color is read as 8 bits" not in caplog.text
    with Image.open(tmp_path / "streamed.tif") as written:
        assert written.info["icc_profile"] == bytes(foreign)
        assert written.info["dpi"] == (300, 300)


def test_hidden_rgb_never_shows_across_strips(tmp_path: Path) -> None:
    x = picture(60, 40, 4)
    other = x.copy()
    other[x[:, :, 3] == 0, :3] = 255 - other[x[:, :, 3] == 0, :3]
    results = []
    for number, array in enumerate((x, other)):
        write_tiff(tmp_path / "a.tif", array, rowsperstrip=4)
        _, streamed = both(STYLIZERS["tiny"], tmp_path / "a.tif", tmp_path, tile=16, preserve_color="match")
        results.append(np.where(streamed[:, :, 3:] > 0, streamed, 0))
        assert number < 2
    assert np.array_equal(*results)


# ---- TIFF, and what it may be ----


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_windows_of_a_tiff_are_those_of_the_whole(tmp_path: Path, layout: str, channels: int, kind: Any) -> None:
    write_tiff(tmp_path / "a.tif", picture(45, 70, channels, kind), **LAYOUTS[layout])
    whole = open_image(tmp_path / "a.tif")
    with open_strips(tmp_path / "a.tif", max_pixels=None, limit=1 << 20) as strips:
        assert isinstance(strips._cut.__self__, tiff_module.TiffReader)  # type: ignore[attr-defined]
        assert strips.like.dtype == whole.dtype
        for top, bottom, left, right in ((0, 45, 0, 70), (3, 20, 15, 16), (10, 30, 0, 70), (44, 45, 69, 70)):
            part = strips.window(top, bottom, left, right)
            assert torch.equal(part.rgb, whole.rgb[:, :, top:bottom, left:right])
            if whole.alpha is not None:
                assert part.alpha is not None
                assert torch.equal(part.alpha, whole.alpha[:, :, top:bottom, left:right])


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"planarconfig": "separate"}, "planes"),
        ({"extratags": [(274, 3, 1, 3, True)]}, "orientation"),
        ({"compression": "zlib", "rowsperstrip": 45}, "too large"),
    ],
)
def test_a_tiff_that_cannot_be_read_in_parts_is_held_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, facts: dict[str, Any], why: str
) -> None:
    x = picture(45, 70, 3)
    planar = facts.get("planarconfig")
    tifffile.imwrite(tmp_path / "a.tif", x.transpose(2, 0, 1) if planar else x, photometric="rgb", **facts)
    with open_strips(tmp_path / "a.tif", max_pixels=None, limit=2000) as strips:
        part = strips.window(3, 30, 2, 60)
    assert torch.equal(part.rgb, open_image(tmp_path / "a.tif").rgb[:, :, 3:30, 2:60])
    assert why in caplog.text


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_fourth_sample_means_what_pillow_says(tmp_path: Path, extra: int, kind: Any) -> None:
    x = picture(20, 30, 4, kind)
    x[:, :, :3] = np.minimum(x[:, :, :3], x[:, :, 3:])
    tifffile.imwrite(tmp_path / "a.tif", x, photometric="rgb", extrasamples=[extra], rowsperstrip=8)
    whole = open_image(tmp_path / "a.tif")
    with open_strips(tmp_path / "a.tif", max_pixels=None, limit=1 << 20) as strips:
        part = strips.window(5, 15, 4, 20)
    assert torch.equal(part.rgb, whole.rgb[:, :, 5:15, 4:20])
    assert (part.alpha is None) == (whole.alpha is None)


def test_a_missing_codec_is_named_and_the_picture_done_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(picture(40, 30, 3)).save(tmp_path / "a.tif", compression="tiff_lzw")
    page = tifffile.TiffFile(tmp_path / "a.tif").pages[0]
    page.parent.close()
    try:
        page.decode(None, 0)
    except ValueError:
        pass
    else:
        pytest.skip("imagecodecs is installed")
    whole, streamed = both(STYLIZERS["tiny"], tmp_path / "a.tif", tmp_path, tile=16)
    assert_equal(streamed, whole, False)
    assert "run pip install imagecodecs" in caplog.text


@pytest.mark.parametrize("layout", ["one strip", "strips", "deflated tiles"])
def test_a_truncated_tiff_is_an_image_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    source = tmp_path / "cut.tif"
    write_tiff(source, picture(80, 60, 3), **LAYOUTS[layout])
    with tifffile.TiffFile(source, mode="r+") as file:  # the last segment lies at the end of the file, in part
        table = file.pages[0].tags["TileOffsets" if "tiles" in layout else "StripOffsets"]
        offsets = list(np.atleast_1d(table.value))
        offsets[-1] = source.stat().st_size - 100
        table.overwrite([int(offset) for offset in offsets])
    stylizer = STYLIZERS["tiny"]
    style = style_of(stylizer)
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    with pytest.raises(ImageError, match=r"cut\.tif: damaged or truncated"):
        stylizer.stylize_file(source, tmp_path / "b.tif", style, tile=32)
    assert list(tmp_path.iterdir()) == [source]


def test_without_tifffile_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "a.tif", picture(40, 30, 3))
    save_image(picture(40, 30, 3), tmp_path / "a.png")
    stylizer = STYLIZERS["tiny"]
    style = style_of(stylizer)
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for source, target in (("a.tif", "b.png"), ("a.png", "b.tif")):
        with pytest.raises(ImageError, match=r'pip install "adainkit\[tiff\]"'):
            stylizer.stylize_file(tmp_path / source, tmp_path / target, style)
    stylizer.stylize_file(tmp_path / "a.png", tmp_path / "b.png", style, tile=32)
    monkeypatch.delenv("ADAINKIT_MEMORY")
    stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.tif", style)  # a small one is Pillow's


def test_a_file_beyond_4_gb_is_a_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "a.tif", picture(40, 30, 3))
    monkeypatch.setattr(tiff_module, "_CLASSIC_LIMIT", 1000)
    both(STYLIZERS["tiny"], tmp_path / "a.tif", tmp_path, tile=16)
    with tifffile.TiffFile(tmp_path / "streamed.tif") as file:
        assert file.is_bigtiff
        assert file.pages[0].rowsperstrip == TINY.stride


def test_a_strip_is_deflated_while_the_next_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, compress = threading.Event(), zlib.compress

    def told(data: Any) -> bytes:
        packed.set()
        return compress(data)

    monkeypatch.setattr(zlib, "compress", told)
    x = picture(48, 20, 3)

    def rows() -> Iterator[np.ndarray]:
        yield x[:16]
        assert packed.wait(30), "nothing was deflated before the second part was there"
        yield x[16:32]
        yield x[32:]

    write_tiff_rows(rows(), tmp_path / "a.tif", x.shape, x.dtype, 8, {})
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), x)

    def broken() -> Iterator[np.ndarray]:
        yield x[:16]
        raise Cancelled

    with pytest.raises(Cancelled):
        write_tiff_rows(broken(), tmp_path / "b.tif", x.shape, x.dtype, 8, {})
    assert not [thread for thread in threading.enumerate() if "adainkit" in thread.name]


def test_a_bigtiff_keeps_its_texts_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tiff(tmp_path / "a.tif", picture(20, 20, 3), bigtiff=True, description="a harbor", software="a camera")
    both(STYLIZERS["tiny"], tmp_path / "a.tif", tmp_path, tile=16)
    assert "EXIF" not in caplog.text
    with Image.open(tmp_path / "streamed.tif") as written:
        assert written.getexif()[270] == "a harbor"
        assert written.getexif()[305] == "a camera"


# ---- masks ----


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.data())
@settings(max_examples=60)
def test_windows_of_a_mask_are_those_of_the_resized_one(h: int, w: int, height: int, width: int, data: Any) -> None:
    mask = torch.rand(1, 1, h, w)
    whole = resize(mask, (height, width)) if (h, w) != (height, width) else mask
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    windows = MaskWindows(mask, height, width, max_pixels=None, limit=1)
    part = windows.window(top, height, left, width)
    torch.testing.assert_close(part, whole[:, :, top:, left:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["tiny", "with palette"])
def test_a_mask_of_ones_is_no_mask_and_one_of_zeros_the_content(tmp_path: Path, name: str) -> None:
    stylizer, x = STYLIZERS[name], picture(50, 40, 3)
    write_tiff(tmp_path / "a.tif", x)
    for value in (0, 255):
        write_tiff(tmp_path / "m.tif", np.full((9, 7, 1), value, np.uint8))
        _, streamed = both(stylizer, tmp_path / "a.tif", tmp_path, tile=16, mask=tmp_path / "m.tif")
        expected = x if value == 0 else both(stylizer, tmp_path / "a.tif", tmp_path, tile=16)[1]
        assert np.array_equal(streamed, expected)


def test_a_batch_of_masks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "a.tif", picture(20, 20, 3))
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    stylizer = STYLIZERS["tiny"]
    with pytest.raises(ImageError, match="2 masks"):
        stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.tif", style_of(stylizer), mask=torch.ones(2, 1, 9, 9))


# ---- the choice, progress, interruptions ----


def test_the_choice_is_by_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Executor(STYLIZERS["tiny"].model, torch.device("cpu"), torch.float32)
    monkeypatch.setenv("ADAINKIT_MEMORY", "100M")
    assert streaming.fits_whole(executor, 1000, 1000)
    assert not streaming.fits_whole(executor, 1000, 2000)
    called: list[str] = []
    stylizer = STYLIZERS["tiny"]
    monkeypatch.setattr("adainkit.stylizer.stream_file", lambda *_, **__: called.append("strips"))
    write_tiff(tmp_path / "a.tif", picture(20, 20, 3))
    style = style_of(stylizer)
    stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.tif", style)
    assert not called
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.tif", style, tile=None)
    assert not called
    stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.tif", style)
    assert called == ["strips"]


@pytest.mark.parametrize(("color", "passes"), [(None, 2), ("match", 3)])
def test_progress_is_one_bar_over_all_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, color: Any, passes: int
) -> None:
    write_tiff(tmp_path / "a.tif", picture(60, 40, 4))
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    seen: list[tuple[str, int, int]] = []
    stylizer = STYLIZERS["tiny"]
    options: dict[str, Any] = {"tile": 16, "preserve_color": color, "progress": lambda *step: seen.append(step)}
    stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.tif", style_of(stylizer), **options)
    assert {stage for stage, _, _ in seen} == {"stylize"}
    assert {total for _, _, total in seen} == {15 * 10 * (2 * passes - 1)}
    done = [now for _, now, _ in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, seen[0][2])
    most = max(tile.cells for tile in plan_tiles(15, 10, 4, stylizer.executor().halo.decode))
    assert max(np.diff(done)) == 2 * most < 2 * 15 * 10 // 2, "a tile at a time"


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("raised", [Cancelled("enough"), KeyboardInterrupt(), OSError("the caller's")])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_an_interruption_leaves_nothing_and_the_log_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, suffix: str, raised: Any, share: float
) -> None:
    write_tiff(tmp_path / "a.tif", picture(60, 40, 3))
    (tmp_path / f"b{suffix}").write_bytes(b"the old one")
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    after: list[int] = []

    def stop(_: str, done: int, total: int) -> None:
        if done >= share * total:
            after.append(done)
            raise raised

    stylizer = STYLIZERS["tiny"]
    with pytest.raises(type(raised)) as caught:
        stylizer.stylize_file(tmp_path / "a.tif", tmp_path / f"b{suffix}", style_of(stylizer), tile=16, progress=stop)
    assert caught.value is raised
    assert len(after) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", f"b{suffix}"]
    assert (tmp_path / f"b{suffix}").read_bytes() == b"the old one"
    at = {0.0: "strip 1 of 4 in pass 1 of 2", 0.1: "strip 2 of 4 in pass 1 of 2", 0.7: "strip 3 of 4 in pass 2 of 2"}
    assert f"stopped at {at[share]}" in caplog.text


def test_a_full_disk_is_an_image_error_with_the_place_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiff(tmp_path / "a.tif", picture(60, 40, 3))
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    resource = pytest.importorskip("resource")
    stylizer = STYLIZERS["tiny"]
    style = style_of(stylizer)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1]))  # bytes: less than the result takes
    try:
        with pytest.raises(ImageError, match=r"b\.tif.*cannot be written.*strip \d of 4 in pass 2.*free space"):
            stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.tif", style, tile=16)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.tif"]


def test_a_bug_passes_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "a.tif", picture(20, 20, 3))
    stylizer = STYLIZERS["tiny"]
    style = style_of(stylizer)
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)

    def bug(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(stylizer.model, "decode", bug)
    with pytest.raises(RuntimeError, match="a bug"):
        stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.tif", style)


def test_a_picture_may_be_streamed_over_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "a.tif", picture(60, 40, 3))
    _, expected = both(STYLIZERS["tiny"], tmp_path / "a.tif", tmp_path, tile=16)
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    stylizer = STYLIZERS["tiny"]
    stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "a.tif", style_of(stylizer), tile=16, overwrite=True)
    assert np.array_equal(levels(tmp_path / "a.tif"), expected)


def test_a_format_without_room_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "a.tif", picture(2, 20000, 3))
    monkeypatch.setenv("ADAINKIT_MEMORY", SMALL)
    stylizer = STYLIZERS["tiny"]

    def never(*_: Any) -> None:
        raise AssertionError("the work began")

    with pytest.raises(ImageError, match="WEBP has no room"):
        stylizer.stylize_file(tmp_path / "a.tif", tmp_path / "b.webp", style_of(stylizer), progress=never)


def test_out_of_memory_halves_the_tile_and_the_strip_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "a.tif", picture(90, 80, 3))
    stylizer = stylizer_of(TINY)
    encode = stylizer.model.encode
    failed = 0

    def small_memory(x: torch.Tensor) -> Any:
        nonlocal failed
        if x.shape[2] * x.shape[3] > 3000 and "ADAINKIT_MEMORY" in os.environ:
            failed += 1
            raise MemoryError
        return encode(x)

    monkeypatch.setattr(stylizer.model, "encode", small_memory)
    whole, streamed = both(stylizer, tmp_path / "a.tif", tmp_path, tile=32)
    assert_equal(streamed, whole, False)
    assert 0 < failed <= 3, "tiles that are too large were tried again in every strip"


def test_statistics_of_more_cells_than_a_float32_counts_are_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than 2^24 is 2^24 in float32: a cell of each later tile, and what it weighs, would be lost."""
    write_tiff(tmp_path / "a.tif", picture(60, 70, 3))
    executor = Executor(STYLIZERS["pooled"].model, torch.device("cpu"), torch.float32, tile=8)
    (level,) = POOLED.levels
    counts: list[int] = []

    def many_cells(features: Any, weight: Any = None) -> tuple[Moments, ...]:
        counts.append(1 if counts else 1 << 24)
        zeros = torch.zeros(1, level.channels)
        return (Moments(torch.full((1, 1), float(counts[-1])), zeros, zeros),)

    monkeypatch.setattr(executor, "statistics", many_cells)
    with open_strips(tmp_path / "a.tif", max_pixels=None, limit=1 << 20) as strips:
        ((merged,),) = TiledStrips(executor, strips, None, Controls(), None)._statistics()
    assert len(counts) > 20
    assert merged.count.dtype == torch.float32
    assert abs(merged.count.item() - sum(counts)) <= 1


# ---- memory ----


def test_strips_take_no_larger_tiles_than_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a 100-megapixel picture under a budget of gigabytes they took 3.4 GB."""
    write_tiff(tmp_path / "a.tif", picture(8, 8, 3))
    executor = Executor(AdaINModel(LITE), torch.device("cpu"), torch.float32)
    monkeypatch.setenv("ADAINKIT_MEMORY", "5G")
    with open_strips(tmp_path / "a.tif", max_pixels=None, limit=1 << 20) as strips:
        strips.height = strips.width = 10_000
        work = TiledStrips(executor, strips, None, Controls(), None)
    sides = [(tile.rows, tile.columns) for tile in work.tiles]
    seen = max((rows.last - rows.first) * (columns.last - columns.first) for rows, columns in sides) * LITE.stride**2
    assert seen < 1200**2
    assert max(rows.stop - rows.start for rows, _ in sides) >= 8 * work.reach  # cells: the halo is a small part


_MEASURE = """
import re, sys
from pathlib import Path
import torch
from adainkit import Style, Stylizer
torch.set_num_threads(1)
with Stylizer("lite", device="cpu") as stylizer:
    style = Style((torch.zeros(32), torch.zeros(64), torch.zeros(128)),
                  (torch.ones(32), torch.ones(64), torch.ones(128)), stylizer.digest)
    stylizer.stylize_file(sys.argv[1], sys.argv[2], style)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    peaks = []
    for height in (500, 3000):
        source = tmp_path / f"{height}.tif"
        rows = (zlib.compress(picture(50, 1200, 3, seed=top).tobytes(), 1) for top in range(0, height, 50))
        facts = {"photometric": "rgb", "compression": "zlib", "rowsperstrip": 50, "metadata": None}
        tifffile.imwrite(source, rows, shape=(height, 1200, 3), dtype=np.uint8, **facts)
        command = [sys.executable, "-c", _MEASURE, str(source), str(tmp_path / "out.tif")]
        limits = {**os.environ, "ADAINKIT_MEMORY": "24M", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=limits, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) / 1024)
    # whole, 2500 rows more are 2500 x 1200 x 104 bytes, 300 MB
    assert peaks[1] - peaks[0] < 40, peaks

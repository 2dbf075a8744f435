"""Pictures in and out: every kind of source, what comes back for it, and what happens to broken ones."""

from __future__ import annotations

import errno
import io
import logging
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import ExifTags, Image, ImageCms

from adainkit.errors import Cancelled, ImageError
from adainkit.images import Picture, close_image, files, open_image, save_image
from adainkit.look.color import premix

HEIGHT, WIDTH = 9, 14  # no side alike, so that a swapped one shows
ORIENTATION = ExifTags.Base.Orientation


def colors(channels: int = 3, top: int = 255, seed: int = 0) -> np.ndarray:
    dtype = np.uint8 if top == 255 else np.uint16
    array = np.random.default_rng(seed).integers(0, top + 1, (HEIGHT, WIDTH, channels), dtype)
    return array if channels > 1 else array[:, :, 0]


def rgb_of(picture: Picture) -> np.ndarray:
    return picture.rgb[0].permute(1, 2, 0).numpy()


def alpha_of(picture: Picture) -> np.ndarray:
    assert picture.alpha is not None
    return picture.alpha[0, 0].numpy()


def has_avif() -> bool:
    Image.init()
    return "AVIF" in Image.SAVE


def again(source: Any, **options: Any) -> Any:
    """Open and close: a result equal to the content."""
    picture = open_image(source)
    return close_image(picture.rgb, picture, **options)


# ------------------------------------------------------------------ PIL, every mode


def image_of_mode(mode: str) -> Image.Image:
    if mode.startswith("I;16"):
        deep = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH), np.uint16)
        order = ">u2" if mode == "I;16B" else "<u2"
        return Image.frombytes(mode, (WIDTH, HEIGHT), deep.astype(order).tobytes())
    if mode == "I":
        return Image.fromarray(np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH)).astype(np.int32))
    if mode == "F":
        return Image.fromarray(np.random.default_rng(1).random((HEIGHT, WIDTH), np.float32))
    rgba = Image.fromarray(colors(4))
    if mode in ("RGBa", "RGBX", "RGBA"):
        return rgba.convert(mode)
    if mode in ("LA", "La", "PA"):
        return rgba.convert("LA").convert(mode)
    if mode == "LAB":
        return Image.frombytes("LAB", (WIDTH, HEIGHT), colors(3).tobytes())
    return rgba.convert("RGB").convert(mode)


ALPHA_MODES = ["LA", "La", "PA", "RGBA", "RGBa"]
PLAIN_MODES = ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"]
DEEP_MODES = ["I;16", "I;16L", "I;16B", "I;16N", "I", "F"]


@pytest.mark.parametrize("mode", [*PLAIN_MODES, *ALPHA_MODES, *DEEP_MODES, "LAB"])
def test_every_mode_gives_rgb_or_rgba_of_the_same_size(mode: str) -> None:
    image = image_of_mode(mode)
    before = image.tobytes()
    picture = open_image(image)
    assert picture.rgb.shape == (1, 3, HEIGHT, WIDTH)
    assert (picture.height, picture.width, picture.pixels) == (HEIGHT, WIDTH, HEIGHT * WIDTH)
    assert picture.rgb.dtype == torch.float32
    assert 0 <= picture.rgb.min() <= picture.rgb.max() <= 1
    result = close_image(picture.rgb, picture)
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == ("RGBA" if mode in ALPHA_MODES else "RGB", image.size)
    assert image.tobytes() == before


@pytest.mark.parametrize("mode", PLAIN_MODES)
def test_plain_modes_have_the_colors_that_pillow_shows(mode: str) -> None:
    image = image_of_mode(mode)
    np.testing.assert_array_equal(np.asarray(again(image)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ALPHA_MODES)
def test_alpha_modes_keep_color_and_alpha(mode: str) -> None:
    image = image_of_mode(mode)
    straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, mode)).convert("RGBA")
    np.testing.assert_array_equal(np.asarray(again(image)), np.asarray(straight))


@pytest.mark.parametrize("mode", DEEP_MODES)
def test_deep_gray_keeps_its_bits(mode: str) -> None:
    image = image_of_mode(mode)
    top = 1 if mode == "F" else 65535
    want = np.asarray(image).astype(np.float64) / top
    picture = open_image(image)
    np.testing.assert_allclose(rgb_of(picture), want[:, :, None].repeat(3, 2), atol=1e-7)
    deep = close_image(picture.rgb, picture, deep=True)
    assert isinstance(deep, np.ndarray)
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(deep[:, :, 1], np.rint(want * 65535))


def test_deep_changes_nothing_for_eight_bits() -> None:
    assert isinstance(again(image_of_mode("RGB"), deep=True), Image.Image)


def test_lab_red_is_red() -> None:
    red = ImageCms.applyTransform(
        Image.new("RGB", (2, 2), (200, 30, 40)),
        ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
    )
    assert red is not None
    np.testing.assert_allclose(np.asarray(again(red))[0, 0], (200, 30, 40), atol=4)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
def test_a_transparent_color_becomes_alpha(mode: str) -> None:
    image = image_of_mode(mode)
    values = np.asarray(image)
    key = values[2, 3]
    image.info["transparency"] = tuple(key.tolist()) if mode == "RGB" else int(key) * (255 if mode == "1" else 1)
    want = (values != key).any(2) if mode == "RGB" else values != key
    np.testing.assert_array_equal(alpha_of(open_image(image)), want)
    assert again(image).mode == "RGBA"


def test_a_palette_may_have_an_alpha_for_each_color(tmp_path: Path) -> None:
    image = Image.frombytes("P", (3, 1), b"\0\1\2")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "p.png", transparency=bytes([0, 128, 255]))
    np.testing.assert_array_equal(
        np.asarray(again(tmp_path / "p.png")), [[(255, 0, 0, 0), (0, 255, 0, 128), (0, 0, 255, 255)]]
    )


@pytest.mark.parametrize("value", [-1, 65536])
def test_mode_i_has_sixteen_bits(value: int) -> None:
    with pytest.raises(ImageError, match=f"0 to 65535, got .*{value}"):
        open_image(Image.fromarray(np.full((2, 2), value, np.int32)))


# ------------------------------------------------------------------ EXIF, DPI


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[ExifTags.Base.Artist] = "Ann Painter"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.FocalLength: 35.0}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    return exif


# The stored pixels as they are to be seen, by orientation: written out from the EXIF standard (tag 274)
SEEN: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", SEEN)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_orientation_is_applied_and_goes(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"turned{suffix}"
    array = np.kron(colors(3)[:2, :3], np.ones((16, 16, 1), np.uint8))  # flat blocks survive JPEG
    options = (
        {"lossless": True} if suffix == ".webp" else {"subsampling": 0, "quality": 100} if suffix == ".jpg" else {}
    )
    Image.fromarray(array).save(path, exif=exif_with(orientation).tobytes(), **options)
    result = again(path)
    np.testing.assert_allclose(np.asarray(result), SEEN[orientation](array), atol=6 if suffix == ".jpg" else 0)
    kept = result.getexif()
    assert ORIENTATION not in kept
    assert kept[ExifTags.Base.Artist] == "Ann Painter"
    assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLength] == 35
    assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "P", "I;16", "I;16B", "I", "F", "CMYK"])
def test_orientation_works_in_any_mode(mode: str) -> None:
    upright, image = image_of_mode(mode), image_of_mode(mode)
    image.info["exif"] = exif_with(6).tobytes()
    want = SEEN[6](np.asarray(again(upright)))
    np.testing.assert_array_equal(np.asarray(again(image)), want)
    assert image.getexif()[ORIENTATION] == 6  # the caller's own picture stays as it is


def test_exif_of_a_tiff_brings_no_layout_along(tmp_path: Path) -> None:
    image_of_mode("L").save(tmp_path / "a.tif", exif=exif_with(1).tobytes())
    kept = again(tmp_path / "a.tif").getexif()
    layout = {256, 257, 258, 259, 262, 273, 277, 278, 279}
    assert not layout & set(kept)
    assert kept[ExifTags.Base.Artist] == "Ann Painter"


def test_broken_exif_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    image = image_of_mode("RGB")
    image.info["exif"] = b"Exif\0\0garbage"
    with caplog.at_level(logging.WARNING, "adainkit"):
        result = again(image)
    assert "EXIF" in caplog.text
    assert "exif" not in result.info


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_saved_files_keep_exif_and_profile(tmp_path: Path, suffix: str) -> None:
    if suffix == ".avif" and not has_avif():
        pytest.skip("this Pillow has no AVIF")
    source = tmp_path / "source.jpg"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(colors(3))
    image.save(source, exif=exif_with(1), dpi=(300, 300), icc_profile=profile)
    path = save_image(again(source), tmp_path / f"out{suffix}")
    with Image.open(path) as saved:
        assert saved.info["icc_profile"] == profile
        assert saved.getexif()[ExifTags.Base.Artist] == "Ann Painter"
        assert saved.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLength] == 35
        if suffix not in (".webp", ".avif"):  # they have no field for it
            assert saved.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 72), (1e9, 1e9), "72", 72, (72,)])
def test_senseless_dpi_is_dropped(tmp_path: Path, dpi: Any) -> None:
    image = image_of_mode("RGB")
    image.info["dpi"] = dpi
    result = again(image)
    assert "dpi" not in result.info
    save_image(result, tmp_path / "a.jpg")


# ------------------------------------------------------------------ ICC profiles


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def tagged(kind: bytes, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC v2 profile (ICC.1:2001-04)."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        **tags,
    }
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x02100000, kind, space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + s15(0.9642) + s15(1) + s15(0.8249) + bytes(48)
    return header + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(s15, values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


ADOBE = tagged(
    b"mntr", b"RGB ",
    {
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.60974, 0.31111, 0.01947), b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": xyz(0.14919, 0.06322, 0.74457),
        b"rTRC": gamma(2.19921875), b"gTRC": gamma(2.19921875), b"bTRC": gamma(2.19921875),
    },
)  # fmt: skip
GRAY = tagged(b"mntr", b"GRAY", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": gamma(1.8)})


def muted() -> Image.Image:
    """Colors that sRGB has under either profile."""
    return Image.fromarray((colors(3) // 4 + 96).astype(np.uint8))


def adobe_to_srgb(values: np.ndarray) -> np.ndarray:
    """Adobe RGB (1998) to sRGB by the two standards' matrices, both D65 (float64)."""
    adobe = np.array(
        [
            [0.5767309, 0.1855540, 0.1881852],
            [0.2973769, 0.6273491, 0.0752741],
            [0.0270343, 0.0706872, 0.9911085],
        ]
    )
    srgb = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    linear = (values / 255) ** 2.19921875 @ (np.linalg.inv(srgb) @ adobe).T
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clip(1e-9) ** (1 / 2.4) - 0.055).clip(0, 1)


def test_a_foreign_profile_is_converted_through_and_back() -> None:
    image = muted()
    image.info["icc_profile"] = ADOBE
    picture = open_image(image)
    np.testing.assert_allclose(rgb_of(picture), adobe_to_srgb(np.asarray(image)), atol=2.5 / 255)
    assert np.abs(rgb_of(picture) - np.asarray(image) / 255).max() > 0.01  # it does matter
    result = close_image(picture.rgb, picture, deep=True)  # as for a file
    assert isinstance(result, Image.Image)
    assert result.info["icc_profile"] == ADOBE
    np.testing.assert_allclose(np.asarray(result).astype(int), np.asarray(image).astype(int), atol=3)


def test_alpha_passes_color_management_untouched() -> None:
    image = muted().convert("RGBA")
    image.putalpha(Image.fromarray(colors(1)))
    image.info["icc_profile"] = ADOBE
    np.testing.assert_array_equal(np.asarray(again(image))[:, :, 3], colors(1))


def test_an_srgb_profile_changes_no_number() -> None:
    image = Image.fromarray(colors(3))
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    result = again(image)
    np.testing.assert_array_equal(np.asarray(result), colors(3))
    assert result.info["icc_profile"] == image.info["icc_profile"]


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "F"])
def test_a_gray_profile_is_applied_and_dropped(mode: str) -> None:
    image = image_of_mode(mode)
    image.info["icc_profile"] = GRAY
    picture = open_image(image)
    plain = image_of_mode(mode)
    linear = open_image(plain).rgb[0, 0].double().numpy() ** (461 / 256)  # 1.8 as the profile can say it
    want = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clip(1e-9) ** (1 / 2.4) - 0.055)
    bright = linear > 0.01  # 8-bit steps are coarse where the curve is steep
    np.testing.assert_allclose(rgb_of(picture)[bright][:, 1], want[bright], atol=3 / 255)
    assert "icc_profile" not in again(image).info


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "I;16"])
@pytest.mark.parametrize("profile", [b"garbage", ADOBE[:200], GRAY, ADOBE], ids=["garbage", "cut", "gray", "rgb"])
def test_a_profile_that_does_not_fit_is_a_warning(mode: str, profile: bytes, caplog: pytest.LogCaptureFixture) -> None:
    if (mode, profile) in [("L", GRAY), ("I;16", GRAY), ("RGB", ADOBE)]:
        pytest.skip("this one fits")
    image, plain = image_of_mode(mode), image_of_mode(mode)
    image.info["icc_profile"] = profile
    with caplog.at_level(logging.WARNING, "adainkit"):
        result = again(image)
    assert "ICC profile" in caplog.text
    assert "icc_profile" not in result.info
    np.testing.assert_array_equal(np.asarray(result), np.asarray(again(plain)))


# ------------------------------------------------------------------ 16-bit color files


def png(array: np.ndarray, extra: bytes = b"") -> bytes:
    """A 16-bit PNG without filters, written out from the standard."""

    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    height, width, channels = array.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("channels", [3, 4])
def test_a_png_of_sixteen_bits_keeps_them(tmp_path: Path, channels: int) -> None:
    array = colors(channels, 65535)
    (tmp_path / "deep.png").write_bytes(png(array))
    picture = open_image(tmp_path / "deep.png")
    deep = close_image(picture.rgb, picture, deep=True)
    np.testing.assert_array_equal(deep, array)
    shallow = np.asarray(close_image(picture.rgb, picture))
    np.testing.assert_array_equal(shallow, np.rint(array / 257))
    saved = save_image(deep, tmp_path / "again.png", info=picture.info)
    np.testing.assert_array_equal(again(saved, deep=True), array)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True}]
)
def test_a_tiff_of_sixteen_bits_keeps_them(tmp_path: Path, channels: int, options: dict[str, Any]) -> None:
    tifffile = pytest.importorskip("tifffile")
    array = colors(channels, 65535)
    extra = ["unassalpha"] if channels == 4 else None
    tifffile.imwrite(tmp_path / "deep.tif", array, photometric="rgb", extrasamples=extra, **options)
    np.testing.assert_array_equal(again(tmp_path / "deep.tif", deep=True), array)


def test_tiff_with_separate_planes_has_the_right_colors_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile = pytest.importorskip("tifffile")
    array, options = colors(3, 65535), {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "a.tif", array.transpose(2, 0, 1), compression="zlib", **options)
    np.testing.assert_allclose(rgb_of(open_image(tmp_path / "a.tif")), array / 65535, atol=1 / 255)
    tifffile.imwrite(tmp_path / "b.tif", array.transpose(2, 0, 1), **options)
    np.testing.assert_array_equal(again(tmp_path / "b.tif", deep=True), array)
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ImageError, match="side by side"):
        open_image(tmp_path / "b.tif")


def test_sixteen_bit_orientation_and_transparent_color(tmp_path: Path) -> None:
    array = colors(3, 65535)
    key = struct.pack(">HHH", *array[4, 5].tolist())
    exif = exif_with(8).tobytes().removeprefix(b"Exif\0\0")
    extra = b""
    for tag, data in ((b"tRNS", key), (b"eXIf", exif)):
        extra += struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    (tmp_path / "deep.png").write_bytes(png(array, extra))
    deep = again(tmp_path / "deep.png", deep=True)
    visible = np.full((HEIGHT, WIDTH, 1), 65535, np.uint16)
    visible[4, 5] = 0
    np.testing.assert_array_equal(deep, SEEN[8](np.concatenate([array, visible], 2)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_saved_sixteen_bits_come_back_with_their_metadata(tmp_path: Path, suffix: str, channels: int) -> None:
    if suffix == ".tif" and channels > 1:
        pytest.importorskip("tifffile")
    array = colors(channels, 65535)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() if channels > 1 else None
    info = {"dpi": (240, 240), "exif": exif_with(1).tobytes(), "icc_profile": profile}
    path = save_image(array, tmp_path / f"deep{suffix}", info=info)
    deep = again(path, deep=True)
    np.testing.assert_array_equal(deep, array if channels > 1 else array[:, :, None].repeat(3, 2))
    with Image.open(path) as saved:
        saved.load()
        assert saved.info["dpi"] == pytest.approx((240, 240), abs=0.02)
        assert saved.info.get("icc_profile") == profile
        assert saved.getexif()[ExifTags.Base.Artist] == "Ann Painter"


def test_without_tifffile_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ImageError, match=r'pip install "adainkit\[tiff\]"'):
        save_image(colors(3, 65535), tmp_path / "deep.tif")
    assert list(tmp_path.iterdir()) == []


def test_sixteen_bits_become_eight_where_the_format_has_no_more(tmp_path: Path) -> None:
    path = save_image(colors(3, 65535), tmp_path / "a.bmp")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), np.rint(colors(3, 65535) / 257))


# ------------------------------------------------------------------ arrays


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_arrays_come_back_with_their_type(dtype: str, channels: int) -> None:
    shape = (HEIGHT, WIDTH, channels) if channels else (HEIGHT, WIDTH)
    random = np.random.default_rng(2).random(shape)
    top = {"u1": 255, "u2": 65535}.get(dtype[-2:], 1)
    array = (random * top).astype(dtype)
    result = again(array)
    assert (result.dtype, result.shape) == (np.dtype(dtype), (HEIGHT, WIDTH, 4 if channels == 4 else 3))
    want = array if channels else array[:, :, None]
    if channels < 3:
        want = want.repeat(3, 2)
    if dtype == "<f8":
        np.testing.assert_allclose(result[:, :, :3], want[:, :, :3], atol=1e-7)
        np.testing.assert_array_equal(result[:, :, 3:], want[:, :, 3:])  # alpha bit for bit
    else:
        np.testing.assert_array_equal(result, want)


@settings(deadline=None, max_examples=40)
@given(
    npst.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
            lambda hw: st.sampled_from([hw, (*hw, 1), (*hw, 3), (*hw, 4)])
        ),
    )
)
def test_arrays_of_any_shape_round_trip(array: np.ndarray) -> None:
    result = again(array)
    want = array if array.ndim == 3 else array[:, :, None]
    np.testing.assert_array_equal(result, want.repeat(3, 2) if want.shape[2] == 1 else want)


def test_strides_and_read_only_arrays_work_without_a_warning() -> None:
    array = colors(3)
    frozen = (array / np.float32(255)).astype(np.float32)
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(again(array[::-1, ::-2, ::-1]), array[::-1, ::-2, ::-1])
        np.testing.assert_array_equal(again(np.asfortranarray(array)), array)
        np.testing.assert_array_equal(again(frozen), frozen)
        np.testing.assert_array_equal(again(frozen[::-1, :, ::-1]), frozen[::-1, :, ::-1])


def test_results_are_clamped_and_rounded_to_nearest() -> None:
    picture = open_image(np.zeros((1, 2), np.uint8))
    rgb = torch.tensor([-0.5, 1.5, 0.2 + 0.4 / 255, 0.2 + 0.6 / 255, 0.5, 0.0]).reshape(1, 3, 1, 2)
    np.testing.assert_array_equal(close_image(rgb, picture).reshape(-1, 3).T.reshape(-1), [0, 255, 51, 52, 128, 0])


def test_closing_goes_by_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adainkit.images.picture._STRIP", 2 * WIDTH)
    monkeypatch.setattr("adainkit.images.png16._STRIP", 2 * WIDTH)
    np.testing.assert_array_equal(again(colors(4)), colors(4))


def test_sixteen_bit_png_goes_by_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adainkit.images.png16._STRIP", 2 * WIDTH)
    path = save_image(colors(3, 65535), tmp_path / "a.png")
    np.testing.assert_array_equal(again(path, deep=True), colors(3, 65535))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_results_close_as_well(dtype: torch.dtype) -> None:
    picture = open_image(colors(3))
    result = close_image(picture.rgb.to(dtype), picture)
    np.testing.assert_allclose(result.astype(int), colors(3).astype(int), atol=1)


# ------------------------------------------------------------------ tensors


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8])
@pytest.mark.parametrize("shape", [(1,), (3,), (4,), (2, 1), (2, 3), (2, 4)])
def test_tensors_come_back_with_type_and_batch(
    dtype: torch.dtype, shape: tuple[int, ...], device: torch.device
) -> None:
    values = torch.rand(*shape, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    x = (values * 255).round().to(dtype) if dtype == torch.uint8 else values.to(dtype)
    x = x.to(device)
    picture = open_image(x)
    assert picture.rgb.shape == (2 if len(shape) == 2 else 1, 3, HEIGHT, WIDTH)
    assert picture.rgb.device.type == device.type
    result = close_image(picture.rgb, picture)
    assert isinstance(result, torch.Tensor)
    want = x if shape[-1] > 1 else x.expand(*shape[:-1], 3, HEIGHT, WIDTH)
    assert (result.dtype, result.shape, result.device) == (x.dtype, want.shape, x.device)
    torch.testing.assert_close(result, want, atol=1e-7 if dtype == torch.float64 else 0, rtol=0)
    if shape[-1] == 4:
        assert torch.equal(result[..., 3, :, :], x[..., 3, :, :])
    assert result.is_contiguous()


def test_float32_tensors_are_not_copied_on_the_way_in() -> None:
    x = torch.rand(2, 3, 4, 5)
    assert open_image(x).rgb.data_ptr() == x.data_ptr()


def test_alpha_is_kept_although_the_caller_writes_on() -> None:
    array = colors(4)
    picture = open_image(array)
    array[:] = 0
    np.testing.assert_array_equal(close_image(picture.rgb, picture), colors(4))


def test_gradients_and_inference_tensors_come_in() -> None:
    assert not open_image(torch.rand(3, 4, 5, requires_grad=True)).rgb.requires_grad
    with torch.inference_mode():
        x = torch.rand(4, 4, 5)
    picture = open_image(x)
    assert not close_image(picture.rgb.clone(), picture).is_inference()


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((2, 2), bool), r"uint8, uint16 or float.*got bool.*astype"),
        (np.zeros((2, 2), np.int64), "uint8, uint16 or float.*got int64"),
        (np.zeros((2, 2), complex), "got complex128"),
        (np.zeros((2, 2, 2), np.uint8), r"\(H, W, 1 \| 3 \| 4\) or .*, got \(2, 2, 2\)"),
        (np.zeros((3, 5, 5), np.uint8), r"got \(3, 5, 5\)"),
        (np.zeros(4, np.uint8), r"got \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), "at least 1 x 1 pixels, got 4 x 0"),
        (np.full((2, 2, 3), np.nan), "NaN"),
        (np.full((2, 2, 3), np.inf, np.float32), "infinity"),
        (np.array([[0.0, 255.0]]), r"\[0, 1\], got 0 to 255; divide by 255"),
        (np.array([[-1.0, 1.0]]), r"\[0, 1\], got -1 to 1"),
        (torch.zeros(4, 5), r"got \(4, 5\)"),
        (torch.zeros(6, 5, 3), r"movedim\(-1, -3\)"),
        (torch.zeros(2, 3, 0, 4), "got 4 x 0"),
        (torch.zeros(0, 3, 4, 4), "at least one picture"),
        (torch.zeros(3, 4, 4, dtype=torch.int32), "got torch.int32"),
        (torch.full((3, 4, 4), 1.5), "got 1.5 to 1.5"),
        (torch.full((3, 4, 4), float("nan")), "NaN"),
        (Image.new("RGB", (0, 5)), "got 0 x 5"),
        (Image.fromarray(np.full((2, 2), 3.5, np.float32)), "got 3.5 to 3.5"),
        (None, "got NoneType"),
        (b"photo.jpg", "bytes: not a picture"),
        (io.BytesIO(), "BytesIO: not a picture"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_one_error(source: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        open_image(source)


def test_a_hair_outside_the_range_is_clamped() -> None:
    rgb = open_image(np.array([[-1e-4, 1 + 1e-4]], np.float32)).rgb
    assert (rgb.min(), rgb.max()) == (0, 1)


SUFFIXES = [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".avif"]


def written(path: Path) -> Path:
    if path.suffix == ".avif" and not has_avif():
        pytest.skip("this Pillow has no AVIF")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_file_is_one_error(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"a{suffix}")
    assert open_image(path).rgb.shape == (1, 3, 64, 64)
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.8):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match=r"a\.\w+: (damaged or truncated|not a) picture"):
            open_image(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's about tags
def test_flipped_bytes_never_end_in_another_error(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"a{suffix}")
    whole, random = path.read_bytes(), np.random.default_rng(3)
    refused = 0
    for _ in range(40):
        broken = bytearray(whole)
        for place in random.integers(0, min(len(whole), 400), 3):
            broken[place] = random.integers(256)
        path.write_bytes(broken)
        try:
            open_image(path, max_pixels=1 << 20)
        except ImageError:
            refused += 1
    assert refused > 0


def test_a_lazy_image_that_is_truncated_is_one_error(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.png").read_bytes()
    with pytest.raises(ImageError, match="PIL image: damaged or truncated"):
        open_image(Image.open(io.BytesIO(whole[:3000])))


def test_missing_files_folders_and_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    for name, words in [
        ("none.jpg", "none.jpg: no such file"),
        (".", "folder"),
        ("notes.jpg", "notes.jpg: not a picture"),
        ("empty.png", "empty.png: not a picture"),
        ("a\0b.png", "damaged or truncated|no such file|not a"),
    ]:
        with pytest.raises(ImageError, match=words):
            open_image(os.path.join(tmp_path, name))  # noqa: PTH118


def test_a_misnamed_file_opens(tmp_path: Path) -> None:
    written(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert open_image(str(tmp_path / "a.jpg")).height == 64


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        open_image(path)
        path.write_bytes(b"broken")
        with pytest.raises(ImageError):
            open_image(path)
    fds = Path("/proc/self/fd")
    if fds.is_dir():
        assert str(path) not in {os.readlink(f) for f in fds.iterdir() if f.exists()}  # noqa: PTH115


# ------------------------------------------------------------------ the bound


def bomb(path: Path, width: int, height: int) -> Path:
    """A PNG header that claims a size, with next to nothing behind it."""
    data = png(np.zeros((1, 1, 3), np.uint16))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    path.write_bytes(data[:8] + chunk + data[33:])
    return path


@pytest.mark.parametrize("side", [11_000, 20_000, 60_000])
def test_a_bomb_is_refused_by_its_header_alone(tmp_path: Path, side: int) -> None:
    path = bomb(tmp_path / "bomb.png", side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=f"{side} x {side} = {side * side} pixels.*max_pixels"):
            open_image(path, max_pixels=1 << 26)


def test_the_bound_is_ours_and_not_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # as some other program part may have set it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(path).pixels == 4096
        assert open_image(path, max_pixels=None).pixels == 4096
        with pytest.raises(ImageError, match="4096 pixels, expected at most 4095"):
            open_image(path, max_pixels=4095)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_where_pillow_insists_on_its_bound_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.webp")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    try:
        assert open_image(path).pixels == 4096  # older releases do not ask
    except ImageError as error:
        assert "4096 pixels" in str(error)  # noqa: PT017
        assert "PIL.Image.MAX_IMAGE_PIXELS" in str(error)  # noqa: PT017


@pytest.mark.parametrize("source", [np.zeros((3, 4)), torch.zeros(3, 3, 4), Image.new("L", (4, 3))])
def test_the_bound_holds_for_every_source(source: Any) -> None:
    assert open_image(source, max_pixels=12).pixels == 12
    with pytest.raises(ImageError, match="4 x 3 = 12 pixels"):
        open_image(source, max_pixels=11)


# ------------------------------------------------------------------ closing and hidden colors


def test_a_result_of_another_size_is_an_error() -> None:
    picture = open_image(colors(4))
    for shape in [
        (1, 3, HEIGHT, WIDTH + 1),
        (2, 3, HEIGHT, WIDTH),
        (1, 4, HEIGHT, WIDTH),
        (3, HEIGHT, WIDTH),
    ]:
        with pytest.raises(ImageError, match=r"expected a float tensor \(1, 3, 9, 14\)"):
            close_image(torch.zeros(shape), picture)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_premix_puts_the_visible_mean_under_hidden_pixels(dtype: torch.dtype) -> None:
    rgb = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    alpha = torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(1))
    alpha[alpha < 0.4] = 0
    got = premix(rgb, alpha)
    assert got.dtype == dtype
    for i in range(2):
        weight = alpha[i].double()
        mean = (rgb[i].double() * weight).sum((1, 2)) / weight.sum()
        hidden = alpha[i, 0] == 0
        assert torch.equal(got[i][:, ~hidden], rgb[i][:, ~hidden])
        want = mean[:, None].expand(-1, int(hidden.sum()))
        torch.testing.assert_close(got[i][:, hidden].double(), want, atol=1e-3, rtol=0)


def test_hidden_colors_never_matter() -> None:
    rgb, alpha = torch.rand(1, 3, 5, 6), (torch.rand(1, 1, 5, 6) > 0.5).float()
    other = torch.where(alpha == 0, torch.rand(1, 3, 5, 6), rgb)
    assert torch.equal(premix(rgb, alpha), premix(other, alpha))


def test_premix_of_nothing_visible_is_gray_and_of_no_hidden_is_the_picture() -> None:
    rgb = torch.rand(2, 3, 5, 6)
    assert (premix(rgb, torch.zeros(2, 1, 5, 6)) == 0.5).all()
    assert premix(rgb, torch.full((2, 1, 5, 6), 0.1)) is rgb


# ------------------------------------------------------------------ saving


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".avif", ".PNG"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "I;16", "1", "LA", "F"])
def test_every_mode_saves_in_every_format(tmp_path: Path, suffix: str, mode: str) -> None:
    if suffix == ".avif" and not has_avif():
        pytest.skip("this Pillow has no AVIF")
    path = save_image(image_of_mode(mode), tmp_path / f"out{suffix}")
    assert path == tmp_path / f"out{suffix}"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    picture = open_image(path)
    assert (picture.width, picture.height) == (WIDTH, HEIGHT)
    lossless = suffix.lower() in (".png", ".tif", ".tiff") or (suffix == ".bmp" and "A" not in mode)
    if lossless:
        want = open_image(image_of_mode(mode))
        np.testing.assert_allclose(rgb_of(picture), rgb_of(want), atol=0.51 / 255)
    if mode in ("RGBA", "LA") and suffix.lower() not in (".jpg", ".jpeg", ".bmp"):
        assert picture.alpha is not None
        np.testing.assert_allclose(alpha_of(picture), alpha_of(open_image(image_of_mode(mode))), atol=4 / 255)


@pytest.mark.parametrize("array", [colors(1), colors(3), colors(4), colors(1)[:, :, None]])
def test_arrays_save(tmp_path: Path, array: np.ndarray) -> None:
    path = save_image(array, tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), array.squeeze())
    path = save_image((array / 255).astype(np.float32), tmp_path / "b.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), array.squeeze())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(1,), (3,), (4,), (1, 3)])
def test_tensors_save(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    ones = torch.tensor([0, 255]).expand(*shape, 4, 2)
    tensor = ones.to(dtype) if dtype == torch.uint8 else (ones / 255).to(dtype)
    path = save_image(tensor, tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), ones.reshape(-1, 4, 2).permute(1, 2, 0).squeeze())
    with pytest.raises(ImageError, match=r"\(C, H, W\), got \(2, 3, 4, 2\)"):
        save_image(torch.zeros(2, 3, 4, 2), path)


def test_jpeg_lays_transparency_on_white_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    with caplog.at_level(logging.WARNING, "adainkit"):
        path = save_image(clear, tmp_path / "a.jpg")
        assert "white" in caplog.text
        caplog.clear()
        save_image(Image.new("RGBA", (8, 8), (200, 0, 0, 255)), tmp_path / "b.jpg")
        assert not caplog.text
    assert np.asarray(Image.open(path)).min() >= 254


def test_too_long_exif_does_not_cost_the_jpeg(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    save_image(colors(3), tmp_path / "a.jpg", info={"exif": exif.tobytes()})
    assert "too long" in caplog.text


def test_format_beats_the_extension_and_quality_counts(tmp_path: Path) -> None:
    assert Image.open(save_image(colors(3), tmp_path / "a.bin", format="png")).format == "PNG"
    assert Image.open(save_image(colors(3), tmp_path / "a.png", format="JPEG")).format == "JPEG"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    low, high = (save_image(noise, tmp_path / f"{q}.jpg", quality=q) for q in (10, 95))
    assert low.stat().st_size < high.stat().st_size / 2
    for quality in (0, 101):
        with pytest.raises(ImageError, match="1 to 100"):
            save_image(noise, tmp_path / "c.jpg", quality=quality)


@pytest.mark.parametrize(
    ("result", "name", "words"),
    [
        (colors(3), "a.xyz", "unknown format '.xyz'; expected one of .jpg"),
        (colors(3), "a", "unknown format"),
        (colors(3).astype(int), "a.png", "uint8, uint16 or float, got int64"),
        (np.full((2, 2, 3), np.nan), "a.png", "got nan"),
        (np.full((2, 2, 3), 2.0), "a.png", "got 2.0 to 2.0"),
        (np.zeros((0, 2, 3), np.uint8), "a.png", r"got \(0, 2, 3\)"),
        (np.zeros((2, 2, 2), np.uint8), "a.png", r"got \(2, 2, 2\)"),
        (Image.new("RGB", (0, 3)), "a.png", "at least 1 x 1"),
        (Image.new("RGB", (70_000, 1)), "a.jpg", "cannot be written as JPEG"),
        (Image.new("RGB", (20_000, 1)), "a.webp", "cannot be written as WEBP"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_one_error_and_leaves_nothing(
    tmp_path: Path, result: Any, name: str, words: str
) -> None:
    with pytest.raises(ImageError, match=words):
        save_image(result, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError(), MemoryError()])
@pytest.mark.parametrize("where", ["write", "replace"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str, deep: bool
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    fail(monkeypatch, where, error)
    with pytest.raises(ImageError, match=r"a\.png: cannot be written as PNG"):
        save_image(colors(3, 65535 if deep else 255), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, Cancelled])
@pytest.mark.parametrize("where", ["write", "replace"])
def test_an_interrupt_passes_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupt: type[BaseException], where: str
) -> None:
    fail(monkeypatch, where, interrupt())
    with pytest.raises(interrupt):
        save_image(colors(3), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def fail(monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException) -> None:
    """Fail with half of the file on the disk, or at the last moment."""

    def half(_picture: Any, stream: Any, *_rest: Any) -> None:
        stream.write(b"half")
        stream.flush()
        raise error

    def never(*_paths: Any) -> None:
        raise error

    if where == "replace":
        monkeypatch.setattr(os, "replace", never)
    else:
        monkeypatch.setattr(files, "_write", half)
        monkeypatch.setattr(files, "write_png16", half)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "open", lambda *_, **__: open("/dev/full", "w+b", buffering=0), raising=False)  # noqa: SIM115
    for array in (colors(3), colors(3, 65535)):
        with pytest.raises(ImageError, match="No space left"):
            save_image(array, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_folder_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="cannot be written"):
        save_image(colors(3), tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="cannot be written"):
        save_image(colors(3), tmp_path / "folder.png")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder.png"]


def test_overwrite_is_a_choice(tmp_path: Path) -> None:
    path = save_image(colors(3), tmp_path / "a.png")
    before = path.read_bytes()
    with pytest.raises(ImageError, match="exists already; pass overwrite=True"):
        save_image(colors(3, seed=1), path, overwrite=False)
    assert path.read_bytes() == before
    save_image(colors(3, seed=1), path)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), colors(3, seed=1))


@pytest.mark.skipif(os.name == "nt", reason="links and modes are POSIX matters")
def test_links_stay_links_and_the_umask_holds(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "real" / "a.png")
    save_image(colors(3), link)
    assert link.is_symlink()
    mask = os.umask(0o027)
    try:
        save_image(colors(3), tmp_path / "b.png")
    finally:
        os.umask(mask)
    assert (tmp_path / "b.png").stat().st_mode & 0o777 == 0o640


# ------------------------------------------------------------------ threads


def test_many_threads_open_and_save_at_once(tmp_path: Path) -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    sources = [save_image(colors(3, seed=i), tmp_path / f"{i}.png") for i in range(8)]
    start = threading.Barrier(8)

    def work(i: int) -> np.ndarray:
        start.wait(20)
        for _ in range(5):
            picture = open_image(sources[i])
            save_image(close_image(picture.rgb, picture), tmp_path / "same.png")
            whole = np.asarray(again(tmp_path / "same.png"))  # whoever was last: a whole file
            assert any(np.array_equal(whole, colors(3, seed=j)) for j in range(8))
        return np.asarray(close_image(picture.rgb, picture))

    with ThreadPoolExecutor(8) as pool:
        for i, result in enumerate(pool.map(work, range(8))):
            np.testing.assert_array_equal(result, colors(3, seed=i))
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == (limit, filters)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
def test_a_disk_that_fills_up_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    class Full(io.FileIO):
        """Room for 300 bytes, the last of which are a short write, as a system does it."""

        def write(self, data: Any) -> int:
            room = 300 - self.tell()
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(data)[:room])

    monkeypatch.setattr(files, "open", lambda path, mode, **more: Full(path, mode), raising=False)
    with pytest.raises(ImageError, match="No space left"):
        save_image(Image.fromarray(colors(3).repeat(4, 0)), tmp_path / f"out.{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".png", ".webp"])
def test_pages_that_are_left_out_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str) -> None:
    pages = [Image.new("RGB", (9, 7), color) for color in ("red", "green", "blue")]
    pages[0].save(tmp_path / f"many{suffix}", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / f"one{suffix}")
    open_image(tmp_path / f"one{suffix}")
    assert not caplog.records
    open_image(tmp_path / f"many{suffix}")
    assert "has more than one page or frame; the first is taken" in caplog.text

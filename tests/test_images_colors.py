"""Colors that a file tells in other ways than sRGB: profiles, code points, keys, color maps, more than 8 bits."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from adainkit.images import close_image, mask_of, open_image, open_strips, save_image
from adainkit.images.boxes import png_chunk, read_properties
from adainkit.images.cicp import cicp_profile
from adainkit.images.curves import matrix_profile
from adainkit.images.ifd import Directory, Entry, read_directory, read_header

SIDES = 24, 32
D50 = (0.9642, 1.0, 0.8249)
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))  # XYZ under D50
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def s15(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def profile(tags: dict[bytes, bytes], space: bytes = b"RGB ", version: int = 0x02100000) -> bytes:
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"t\0" + bytes(78), b"cprt": b"text\0\0\0\0-\0", **tags}
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), version, b"mntr", space, b"XYZ ")
    return header + bytes(12) + b"acsp" + bytes(28) + s15(*D50) + bytes(48) + table + body


def matrix(columns: Any, curve: bytes = gamma(2.2)) -> bytes:
    tags = {b"wtpt": b"XYZ \0\0\0\0" + s15(*D50)}
    for letter, column in zip(b"rgb", columns, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + s15(*column)
        tags[bytes([letter]) + b"TRC"] = curve
    return profile(tags)


CURVES = {
    "gamma": (gamma(2.2), lambda x: x ** (563 / 256)),
    "table": (
        b"curv\0\0\0\0" + struct.pack(">I", 1024) + (np.linspace(0, 1, 1024) ** 1.8 * 65535).astype(">u2").tobytes(),
        lambda x: x**1.8,
    ),
    "linear": (b"curv\0\0\0\0" + bytes(4), lambda x: x),
    "sRGB": (
        b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
        lambda x: np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4),
    ),
}


def srgb_of(values: np.ndarray, columns: Any, light: Any) -> np.ndarray:
    """By the definition of a matrix profile, in float64."""
    linear = (light(values) @ np.array(columns) @ np.linalg.inv(SRGB).T).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clip(1e-9) ** (1 / 2.4) - 0.055).clip(0, 1)


def muted(top: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Colors that every profile here has."""
    random = np.random.default_rng(seed)
    colors = random.random((*SIDES, 1)) * 0.4 + 0.3 + (random.random((*SIDES, channels)) - 0.5) * 0.08
    return (colors * top).round().astype(np.uint8 if top == 255 else np.uint16)


def rgb_of(source: Any) -> np.ndarray:
    return open_image(source).rgb[0].permute(1, 2, 0).numpy()


def seen(path: Any) -> np.ndarray:
    """A file's colors as a color-managed viewer shows them, 0 to 255."""
    with Image.open(path) as image:
        icc = image.info.get("icc_profile")
        image = image.convert("RGB")
    if icc:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        done = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), 1)
        assert done is not None
        image = done
    return np.asarray(image).astype(int)


def chunked(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks behind its header."""
    extra = b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body)) for tag, body in chunks
    )
    return data[:33] + extra + data[33:]


def png_of(array: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", **options)
    return stream.getvalue()


# ---- results that any saver writes rightly ----


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".png", ".tif", ".gif"])
@pytest.mark.parametrize("columns", [P3, ADOBE, PROPHOTO])
def test_whatever_saves_a_pil_result_writes_the_right_colors(tmp_path: Path, suffix: str, columns: Any) -> None:
    source = tmp_path / "source.png"
    flat = np.kron(muted(255)[:2, :2], np.ones((16, 16, 1), np.uint8))
    Image.fromarray(flat).save(source, icc_profile=matrix(columns))
    picture = open_image(source)
    result = close_image(picture.rgb, picture)
    assert isinstance(result, Image.Image)
    assert "icc_profile" not in result.info
    result.save(tmp_path / f"out{suffix}")
    off = np.abs(seen(tmp_path / f"out{suffix}") - seen(source))
    assert off.mean() <= 3 if suffix in (".jpg", ".webp") else off.max() <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png", ".tif"])
def test_a_result_for_a_file_keeps_the_profile(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "source.png"
    Image.fromarray(np.kron(muted(255)[:2, :2], np.ones((16, 16, 1), np.uint8))).save(source, icc_profile=matrix(P3))
    picture = open_image(source)
    out = save_image(close_image(picture.rgb, picture, deep=True), tmp_path / f"out{suffix}", info=picture.info)
    assert Image.open(out).info["icc_profile"] == matrix(P3)
    assert np.abs(seen(out) - seen(source)).mean() <= 2


def test_a_profile_whose_way_back_is_another_gives_srgb(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def table(values: np.ndarray) -> bytes:
        """A `mft2` element of 2 x 2 x 2 nodes, `values` of 0 to 1 in the order of ICC.1:2001-04, 6.5.8."""
        head = b"mft2\0\0\0\0" + bytes([3, 3, 2, 0]) + s15(1, 0, 0, 0, 1, 0, 0, 0, 1) + struct.pack(">HH", 2, 2)
        ramps = struct.pack(">2H", 0, 65535) * 3
        return head + ramps + (values * 65535).round().astype(">u2").tobytes() + ramps

    cube = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(8, 3)
    forth = cube @ np.array(P3) / (1 + 32767 / 32768)
    back = np.zeros((8, 3))  # to black, whatever comes
    tags = {b"wtpt": b"XYZ \0\0\0\0" + s15(*D50), b"A2B0": table(forth), b"B2A0": table(back)}
    icc = profile(tags)
    Image.fromarray(muted(255)).save(tmp_path / "a.png", icc_profile=icc)
    with caplog.at_level(logging.WARNING, "adainkit"):
        picture = open_image(tmp_path / "a.png")
    assert "no way back" in caplog.text
    assert "icc_profile" not in picture.info
    out = save_image(close_image(picture.rgb, picture, deep=True), tmp_path / "b.png", info=picture.info)
    assert np.abs(seen(out) - seen(tmp_path / "a.png")).max() <= 1


# ---- more than 8 bits under a profile ----


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("columns", [P3, ADOBE, PROPHOTO])
def test_sixteen_bits_go_through_a_matrix_profile_and_back(tmp_path: Path, curve: str, columns: Any) -> None:
    array, (data, light) = muted(65535), CURVES[curve]
    icc = matrix(columns, data)
    path = save_image(array, tmp_path / "a.png", info={"icc_profile": icc})
    picture = open_image(path)
    assert picture.dtype == np.uint16
    np.testing.assert_allclose(rgb_of(path), srgb_of(array / 65535, columns, light), atol=2e-4)
    deep = close_image(picture.rgb, picture, deep=True)
    assert isinstance(deep, np.ndarray)
    assert np.abs(deep.astype(int) - array).max() <= 2
    assert picture.info["icc_profile"] == icc


@pytest.mark.parametrize("alpha", [False, True])
def test_gray_of_sixteen_bits_goes_through_its_curve(tmp_path: Path, alpha: bool) -> None:
    tifffile = pytest.importorskip("tifffile")
    icc = profile({b"wtpt": b"XYZ \0\0\0\0" + s15(*D50), b"kTRC": gamma(1.8)}, b"GRAY")
    array = muted(65535, 2)[:, :, : 1 + alpha]
    extra = {"extrasamples": ["unassalpha"]} if alpha else {}
    tags = [(34675, 7, len(icc), icc, True)]
    tifffile.imwrite(
        tmp_path / "a.tif", array if alpha else array[:, :, 0], photometric="minisblack", extratags=tags, **extra
    )
    picture = open_image(tmp_path / "a.tif")
    want = srgb_of((array[:, :, :1] / 65535) ** (461 / 256) @ np.ones((1, 3)), SRGB.T, lambda x: x)
    np.testing.assert_allclose(rgb_of(tmp_path / "a.tif"), want, atol=2e-4)
    assert picture.dtype == np.uint16
    assert (picture.alpha is not None) == alpha


def test_a_profile_of_tables_reads_sixteen_bits_as_eight_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    tables = bytearray(matrix(P3))
    at = tables.index(b"rXYZ")
    tables[at : at + 4] = b"A2B0"  # a tag that means tables, without any
    assert matrix_profile(bytes(tables)) is None
    assert matrix_profile(lab.tobytes()) is not None
    assert matrix_profile(b"garbage") is None
    save_image(muted(65535), tmp_path / "a.png", info={"icc_profile": bytes(tables)})
    with caplog.at_level(logging.WARNING, "adainkit"):
        assert open_image(tmp_path / "a.png").dtype == np.uint16
    assert "cannot be used" in caplog.text


# ---- code points ----


@pytest.mark.parametrize(
    ("primaries", "transfer", "columns"), [(12, 13, P3), (12, 4, P3), (9, 13, None), (9, 14, None)]
)
@pytest.mark.parametrize("deep", [False, True])
def test_the_code_points_of_a_png_count(
    tmp_path: Path, primaries: int, transfer: int, columns: Any, deep: bool
) -> None:
    array = muted(65535 if deep else 255)
    # the code points outrank a profile
    data = save_image(array, tmp_path / "a.png").read_bytes() if deep else png_of(array, icc_profile=matrix(ADOBE))
    (tmp_path / "a.png").write_bytes(chunked(data, (b"cICP", bytes([primaries, transfer, 0, 1]))))
    if columns is None:  # BT.2020, by its primaries and its white (0.3127, 0.3290)
        xyz = np.array([(0.708, 0.292, 0), (0.170, 0.797, 0.033), (0.131, 0.046, 0.823)]).T
        white = np.array([0.3127 / 0.3290, 1, 0.3583 / 0.3290])
        to_xyz = xyz * np.linalg.solve(xyz, white)
        d65 = np.array(
            [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
        )
        columns = (SRGB @ np.linalg.inv(d65) @ to_xyz).T  # adapted as sRGB itself is
    light = {
        13: CURVES["sRGB"][1],
        4: lambda x: x**2.2,
        14: lambda x: np.where(x < 0.081, x / 4.5, ((x + 0.099) / 1.099) ** (1 / 0.45)),
    }[transfer]
    want = srgb_of(array / (65535 if deep else 255), columns, light)
    np.testing.assert_allclose(rgb_of(tmp_path / "a.png"), want, atol=1e-3 if deep else 2.1 / 255)


@pytest.mark.parametrize("points", [(1, 13), (1, 1), (2, 2), (1, 2)])
def test_code_points_of_srgb_change_no_number(points: tuple[int, int]) -> None:
    array = muted(255)
    np.testing.assert_array_equal(
        np.rint(rgb_of(chunked(png_of(array), (b"cICP", bytes([*points, 0, 1])))) * 255), array
    )


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.5806), (18, 0.75)])
def test_high_dynamic_range_has_its_paper_white_at_white(
    transfer: int, white: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Of BT.2408: 203 cd/m2 is at 58 % of PQ and at 75 % of HLG; half of the light is 188 of sRGB."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    with caplog.at_level(logging.WARNING, "adainkit"):
        picture = open_image(chunked(png_of(ramp), (b"cICP", bytes([9, transfer, 0, 1]))))
    assert "high dynamic range" in caplog.text
    assert "icc_profile" not in picture.info
    gray = picture.rgb[0, :, 0]
    assert float(gray[:, : int(white * 255) - 3].max()) < 1
    assert float(gray[:, int(white * 255) + 3 :].min()) > 0.99
    assert bool((gray.diff(dim=1) >= -1e-6).all())


def test_code_points_that_nobody_knows_are_told(caplog: pytest.LogCaptureFixture) -> None:
    open_image(chunked(png_of(muted(255)), (b"cICP", bytes([99, 13, 0, 1]))))
    assert "code points 99/13" in caplog.text
    assert cicp_profile(12, 99) is None


def test_the_code_points_of_an_avif_count(tmp_path: Path) -> None:
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    array = np.kron(muted(255)[:2, :2], np.ones((32, 32, 1), np.uint8))
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "AVIF", quality=100, subsampling="4:4:4")
    data = bytearray(stream.getvalue())
    at = data.index(b"nclx") + 4
    assert data[at : at + 4] == bytes([0, 1, 0, 13])
    data[at : at + 4] = bytes([0, 12, 0, 13])
    assert read_properties(io.BytesIO(bytes(data))).cicp == (12, 13)
    np.testing.assert_allclose(rgb_of(bytes(data)), srgb_of(array / 255, P3, CURVES["sRGB"][1]), atol=4 / 255)
    assert read_properties(io.BytesIO(b"nothing")).cicp is None
    assert png_chunk(io.BytesIO(b"nothing at all"), b"cICP") is None


# ---- color maps, keys, planes, inks, alpha ----


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("top", [255, 65535])
def test_a_color_map_of_eight_bits_is_no_black(tmp_path: Path, bits: int, top: int) -> None:
    colors = np.random.default_rng(1).integers(0, 256, (1 << bits, 3))
    colors[0] = 255
    indices = np.random.default_rng(2).integers(0, 1 << bits, (6, 8))
    packed = np.packbits(((indices[:, :, None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).reshape(6, -1), axis=1)
    entries = [(256, 3, 8), (257, 3, 6), (258, 3, bits), (259, 3, 1), (262, 3, 3), (277, 3, 1), (278, 3, 6)]
    count = len(entries) + 3
    start = 8 + 2 + 12 * count + 4
    color_map = (colors.T.reshape(-1) * (257 if top > 255 else 1)).astype("<u2").tobytes()
    entries += [(273, 4, start + len(color_map)), (279, 4, packed.size), (320, 3, 0)]
    table = struct.pack("<H", count)
    for tag, kind, value in sorted(entries):
        long = tag == 320
        table += struct.pack("<HHII", tag, kind, colors.size if long else 1, start if long else value)
    data = b"II*\0" + struct.pack("<I", 8) + table + bytes(4) + color_map + packed.tobytes()
    np.testing.assert_array_equal(np.rint(rgb_of(data) * 255), colors[indices])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_key_of_a_gray_png_is_scaled_as_its_pixels(bits: int) -> None:
    top = (1 << bits) - 1
    values = np.random.default_rng(3).integers(0, top + 1, (8, 16))
    packed = np.packbits(((values[:, :, None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).reshape(8, -1), axis=1)

    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    for key in {0, 1, top // 2, top}:
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 8, bits, 0, 0, 0, 0))
        data += chunk(b"tRNS", struct.pack(">H", key))
        data += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))) + chunk(b"IEND", b"")
        picture = open_image(data)
        assert picture.alpha is not None
        np.testing.assert_array_equal(picture.alpha[0, 0].numpy(), values != key)


DEEP: dict[str, dict[str, Any]] = {
    "planar": {"photometric": "rgb", "planarconfig": "separate"},
    "premultiplied": {"photometric": "rgb", "extrasamples": ["assocalpha"]},
    "gray and alpha": {"photometric": "minisblack", "extrasamples": ["unassalpha"]},
    "gray and premultiplied alpha": {"photometric": "minisblack", "extrasamples": ["assocalpha"]},
    "white is zero": {"photometric": "miniswhite"},
    "cmyk": {"photometric": "separated"},
    "cmyk and alpha": {"photometric": "separated", "extrasamples": ["unassalpha"]},
    "rgb and more": {"photometric": "rgb", "extrasamples": ["unspecified", "unassalpha"]},
}


def deep_tiff(path: Path, kind: str, top: float, **more: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """A TIFF of that kind with samples up to `top` (1 for floats), and what is seen, in float64 of 0 to 1."""
    import tifffile

    channels = {"planar": 3, "premultiplied": 4, "white is zero": 1, "cmyk": 4, "cmyk and alpha": 5, "rgb and more": 5}
    x = np.random.default_rng(4).random((*SIDES, channels.get(kind, 2)))
    alpha = x[:, :, -1:] * 0.75 + 0.25 if "alpha" in kind or kind in ("premultiplied", "rgb and more") else None
    straight = x[:, :, : {"planar": 3, "premultiplied": 3, "rgb and more": 3}.get(kind, 4 if "cmyk" in kind else 1)]
    stored = straight * alpha if "premultiplied" in kind and alpha is not None else straight
    if kind == "rgb and more":
        stored = np.concatenate([stored, x[:, :, 3:4]], 2)
    stored = stored if alpha is None else np.concatenate([stored, alpha], 2)
    samples = (
        stored.astype(np.float32)
        if top == 1
        else (stored * top).round().astype(np.uint32 if top > 65535 else np.uint16)
    )
    laid = samples.transpose(2, 0, 1) if kind == "planar" else samples if samples.shape[2] > 1 else samples[:, :, 0]
    tifffile.imwrite(path, laid, **DEEP[kind], **more)
    if "cmyk" in kind:
        straight = (1 - straight[:, :, :3]) * (1 - straight[:, :, 3:4])
    return 1 - straight if kind == "white is zero" else straight, alpha


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("top", [65535, 1, 4294967295])
@pytest.mark.parametrize("layout", ["plain", "deflated", "predicted", "tiled"])
def test_deep_tiffs_keep_their_samples(tmp_path: Path, kind: str, top: float, layout: str) -> None:
    pytest.importorskip("tifffile")
    more: dict[str, Any] = {
        "plain": {"rowsperstrip": 5},
        "deflated": {"compression": "zlib", "rowsperstrip": 7},
        "predicted": {"compression": "zlib", "predictor": True},
        "tiled": {"compression": "zlib", "tile": (16, 16)},
    }[layout]
    if layout == "predicted" and top == 1:
        more = {"compression": "zlib"}  # tifffile needs imagecodecs to write these steps
    want, alpha = deep_tiff(tmp_path / "a.tif", kind, top, **more)
    picture = open_image(tmp_path / "a.tif")
    assert picture.dtype == (np.float32 if top == 1 else np.uint16)
    np.testing.assert_allclose(rgb_of(tmp_path / "a.tif"), want.repeat(3 // want.shape[2], 2), atol=1e-4)
    if alpha is None:
        assert picture.alpha is None
    else:
        assert picture.alpha is not None
        np.testing.assert_allclose(picture.alpha[0, 0].numpy(), alpha[:, :, 0], atol=1e-4)
    with open_strips(tmp_path / "a.tif", max_pixels=None, limit=1 << 20) as strips:
        part = strips.window(3, 20, 4, 30)
        np.testing.assert_array_equal(part.rgb, picture.rgb[:, :, 3:20, 4:30])
    deep = close_image(picture.rgb, picture, deep=True)
    assert isinstance(deep, np.ndarray)
    assert deep.dtype == np.uint16


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["planar", "gray and alpha"])
def test_deep_tiffs_are_turned_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    pytest.importorskip("tifffile")
    want, _ = deep_tiff(tmp_path / "a.tif", kind, 65535, extratags=[(274, 3, 1, orientation, True)])
    flipped = want[:: -1 if orientation in (3, 4) else 1, :: -1 if orientation in (2, 3) else 1]
    across = want.swapaxes(0, 1)[:: -1 if orientation in (7, 8) else 1, :: -1 if orientation in (6, 7) else 1]
    np.testing.assert_allclose(
        rgb_of(tmp_path / "a.tif"), (flipped if orientation < 5 else across).repeat(3 // want.shape[2], 2), atol=1e-4
    )


def test_a_float_predictor_is_undone(tmp_path: Path) -> None:
    """TIFF Technical Note 3, written out: the bytes of a row by their weight, each less the one before."""
    tifffile = pytest.importorskip("tifffile")
    x = np.random.default_rng(5).random((6, 9, 3)).astype(np.float32)
    rows = b""
    for row in x:
        planes = np.frombuffer(row.astype(">f4").tobytes(), np.uint8).reshape(-1, 4).T.reshape(-1)
        steps = planes.copy()
        steps[3:] -= planes[:-3]
        rows += steps.tobytes()
    tifffile.imwrite(tmp_path / "a.tif", x, photometric="rgb", compression="zlib", predictor=False)
    packed = zlib.compress(rows)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    at = len(data)
    data += packed
    stream = io.BytesIO(bytes(data))
    header = read_header(stream)
    old = read_directory(stream, header, header.first)
    changes = {273: at, 279: len(packed), 317: 3}
    plain = Directory(header.order, {t: e for t, e in old.entries.items() if t not in changes})
    place = len(data) + len(data) % 2
    fresh = {tag: Entry(4, 1, struct.pack(header.order + "I", value)) for tag, value in changes.items()}
    packed_directory = Directory(header.order, {**plain.entries, **fresh}).tobytes(place)
    whole = bytes(data).ljust(place, b"\0") + packed_directory
    whole = whole[:4] + struct.pack(header.order + "I", place) + whole[8:]
    np.testing.assert_array_equal(rgb_of(whole), x)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.0, 900.0)])
def test_floats_beyond_white_are_an_error_that_names_them(tmp_path: Path, low: float, high: float) -> None:
    from adainkit import ImageError

    tifffile = pytest.importorskip("tifffile")
    x = np.linspace(low, high, 64 * 3, dtype=np.float32).reshape(8, 8, 3)
    tifffile.imwrite(tmp_path / "a.tif", x, photometric="rgb")
    with pytest.raises(ImageError, match=r"a\.tif: expected values in \[0, 1\]"):
        open_image(tmp_path / "a.tif")


def test_a_png_of_gray_and_alpha_keeps_sixteen_bits(tmp_path: Path) -> None:
    x = np.random.default_rng(6).integers(0, 65536, (*SIDES, 2)).astype(np.uint16)

    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in x)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *SIDES[::-1], 16, 4, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    picture = open_image(data)
    deep = close_image(picture.rgb, picture, deep=True)
    assert isinstance(deep, np.ndarray)
    np.testing.assert_array_equal(deep, x[:, :, [0, 0, 0, 1]])


def test_the_alpha_of_an_avif_stays_exact(tmp_path: Path) -> None:
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    x = np.random.default_rng(7).integers(0, 256, (64, 48, 4)).astype(np.uint8)
    path = save_image(Image.fromarray(x), tmp_path / "a.avif")
    np.testing.assert_array_equal(np.asarray(Image.open(path))[:, :, 3], x[:, :, 3])


# ---- masks ----


@pytest.mark.parametrize("gray", [0, 128, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mask_whose_shape_is_in_its_alpha_is_that_shape(gray: int, mode: str) -> None:
    shape = np.random.default_rng(8).integers(0, 256, SIDES).astype(np.uint8)
    image = Image.new(mode, SIDES[::-1], (gray,) * (len(mode) - 1) + (0,))
    image.putalpha(Image.fromarray(shape))
    np.testing.assert_allclose(mask_of(open_image(image))[0, 0], shape / 255, atol=1e-6)


def test_a_mask_with_both_counts_less_where_it_is_transparent() -> None:
    x = np.random.default_rng(9).random((5, 6, 4)).astype(np.float32)
    mask = mask_of(open_image(x))[0, 0].numpy()
    np.testing.assert_allclose(mask, x[:, :, :3].mean(2) * x[:, :, 3], atol=1e-6)
    plain = mask_of(open_image(x[:, :, :3].copy()))[0, 0].numpy()
    np.testing.assert_allclose(plain, x[:, :, :3].mean(2), atol=1e-6)

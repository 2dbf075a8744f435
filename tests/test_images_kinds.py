"""What may come as a picture: by content and not by name, from bytes and files, bounded, and with clear refusals."""

from __future__ import annotations

import io
import logging
import os
import resource
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adainkit.batch.finding import find
from adainkit.errors import AdaINKitError, ImageError, OutOfMemoryError
from adainkit.images import close_image, open_image, open_strips, picture_size, save_image

SIDES = 24, 32


def pixels(seed: int = 0, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIDES, channels)).astype(np.uint8)


def encoded(kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels()).save(stream, kind, **options)
    return stream.getvalue()


def rgb_of(source: Any) -> np.ndarray:
    return np.rint(open_image(source).rgb[0].permute(1, 2, 0).numpy() * 255)


# ---- where it comes from ----


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO], ids=lambda w: w.__name__)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_bytes_are_a_picture(kind: str, wrap: Any) -> None:
    picture = open_image(wrap(encoded(kind)))
    np.testing.assert_array_equal(np.rint(picture.rgb[0].permute(1, 2, 0).numpy() * 255), pixels())
    assert isinstance(close_image(picture.rgb, picture), Image.Image)


def test_open_files_are_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    with open(tmp_path / "a.png", "rb") as stream:
        np.testing.assert_array_equal(rgb_of(stream), pixels())
    reader, writer = os.pipe()
    os.write(writer, encoded("PNG"))
    os.close(writer)
    with open(reader, "rb", buffering=0) as stream:
        np.testing.assert_array_equal(rgb_of(stream), pixels())
    with open(tmp_path / "a.png", encoding="latin-1") as text, pytest.raises(ImageError, match="opened for bytes"):
        open_image(text)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and sockets are POSIX matters")
def test_what_has_no_end_is_an_error_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.png"))
    started = time.monotonic()
    for name in (tmp_path / "pipe.jpg", tmp_path / "socket.png", "/dev/zero"):
        for use in (open_image, lambda p: picture_size(p, None), lambda p: open_strips(p, max_pixels=None, limit=1)):
            with pytest.raises(ImageError, match="is a pipe, a socket or a device"):
                use(name)
    assert time.monotonic() - started < 5
    server.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX matters")
def test_what_a_folder_has_besides_pictures_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("a.jpg", "b.JFIF", "c.heic", "notes.txt", "README", ".hidden.jpg", "d.mpo", "x.txt"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.WARNING, "adainkit"):
        found = find([str(tmp_path)])
    assert [each.inner.name for each in found] == ["a.jpg", "b.JFIF", "c.heic", "d.mpo"]
    assert "4 files passed over (.txt, no extension, pipe, socket or device)" in caplog.text


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".mpo", ".JPG", ".heic", ".tif", ""])
def test_the_content_tells_and_not_the_name(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(encoded("PNG"))
    np.testing.assert_array_equal(rgb_of(tmp_path / f"a{suffix}"), pixels())


@pytest.mark.parametrize(("suffix", "kind"), [(".jfif", "JPEG"), (".jpe", "JPEG"), (".jp2", "JPEG2000")])
def test_further_names_can_be_written(tmp_path: Path, suffix: str, kind: str) -> None:
    out = save_image(pixels(), tmp_path / f"a{suffix}", info={"xmp": b"RDF"})
    with Image.open(out) as image:
        assert image.format == kind
        if kind == "JPEG2000":
            np.testing.assert_array_equal(np.asarray(image), pixels())


# ---- extras ----


@pytest.mark.parametrize(
    ("head", "extra"), [(b"\0\0\0\x18ftypheic", "heif"), (b"\0\0\0\x18ftypmif1", "heif"), (b"\xff\x0a\0", "jxl")]
)
def test_a_missing_extra_is_named(tmp_path: Path, head: bytes, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pillow_heif", "pillow_jxl", "pillow_jxl.JpegXLImagePlugin"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImageError, match=rf'pip install "adainkit\[{extra}\]"'):
        open_image(head + bytes(100))
    with pytest.raises(ImageError, match=rf'pip install "adainkit\[{extra}\]"'):
        save_image(pixels(), tmp_path / {"heif": "a.heic", "jxl": "a.jxl"}[extra])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_heic_comes_and_goes(tmp_path: Path, mode: str) -> None:
    pytest.importorskip("pillow_heif")
    flat = np.kron(pixels()[:2, :2], np.ones((32, 32, 1), np.uint8))
    image = Image.fromarray(flat).convert(mode)
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x3b\1\2\0\5\0\0\0\x1a\0\0\0\0\0\0\0Jos\xe9\0"
    out = save_image(image, tmp_path / "a.heic", info={"exif": exif, "xmp": b"<x RDF/>"}, record={"a": 1}, quality=95)
    picture = open_image(out)
    assert b"Jos\xe9" in picture.info["exif"]
    assert b"adainkit:record" in picture.info["xmp"]
    assert (picture.alpha is not None) == (mode == "RGBA")
    np.testing.assert_allclose(picture.rgb[0].permute(1, 2, 0).numpy() * 255, np.asarray(image.convert("RGB")), atol=12)
    with pytest.raises(ImageError, match="at most 10"):
        open_image(out, max_pixels=10)


def test_heic_of_ten_bits_keeps_them(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64, 1).repeat(3, 2).astype(np.uint16)
    held = pillow_heif.from_bytes("RGB;16", (64, 64), ramp.tobytes())
    held.save(tmp_path / "a.heic", quality=100, chroma=444)
    picture = open_image(tmp_path / "a.heic")
    assert picture.dtype == np.uint16
    assert len(np.unique((picture.rgb * 65535).round())) > 500
    np.testing.assert_allclose(picture.rgb[0].permute(1, 2, 0).numpy(), ramp / 65535, atol=0.01)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_jpeg_xl_comes_and_goes(tmp_path: Path, mode: str) -> None:
    pytest.importorskip("pillow_jxl")
    from adainkit.images.jxl import jxl_size

    flat = np.kron(pixels()[:2, :2], np.ones((33, 20, 1), np.uint8))
    image = Image.fromarray(flat).convert(mode)
    out = save_image(image, tmp_path / "a.jxl", quality=98)
    with open(out, "rb") as stream:
        assert jxl_size(stream) == image.size
    picture = open_image(out)
    np.testing.assert_allclose(picture.rgb[0].permute(1, 2, 0).numpy() * 255, np.asarray(image.convert("RGB")), atol=10)
    with pytest.raises(ImageError, match="at most 10"):
        open_image(out, max_pixels=10)


@pytest.mark.parametrize("size", [(8, 8), (256, 256), (40, 30), (1920, 1080), (5000, 3), (70000, 65000), (12, 10)])
def test_the_size_of_a_jpeg_xl_is_known_by_its_header(size: tuple[int, int]) -> None:
    """A header of ISO/IEC 18181-1, D.2: height and width without a ratio, in the shortest form or a longer one."""
    from adainkit.images.jxl import jxl_size

    bits = ""
    if all(side % 8 == 0 and side <= 256 for side in size):
        bits += "1" + f"{size[1] // 8 - 1:05b}"[::-1] + "000" + f"{size[0] // 8 - 1:05b}"[::-1]
    else:
        bits += "0" + "11" + f"{size[1] - 1:030b}"[::-1] + "000" + "11" + f"{size[0] - 1:030b}"[::-1]
    data = int(bits[::-1], 2).to_bytes(16, "little")
    assert jxl_size(io.BytesIO(b"\xff\x0a" + data)) == size
    box = struct.pack(">I4s", 12, b"JXL ") + b"\r\n\x87\n" + struct.pack(">I4s", 0, b"jxlc") + b"\xff\x0a" + data
    assert jxl_size(io.BytesIO(box)) == size
    with pytest.raises(ImageError):
        open_image(b"\xff\x0a" + data, max_pixels=10)


@pytest.mark.parametrize("kind", ["ppm", "avif"])
def test_bits_that_the_decoder_loses_are_told(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    if kind == "ppm":
        data = b"P6 4 3 65535\n" + bytes(4 * 3 * 6)
    else:
        Image.init()
        if "AVIF" not in Image.SAVE:
            pytest.skip("this Pillow has no AVIF")
        imagecodecs = pytest.importorskip("imagecodecs")
        data = bytes(imagecodecs.avif_encode(pixels().astype(np.uint16) * 4, bitspersample=10))
    with caplog.at_level(logging.WARNING, "adainkit"):
        open_image(data)
    assert "bits are read as 8" in caplog.text


# ---- what is refused ----


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "PostScript"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x76\x2f\x31\x01" + bytes(40), "OpenEXR"),
        (b"#?RADIANCE\n", "Radiance"),
        (b"\0\0\1\0\1\0" + bytes(40), "an icon"),
        (b"\0\0\2\0\1\0" + bytes(40), "a cursor"),
        (b"icns" + bytes(40), "an icon"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "metafile"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "a film"),
        (b"PK\3\4" + bytes(40), "ZIP"),
        (b"gimp xcf file" + bytes(40), "GIMP"),
        (b"SIMPLE  =                    T" + b" " * 3000, "not a picture that Pillow can read"),
        (b"GRIB" + bytes(100), "not a picture"),
    ],
)
def test_what_is_no_harmless_picture_is_refused_by_its_kind(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=rf"photo\.jpg: .*{words}"):
        open_image(tmp_path / "photo.jpg")


def test_no_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", never)
    with pytest.raises(ImageError):
        open_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


def test_an_icon_is_not_decoded_before_its_size_is_known() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(stream, "PNG")
    png = stream.getvalue()
    icon = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(png), 22) + png
    with pytest.raises(ImageError):
        open_image(icon, max_pixels=100)


# ---- bounds ----


def classic_tiff(width: int, height: int, strips: list[bytes], **tags: int) -> bytes:
    """A deflated RGB TIFF of these strips of `height / len(strips)` rows."""
    body = b"".join(strips)
    offsets = np.cumsum([8, *map(len, strips)])[:-1]
    entries = {256: (4, [width]), 257: (4, [height]), 258: (3, [8, 8, 8]), 259: (3, [8]), 262: (3, [2]), 277: (3, [3])}
    entries |= {273: (4, list(offsets)), 278: (4, [height // len(strips)]), 279: (4, [len(s) for s in strips])}
    start = 8 + len(body) + len(body) % 2
    table, more = struct.pack("<H", len(entries)), b""
    place = start + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        packed = b"".join(struct.pack("<H" if kind == 3 else "<I", int(v)) for v in values)
        if len(packed) > 4:
            table += struct.pack("<HHII", tag, kind, len(values), place + len(more))
            more += packed
        else:
            table += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", start) + body.ljust(start - 8, b"\0") + table + bytes(4) + more


def zeros(count: int) -> bytes:
    packer, packed = zlib.compressobj(9), b""
    for _ in range(count >> 24):
        packed += packer.compress(bytes(1 << 24))
    return packed + packer.flush()


def test_a_strip_is_unpacked_no_further_than_it_is_needed(tmp_path: Path) -> None:
    """A strip of 64 x 64 pixels that swells to half a GB."""
    pytest.importorskip("tifffile")
    (tmp_path / "a.tif").write_bytes(classic_tiff(64, 64, [zeros(1 << 29)]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_strips(tmp_path / "a.tif", max_pixels=None, limit=1 << 20) as strips:
        assert strips.window(0, 64, 0, 64).rgb.max() == 0
    assert open_image(tmp_path / "a.tif").rgb.max() == 0
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 200_000  # kilobytes


def test_a_tiff_that_claims_thousands_of_samples_is_refused_at_once() -> None:
    data = bytearray(classic_tiff(64, 64, [zlib.compress(bytes(64 * 64 * 3))]))
    at = data.index(struct.pack("<HHI", 277, 3, 1)) + 8
    data[at : at + 2] = struct.pack("<H", 40_000)
    started = time.monotonic()
    with pytest.raises(AdaINKitError):
        open_image(bytes(data))
    assert time.monotonic() - started < 5


def test_a_tiff_of_thousands_of_pages_is_quick(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray(classic_tiff(4, 4, [zlib.compress(bytes(48))]))
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    directory = bytes(data[first : first + 2 + 12 * count])
    last = first + 2 + 12 * count
    for _ in range(16_000):
        if len(data) % 2:
            data += b"\0"
        struct.pack_into("<I", data, last, len(data))
        last = len(data) + len(directory)
        data += directory + bytes(4)
    started = time.monotonic()
    open_image(bytes(data))
    assert time.monotonic() - started < 2
    assert "more than one page" in caplog.text


@pytest.mark.parametrize("kind", ["TIFF", "GIF"])
def test_a_broken_second_page_does_not_refuse_the_first(kind: str) -> None:
    stream = io.BytesIO()
    pages = [Image.fromarray(pixels(seed)) for seed in range(2)]
    pages[0].save(stream, kind, save_all=True, append_images=pages[1:])
    data = bytearray(stream.getvalue())
    if kind == "TIFF":
        first = struct.unpack_from("<I", data, 4)[0]
        count = struct.unpack_from("<H", data, first)[0]
        struct.pack_into("<I", data, first + 2 + 12 * count, len(data) + 1000)
    else:
        del data[-100:]
    assert open_image(bytes(data)).height == SIDES[0]


def test_a_memory_that_is_too_small_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    data = encoded("PNG")
    for where in ("PIL.Image.Image.convert", "PIL.PngImagePlugin.PngImageFile.load"):
        with monkeypatch.context() as patch:
            patch.setattr(where, full)
            with pytest.raises(OutOfMemoryError, match="the memory does not hold"):
                open_image(data)


@pytest.mark.skipif(os.name == "nt", reason="permissions are a POSIX matter")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = save_image(pixels(), tmp_path / "a.png")
    path.chmod(mode)
    save_image(pixels(1), path)
    assert path.stat().st_mode & 0o777 == mode


def test_a_picture_of_twelve_bits_is_not_dark(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    x = (np.arange(64 * 64).reshape(64, 64) % 4096).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", x, photometric="minisblack", bitspersample=12)
    np.testing.assert_allclose(open_image(tmp_path / "a.tif").rgb[0, 0].numpy(), x / 4095, atol=1e-4)


def test_further_pictures_of_a_jpeg_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.fromarray(pixels(seed)) for seed in range(2)]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    open_image(tmp_path / "a.jpg")
    assert "a further picture of it" in caplog.text
    caplog.clear()
    xmp = b'<x:xmpmeta><rdf:RDF hdrgm:Version="1.0"/></x:xmpmeta>'
    frames[0].save(tmp_path / "b.jpg", xmp=xmp)
    open_image(tmp_path / "b.jpg")
    assert "gain map" in caplog.text


def test_every_error_is_ours(tmp_path: Path) -> None:
    for junk in (
        b"",
        b"\0",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0+" + bytes(40),
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
    ):
        with pytest.raises(AdaINKitError):
            open_image(junk)

"""What a picture says of itself: texts byte for byte, dates and places, rights, keywords, and the record."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from adainkit.errors import ImageError
from adainkit.images import close_image, describe, open_image, read_record, save_image
from adainkit.images.exif import parse_exif
from adainkit.images.ifd import EXIF, GPS, Directory, Entry, append_tags, read_directory, read_header

SIDES = 12, 16
JOSE = "José Müller ©".encode()
LATIN = "José Müller ©".encode("latin-1")
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" tiff:Orientation="6" hdrgm:Version="1.0">'
    b"<dc:rights>\xc2\xa9 A. Example</dc:rights></rdf:Description></rdf:RDF></x:xmpmeta>"
)
UPRIGHT = XMP.replace(b' tiff:Orientation="6"', b"")
IPTC = b"\x1c\x02t\x00\x0aA. Example\x1c\x02\x19\x00\x05house"
FORMATS = [".jpg", ".png", ".webp", ".avif", ".tif"]


def pixels(deep: bool = False) -> np.ndarray:
    random = np.random.default_rng(0)
    return (
        random.integers(0, 65536, (*SIDES, 3)).astype(np.uint16)
        if deep
        else random.integers(0, 256, (*SIDES, 3)).astype(np.uint8)
    )


def text(data: bytes) -> Entry:
    return Entry(2, len(data) + 1, data + b"\0")


def exif(order: str = "<", artist: bytes = JOSE, **more: Entry) -> bytes:
    folder = Directory(
        order, {36867: text(b"2024:05:06 07:08:09"), 37386: Entry(5, 1, struct.pack(order + "II", 35, 1))}
    )
    place = Directory(order, {1: text(b"N"), 2: Entry(5, 3, struct.pack(order + "6I", 52, 1, 30, 1, 0, 1))})
    main = {315: text(artist), 33432: text(b"\xc2\xa9 2024"), **{int(tag[1:]): entry for tag, entry in more.items()}}
    return b"Exif\0\0" + Directory(order, main, {EXIF: folder, GPS: place}).tobytes()


def skip_without(suffix: str) -> None:
    Image.init()
    if suffix == ".avif" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")


def again(source: Any, target: Path, **options: Any) -> Path:
    """As a file goes through `stylize_file`."""
    picture = open_image(source)
    return save_image(close_image(picture.rgb, picture, deep=True), target, info=picture.info, **options)


def tags_of(path: Path) -> Directory:
    """All that a file says in TIFF's tags, with the folders."""
    if path.suffix == ".tif":
        with open(path, "rb") as stream:
            header = read_header(stream)
            return read_directory(stream, header, header.first)
    with Image.open(path) as image:
        image.load()
        return parse_exif(image.info["exif"])


def write(path: Path, deep: bool = False, **info: Any) -> Path:
    if deep and path.suffix == ".tif":
        pytest.importorskip("tifffile")
    return save_image(pixels(deep), path, info=info)


# ---- EXIF ----


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("artist", [JOSE, LATIN, "山田太郎".encode()], ids=["utf-8", "latin-1", "japanese"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_texts_come_through_byte_for_byte(tmp_path: Path, suffix: str, artist: bytes, order: str) -> None:
    skip_without(suffix)
    source = write(tmp_path / f"a{suffix}", exif=exif(order, artist))
    for target in FORMATS[:3] + FORMATS[4:]:
        found = tags_of(again(source, tmp_path / f"b{target}"))
        assert found.entries[315].data == artist + b"\0"
        assert found.entries[33432].data == b"\xc2\xa9 2024\0"


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_date_and_place_come_through(tmp_path: Path, suffix: str, deep: bool, order: str) -> None:
    source = write(tmp_path / f"a{suffix}", deep, exif=exif(order))
    for target in (".tif", ".png", ".jpg"):
        out = again(source, tmp_path / f"b{target}")
        found = tags_of(out)
        assert found.folders[EXIF].entries[36867].data == b"2024:05:06 07:08:09\0"
        assert found.folders[GPS].entries[1].data == b"N\0"
        with Image.open(out) as image:
            assert image.getexif().get_ifd(ExifTags.IFD.GPSInfo)[2] == (52.0, 30.0, 0.0)
            assert image.getexif().get_ifd(ExifTags.IFD.Exif)[37386] == 35
            image.load()


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_written_by_strips_has_them_too(tmp_path: Path, big: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile = pytest.importorskip("tifffile")
    from adainkit.images import tiff, write_tiff_rows

    if big:
        monkeypatch.setattr(tiff, "_CLASSIC_LIMIT", 100)
    x, info = pixels(), {"exif": exif(">"), "xmp": UPRIGHT, "iptc": IPTC, "dpi": (300.0, 300.0)}
    write_tiff_rows(iter([x[:8], x[8:]]), tmp_path / "a.tif", x.shape, x.dtype, 4, info)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff == big
        np.testing.assert_array_equal(file.pages[0].asarray(), x)
        assert len(file.pages) == 1
    picture = open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.rint(picture.rgb[0].permute(1, 2, 0).numpy() * 255), x)
    assert parse_exif(picture.info["exif"]).folders[GPS].entries[1].data == b"N\0"
    assert picture.info["iptc"] == IPTC
    assert picture.info["dpi"] == (300, 300)


BAD = {
    "text for a number": {"t282": text(b"72 dpi")},
    "outside of the file": {"t271": Entry(2, 500, bytes(500))},
    "of no known type": {"t271": Entry(99, 4, b"abcd")},
    "of no values": {"t271": Entry(2, 0, b"")},
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_bad_tag_goes_alone(tmp_path: Path, bad: str, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    data = exif(t274=Entry(3, 1, b"\6\0"), **BAD[bad])
    if bad == "outside of the file":
        data = data.replace(struct.pack("<HHI", 271, 2, 500), struct.pack("<HHI", 271, 2, 1 << 27))
    Image.fromarray(pixels()).save(tmp_path / f"a{suffix}", exif=data)
    with caplog.at_level(logging.WARNING, "adainkit"):
        picture = open_image(tmp_path / f"a{suffix}")
    assert (picture.height, picture.width) == SIDES[::-1]  # turned all the same
    found = parse_exif(picture.info["exif"])
    assert found.entries[315].data == JOSE + b"\0"
    assert not {271, 274, 282} & set(found.entries)
    assert found.folders[GPS].entries
    assert ("left out of its EXIF data" in caplog.text) == (bad != "of no values")


def test_what_pillow_sets_in_an_image_is_kept(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.jpg", exif=exif())
    with Image.open(tmp_path / "a.jpg") as image:
        untouched = open_image(image).info["exif"]
        image.getexif()[271] = "Maker"
        changed = parse_exif(open_image(image).info["exif"])
    assert parse_exif(untouched).entries[315].data == JOSE + b"\0"
    assert changed.entries[271].data == b"Maker\0"
    assert changed.entries[315].data.rstrip(b"\0") == JOSE


def test_the_sides_in_exif_turn_with_the_picture(tmp_path: Path) -> None:
    folder = Directory("<", {40962: Entry(4, 1, struct.pack("<I", 16)), 40963: Entry(4, 1, struct.pack("<I", 12))})
    data = b"Exif\0\0" + Directory("<", {274: Entry(3, 1, b"\6\0")}, {EXIF: folder}).tobytes()
    Image.fromarray(pixels()).save(tmp_path / "a.png", exif=data)
    found = parse_exif(open_image(tmp_path / "a.png").info["exif"]).folders[EXIF]
    assert (found.integer(40962), found.integer(40963)) == (12, 16)


def test_directories_that_lead_in_circles_end() -> None:
    data = bytearray(exif().removeprefix(b"Exif\0\0"))
    at = data.index(struct.pack("<HHI", EXIF, 4, 1)) + 8
    data[at : at + 4] = struct.pack("<I", 8)  # the folder is the directory itself
    found = parse_exif(bytes(data))
    assert found.entries[315]
    with pytest.raises(ValueError, match="no TIFF header"):
        parse_exif(b"Exif\0\0garbage")


def test_tags_that_a_file_has_already_stay(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.tif", tiffinfo={270: "mine"}, compression="tiff_adobe_deflate")
    with open(tmp_path / "a.tif", "r+b") as stream:
        append_tags(
            stream, Directory(">", {270: text(b"other"), 315: text(JOSE)}), {700: Entry(1, len(UPRIGHT), UPRIGHT)}
        )
    found = tags_of(tmp_path / "a.tif")
    assert found.entries[270].data == b"mine\0"
    assert found.entries[315].data == JOSE + b"\0"
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.tif")), pixels())


# ---- XMP, IPTC, texts ----


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("suffix", FORMATS)
def test_rights_and_keywords_are_kept(tmp_path: Path, suffix: str, deep: bool) -> None:
    skip_without(suffix)
    source = write(tmp_path / f"a{suffix}", deep and suffix in (".tif", ".png"), xmp=XMP, iptc=IPTC)
    for target in FORMATS[:3] + FORMATS[4:]:
        info = open_image(again(source, tmp_path / f"b{target}")).info
        assert "© A. Example".encode() in info["xmp"]
        assert b"Orientation=" not in info["xmp"]
        assert b"hdrgm:Version" not in info["xmp"]
        if suffix not in (".webp", ".avif") and target != ".webp":  # which have no place for it
            assert info["iptc"] == IPTC


def test_pillow_reads_what_is_written(tmp_path: Path) -> None:
    from PIL import IptcImagePlugin

    for suffix in (".jpg", ".tif"):
        with Image.open(write(tmp_path / f"a{suffix}", xmp=XMP, iptc=IPTC)) as image:
            assert image.info["xmp"].startswith(XMP[:20])
            found = IptcImagePlugin.getiptcinfo(image)
            assert found is not None
            assert found[(2, 25)] == b"house"


def test_texts_of_a_png_are_kept_and_their_rights_in_other_formats(tmp_path: Path) -> None:
    texts = {"Author": "José", "Copyright": "© 2024 山田", "Software": "x", "Comment": "hello"}
    source = write(tmp_path / "a.png", texts=texts)
    with Image.open(source) as image:
        assert dict(image.text) == texts
    for deep in (False, True):
        out = write(tmp_path / "b.png", deep, **open_image(source).info)
        assert open_image(out).info["texts"] == texts
    for suffix in (".jpg", ".tif", ".webp"):
        found = tags_of(again(source, tmp_path / f"c{suffix}"))
        assert found.entries[315].data == "José\0".encode()
        assert found.entries[33432].data == "© 2024 山田\0".encode()
    assert open_image(tmp_path / "c.jpg").info["texts"] == {"Comment": "hello"}


def test_texts_behind_the_pixels_are_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels()).save(stream, "PNG")
    data = stream.getvalue()
    body = b"tEXtCopyright\0me"
    late = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    assert open_image(data[:-12] + late + data[-12:]).info["texts"] == {"Copyright": "me"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_strip_leaves_all_of_it_out(tmp_path: Path, suffix: str) -> None:
    skip_without(suffix)
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    facts = {"exif": exif(), "xmp": XMP, "iptc": IPTC, "texts": {"Author": "me"}, "dpi": (300.0, 300.0)}
    out = save_image(pixels(), tmp_path / f"a{suffix}", info={**facts, "icc_profile": profile}, strip=True)
    assert set(open_image(out).info) - {"dpi"} == {"icc_profile"}  # a JPEG and a TIFF of tifffile have always some
    data = out.read_bytes()
    assert not any(word in data for word in (b"Jos", b"Example", b"2024:05"))


def test_broken_packets_are_no_harm(tmp_path: Path) -> None:
    for junk in (b"", b"<x", b"\0" * 50, b"RDF" + bytes(range(256))):
        image = Image.fromarray(pixels())
        image.info.update(xmp=junk, photoshop={1028: b""}, comment=b"\xff\xfe", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
        picture = open_image(image)
        for suffix in (".jpg", ".png", ".tif", ".webp"):
            again(image, tmp_path / f"a{suffix}")
        assert "iptc" not in picture.info


# ---- the record ----


RECORD = {"style": {"ember <&> é": 1.0}, "alpha": [0.5, 1], "nested": {"a": None}}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("xmp", [None, UPRIGHT])
def test_the_record_comes_back(tmp_path: Path, suffix: str, xmp: bytes | None) -> None:
    skip_without(suffix)
    info = {"xmp": xmp} if xmp else {}
    out = save_image(pixels(), tmp_path / f"a{suffix}", info=info, record={"old": 1})
    out = again(out, tmp_path / f"b{suffix}", record=RECORD)  # of a result that is stylized again, the last one
    found = describe(out)
    assert found["record"] == RECORD
    assert (found["height"], found["width"]) == SIDES
    kept = open_image(out).info["xmp"]
    assert kept.count(b"adainkit:record>") == 2
    assert ("© A. Example".encode() in kept) == (xmp is not None)
    stripped = save_image(pixels(), tmp_path / f"c{suffix}", info={"xmp": kept}, strip=True)
    assert describe(stripped)["record"] is None


def test_what_is_no_record_is_none() -> None:
    assert read_record(None) is None
    assert read_record(XMP) is None
    wrong = b'<rdf:Description rdf:about="" xmlns:adainkit="a"><adainkit:record>[1</adainkit:record></rdf:Description>'
    assert read_record(wrong) is None


def test_describing_what_is_no_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no")
    with pytest.raises(ImageError, match=r"a\.jpg: not a picture"):
        describe(tmp_path / "a.jpg")

"""What is kept of a picture, in the form in which each file format has it."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping
from typing import IO, Any

from PIL.PngImagePlugin import PngInfo

from .exif import parse_exif
from .facts import iptc_block
from .ifd import Directory, Entry, append_tags

__all__ = ["append_facts", "pillow_options", "png_chunks"]

_log = logging.getLogger("adainkit")

_EXIF_PREFIX = b"Exif\0\0"
_SEGMENT = 65533  # bytes that fit into the one segment that JPEG has for EXIF, and for each of its other packets
_XMP_HEAD = 29  # bytes of such a segment that name it as XMP
_OF_TEXTS = {"Title": 270, "Description": 270, "Author": 315, "Copyright": 33432}  # a PNG's keywords, as EXIF has them
_XMP_TAG, _IPTC_TAG = 700, 33723
_NO_IPTC = ("WEBP", "AVIF", "HEIF", "JXL", "JPEG2000")


def pillow_options(kind: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords under which Pillow's writer of a format takes what is kept; TIFF gets the rest by `append_facts`."""
    options = {key: info[key] for key in ("icc_profile", "dpi") if info.get(key)}
    if kind in ("TIFF", "BMP"):
        return options
    if kind == "PNG":
        chunks = PngInfo()
        for tag, data in png_chunks(info):
            chunks.add(tag, data)
        exif = info.get("exif")
        return {**options, "pnginfo": chunks, **({"exif": exif} if exif else {})}
    if exif := _with_texts(info.get("exif"), info.get("texts")):
        options["exif"] = exif
    if xmp := info.get("xmp"):
        options["xmp"] = xmp
    if kind == "JPEG":
        _fit_jpeg(options, info)
    elif info.get("iptc") and kind in _NO_IPTC:
        _log.info("%s has no place for IPTC records: they are left out", kind)
    return options


def _fit_jpeg(options: dict[str, Any], info: Mapping[str, Any]) -> None:
    if len(options.get("exif", b"")) > _SEGMENT:
        _log.warning("the EXIF data is too long for JPEG and is left out")
        del options["exif"]
    if len(options.get("xmp", b"")) > _SEGMENT - _XMP_HEAD:
        _log.warning("the XMP packet is too long for JPEG and is left out")
        del options["xmp"]
    if iptc := info.get("iptc"):
        data = b"Photoshop 3.0\0" + iptc_block(iptc)
        if len(data) > _SEGMENT:
            _log.warning("the IPTC records are too long for JPEG and are left out")
        else:
            options["extra"] = b"\xff\xed" + (len(data) + 2).to_bytes(2, "big") + data
    comment = (info.get("texts") or {}).get("Comment")
    if comment and len(comment) < _SEGMENT // 4:
        options["comment"] = comment.encode("utf-8", "surrogateescape")


def _with_texts(exif: bytes | None, texts: Mapping[str, str] | None) -> bytes | None:
    """EXIF with the rights and names that a PNG's texts tell, where EXIF does not tell them itself."""
    wanted = {_OF_TEXTS[key]: text for key, text in (texts or {}).items() if key in _OF_TEXTS and text}
    if not wanted:
        return exif
    found = parse_exif(exif) if exif else Directory("<")
    for tag, text in wanted.items():
        data = text.encode("utf-8", "surrogateescape") + b"\0"
        found.entries.setdefault(tag, Entry(2, len(data), data))
    return _EXIF_PREFIX + found.tobytes()


def png_chunks(info: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Texts, XMP and IPTC as a PNG's chunks: their names and contents."""
    chunks = [_text_chunk(key, text) for key, text in (info.get("texts") or {}).items()]
    if xmp := info.get("xmp"):
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    if iptc := info.get("iptc"):
        data = iptc_block(iptc)
        digits = data.hex()
        lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
        raw = f"\niptc\n{len(data):8d}\n{lines}\n".encode()
        chunks.append((b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(raw)))
    return chunks


def _text_chunk(key: str, text: str) -> tuple[bytes, bytes]:
    name = key.encode("latin-1", "replace")
    try:
        return b"tEXt", name + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return b"iTXt", name + b"\0\0\0\0\0" + plain.encode()


def append_facts(stream: IO[bytes], info: Mapping[str, Any]) -> None:
    """Add EXIF with its folders, XMP and IPTC to a TIFF that was just written."""
    exif = _with_texts(info.get("exif"), info.get("texts"))
    found = parse_exif(exif) if exif else Directory("<")
    more: dict[int, Entry] = {}
    if xmp := info.get("xmp"):
        more[_XMP_TAG] = Entry(1, len(xmp), xmp)
    if iptc := info.get("iptc"):
        more[_IPTC_TAG] = Entry(7, len(iptc), iptc)
    if more or found.entries or found.folders:
        append_tags(stream, found, more)

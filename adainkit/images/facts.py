"""What a picture file says besides its pixels: EXIF, XMP, IPTC, texts, resolution; and the record of a result."""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Mapping
from typing import IO, Any

from PIL import Image

from .exif import exif_of
from .ifd import Directory

__all__ = ["iptc_block", "read_facts", "read_record", "with_record"]

_log = logging.getLogger("adainkit")

_XMP_TEXT = "XML:com.adobe.xmp"
_IPTC_TEXT = "Raw profile type iptc"
_IPTC_TAG = 33723
_IPTC_RESOURCE = 1028  # of Photoshop, which invented how JPEG holds IPTC
_MOST_TEXT = 1 << 20  # bytes of texts that are kept, far more than words about a picture
_RESOLUTION = 65536  # what JPEG can hold

# What an XMP packet says of the pixels or of the file that was, and which would be wrong for a result
_STALE = [
    rb"\s(?:tiff:Orientation|hdrgm:\w+|xmpNote:HasExtendedXMP|GCamera:\w+)\s*=\s*(?:\"[^\"]*\"|'[^']*')",
    rb"<(tiff:Orientation|hdrgm:\w+|xmpNote:HasExtendedXMP|xmp:Thumbnails|Container:Directory|GCamera:\w+)\b"
    rb"(?:[^>]*/>|.*?</\1\s*>)",
]
_PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
_RECORD = re.compile(rb"\s*<rdf:Description[^>]*\sxmlns:adainkit=[^>]*><adainkit:record>(.*?)</adainkit:record>"
                     rb"</rdf:Description>", re.DOTALL)  # fmt: skip


def read_facts(image: Image.Image, stream: IO[bytes] | None, name: str) -> tuple[dict[str, Any], int]:
    """What is kept of an image besides its pixels and its profile, and its EXIF orientation.

    - "exif": bytes, without the orientation and the thumbnail;
    - "dpi": pixels per inch, a pair of floats;
    - "xmp": the packet's bytes, without what it says of the orientation, of thumbnails and of gain maps;
    - "iptc": IPTC records, as bytes; "texts": those of a PNG, and the comment of a JPEG or GIF, by their keywords.

    What is not there is not among the keys. `stream` is the file of a TIFF.
    """
    exif, orientation, directory = exif_of(image, stream, name)
    info: dict[str, Any] = {"exif": exif, "dpi": _dpi(image.info.get("dpi"))}
    try:
        info |= {"xmp": _xmp(image.info), "iptc": _iptc(image.info, directory), "texts": _texts(image)}
    except Exception as error:  # words are never worth losing the picture
        _log.warning("%s: its texts cannot be read (%s); they are left out", name, error)
    return {key: value for key, value in info.items() if value}, orientation


def _dpi(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, tuple):
        return None
    try:
        x, y = (float(v) for v in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < _RESOLUTION and 0 < y < _RESOLUTION else None  # NaN fails too


def _xmp(info: Mapping[Any, Any]) -> bytes | None:
    packet = info.get("xmp") or info.get(_XMP_TEXT)
    packet = packet.encode() if isinstance(packet, str) else packet
    if not isinstance(packet, bytes) or b"RDF" not in packet or len(packet) > _MOST_TEXT:
        return None
    for pattern in _STALE:
        packet = re.sub(pattern, b"", packet, flags=re.DOTALL)
    return packet.strip(b"\0 \n\r\t")


def _iptc(info: Mapping[Any, Any], directory: Directory | None) -> bytes | None:
    if directory is not None and _IPTC_TAG in directory.entries:
        entry = directory.entries[_IPTC_TAG]
        data = entry.turned().data if entry.kind == 4 and directory.order == "<" and entry.data[:1] != b"\x1c" else b""
        data = data or entry.data  # an old mistake: bytes as 32-bit numbers, which a byte order may have turned
        return data if data[:1] == b"\x1c" else None
    found: Any = info.get("photoshop")
    if isinstance(found, dict) and isinstance(found.get(_IPTC_RESOURCE), bytes):
        return bytes(found[_IPTC_RESOURCE])
    raw = info.get(_IPTC_TEXT)
    if isinstance(raw, str):  # ImageMagick's way: a name, a length, hexadecimal digits
        data = bytes.fromhex("".join(raw.split()[2:]))
        start = data.find(b"8BIM\x04\x04")
        return _resource(data[start:]) if start >= 0 else data if data[:1] == b"\x1c" else None
    return None


def _resource(data: bytes) -> bytes | None:
    """What Photoshop's resource holds that begins with `data`: a padded name and a size come first."""
    at = 6 + (data[6] + 2) // 2 * 2
    size = int.from_bytes(data[at : at + 4], "big")
    return data[at + 4 : at + 4 + size] or None


def iptc_block(iptc: bytes) -> bytes:
    """IPTC records as the Photoshop resource that JPEG and PNG files hold them in."""
    return b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + bytes(len(iptc) % 2)


def _texts(image: Image.Image) -> dict[str, str]:
    found: dict[str, str] = {}
    source: dict[Any, Any] = dict(getattr(image, "text", None) or {})
    comment = image.info.get("comment")
    if isinstance(comment, bytes) and comment.strip(b"\0 "):
        source.setdefault("Comment", comment.decode("utf-8", "surrogateescape").rstrip("\0"))
    room = _MOST_TEXT
    for key, value in source.items():
        plain = isinstance(key, str) and isinstance(value, str)
        if not plain or not 1 <= len(key) <= 79 or key == _XMP_TEXT or key.startswith("Raw profile type"):
            continue
        room -= len(value)
        if room >= 0:
            found[key] = value
    return found


def with_record(xmp: bytes | None, record: Mapping[str, Any]) -> bytes:
    """An XMP packet, a new one for None, that also holds how a picture was made; `record` is written as JSON."""
    packet = _RECORD.sub(b"", xmp or _PACKET)
    if b"</rdf:RDF>" not in packet:
        packet = _PACKET
    text = html.escape(json.dumps(record, default=str, ensure_ascii=False), quote=False).encode("utf-8", "replace")
    own = (
        b'<rdf:Description rdf:about="" xmlns:adainkit="urn:adainkit:record:1"><adainkit:record>'
        + text
        + b"</adainkit:record></rdf:Description>"
    )
    before, after = packet.rsplit(b"</rdf:RDF>", 1)
    return before + own + b"</rdf:RDF>" + after


def read_record(xmp: bytes | None) -> dict[str, Any] | None:
    """What `with_record` wrote into an XMP packet; None where there is nothing, or nothing of it."""
    found = _RECORD.search(xmp or b"")
    if not found:
        return None
    try:
        record = json.loads(html.unescape(found[1].decode()))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None

"""EXIF: what is kept of it, byte for byte, and which way is up."""

from __future__ import annotations

import io
import logging
import struct
from contextlib import suppress
from typing import IO, Any

from PIL import Image, TiffTags

from .ifd import EXIF, GPS, Directory, Entry, read_directory, read_header

__all__ = ["exif_of", "left_to_turn", "parse_exif", "without_sides"]

_log = logging.getLogger("adainkit")

_PREFIX = b"Exif\0\0"
_ORIENTATION = 274
_ASCII = 2
# The tags that describe the picture rather than the file's layout: the only ones worth taking from a TIFF
_OF_PICTURE = {269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 33432, EXIF, GPS, *range(40091, 40096)}
# Layout, resolution and packets that have a way of their own: of no use in the EXIF of a new picture
_OF_LAYOUT = {254, 255, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 320, 322, 323, 324, 325, 330, 338, 339, 347}
_PLACES = {273, 279, 324, 325}  # of the pixels: long lists
_OF_LAYOUT |= {513, 514, 700, 33723, 34377, 34675, _ORIENTATION}


def exif_of(image: Image.Image, stream: IO[bytes] | None, name: str) -> tuple[bytes | None, int, Directory | None]:
    """EXIF to keep, the orientation (1 to 8, 1 is upright), and for a TIFF all of its first directory.

    `stream` is the file if it is one. The orientation is not kept, since the picture is turned; nor is the thumbnail,
    which shows the picture before. Texts are kept byte for byte. A tag that cannot be read is left out alone, with a
    logged warning; EXIF that is no EXIF at all is left out wholly.
    """
    try:
        if stream is not None:
            header = read_header(stream)
            place = image.tag_v2._offset if hasattr(image, "tag_v2") else header.first
            whole = read_directory(stream, header, place, lambda tag: tag not in _PLACES)
            return *_kept(whole, name, only=_OF_PICTURE), whole
        if hasattr(image, "tag_v2") and image.info.get("exif") is None:  # its file is closed; folders are gone with it
            return *_kept(_from_tags(image.tag_v2), name, only=_OF_PICTURE), None
        raw = _raw_exif(image)
        if not raw:
            return None, left_to_turn(image), None
        found = parse_exif(raw)
        kept, orientation = _kept(found, name)
        return kept, orientation if _ORIENTATION in found.entries else left_to_turn(image), None
    except Exception as error:  # damaged EXIF raises many kinds, and it is never worth losing the picture
        _log.warning("%s: its EXIF data cannot be read (%s); it is left out", name, error)
        return None, 1, None


def left_to_turn(image: Image.Image) -> int:
    """The orientation as Pillow finds it, in XMP too; of a TIFF what is left of it: Pillow turns that as it loads."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def parse_exif(raw: bytes) -> Directory:
    """EXIF data, with or without their prefix, as a directory. `ValueError` for what is none."""
    while raw.startswith(_PREFIX):
        raw = raw[len(_PREFIX) :]
    stream = io.BytesIO(raw)
    header = read_header(stream)
    if header.big:
        raise ValueError("EXIF data of a BigTIFF")
    return read_directory(stream, header, header.first)


def _kept(found: Directory, name: str, only: set[int] | None = None) -> tuple[bytes | None, int]:
    orientation = found.integer(_ORIENTATION, 1)
    wrong = [tag for tag in found.lost if only is None or tag in only]
    for directory in (found, *found.folders.values()):
        for tag, entry in list(directory.entries.items()):
            text = TiffTags.lookup(tag).type in (3, 4, 5) and entry.kind == _ASCII
            if text and directory is found and (only is None or tag in only):
                wrong.append(tag)
            if text and directory is found:
                del directory.entries[tag]
    if wrong:
        names = ", ".join(f"{TiffTags.lookup(tag).name} ({tag})" for tag in wrong)
        _log.warning("%s: left out of its EXIF data, as it cannot be read: %s", name, names)
    main = {t: e for t, e in found.entries.items() if (t in only if only else t not in _OF_LAYOUT) and _classic(e.kind)}
    folders = {tag: folder for tag, folder in found.folders.items() if only is None or tag in only}
    for folder in folders.values():
        folder.entries = {tag: entry for tag, entry in folder.entries.items() if _classic(entry.kind)}
    if 5 <= orientation <= 8 and EXIF in folders:  # the picture's sides as EXIF counts them
        sides = folders[EXIF].entries
        turned = {a: sides[b] for a, b in ((40962, 40963), (40963, 40962)) if b in sides}
        folders[EXIF].entries = {**sides, **turned}
    if not main and not any(folder.entries for folder in folders.values()):
        return None, orientation
    return _PREFIX + Directory(found.order, main, folders).tobytes(), orientation


def without_sides(raw: bytes) -> bytes:
    """EXIF data without the sides of the picture in pixels; as they are where they cannot be read."""
    try:
        found = parse_exif(raw)
    except (ValueError, struct.error):
        return raw
    if EXIF not in found.folders or not found.folders[EXIF].entries.keys() & {40962, 40963}:
        return raw
    folder = found.folders[EXIF]
    folder.entries = {tag: entry for tag, entry in folder.entries.items() if tag not in (40962, 40963)}
    return _PREFIX + found.tobytes()


def _classic(kind: int) -> bool:
    """Whether EXIF, a classic TIFF, has such values."""
    return kind < 14


def _raw_exif(image: Image.Image) -> bytes | None:
    """The EXIF bytes of an image, as they came where nothing was changed in them by Pillow's means."""
    raw = image.info.get("exif")
    raw = raw if isinstance(raw, bytes) else None
    own: Any = getattr(image, "_exif", None)
    if own is None or not getattr(own, "_loaded", False):
        if raw is None and "Raw profile type exif" in image.info:
            return _written(image.getexif())
        return raw
    before = Image.Exif()
    with suppress(Exception):
        before.load(raw or b"")
    now = image.getexif()
    if raw is not None and {t: now[t] for t in now} == {t: before[t] for t in before}:
        return raw
    return _written(now)


def _written(exif: Image.Exif) -> bytes | None:
    """As Pillow writes it, but for texts, of which it would lose every byte above 127, and for tags that it cannot."""
    kept = Image.Exif()
    kept.endian = exif.endian
    folders = {tag: dict(exif.get_ifd(tag)) for tag in (EXIF, GPS) if tag in exif}
    for tag in exif:
        value = exif[tag]
        if tag in folders:
            continue
        kept[tag] = _bytes_of(value) if isinstance(value, str) else value
        try:
            kept.tobytes()
        except Exception:
            del kept[tag]
    for tag, folder in folders.items():
        kept[tag] = {key: _bytes_of(value) if isinstance(value, str) else value for key, value in folder.items()}
        try:
            kept.tobytes()
        except Exception:
            del kept[tag]
    return kept.tobytes() if kept else None


def _bytes_of(text: str) -> bytes:
    """The bytes that Pillow read as Latin-1; UTF-8 for a text that was set here."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _from_tags(tags: Any) -> Directory:
    """Pillow's view of a TIFF's first directory."""
    order = tags._endian
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
    found = {t: (tags.tagtype[t], data) for t, data in tags._tagdata.items() if tags.tagtype.get(t) in sizes}
    return Directory(order, {t: Entry(kind, len(data) // sizes[kind], data) for t, (kind, data) in found.items()})

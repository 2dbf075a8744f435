"""TIFF directories as bytes: what EXIF and TIFF files say about a picture, read and written as it is."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, NamedTuple

__all__ = ["EXIF", "GPS", "INTEROP", "Directory", "Entry", "Header", "append_tags", "read_directory", "read_header"]

EXIF, GPS, INTEROP = 34665, 34853, 40965
"""Tags that hold no value but the place of another directory."""

_FOLDERS = (EXIF, GPS, INTEROP)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WORDS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # what a byte order turns
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_ENTRIES = 4096  # a camera writes some dozens
_MOST_BYTES = 1 << 24  # of one value; a maker's note of a camera takes some ten thousand


class Entry(NamedTuple):
    """The value of a tag: its TIFF type, how many there are, and their bytes in the byte order of the directory."""

    kind: int
    values: int
    data: bytes

    def integers(self, order: str) -> tuple[int, ...]:
        """The value as whole numbers; empty where it is of another type."""
        code = _INTEGERS.get(self.kind)
        return struct.unpack(f"{order}{self.values}{code}", self.data) if code else ()

    def turned(self) -> Entry:
        """The same value in the other byte order."""
        size = _WORDS.get(self.kind, 1)
        data = b"".join(self.data[i : i + size][::-1] for i in range(0, len(self.data), size)) if size > 1 else None
        return self if data is None else self._replace(data=data)


class Header(NamedTuple):
    """The first bytes of a TIFF: byte order ("<" or ">"), whether it is a BigTIFF, and the first directory's place."""

    order: str
    big: bool
    first: int


@dataclass
class Directory:
    """Tags and their values; `folders` are the directories that EXIF, GPS and interoperability tags point to."""

    order: str
    entries: dict[int, Entry] = field(default_factory=dict)
    folders: dict[int, Directory] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    """Tags whose values lie outside of the file, or are of no known type."""
    following: int = 0
    """Where the next picture's directory is; 0 for none."""

    def integer(self, tag: int, default: int = 0) -> int:
        """The first whole number of a tag, or `default`."""
        entry = self.entries.get(tag)
        values = entry.integers(self.order) if entry else ()
        return values[0] if values else default

    def tobytes(self, offset: int = 0) -> bytes:
        """A classic TIFF's header and directory as EXIF holds them, if `offset` is 0; else the directory for that place
        of a file."""
        head = b""
        if not offset:
            head = (b"II" if self.order == "<" else b"MM") + struct.pack(f"{self.order}HI", 42, 8)
        return head + _pack(self, offset or 8, False)[0]


def read_header(stream: IO[bytes]) -> Header:
    """The header of a TIFF, or of EXIF data from their ``II`` or ``MM`` on. `ValueError` for anything else."""
    stream.seek(0)
    head = stream.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    if not order or len(head) < 8:
        raise ValueError("no TIFF header")
    version = struct.unpack_from(f"{order}H", head, 2)[0]
    if version == 43 and len(head) == 16:
        return Header(order, True, struct.unpack_from(f"{order}Q", head, 8)[0])
    if version != 42:
        raise ValueError("no TIFF header")
    return Header(order, False, struct.unpack_from(f"{order}I", head, 4)[0])


def read_directory(
    stream: IO[bytes], header: Header, offset: int, want: Callable[[int], bool] = lambda tag: True, *, depth: int = 0
) -> Directory:
    """The directory at a place of the file, with the folders that it points to.

    Of tags that `want` refuses nothing is read. A value that cannot be read goes to `Directory.lost` and harms no
    other. `ValueError` where no directory is.
    """
    order, big = header.order, header.big
    stream.seek(offset)
    count_size, entry_size, inline = (8, 20, 8) if big else (2, 12, 4)
    count_code, place_code = ("Q", "Q") if big else ("H", "I")
    raw = stream.read(count_size)
    if len(raw) < count_size:
        raise ValueError("the directory lies outside of the file")
    number = min(struct.unpack(order + count_code, raw)[0], _MOST_ENTRIES)
    table = stream.read(number * entry_size + inline)
    found = Directory(order)
    for at in range(0, min(len(table), number * entry_size) - entry_size + 1, entry_size):
        tag, kind, count = struct.unpack_from(f"{order}HH{place_code}", table, at)
        size = _SIZES.get(kind, 0) * count
        if not want(tag) or (kind in _SIZES and not count):
            continue
        data = table[at + entry_size - inline : at + entry_size][:size]
        if 0 < size <= _MOST_BYTES and size > inline:
            stream.seek(struct.unpack_from(order + place_code, table, at + entry_size - inline)[0])
            data = stream.read(size)
        if not size or len(data) < size:
            found.lost.append(tag)
        elif tag in _FOLDERS:
            _follow(found, tag, Entry(kind, count, data), stream, header, depth)
        else:
            found.entries[tag] = Entry(kind, count, data)
    if len(table) == number * entry_size + inline:
        found.following = struct.unpack_from(order + place_code, table, number * entry_size)[0]
    return found


def _follow(found: Directory, tag: int, entry: Entry, stream: IO[bytes], header: Header, depth: int) -> None:
    try:
        if depth > 1:
            raise ValueError("folders in folders")
        found.folders[tag] = read_directory(stream, header, entry.integers(header.order)[0], depth=depth + 1)
    except (ValueError, IndexError, OverflowError):
        found.lost.append(tag)


def _pack(directory: Directory, offset: int, big: bool, following: int = 0) -> tuple[bytes, int]:
    """A directory and its folders for the place `offset` of a file, and their length; `following` is the next one."""
    order = directory.order
    entries = dict(directory.entries)
    inline, count_code, place_code = (8, "Q", "Q") if big else (4, "H", "I")
    for tag in directory.folders:
        entries[tag] = Entry(18 if big else 4, 1, b"")
    table_size = len(struct.pack(order + count_code, 0)) + len(entries) * (20 if big else 12) + inline
    table, body = struct.pack(order + count_code, len(entries)), b""
    for tag in sorted(entries):
        kind, count, data = entries[tag]
        place = offset + table_size + len(body)
        if tag in directory.folders:
            body += _pack(directory.folders[tag], place, big)[0]
            data = struct.pack(order + place_code, place)
        elif len(data) > inline:
            body += data + bytes(len(data) % 2)
            data = struct.pack(order + place_code, place)
        table += struct.pack(f"{order}HH{place_code}", tag, kind, count) + data.ljust(inline, b"\0")
    packed = table + struct.pack(order + place_code, following) + body
    return packed + bytes(len(packed) % 2), len(packed)


def append_tags(stream: IO[bytes], new: Directory, more: Mapping[int, Entry]) -> None:
    """Give the first picture of a TIFF file further tags and folders: its directory moves to the end of the file.

    `new` and `more` are of the byte order of `new`; a tag that the file has already stays as it is.
    """
    header = read_header(stream)
    old = read_directory(stream, header, header.first)
    if old.lost:
        raise OverflowError(f"tags of the file cannot be moved: {old.lost}")
    adding = Directory(new.order, {**new.entries, **more}, new.folders)
    if new.order != header.order:
        adding = _turned(adding)
    old.entries = {**adding.entries, **old.entries}
    old.folders = {**adding.folders, **old.folders}
    stream.seek(0, 2)
    place = stream.tell() + stream.tell() % 2
    packed, _ = _pack(old, place, header.big, old.following)
    if not header.big and place + len(packed) >= 1 << 32:
        raise OverflowError("the file is too large for further tags")
    stream.seek(place)
    stream.write(packed)
    stream.seek(8 if header.big else 4)
    stream.write(struct.pack(header.order + ("Q" if header.big else "I"), place))
    stream.seek(0, 2)


def _turned(directory: Directory) -> Directory:
    return Directory(
        ">" if directory.order == "<" else "<",
        {tag: entry.turned() for tag, entry in directory.entries.items()},
        {tag: _turned(folder) for tag, folder in directory.folders.items()},
    )

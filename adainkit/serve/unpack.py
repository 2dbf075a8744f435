"""Archives: a ZIP of pictures, whose names, sizes and claims are all somebody else's."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, Protocol

from ..errors import ImageError
from ..formats import PICTURES
from .problems import Refusal

__all__ = ["unpack"]

_MEMBERS = 10_000  # entries of any kind: a list of millions would take the memory
_LIST_BYTES = 4 << 20  # of their list, which is read whole before they are counted


class Taker(Protocol):
    """What takes the pictures: `series.Series`."""

    def add(self, name: str, stream: IO[bytes]) -> None:
        """Take one, and count its bytes as they come."""


class _Bounded:
    """A file of which nothing large is read at once: the list of an archive's entries is."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        """As a file's. `Refusal` for too much."""
        data = self._stream.read(min(size, _LIST_BYTES + 1) if size >= 0 else _LIST_BYTES + 1)
        if len(data) > _LIST_BYTES:
            raise Refusal(413, f"the archive has more than {_MEMBERS} entries", "send fewer at once")
        return data


def unpack(stream: IO[bytes], taker: Taker) -> None:
    """Hand every picture of a ZIP over, by the ending of its name. Nothing is written under a name of the archive's.
    `Refusal` for what is no ZIP, is damaged, has a password or holds no picture."""
    try:
        with zipfile.ZipFile(_Bounded(stream)) as archive:
            members = archive.infolist()
            if len(members) > _MEMBERS:
                raise Refusal(413, f"the archive has more than {_MEMBERS} entries", "send fewer at once")
            chosen = [member for member in members if _is_picture(member)]
            if not chosen:
                raise Refusal(422, "the archive holds no picture", "pack JPEG, PNG, WebP, AVIF or TIFF files")
            for member in chosen:
                if member.flag_bits & 1:
                    raise Refusal(422, "the archive has a password", "pack it without one")
                with archive.open(member) as source:
                    taker.add(member.filename, source)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise ImageError("the archive cannot be read; pack it as an ordinary ZIP") from error


def _is_picture(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not member.is_dir() and not hidden and path.suffix.lower() in PICTURES

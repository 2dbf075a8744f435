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


class Taker(Protocol):
    """What takes the pictures: `series.Series`."""

    def add(self, name: str, stream: IO[bytes]) -> None:
        """Take one, and count its bytes as they come."""


def unpack(stream: IO[bytes], taker: Taker) -> None:
    """Hand every picture of a ZIP over, by the ending of its name. Nothing is written under a name of the archive's.
    `Refusal` for what is no ZIP, is damaged, has a password or holds no picture."""
    try:
        with zipfile.ZipFile(stream) as archive:
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

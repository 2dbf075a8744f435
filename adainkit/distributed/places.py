"""Where files are: paths, and URIs of whatever fsspec knows. Both are read through local files and written whole."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..atomic import temporary_beside
from ..errors import AdaINKitError, ImageError

__all__ = ["Item", "Listing", "absolute", "fetch_to", "is_uri", "join", "read_bytes", "sweep", "upload"]

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters and more: C:// is a drive
# Where an object appears when all of it has come. Elsewhere it gets its name last.
_WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "hf", "memory"}


@dataclass(frozen=True)
class Item:
    """A file of a listing: its place, its path below what was listed, and its bytes and time of change, if known."""

    place: str
    inner: str
    size: int | None = None
    changed: float | None = None


def is_uri(place: str) -> bool:
    """Whether it is a URI, as `s3://bucket/key` is, and no path."""
    return _URI.match(place) is not None


def absolute(place: str) -> str:
    """The place by a name that means the same on every machine that sees it."""
    return place if is_uri(place) else os.path.abspath(place)  # noqa: PTH100


def join(folder: str, inner: str) -> str:
    """A place below a folder; `inner` has "/"."""
    return f"{folder.rstrip('/')}/{inner}" if is_uri(folder) else str(Path(folder, inner))


def _file_system(place: str) -> tuple[Any, str]:
    """fsspec's file system of a URI, and the path in it. `AdaINKitError` where a package for it is missing."""
    try:
        import fsspec
    except ImportError as error:
        raise AdaINKitError(f'{place}: URIs need fsspec; run pip install "adainkit[ray]"') from error
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise AdaINKitError(f"{place}: cannot be opened ({' '.join(str(error).split())})") from error
    return found


class Listing:
    """All files below a URI, found with one walk; `AdaINKitError` for a place that cannot be listed."""

    def __init__(self, place: str) -> None:
        system, root = _file_system(place)
        self.place, base = place.rstrip("/"), place[: len(place) - len(root)] if place.endswith(root) else ""
        protocol = place.partition("://")[0]
        self._base = base or f"{protocol}://"
        try:
            system.invalidate_cache()
            pattern = any(letter in root for letter in "*?[")
            found = system.glob(root, detail=True) if pattern else system.find(root, detail=True)
            self.is_file = not pattern and list(found) == [root] and not system.isdir(root)
        except Exception as error:  # each file system has its own
            raise AdaINKitError(f"{place}: cannot be listed ({type(error).__name__}: {error})") from error
        top = str(PurePosixPath(root).parent) if pattern or self.is_file else root.rstrip("/")
        while any(letter in top for letter in "*?["):
            top = str(PurePosixPath(top).parent)
        files = sorted((str(path), facts) for path, facts in found.items() if facts.get("type") == "file")
        self.items = [self._item(path, facts, top) for path, facts in files]

    def _item(self, path: str, facts: dict[str, Any], top: str) -> Item:
        changed = next((facts[key] for key in ("mtime", "LastModified", "updated", "last_modified") if key in facts), 0)
        stamp = getattr(changed, "timestamp", None)
        when = stamp() if stamp is not None else float(changed) if isinstance(changed, (int, float)) else None
        inner = path.removeprefix(top).lstrip("/")
        return Item(self._base + path, inner, facts.get("size"), when or None)

    def pictures(self, suffixes: Collection[str]) -> Iterator[Item]:
        """Those with such a suffix, in lower case, whose names and folders are not hidden."""
        for item in self.items:
            parts = PurePosixPath(item.inner).parts
            if not any(part.startswith(".") for part in parts) and PurePosixPath(item.inner).suffix.lower() in suffixes:
                yield item


def read_bytes(place: str) -> bytes:
    """All of a file. `ImageError` if it cannot be read."""
    if not is_uri(place):
        try:
            return Path(place).read_bytes()
        except OSError as error:
            raise ImageError(f"{place}: cannot be read ({error.strerror or error})") from error
    system, path = _file_system(place)
    try:
        return bytes(system.cat_file(path))
    except FileNotFoundError as error:
        raise ImageError(f"{place}: no such object; expected the URI of a file") from error
    except Exception as error:
        raise ImageError(f"{place}: cannot be read ({type(error).__name__}: {error})") from error


def fetch_to(place: str, file: Path) -> Path:
    """A local file with the bytes of `place`: itself where it is a path, else `file`, which is written."""
    if not is_uri(place):
        return Path(place)
    system, path = _file_system(place)
    try:
        system.get_file(path, str(file))
    except FileNotFoundError as error:
        raise ImageError(f"{place}: no such object; expected the URI of a file") from error
    except Exception as error:
        raise ImageError(f"{place}: cannot be fetched ({type(error).__name__}: {error})") from error
    return file


def upload(file: Path, place: str) -> None:
    """Make `place` of a local file: nobody ever finds a part of it. `ImageError` if that cannot be done."""
    try:
        if not is_uri(place):
            with temporary_beside(place) as part:
                shutil.copyfile(file, part)
            return
        system, path = _file_system(place)
        if _protocols(system) & _WHOLE:
            system.put_file(str(file), path)
            return
        folder, _, name = path.rpartition("/")
        system.makedirs(folder, exist_ok=True)
        part_path = f"{folder}/.{name}.{secrets.token_hex(6)}.part"
        try:
            system.put_file(str(file), part_path)
            system.mv(part_path, path)
        except BaseException:
            if system.exists(part_path):
                system.rm_file(part_path)
            raise
    except Exception as error:
        raise ImageError(f"{place}: cannot be written ({type(error).__name__}: {error})") from error


def sweep(place: str) -> None:
    """Remove what killed writers of a URI have left beside it: `atomic.remove_leftovers` for places."""
    system, path = _file_system(place)
    folder, _, name = path.rpartition("/")
    if _protocols(system) & _WHOLE or not system.isdir(folder):
        return
    for found in system.ls(folder, detail=False):
        if re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{12}}\.part", str(found).rpartition("/")[2]):
            system.rm_file(found)


def _protocols(system: Any) -> set[str]:
    names = system.protocol
    return {names} if isinstance(names, str) else set(names)

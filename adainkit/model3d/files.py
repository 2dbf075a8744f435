"""The files of a model: read from its own folder alone, written all or none."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from ..atomic import temporary_beside
from ..errors import AdaINKitError, Model3DError

__all__ = ["Folder", "check_free", "decode_data_uri", "reading_model", "write_together"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # of a URI, or a drive of Windows


class Folder:
    """The folder that a model lies in: what its file names is found here and below, and nowhere else."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))

    def place(self, name: str, *, quoted: bool = True) -> Path:
        """Where the relative URI (or, not `quoted`, path) `name` leads to, links followed.

        `Model3DError` for what lies outside, absolute paths, and other schemes than a relative path's.
        """
        plain = unquote(name) if quoted else name
        plain = plain.replace("\\", "/")
        if not plain or "\0" in plain or _SCHEME.match(plain) or plain.startswith("/"):
            raise Model3DError(f"{name[:200]!r} is no file beside the model; put it there and name it relatively")
        found = Path(os.path.realpath(self.path / plain))
        if not found.is_relative_to(self.path):
            raise Model3DError(
                f"{name[:200]!r} leads out of the model's folder {self.path}; nothing outside of it is read or written"
            )
        return found

    def read(self, name: str, *, quoted: bool = True) -> bytes:
        """The bytes of that file. `Model3DError` where it is missing, no file, or cannot be read."""
        path = self.place(name, quoted=quoted)
        try:
            if not path.is_file():
                raise Model3DError(f"{path}: no such file, which the model names; put it back beside the model")
            return path.read_bytes()
        except OSError as error:
            raise Model3DError(f"{path}: cannot be read ({error.strerror or error})") from error


def decode_data_uri(uri: str) -> bytes:
    """The bytes of `data:[type][;base64],...`. `Model3DError` for a damaged one."""
    head, comma, body = uri.partition(",")
    if not comma:
        raise Model3DError(f"{uri[:60]!r} is no data URI: a comma is missing")
    try:
        return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise Model3DError(f"{head[:60]!r}: damaged data URI ({error})") from error


@contextmanager
def reading_model(path: Path) -> Iterator[None]:
    """Whatever is wrong with the model `path`, which the block reads, is one `Model3DError` that names it."""
    try:
        yield
    except AdaINKitError as error:
        raise Model3DError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise Model3DError(f"{path}: no such file; expected a model, .glb, .gltf or .obj") from error
    except OSError as error:
        raise Model3DError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # JSON of another shape than that of the format: one of a hundred ways
        raise Model3DError(f"{path}: damaged ({type(error).__name__}: {error}); expected a valid model") from error


def write_together(files: Mapping[Path, bytes], overwrite: bool) -> None:
    """Write all files, or none; those that hold the same bytes already are left alone.

    They take their names at the end, the first one last, since it is the one that names the others. `Model3DError` for
    what exists and is another, unless `overwrite`, and for what the system refuses.
    """
    try:
        needed = _needed(files, overwrite)
        with ExitStack() as together:  # left in reverse
            for path, data in needed.items():
                together.enter_context(temporary_beside(path)).write_bytes(data)
    except OSError as error:
        raise Model3DError(f"{error.filename or 'the model'}: cannot be written ({error.strerror or error})") from error


def check_free(files: Mapping[Path, bytes], overwrite: bool) -> None:
    """`Model3DError` for what `write_together` would refuse since it exists: before the work, not after it."""
    try:
        _needed(files, overwrite)
    except OSError as error:
        raise Model3DError(f"{error.filename or 'the model'}: cannot be read ({error.strerror or error})") from error


def _needed(files: Mapping[Path, bytes], overwrite: bool) -> dict[Path, bytes]:
    needed = {path: data for path, data in files.items() if not _holds(path, data)}
    for path in needed:
        if not overwrite and os.path.lexists(path):
            raise Model3DError(f"{path} exists already; overwrite it, or choose another folder")
    return needed


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data

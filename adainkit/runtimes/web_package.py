"""The engine of the browser's page: files of the npm package onnxruntime-web, fetched by npm or given."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path

from ..errors import AdaINKitError
from ..store.weights import is_offline

__all__ = ["ENGINE_FILES", "PACKAGE", "VERSION", "read_package"]

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
_SHA512 = "cWvCfslw7YKsSQbxsquUIjmdsVlXwifwvRIyWR0slM21yMY5hC09ODFooUAn4DSYGDb+nzoBXecpF7LaPNw7lA=="
"""Of the files below, one after the other. What npm says of the whole package is checked by npm."""
_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
ENGINE_FILES = tuple(name.replace(".mjs", ".js") for name in _FILES)
"""Under which names they are written: some servers do not know .mjs, and browsers run no module of an unknown type."""
_PATIENCE = 600  # seconds for 33 MB
_INSTEAD = f"or pass the folder or the .tgz of {PACKAGE} {VERSION} (--onnxruntime-web)"


def read_package(source: str | os.PathLike[str] | None = None) -> dict[str, bytes]:
    """The files by the names of `ENGINE_FILES`: of an unpacked package, of its .tgz, or, for None, of what `npm pack`
    fetches. `AdaINKitError` if they cannot be had or are not those of `VERSION`."""
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            found = _of_archive(_fetched(Path(folder)))
    else:
        path = Path(source)
        found = _of_folder(path) if path.is_dir() else _of_archive(path)
    total = hashlib.sha512()
    for name in _FILES:
        total.update(found[name])
    if base64.b64encode(total.digest()).decode() != _SHA512:
        where = PACKAGE if source is None else os.fspath(source)
        raise AdaINKitError(f"{where}: its files are not those of {PACKAGE} {VERSION}; take that version, unchanged")
    return {new: found[name] for name, new in zip(_FILES, ENGINE_FILES, strict=True)}


def _of_folder(path: Path) -> dict[str, bytes]:
    home = path / "dist" if (path / "dist").is_dir() else path
    try:
        return {name: (home / name).read_bytes() for name in _FILES}
    except OSError as error:
        raise AdaINKitError(
            f"{path}: is not {PACKAGE} {VERSION} unpacked ({error.strerror}: {error.filename})"
        ) from error


def _of_archive(path: Path) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for name in _FILES:
                file = archive.extractfile(f"package/dist/{name}")
                found[name] = file.read() if file else b""
    except (OSError, EOFError, zlib.error, tarfile.TarError, KeyError) as error:
        raise AdaINKitError(
            f"{path}: cannot be read as {PACKAGE} {VERSION}, a .tgz that npm pack made ({error})"
        ) from error
    return found


def _fetched(folder: Path) -> Path:
    npm = shutil.which("npm")
    if is_offline():
        raise AdaINKitError(f"ADAINKIT_OFFLINE is set: unset it to fetch {PACKAGE} by npm, {_INSTEAD}")
    if npm is None:
        raise AdaINKitError(f"npm is not installed, which fetches {PACKAGE}: install Node.js, {_INSTEAD}")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=folder, check=True, timeout=_PATIENCE, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        told = told.decode(errors="replace") if isinstance(told, bytes) else told  # of a time-out they are bytes
        told = " ".join(told.split())[:300]
        raise AdaINKitError(
            f"npm could not fetch {PACKAGE} ({told}); see whether npm has a network, {_INSTEAD}"
        ) from error
    found = next(folder.glob("*.tgz"), None)
    if found is None:
        raise AdaINKitError(f"npm left no package behind (see pack-destination and dry-run in .npmrc), {_INSTEAD}")
    return found

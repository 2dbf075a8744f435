"""Published weights: their sources, and the way into the cache.

Environment: `ADAINKIT_HOME` is the cache folder (default: the user's cache folder of the system); `ADAINKIT_MIRROR`
holds base urls separated by commas, of which `<base>/<file name>` is tried before a file's own urls;
`ADAINKIT_OFFLINE=1` forbids every download.
"""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DownloadError, Progress, WeightsError
from .fetch import fetch, file_digest, locked, storage_error

if TYPE_CHECKING:
    from ..net.model import AdaINModel

__all__ = [
    "Source",
    "Weights",
    "cache_dir",
    "clear_cache",
    "download",
    "is_offline",
    "load_model",
    "models",
    "register_model",
    "resolve",
]

_Path = str | os.PathLike[str]
_PACKAGE = Path(__file__).parent.parent
log = logging.getLogger("adainkit")


@dataclass(frozen=True)
class Source:
    """One file as its author published it; `size` in bytes, None where only its sum is pinned."""

    file: str
    urls: tuple[str, ...]
    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class Weights:
    """A model with a name: embedded in the package, assembled from its `sources` (encoder, decoder), or a `file` that
    was registered."""

    name: str
    description: str
    license: str
    homepage: str
    paper: str
    sources: tuple[Source, ...] = ()
    file: Path | None = None

    @property
    def path(self) -> Path:
        """The place of its .safetensors file, which may not be there yet."""
        if self.file is not None:
            return self.file
        folder = cache_dir() / "weights" if self.sources else _PACKAGE / "weights"
        return folder / f"{self.name}.safetensors"

    @property
    def available(self) -> bool:
        """Whether the file is on this machine."""
        return os.path.isfile(self.path)  # noqa: PTH113 - Path.is_file raises for a folder that may not be entered

    @property
    def size(self) -> int | None:
        """Bytes of the file, None while it isn't on this machine."""
        return self.path.stat().st_size if self.available else None


_PAPER = "Huang & Belongie, Arbitrary Style Transfer in Real-time with AdaIN, ICCV 2017, arXiv:1703.06868"
_CLASSIC = "https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0"

REGISTRY: dict[str, Weights] = {
    "lite": Weights(
        name="lite",
        description="small and quick, comes with the package and works offline; a second for a small picture on a CPU",
        license="MIT",
        homepage="adainkit's own training",
        paper=_PAPER,
    ),
    "vgg19": Weights(
        name="vgg19",
        description="the AdaIN paper's VGG-19: the classic look, for GPUs; fetches about 94 MB, keeps 28 MB",
        license="MIT",
        homepage="https://github.com/naoto0804/pytorch-AdaIN",
        paper=_PAPER,
        sources=(
            Source(
                file="vgg_normalised.pth",
                urls=(f"{_CLASSIC}/vgg_normalised.pth",),
                sha256="804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
                size=80_102_481,
            ),
            Source(
                file="decoder.pth",
                urls=(f"{_CLASSIC}/decoder.pth",),
                sha256="379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
            ),
        ),
    ),
}


def cache_dir() -> Path:
    """The folder for what can be had again: `ADAINKIT_HOME`, else the user's cache folder. Not made here."""
    from platformdirs import user_cache_path

    home = os.environ.get("ADAINKIT_HOME")
    return Path(home).expanduser().absolute() if home else user_cache_path("adainkit", appauthor=False)


def is_offline() -> bool:
    """Whether `ADAINKIT_OFFLINE` forbids downloads."""
    return os.environ.get("ADAINKIT_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def models() -> dict[str, Weights]:
    """The published models by name, with the facts to choose by. Needs neither torch nor network.

    >>> models()["vgg19"].license
    'MIT'
    """
    return dict(REGISTRY)


def register_model(
    name: str, file: _Path, *, description: str = "", license: str = "", homepage: str = "", paper: str = ""
) -> Weights:
    """Give a model file a name, by which `Stylizer`, `stylize` and `models` know it in this process; return its entry.

    The file need not exist yet. It is never downloaded and never removed. If the name was registered before, it stands
    for the new file from now on. `WeightsError` if a published model has this name, or if it cannot be a name.
    """
    if not re.fullmatch(r"\w[\w .-]*", name):
        raise WeightsError(f"a model's name is of letters, digits, ' ', '.', '-' and '_', got {name!r}")
    if name in REGISTRY and REGISTRY[name].file is None:
        raise WeightsError(f"{name!r} is the name of a published model; choose another")
    weights = Weights(name, description, license, homepage, paper, file=Path(file).absolute())
    REGISTRY[name] = weights
    return weights


def _registered(name: str) -> Weights:
    if name not in REGISTRY:
        raise WeightsError(f"no model is called {name!r}; there are: {', '.join(REGISTRY)}")
    return REGISTRY[name]


def download(
    name: str,
    *,
    source: _Path | None = None,
    verify: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Make sure that a published model is on this machine, and return the path of its .safetensors file.

    A model that is here already is not downloaded again, and then no write access is needed. Several processes that
    ask for a model at once download it once. The published files are removed when the model has been made from them.

    Args:
        name: one of `models()`.
        source: a folder with the published files (`vgg_normalised.pth` and `decoder.pth` for `vgg19`):
            nothing is fetched, the folder stays as it is, a model in the cache is replaced.
        verify: False accepts files of other sizes and sums than the pinned ones.
        progress: called with (stage, bytes done, bytes in all or 0); raising `Cancelled` in it stops, and the
            next call goes on from there. None: a bar on a terminal, else the log.

    Raises:
        WeightsError: unknown name, or files that aren't classic weights.
        DownloadError: network, server, disk, sum, or `ADAINKIT_OFFLINE`.
    """
    weights = _registered(name)
    if not weights.sources:
        if source is not None:
            raise WeightsError(f"model {name!r} comes with the package and takes no folder of files")
        if weights.file is not None and not weights.available:
            raise WeightsError(f"{weights.path}, the file of the model {name!r}, is not there")
        if not weights.available:
            raise WeightsError(f"{weights.path} is missing from the package; reinstall adainkit")
    elif source is not None:
        files = _given(weights, Path(source), verify)
        with locked(weights.path):
            _assemble(weights, files)
    elif not weights.available:
        if is_offline():
            here = weights.path.parent
            raise DownloadError(
                f"{name!r} isn't in {here} and ADAINKIT_OFFLINE is set: unset it to download. {_by_hand(weights)}"
            )
        with locked(weights.path):
            if not weights.available:  # another process may have made it meanwhile
                _fetch_and_assemble(weights, verify, progress)
    return weights.path


def _by_hand(weights: Weights) -> str:
    urls = " and ".join(source.urls[0] for source in weights.sources)
    return f"By hand: put {urls} into a folder DIR; then: adainkit download {weights.name} --from DIR"


def _given(weights: Weights, folder: Path, verify: bool) -> list[Path]:
    """The published files in the user's folder, checked."""
    files = [folder / source.file for source in weights.sources]
    if missing := [file.name for file in files if not file.is_file()]:
        raise DownloadError(f"{folder} has no {' and no '.join(missing)}. {_by_hand(weights)}")
    for file, source in zip(files, weights.sources, strict=True):
        try:
            found = file_digest(file)
        except OSError as error:
            raise DownloadError(f"{file} cannot be read: {error.strerror or error}") from error
        if verify and found != source.sha256:
            raise DownloadError(
                f"{file}: expected sha256 {source.sha256}, got {found}. Get it again from {source.urls[0]}, "
                "or take it as it is with --no-verify (verify=False)"
            )
    return files


def _fetch_and_assemble(weights: Weights, verify: bool, progress: Progress | None) -> None:
    """The caller holds the lock. When one file fails, a whole one stays for the next try."""
    mirrors = [base.strip().rstrip("/") for base in os.environ.get("ADAINKIT_MIRROR", "").split(",")]
    files = []
    for source in weights.sources:
        file = weights.path.with_name(source.file)
        if not (verify and file.is_file() and file_digest(file) == source.sha256):
            urls = [f"{base}/{source.file}" for base in mirrors if base] + list(source.urls)
            sha256, size = (source.sha256, source.size) if verify else (None, None)
            fetch(urls, file, sha256=sha256, size=size, progress=progress, remedy=_by_hand(weights))
        files.append(file)
    try:
        _assemble(weights, files)
    finally:
        for file in files:
            with suppress(OSError):
                file.unlink()


def _assemble(weights: Weights, files: list[Path]) -> None:
    """Float32, to give the classic results to 1e-4; the metadata has the inputs' sums beside its own."""
    import torch

    from ..net.classic import convert_classic

    facts = {"license": weights.license, "homepage": weights.homepage, "paper": weights.paper}
    try:
        facts["sources_sha256"] = json.dumps({file.name: file_digest(file) for file in files})
        convert_classic(*files).save(weights.path, facts, dtype=torch.float32)
    except OSError as error:
        raise storage_error(weights.path, error) from error
    log.info("model %s is ready: %s", weights.name, weights.path)


def resolve(model: _Path) -> Path:
    """The .safetensors file of a path or a published name: a file first, then a name (fetched if need be).

    `WeightsError` when it is neither, `DownloadError` when it can't be fetched.
    """
    if os.path.isfile(model):  # noqa: PTH113 - see Weights.available
        return Path(model)
    if (name := os.fspath(model)) in REGISTRY:
        return download(name)
    known = ", ".join(REGISTRY)
    raise WeightsError(f"{name!r} is neither an existing file nor the name of a model; there are: {known}")


def load_model(model: _Path) -> AdaINModel:
    """The model of a path or a published name, float32 on the CPU. Errors: `resolve`, `AdaINModel.load`."""
    from ..net.model import AdaINModel

    return AdaINModel.load(resolve(model))


def clear_cache(name: str | None = None) -> int:
    """Remove the fetched files of one model, or of all models and the kept styles; return the number of freed bytes.

    Embedded models, and files with other names, stay. `WeightsError` if the name is unknown, or a file cannot
    be removed.
    """
    found: list[Path] = []
    for weights in REGISTRY.values() if name is None else [_registered(name)]:
        folder = weights.path.parent
        if weights.sources:
            # The dotted ones are what a killed process was writing.
            found += [weights.path, *folder.glob(f".{weights.name}-*.safetensors")]
            found += [folder / f"{source.file}{end}" for source in weights.sources for end in ("", ".part")]
    if name is None:
        found += (cache_dir() / "styles").glob("*.safetensors")
    freed = 0
    try:
        for file in found:
            if file.is_file():
                size = file.stat().st_size
                file.unlink()
                freed += size
    except OSError as error:
        told = f"cannot remove {error.filename}: {error.strerror}"
        raise WeightsError(f"{told}; close the programs that use it") from error
    return freed

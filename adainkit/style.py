"""Style: the channel statistics of one or several pictures under one encoder, a few kilobytes; presets; the cache of
styles."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .adain import AffineMap, Moments, affine_map, blend
from .atomic import write_atomically
from .errors import StyleError

__all__ = [
    "Preset",
    "Style",
    "StyleCache",
    "interpolate",
    "presets_file",
    "style_key",
    "style_maps",
    "styles",
    "write_presets",
]

log = logging.getLogger("adainkit")
FORMAT_VERSION = "1"


@dataclass(frozen=True, eq=False)
class Style:
    """What AdaIN needs of a style: per AdaIN level, finest first, the channels' `means` and `stds`, each `(C,)` float32
    on the CPU.

    `digest` names the encoder (`AdaINModel.digest`): only models with that encoder can apply it. `name` and
    `description` are for people.
    """

    means: tuple[Tensor, ...] = field(repr=False)
    stds: tuple[Tensor, ...] = field(repr=False)
    digest: str
    name: str = ""
    description: str = ""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a .safetensors file, whole or not at all; the path back. `StyleError` if that cannot be done."""
        facts = {
            "format_version": FORMAT_VERSION,
            "encoder_sha256": self.digest,
            "name": self.name,
            "description": self.description,
        }
        try:
            return write_atomically(path, save(_tensors(self, ""), facts))
        except OSError as error:
            raise StyleError(f"{path}: the style cannot be written ({error.strerror or error})") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Style:
        """Read a file that `save` wrote. `StyleError` if it is missing, damaged or something else."""
        facts, tensors = _read(path)
        if "config" in facts:
            raise StyleError(
                f"{path}: is a model, not a style; give it as the model, and a picture or a style file as the style"
            )
        return _style(
            tensors,
            "",
            facts.get("encoder_sha256", ""),
            facts.get("name", ""),
            facts.get("description", ""),
            path,
        )

    @classmethod
    def blend(cls, parts: Iterable[tuple[Style, float]] | Mapping[Style, float]) -> Style:
        """The weighted mean of styles of one encoder: `Style.blend([(a, 0.7), (b, 0.3)])`, or a mapping.

        Weights are scaled to sum 1. `StyleError` for none, negative or all-zero weights, or styles of several encoders.
        """
        pairs = list(parts.items() if isinstance(parts, Mapping) else parts)
        weights = [float(w) for _, w in pairs]
        found = [s for s, _ in pairs]
        for style in found:
            if not isinstance(style, Style):
                raise StyleError(
                    f"a blend is of Styles, got {style!r}; use Stylizer.as_style(...) for a picture, Style.preset(...)"
                )
        if len({s.digest for s in found}) > 1:
            raise StyleError("styles of different encoders cannot be mixed; encode all of them with one model")
        if not found:
            raise StyleError("a blend needs at least one style")
        levels = range(len(found[0].means))
        with torch.inference_mode(False):  # ordinary tensors, whatever mode the caller is in
            means = tuple(blend([s.means[i] for s in found], weights) for i in levels)
            stds = tuple(blend([s.stds[i] for s in found], weights) for i in levels)
        return cls(means, stds, found[0].digest, " + ".join(f"{s.name or 'style'}:{w:g}" for s, w in pairs))

    @classmethod
    def preset(cls, name: str, model: str = "lite") -> Style:
        """A style that comes with the package; `styles(model)` lists them. `StyleError` for another name, with the
        nearest ones."""
        file = presets_file(model)
        known = styles(model)
        if name not in known:
            there = ", ".join(known) if known else f"none for the model {model!r}"
            raise StyleError(f"no preset is called {name!r}; there are: {there}")
        facts, tensors = _read(file)
        return _style(tensors, f"{name}.", facts["encoder_sha256"], name, known[name].description, file)


def interpolate(styles: Sequence[Style], n: int) -> list[Any]:
    """Between two styles, `n` in even steps; between four, an `n` x `n` grid with these at its corners.

    - two: `[Style] * n`, the first one first.
    - four, row by row (top left, top right, bottom left, bottom right): `n` rows of `n`, in bilinear shares, as in the
      figure of the AdaIN paper.

    The ends and corners are the given styles themselves. `StyleError` for another number of styles, for `n` below 2,
    and for styles of several encoders.

    >>> [style.name for style in interpolate([Style.preset("iris"), Style.preset("ember")], 3)]
    ['iris', 'iris:0.5 + ember:0.5', 'ember']
    """
    corners = list(styles)
    if len(corners) not in (2, 4):
        raise StyleError(f"interpolate is between 2 or 4 styles, got {len(corners)}; Style.blend mixes any number")
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise StyleError(f"interpolate makes 2 or more steps, both ends among them, got {n!r}")
    Style.blend([(corner, 1.0) for corner in corners])  # an error here, before any of the work
    steps = [step / (n - 1) for step in range(n)]
    if len(corners) == 2:
        return [_mixed(corners, (1 - x, x)) for x in steps]
    return [[_mixed(corners, ((1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x)) for x in steps] for y in steps]


def _mixed(found: Sequence[Style], shares: Sequence[float]) -> Style:
    """`Style.blend` of those that have a share; a style alone is itself."""
    parts = [(style, share) for style, share in zip(found, shares, strict=True) if share]
    return parts[0][0] if len(parts) == 1 else Style.blend(parts)


@dataclass(frozen=True)
class Preset:
    """A named style of the package: what it looks like, and the public-domain picture its statistics come from."""

    name: str
    description: str
    source: str


def presets_file(model: str) -> Path:
    """Where the presets of a model are, whether there are any or not."""
    return Path(__file__).parent / "presets" / f"{model}.safetensors"


def styles(model: str = "lite", *, digest: str | None = None) -> dict[str, Preset]:
    """The presets of a model by name; empty for a model that has none, or whose encoder is not the one of `digest`.

    >>> styles("a model without presets")
    {}
    """
    file = presets_file(model)
    if not file.is_file():
        return {}
    facts, _ = _read(file)
    if digest not in (None, facts["encoder_sha256"]):
        return {}
    rows = json.loads(facts["presets"])
    return {row["name"]: Preset(row["name"], row["description"], row["source"]) for row in rows}


def write_presets(model: str, found: Mapping[Preset, Style]) -> Path:
    """Write a model's presets, statistics of pictures and nothing else, into the package; the path back."""
    tensors = {k: v for preset, style in found.items() for k, v in _tensors(style, f"{preset.name}.").items()}
    rows = [{"name": p.name, "description": p.description, "source": p.source} for p in found]
    digests = {s.digest for s in found.values()}
    if len(digests) != 1:
        raise StyleError(f"presets of one encoder expected, got {len(digests)}")
    facts = {"format_version": FORMAT_VERSION, "encoder_sha256": digests.pop(), "presets": json.dumps(rows)}
    return write_atomically(presets_file(model), save(tensors, facts))


STYLE_CACHE_BYTES = 64 << 20
"""What encoded styles may take on disk: some ten thousand of `lite`."""


class StyleCache:
    """Styles by what they were made from: the last used `capacity` in memory and, given a `folder`, on disk the last
    used ones that take `limit` bytes together.

    Safe with several threads, and with several processes on one folder. A damaged or unwritable file is no error: the
    style is encoded again. Keys come from `style_key`.
    """

    def __init__(
        self, capacity: int = 64, folder: str | os.PathLike[str] | None = None, *, limit: int = STYLE_CACHE_BYTES
    ) -> None:
        self.capacity, self.limit = capacity, limit
        self._unseen = 0  # bytes that may be written before the folder is looked at again
        self.folder = None if folder is None else Path(folder)
        self._styles: OrderedDict[str, Style] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Style | None:
        """The style kept under `key`, or None."""
        with self._lock:
            if key in self._styles:
                self._styles.move_to_end(key)
                return self._styles[key]
        file = self._file(key)
        if file is None or not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises for a folder that may not be entered
            return None
        try:
            style = Style.load(file)
        except StyleError as error:
            log.debug("style cache: %s; it is made again", error)
            return None
        self._remember(key, style)
        with suppress(OSError):
            os.utime(file)  # the time of its last use
        return style

    def put(self, key: str, style: Style) -> None:
        """Keep `style` under `key`."""
        self._remember(key, style)
        file = self._file(key)
        if file is not None:
            try:
                style.save(file)
                self._bound(file)
            except (StyleError, OSError) as error:
                log.debug("style cache: %s", error)

    def size(self) -> tuple[int, int]:
        """How many styles are on disk, and their bytes."""
        sizes = [size for _, size, _ in self._files()]
        return len(sizes), sum(sizes)

    def _bound(self, written: Path) -> None:
        """Remove the files that were not used for the longest time, so that the rest takes `limit` bytes."""
        self._unseen -= written.stat().st_size
        if self._unseen >= 0:
            return
        files = sorted(self._files(), reverse=True)
        room = self.limit
        for _, size, path in files:
            room -= size
            if room < 0 and path != str(written):
                with suppress(OSError):  # another process was quicker
                    os.unlink(path)  # noqa: PTH108
        self._unseen = max(0, room) // 4  # other processes write as well

    def _files(self) -> list[tuple[float, int, str]]:
        """When each was used last, its bytes and its path."""
        found = []
        with suppress(OSError):
            for entry in os.scandir(self.folder) if self.folder else ():
                with suppress(OSError):
                    if entry.name.endswith(".safetensors"):
                        facts = entry.stat()
                        found.append((facts.st_mtime, facts.st_size, entry.path))
        return found

    def clear(self) -> None:
        """Forget everything, on disk too."""
        with self._lock:
            self._styles.clear()
        for file in self.folder.glob("*.safetensors") if self.folder else ():
            file.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._styles)

    def _file(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.safetensors"

    def _remember(self, key: str, style: Style) -> None:
        with self._lock:
            self._styles[key] = style
            self._styles.move_to_end(key)
            while len(self._styles) > self.capacity:
                self._styles.popitem(last=False)


def style_key(pixels: Iterable[Tensor], style_size: int | None, digest: str, dtype: torch.dtype) -> str:
    """The cache key of a style: a hash over the picture's tensors, the style size, the encoder and its precision."""
    total = hashlib.sha256(f"{FORMAT_VERSION} {digest} {style_size} {dtype}".encode())
    for tensor in pixels:
        value = tensor.detach().to("cpu").contiguous()
        total.update(f" {tuple(value.shape)} {value.dtype}".encode())
        total.update(value.numpy().data)
    return total.hexdigest()


def style_maps(
    statistics: Sequence[Moments],
    found: Sequence[Style],
    alphas: Sequence[float],
    gain_cap: float | None,
    device: torch.device,
) -> list[AffineMap]:
    """Every level's affine map on `device`, from a content's statistics to one style, or to one for each of a batch;
    `alphas` by level."""
    maps = []
    for level, (stats, alpha) in enumerate(zip(statistics, alphas, strict=True)):
        mean = torch.stack([s.means[level] for s in found]).to(device, torch.float32)
        std = torch.stack([s.stds[level] for s in found]).to(device, torch.float32)
        maps.append(affine_map(stats.mean.to(device), stats.std.to(device), mean, std, alpha, gain_cap))
    return maps


def _tensors(style: Style, prefix: str) -> dict[str, Tensor]:
    pairs = (("mean", style.means), ("std", style.stds))
    return {
        f"{prefix}{kind}{i}": v.detach().cpu().contiguous().clone()
        for kind, values in pairs
        for i, v in enumerate(values)
    }


def _style(
    tensors: Mapping[str, Tensor], prefix: str, digest: str, name: str, description: str, where: object
) -> Style:
    levels = sum(k.startswith(f"{prefix}mean") for k in tensors)
    try:
        means = tuple(tensors[f"{prefix}mean{i}"] for i in range(levels))
        stds = tuple(tensors[f"{prefix}std{i}"] for i in range(levels))
    except KeyError as error:
        raise StyleError(f"{where}: is not a style, the tensor {error} is missing") from error
    whole = all(v.ndim == 1 and v.is_floating_point() and bool(torch.isfinite(v).all()) for v in (*means, *stds))
    if not levels or not digest or not whole:
        raise StyleError(f"{where}: is not a style; expected finite tensors mean0, std0 ... and an encoder's digest")
    return Style(means, stds, digest, name, description)


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        # copies, since what safe_open gives changes with the file, and ordinary ones, whatever mode the caller is in
        with torch.inference_mode(False), safe_open(path, "pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise StyleError(f"{path}: cannot be read as a style ({error}); encode its picture again") from error
    version = facts.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise StyleError(f"{path}: format {version}, expected {FORMAT_VERSION}; update adainkit")
    return facts, tensors

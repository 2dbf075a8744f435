"""Training pictures: folders of any size and mode in, whole batches out, each a function of the seed and the step
alone.

That makes a run resumable at any step and independent of the number of workers.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from adainkit.batch import finding
from adainkit.formats import BY_PILLOW

from .views import View, draw_colors, pick_crop, recolor

if TYPE_CHECKING:  # its pyyaml is needed for training alone
    from .config import Stage, TrainConfig

__all__ = [
    "Batch",
    "Batches",
    "Steps",
    "find_pictures",
    "manifest_hash",
    "open_picture",
    "picture_tensors",
    "split",
]

log = logging.getLogger("adainkit.training")


def find_pictures(folder: str | Path) -> list[Path]:
    """The pictures below a folder that Pillow reads by itself, sorted by path. `FileNotFoundError` for none."""
    try:
        return sorted(Path(folder, path) for path in finding.find_pictures(folder, BY_PILLOW))
    except ValueError as error:
        raise FileNotFoundError(str(error)) from error


def split(pictures: Sequence[Path], every: int) -> tuple[list[Path], list[Path]]:
    """(training, validation): every picture whose number is a multiple of `every` validates, and all that share its
    `source` in a MANIFEST.csv of the folder above. A picture without a number in its name is numbered by its place.
    0: none validates."""
    if every <= 0:
        return list(pictures), []
    numbers = {p: int(m[1]) if (m := re.search(r"(\d+)$", p.stem)) else i for i, p in enumerate(pictures, 1)}
    held = {p for p, n in numbers.items() if n % every == 0}
    sources = _sources(pictures[0].parent.parent / "MANIFEST.csv")
    held_sources = {sources[p.name] for p in held if sources.get(p.name)}  # an empty source is no relation
    held |= {p for p in pictures if sources.get(p.name) in held_sources}
    return [p for p in pictures if p not in held], [p for p in pictures if p in held]


def _sources(manifest: Path) -> dict[str, str]:
    if not manifest.is_file():
        return {}
    with open(manifest, newline="", encoding="utf-8") as file:
        return {Path(row.get("file") or "").name: row.get("source") or "" for row in csv.DictReader(file)}


def manifest_hash(pictures: Sequence[Path]) -> str:
    """sha256 over the names and contents of the pictures: which data a model was made from."""
    total = hashlib.sha256()
    for path in sorted(pictures, key=lambda p: p.name):
        total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def open_picture(path: Path, most: int) -> Image.Image | None:
    """An upright RGB picture, its shorter side scaled down to `most` pixels if it is longer; None (and a warning) if it
    cannot be read."""
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
            if min(picture.size) > most:
                share = most / min(picture.size)
                size = (round(picture.width * share), round(picture.height * share))
                picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
            return picture
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error ... on broken files
        log.warning("%s: skipped, cannot be read (%s)", path, error)
        return None


def picture_tensors(pictures: Sequence[Path], most: int) -> Iterator[Tensor]:
    """`open_picture` of each that can be read, as `(1, 3, H, W)` RGB in [0, 1]."""
    for path in pictures:
        picture = open_picture(path, most)
        if picture is not None:
            yield torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


@dataclass
class Batch:
    """`content` and `style`: `(B, 3, crop, crop)` uint8 RGB; `broken`: the files that had to be passed over."""

    content: Tensor
    style: Tensor
    broken: list[str]


class Batches(Dataset[Batch]):
    """Item `step` is the batch of that step; with several processes, the share of `rank` of them.

    Sample i of a step depends on the seed, the step and i alone: `processes` with batches of n see, together, what one
    process with batches of `n * processes` sees.
    """

    def __init__(
        self, config: TrainConfig, content: Sequence[Path], style: Sequence[Path], rank: int = 0, processes: int = 1
    ) -> None:
        self.config, self.content, self.style = config, list(content), list(style)
        self.rank, self.processes = rank, processes
        self._decoded: dict[Path, Image.Image | None] = {}

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, key: int | tuple[int, int]) -> Batch:
        """The batch of a step, of the stage that it belongs to, or of (step, number of the stage)."""
        step, stage = (key, self.config.stage_at(key)) if isinstance(key, int) else (key[0], self.config.stages[key[1]])
        broken: list[str] = []
        content, style = [], []
        for index in range(self.rank, stage.batch * self.processes, self.processes):
            rng = random.Random(f"{self.config.seed}:{step}:{index}")
            zoom = self._content_zoom(rng)
            picture = self._pick(self.content, rng, broken)
            content.append(_cut(picture, self._view(picture.size, stage, zoom, rng, "content"), stage.crop))
            picture = self._pick(self.style, rng, broken)
            view = self._view(picture.size, stage, self.config.style_zoom, rng, "style")
            style.append(_cut(picture, view, stage.crop))
        return Batch(torch.stack(content), torch.stack(style), broken)

    def views(
        self, step: int, stage: Stage, contents: Sequence[tuple[int, int]], styles: Sequence[tuple[int, int]]
    ) -> tuple[list[tuple[int, View]], list[tuple[int, View]]]:
        """What a step shows of contents and styles whose sizes (width, height) are these: (index, view) for each."""
        found: tuple[list[tuple[int, View]], list[tuple[int, View]]] = ([], [])
        for index in range(self.rank, stage.batch * self.processes, self.processes):
            rng = random.Random(f"{self.config.seed}:{step}:{index}")
            zooms = self._content_zoom(rng), self.config.style_zoom
            for samples, sizes, zoom, kind in zip(found, (contents, styles), zooms, ("content", "style"), strict=True):
                place = rng.randrange(len(sizes))
                samples.append((place, self._view(sizes[place], stage, zoom, rng, kind)))
        return found

    def _content_zoom(self, rng: random.Random) -> tuple[float, float]:
        # now and then a tiny detail enlarged: smooth and nearly flat pictures, where AdaIN's gains are extreme
        return (0.08, 0.3) if rng.random() < self.config.flat_share else self.config.content_zoom

    def _view(
        self, size: tuple[int, int], stage: Stage, zoom: tuple[float, float], rng: random.Random, kind: str
    ) -> View:
        c = self.config
        box, flip = pick_crop(size, stage.crop, zoom, rng), rng.random() < 0.5
        if kind == "content":
            return View(box, flip, colors=draw_colors(rng, dark=c.content_dark_share))
        turns = rng.randrange(4) if c.style_turn else 0
        return View(box, flip, turns, draw_colors(rng, c.style_hue_share, c.style_invert_share))

    def _pick(self, pictures: list[Path], rng: random.Random, broken: list[str]) -> Image.Image:
        for _ in range(100):
            path = rng.choice(pictures)
            picture = self._open(path)
            if picture is not None:
                return picture
            broken.append(str(path))
        raise OSError(f"100 pictures in a row could not be read, the last is {path}; remove the broken files")

    def _open(self, path: Path) -> Image.Image | None:
        if path in self._decoded:
            return self._decoded[path]
        picture = open_picture(path, self.config.largest)
        if self.config.keep_decoded or picture is None:
            self._decoded[path] = picture
        return picture


class Steps(Sampler[int | tuple[int, int]]):
    """The steps from `start` on, in order: to `stop`, or, where `stage` tells the number of the stage that it is time
    for, endlessly, each with that number. It is asked when a worker has room for one more batch."""

    def __init__(self, start: int, stop: int, stage: Callable[[], int] | None = None) -> None:
        self.start, self.stop, self.stage = start, stop, stage

    def __iter__(self) -> Iterator[int | tuple[int, int]]:
        if self.stage is None:
            return iter(range(self.start, self.stop))
        stage = self.stage
        return ((step, stage()) for step in count(self.start))

    def __len__(self) -> int:
        return self.stop - self.start


def _cut(picture: Image.Image, view: View, side: int) -> Tensor:
    """The view as `(3, side, side)` uint8."""
    crop = picture.resize((side, side), Image.Resampling.BICUBIC, box=view.box, reducing_gap=2.0)
    if view.flip:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(crop))
    if view.turns:
        pixels = pixels.rot90(view.turns)
    if view.colors is not None:
        pixels = (recolor(pixels[None].float() / 255, torch.tensor([view.colors]))[0] * 255).round().byte()
    return pixels.permute(2, 0, 1)

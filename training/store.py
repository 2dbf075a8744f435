"""Pictures decoded once into the memory of the device, and crops of them cut there.

A picture is kept as uint8 RGB at its own size and shrunk by every half octave (a factor of the root of 2) down to the
smallest crop, all in one flat tensor. A crop is read bilinearly from the size that is nearest to its own, so that what
is left to shrink or enlarge is at most a factor of 1.19, and nothing aliases. What to cut is a small table of numbers,
drawn on the CPU (`views`); cutting is a function of tensors alone and waits for nothing, so that it can be a part of a
CUDA graph.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .data import open_picture
from .views import View, recolor

__all__ = ["Store"]

log = logging.getLogger("adainkit.training")
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_TURNED = ((1.0, 0.0, 0.0, 1.0), (0.0, -1.0, 1.0, 0.0), (-1.0, 0.0, 0.0, -1.0), (0.0, 1.0, -1.0, 0.0))
"""Where a step to the right and one down in a crop turned by so many quarters counterclockwise lead in the picture:
(x of right, x of down, y of right, y of down)."""


class Store:
    """The readable pictures of `paths`, their shorter sides at most `most` pixels, for crops of `least` or more.

    `sizes`: (width, height) of each; `broken`: the paths that could not be read. `OSError` when none can.
    """

    def __init__(self, paths: Sequence[Path], most: int, least: int, device: torch.device) -> None:
        with ThreadPoolExecutor() as pool:
            pyramids = list(pool.map(lambda path: _pyramid(path, most, least), paths))
        self.broken = [str(path) for path, pyramid in zip(paths, pyramids, strict=True) if not pyramid]
        pyramids = [pyramid for pyramid in pyramids if pyramid]
        if not pyramids:
            raise OSError(f"none of {len(paths)} pictures could be read, the last is {paths[-1]}")
        self.sizes = [(p[0].shape[1], p[0].shape[0]) for p in pyramids]
        self.device, self._depths = device, [len(p) for p in pyramids]
        flat = [level for pyramid in pyramids for level in pyramid]
        self._first = np.cumsum([0, *self._depths])[:-1].tolist()  # the row of each picture's own size
        cells = np.cumsum([0, *(level.shape[0] * level.shape[1] for level in flat)])
        self.pixels = torch.empty(int(cells[-1]), 3, dtype=torch.uint8, device=device)
        for start, level in zip(cells, flat, strict=False):
            self.pixels[start : start + level.shape[0] * level.shape[1]] = (
                torch.from_numpy(level).view(-1, 3).to(device)
            )
        rows = [(start, *level.shape[1::-1]) for start, level in zip(cells, flat, strict=False)]
        self.rows = torch.tensor(np.array(rows), dtype=torch.int64, device=device)  # start, width, height
        log.info("%d pictures, %.0f MB, in the memory of %s", len(pyramids), self.pixels.numel() / 1e6, device)

    def table(self, samples: Sequence[tuple[int, View]], side: int) -> Tensor:
        """What `crops` needs of (index of a picture, view) for crops of `side` pixels: `(B, 20)` float32 (CPU)."""
        found = []
        for index, view in samples:
            left, top, right, bottom = view.box
            factor = (right - left) / side
            level = min(self._depths[index] - 1, max(0, round(2 * math.log2(factor))))
            a, b, c, d = _TURNED[view.turns]
            a, b = (-a, -b) if view.flip else (a, b)
            colors = _IDENTITY if view.colors is None else tuple(v for row in view.colors for v in row)
            width, height = self.sizes[index]
            place = ((left + right) / 2 / width, (top + bottom) / 2 / height)
            steps = (factor * a / width, factor * b / width, factor * c / height, factor * d / height)
            found.append((self._first[index] + level, side, *place, *steps, *colors))
        return torch.tensor(found, dtype=torch.float32)

    def crops(self, table: Tensor, side: int) -> Tensor:
        """The crops of `table`'s result, brought to the device: `(B, 3, side, side)` float32 RGB in [0, 1],
        channels_last in memory."""
        start, width, height = self.rows[table[:, 0].long()].unbind(1)
        steps = torch.arange(side, device=table.device, dtype=torch.float32) + 0.5 - side / 2
        right, down = steps[None, None, :], steps[None, :, None]
        x_center, y_center, a, b, c, d = (v[:, None, None] for v in table[:, 2:8].unbind(1))
        x = (x_center + a * right + b * down) * width[:, None, None] - 0.5
        y = (y_center + c * right + d * down) * height[:, None, None] - 0.5
        pixels = self._bilinear(start[:, None, None], width[:, None, None], height[:, None, None], x, y)
        return recolor(pixels, table[:, 8:].view(-1, 3, 4)).permute(0, 3, 1, 2)

    def _bilinear(self, start: Tensor, width: Tensor, height: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Pixels `(B, side, side, 3)` in [0, 1] at the places x, y `(B, side, side)`, clamped to the pictures."""
        x, y = x.clamp_min(0).minimum(width - 1.0), y.clamp_min(0).minimum(height - 1.0)
        left, top = x.floor().long(), y.floor().long()
        over, under = (x - left)[..., None], (y - top)[..., None]
        right, bottom = (left + 1).minimum(width - 1), (top + 1).minimum(height - 1)
        lines = []
        for line in (top, bottom):
            first, last = (self.pixels[start + line * width + column].float() for column in (left, right))
            lines.append(first + (last - first) * over)
        return (lines[0] + (lines[1] - lines[0]) * under) / 255


def _pyramid(path: Path, most: int, least: int) -> list[np.ndarray]:
    """The picture and its shrunk copies, `(H, W, 3)` uint8; empty if it cannot be read."""
    picture = open_picture(path, most)
    if picture is None:
        return []
    found, octaves = [np.array(picture)], 1
    while min(picture.size) * 2 ** (-octaves / 2) >= least / 1.2:
        size = [max(1, round(n * 2 ** (-octaves / 2))) for n in picture.size]
        found.append(np.array(picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)))
        octaves += 1
    return found

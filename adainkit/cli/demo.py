"""A sample run that needs nothing but the package: a landscape drawn by arithmetic, in three of the presets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from ..errors import StyleError
from ..images.sheet import Cell, draw_sheet

if TYPE_CHECKING:
    from ..stylizer import Stylizer

__all__ = ["contact_sheet", "draw_landscape", "run_demo"]

_Array: TypeAlias = "np.ndarray[Any, np.dtype[np.floating[Any]]]"
_PREFIX = "demo-"  # of every file: what a run replaces is recognizable


def draw_landscape(width: int = 768, height: int = 512, seed: int = 7) -> Image.Image:
    """An evening by a lake: clouds, sun, mountains, hills with trees, a house; RGB, the same for the same `seed`.

    Every surface has texture: a flat one would show little of a style.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height  # both in units of the height
    aspect = width / height
    cloud = _noise(random, height, width, (7, 4), octaves=5)
    canvas = _mix(_rgb(58, 110, 178), _rgb(252, 206, 150), (y / 0.62).clip(0, 1) ** 1.3)
    canvas = _mix(canvas, _rgb(255, 236, 222), ((cloud - 0.48) * 3.4).clip(0, 0.85) * (1 - y / 0.66).clip(0, 1))
    distance = np.hypot(x - 0.72 * aspect, y - 0.36)
    canvas = _mix(canvas, _rgb(255, 226, 150), 0.75 * np.exp(-((distance / 0.16) ** 2)))
    canvas = _mix(canvas, _rgb(255, 250, 224), _edge(0.062 - distance, height))
    canvas = _mountains(canvas, random, x, y)
    canvas = _lake(canvas, random, x, y)
    for base, swing, dark, light in (
        (0.73, 0.035, _rgb(62, 96, 52), _rgb(122, 146, 66)),
        (0.84, 0.045, _rgb(42, 82, 38), _rgb(142, 158, 58)),
    ):
        top = base + swing * np.sin(x * 4.1 / aspect + 9 * base) + 0.03 * _ridge(random, width, 5) - 0.05 * (x / aspect)
        grass = 0.6 * _noise(random, height, width, (30, 60), octaves=3) + 0.4 * _noise(random, height, width, (4, 4))
        canvas = _mix(canvas, _mix(dark, light, grass * 1.3 - 0.1), _edge(y - top, height))
        if base < 0.8:
            canvas = _forest(canvas, random, x, y, top[0])
    canvas = canvas * (0.965 + 0.07 * random.random((height, width, 1), np.float32))
    picture = Image.fromarray((canvas.clip(0, 1) * 255).round().astype(np.uint8))
    _house(ImageDraw.Draw(picture), 0.34 * aspect * height, 0.79 * height, 0.17 * height)
    return picture


def run_demo(stylizer: Stylizer, styles: Sequence[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Draw the landscape, stylize it with three of the presets `styles`, spread over the list, and lay all on a sheet.

    The paths of what was written, the sheet last; files of an earlier run are replaced. `StyleError` without presets.
    """
    from ..images import save_image

    if not styles:
        raise StyleError("there are no presets for the demo; reinstall adainkit")
    chosen = list(dict.fromkeys(styles[len(styles) * part // 6] for part in (1, 3, 5)))
    pictures = {"landscape": draw_landscape()}
    for name in chosen:
        pictures[name] = stylizer.stylize(pictures["landscape"], name)
    pictures["sheet"] = contact_sheet(pictures)
    return [save_image(picture, Path(folder) / f"{_PREFIX}{name}.png") for name, picture in pictures.items()]


def contact_sheet(pictures: dict[str, Image.Image], columns: int = 2) -> Image.Image:
    """Pictures in rows of `columns`, each above its name."""
    cells = [Cell(picture, name) for name, picture in pictures.items()]
    return draw_sheet([cells[start : start + columns] for start in range(0, len(cells), columns)], gap=12)


def _mountains(canvas: _Array, random: np.random.Generator, x: _Array, y: _Array) -> _Array:
    height, width = y.shape
    for base, swing, color in ((0.43, 0.30, _rgb(126, 132, 168)), (0.53, 0.20, _rgb(84, 98, 132))):
        top = base - swing * (_ridge(random, width, 4) - 0.35)
        rock = _noise(random, height, width, (12, 10), octaves=4)
        snow = _edge(base - 0.42 * swing - y + 0.12 * (rock - 0.5), height) * (swing > 0.25)
        surface = _mix(color * 0.72, color * 1.22, rock)
        canvas = _mix(canvas, _mix(surface, _rgb(240, 238, 246), snow), _edge(y - top, height))
    return canvas


def _lake(canvas: _Array, random: np.random.Generator, x: _Array, y: _Array) -> _Array:
    """What stands above the shore, upside down, dimmed and broken by ripples."""
    height, width = y.shape
    shore = int(0.6 * height)
    ripple = _noise(random, height, width, (70, 9), octaves=2)
    rows = (2 * shore - np.arange(height)[:, None] + ((ripple - 0.5) * 0.05 * height)).clip(0, shore - 1).astype(int)
    water = _mix(canvas[rows, np.arange(width)[None]], _rgb(38, 78, 112), 0.32 + 0.25 * ripple)
    return _mix(canvas, water, _edge(y - 0.6, height))


def _forest(canvas: _Array, random: np.random.Generator, x: _Array, y: _Array, ground: _Array) -> _Array:
    """Firs on the line `ground` `(W,)`, the ones behind first."""
    height, width = y.shape
    leaves = _noise(random, height, width, (60, 60), octaves=2)
    for _ in range(46):
        place = int(random.integers(width))
        if 0.24 < place / width < 0.44:  # a clearing for the house
            continue
        size = random.uniform(0.09, 0.2)
        foot = ground[place] + random.uniform(0.0, 0.05)
        down = (y - (foot - size)) / size  # 0 at the tip, 1 at the foot
        tiers = 0.55 + 0.45 * ((down * 5) % 1)
        inside = 0.26 * size * down * tiers - np.abs(x - place / height) + 0.012 * (leaves - 0.5)
        color = _mix(_rgb(18, 48, 34), _rgb(70, 112, 58), leaves + 4 * (x - place / height))
        canvas = _mix(canvas, color, _edge(inside, height) * ((down > 0) & (down < 1)))
    return canvas


def _house(draw: ImageDraw.ImageDraw, left: float, foot: float, size: float) -> None:
    """A cottage with a planked wall, a tiled roof, lit windows and a chimney; `size` is the wall's width."""
    right, eaves, ridge = left + size, foot - 0.5 * size, foot - 0.95 * size
    draw.rectangle((left + 0.7 * size, ridge - 0.14 * size, left + 0.8 * size, eaves), fill=(126, 70, 58))
    planks = 11
    for i in range(planks):
        shade = (232, 214, 184) if i % 2 else (216, 194, 160)
        draw.rectangle((left + i * size / planks, eaves, left + (i + 1) * size / planks, foot), fill=shade)
    for i in range(9):
        top, bottom = (ridge + (eaves - ridge) * (i + j) / 9 for j in (0, 1))
        reach = 0.32 + 0.28 * i / 9
        middle = (left + right) / 2
        box = (middle - reach * size, top, middle + reach * size, bottom)
        draw.rectangle(box, fill=(172, 70, 48) if i % 2 else (146, 54, 42))
    for start in (0.12, 0.68):
        box = (left + start * size, foot - 0.36 * size, left + (start + 0.2) * size, foot - 0.16 * size)
        draw.rectangle(box, fill=(255, 214, 112), outline=(92, 60, 40), width=max(1, int(0.02 * size)))
    draw.rectangle((left + 0.42 * size, foot - 0.34 * size, left + 0.58 * size, foot), fill=(98, 62, 42))


def _noise(random: np.random.Generator, height: int, width: int, cells: tuple[int, int], octaves: int = 1) -> _Array:
    """Smooth noise `(H, W)` in [0, 1]: `cells` lumps down and across, finer ones at half the strength each octave."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        grid = random.random([max(2, n << octave) for n in cells], np.float32)
        total += np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    low, high = total.min(), total.max()
    scaled: _Array = (total - low) / (high - low)
    return scaled


def _ridge(random: np.random.Generator, width: int, peaks: int) -> _Array:
    """A jagged line `(1, W)` in [0, 1]."""
    line = np.zeros(width)
    for octave in range(6):
        corners = random.random((peaks << octave) + 1)
        line += np.interp(np.linspace(0, peaks << octave, width), np.arange(len(corners)), corners) / 2**octave
    scaled: _Array = ((line - line.min()) / np.ptp(line))[None]
    return scaled


def _mix(below: _Array, above: _Array, cover: _Array) -> _Array:
    """`(H, W, 3)` or one color over another, by a cover `(H, W)`."""
    share = np.clip(cover, 0, 1)[..., None]
    return (below * (1 - share) + above * share).astype(np.float32)


def _edge(depth: _Array, height: int) -> _Array:
    """The cover of a shape from the depth inside it, in heights: a border of one pixel's softness."""
    return (depth * height + 0.5).clip(0, 1).astype(np.float32)


def _rgb(*color: int) -> _Array:
    return np.array(color, np.float32) / 255

"""A few frames of a film, before and after, on one sheet: in seconds, however long the film is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..errors import FilmError
from ..images import ImageLike, check_target, save_image
from ..images.sheet import Cell, draw_sheet
from ..look.controls import Alpha
from .clip import Clip, Frame
from .colors import Pixels
from .guard import may_replace_film
from .run import MAX_PIXELS, make_look
from .source import open_clip
from .video import VideoClip

if TYPE_CHECKING:
    from ..stylizer import StyleLike, Stylizer

__all__ = ["preview_film"]

_SIDE = 320  # of a picture on the sheet


def preview_film(
    stylizer: Stylizer,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    style: StyleLike | Mapping[float, StyleLike],
    *,
    count: int = 5,
    alpha: Alpha | Mapping[float, Alpha] = 1.0,
    mask: ImageLike | None = None,
    style_size: int | None = 512,
    start: float = 0.0,
    stop: float | None = None,
    fps: float | Fraction | None = None,
    quality: int | None = None,
    overwrite: bool | None = None,
    told: Callable[[int], None] | None = None,
    max_pixels: int | None = MAX_PIXELS,
    **controls: Any,
) -> Path:
    """Write a picture with `count` frames of a film at equal distances, and how they will look; its path.

    `told(frames)` is how many there are, where a film has fewer. The rest is as in `Stylizer.stylize_film`. The frames
    are found by their times: the film is not gone through.
    """
    replace = may_replace_film(target, overwrite, source=source, mask=mask, style=style)
    check_target(target, format=None, quality=None, overwrite=replace)
    controls = {"preserve_color": None, "color_strength": 1.0, "scale": 1.0, "detail": 0.0, **controls}
    clip = open_clip(source, start=start, stop=stop, fps=fps, max_pixels=max_pixels)
    look = make_look(stylizer, style, alpha, mask, style_size, max_pixels, controls, clip.facts.rate)
    frames = _chosen(clip, count, start, stop, max_pixels)
    if told is not None:
        told(len(frames))
    statistics = stylizer.content_statistics(
        (frame.pixels for _, frame in frames), scale=float(controls["scale"]), max_pixels=None
    )
    rows: list[list[Cell]] = [[], []]
    for seconds, frame in frames:
        at = {"alpha": look.alphas.at(seconds), "mask": look.mask.at(seconds), "content_statistics": statistics}
        made = stylizer.preview(
            frame.pixels, look.styles.at(seconds), size=_SIDE, max_pixels=None, **{**look.controls, **at}
        )
        painted = _image(made)
        rows[0].append(Cell(_image(frame.pixels).resize(painted.size, Image.Resampling.BOX), f"{seconds:.2f} s"))
        rows[1].append(Cell(painted))
    return save_image(draw_sheet(rows), target, quality=quality, overwrite=replace)


def _chosen(
    clip: Clip, count: int, start: float, stop: float | None, max_pixels: int | None
) -> list[tuple[float, Frame]]:
    """Frames with their seconds."""
    facts, found = clip.facts, list[Frame]()
    if isinstance(clip, VideoClip):
        length = float(facts.estimate / facts.rate)
        left = max(0.0, (length if stop is None else min(stop, length)) - start)
        for place in range(count):
            at = start + left * (2 * place + 1) / (2 * count)
            frame = next(iter(VideoClip(facts.name, start=at, stop=stop, max_pixels=max_pixels).frames()), None)
            if frame is not None and (not found or frame.time > found[-1].time):
                found.append(frame)
    else:
        count = min(count, facts.estimate)
        found = list(clip.frames(only={(2 * i + 1) * facts.estimate // (2 * count) for i in range(count)}))
    if not found:
        raise FilmError(f"{facts.name}: not one frame of it can be shown; expected a film")
    return [(facts.seconds(frame.time), frame) for frame in found]


def _image(pixels: Pixels) -> Image.Image:
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))

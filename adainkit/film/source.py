"""From a path to a clip: a video file, an animation, or numbered pictures; and masks, which may be any of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import FilmError
from ..images import ImageLike, is_film, mask_of, open_image
from .clip import Clip, Frame
from .pictures import AnimationClip, SequenceClip, is_pattern
from .video import VideoClip

__all__ = ["Mask", "open_clip"]

_PICTURES = (".gif", ".png", ".apng", ".webp")
_RATE = 25  # frames per second of numbered pictures, which say nothing


def open_clip(
    source: str | os.PathLike[str],
    *,
    start: float = 0.0,
    stop: float | None = None,
    fps: float | Fraction | None = None,
    max_pixels: int | None = None,
) -> Clip:
    """The clip that a file, or a pattern like frames/%05d.png, is. `FilmError` for what is none.

    `start` and `stop` are seconds, for video files; `fps` is for numbered pictures.
    """
    path, part = Path(source), start != 0 or stop is not None
    if not 0 <= start < math.inf or not (stop is None or stop > start):
        raise FilmError(
            f"expected a part of the film that begins at 0 s or later and ends behind that, got {start:g} to {stop}"
        )
    if is_pattern(path):
        rate = _RATE if fps is None else fps
        if not 0 < rate <= 1000:
            raise FilmError(f"fps must be above 0 and at most 1000, got {rate}")
        clip: Clip = SequenceClip(path, Fraction(rate).limit_denominator(1001), max_pixels=max_pixels)
    elif fps is not None:
        raise FilmError(f"{path}: has times of its own; fps is for numbered pictures like frames/%05d.png")
    elif path.suffix.lower() in _PICTURES:
        clip = AnimationClip(path, max_pixels=max_pixels)
    else:
        return VideoClip(path, start=start, stop=stop, max_pixels=max_pixels)
    if part:
        raise FilmError(f"{path}: a part from {start:g} s on can be taken of video files only")
    return clip


class Mask:
    """A mask of a film: one picture for all of it, or a film, of which the frame of the same time counts; its last one
    stays.

    `rate`: that of the film, at which the numbered pictures of a mask follow each other. `still` is the picture, opened
    once; None for a film, and for no mask.
    """

    def __init__(self, source: ImageLike | None, max_pixels: int | None, rate: Fraction | None = None) -> None:
        self._clip = _moving(source, max_pixels, rate)
        self.still = None if self._clip is not None else _opened(source, max_pixels)
        self._frames: Iterator[Frame] | None = None
        self._now: Frame | None = None
        self._next: Frame | None = None

    def at(self, seconds: float) -> Any:
        """What `Stylizer.stylize` takes as `mask` at a time, which never goes back."""
        if self._clip is None:
            return self.still
        if self._frames is None:
            self._frames = self._clip.frames()
            self._now, self._next = next(self._frames), next(self._frames, None)
        while self._next is not None and self._clip.facts.seconds(self._next.time) <= seconds + 1e-6:
            self._now, self._next = self._next, next(self._frames, None)
        assert self._now is not None
        return self._now.pixels


def _opened(source: ImageLike | None, max_pixels: int | None) -> Any:
    """A still mask as an array; arrays and tensors as they are."""
    if source is None or isinstance(source, (np.ndarray, Tensor)):
        return source
    return mask_of(open_image(source, max_pixels=max_pixels))[0, 0].numpy()


def _moving(source: ImageLike | None, max_pixels: int | None, rate: Fraction | None) -> Clip | None:
    """The clip that a mask is; None for a picture."""
    if not isinstance(source, (str, os.PathLike)):
        return None
    path = Path(source)
    if is_pattern(path):
        return open_clip(path, fps=rate, max_pixels=max_pixels)
    if path.suffix.lower() in _PICTURES:
        return open_clip(path, max_pixels=max_pixels) if is_film(path) else None
    if path.suffix.lower() in (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"):
        return open_clip(path, max_pixels=max_pixels)
    return None

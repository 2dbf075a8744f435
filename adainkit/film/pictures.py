"""Clips made of pictures: animated GIF, PNG and WebP, and numbered files like frames/%05d.png."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import FilmError
from ..images import Film, find_film, open_image, save_image
from ..images.picture import pack
from .clip import THUMBNAIL, Facts, Frame, Timing
from .colors import SRGB, Pixels

__all__ = [
    "AnimationClip",
    "SequenceClip",
    "as_animation",
    "files_of",
    "is_pattern",
    "numbered_path",
    "write_picture",
    "written_to",
]

_NUMBER = re.compile(r"%(0?(\d*)d)")
_VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")  # of which a name with a %d is a name
_QUICK = 100  # ms that players show a frame for which a file says 0 or next to nothing


class AnimationClip:
    """An animated GIF, PNG or WebP, in milliseconds; frames with a time of 0 last 100 ms, as players have it."""

    def __init__(self, path: str | os.PathLike[str], *, max_pixels: int | None = None) -> None:
        film = find_film(path, max_pixels)
        if film is None:
            raise FilmError(f"{os.fspath(path)}: is a picture that does not move; use stylize")
        self.film: Film = film
        *self._times, self._end = _starts(d if d >= 0.5 else _QUICK for d in film.durations)
        wide, high = film.width, film.height
        if film.orientation >= 5:
            wide, high = high, wide
        self.facts = Facts(
            str(path),
            wide,
            high,
            Fraction(1, 1000),
            Fraction(1000 * film.frames, self._end).limit_denominator(1001),
            SRGB,
            alpha=film.transparent,
            estimate=film.frames,
            plays=film.plays,
            info=dict(film.info),
        )

    def frames(self, *, first: int = 0, only: Container[int] | None = None, small: bool = False) -> Iterator[Frame]:
        """As `Clip.frames`."""
        for number, image in enumerate(self.film.images()):
            if number >= first and (only is None or number in only):
                pixels = np.asarray(image.convert("RGB").resize(THUMBNAIL, Image.Resampling.BOX) if small else image)
                begins, ends = [*self._times, self._end][number : number + 2]
                yield Frame(number, begins, pixels, ends - begins)

    def timing(self, on_frame: Callable[[Frame], None]) -> Timing:
        """As `Clip.timing`."""
        for frame in self.frames(small=True):
            on_frame(frame)
        return Timing(list(self._times), self._end)

    def ended(self, times: list[int], last: Frame) -> Timing:
        """As `Clip.ended`."""
        return Timing(times, last.time + last.lasts)


class SequenceClip:
    """Pictures whose names differ in a number: `pattern` has %05d or %d where it is. `rate`: frames per second."""

    def __init__(
        self, pattern: str | os.PathLike[str], rate: Fraction = Fraction(25), *, max_pixels: int | None = None
    ) -> None:
        self._max_pixels = max_pixels
        self.files = _numbered(os.fspath(pattern))
        self.first = min(self.files)
        self._gaps = max(self.files) - self.first + 1 - len(self.files)
        picture = open_image(self.files[self.first], max_pixels=max_pixels)
        self.facts = Facts(
            os.fspath(pattern),
            picture.width,
            picture.height,
            1 / rate,
            rate,
            SRGB,
            deep=picture.dtype == np.uint16,
            alpha=picture.alpha is not None,
            estimate=len(self.files),
        )

    def frames(self, *, first: int = 0, only: Container[int] | None = None, small: bool = False) -> Iterator[Frame]:
        """As `Clip.frames`."""
        for number, file in enumerate(sorted(self.files)):
            if number >= first and (only is None or number in only):
                yield Frame(number, number, self._pixels(self.files[file], small))

    def timing(self, on_frame: Callable[[Frame], None]) -> Timing:
        """As `Clip.timing`."""
        for frame in self.frames(small=True):
            on_frame(frame)
        return self.ended(list(range(len(self.files))), frame)

    def ended(self, times: list[int], last: Frame) -> Timing:
        """As `Clip.ended`."""
        notes = [f"{self._gaps} numbers of the sequence are missing"] if self._gaps else []
        return Timing(times, last.time + last.lasts, notes)

    def _pixels(self, path: Path, small: bool) -> Pixels:
        picture, facts = open_image(path, max_pixels=self._max_pixels), self.facts
        if (picture.width, picture.height) != (facts.width, facts.height):
            raise FilmError(
                f"{path}: {picture.width} x {picture.height} pixels, expected {facts.width} x {facts.height} as the "
                "first picture of the sequence"
            )
        channels = 4 if facts.alpha and not small else 3
        kind = np.uint16 if facts.deep and not small else np.uint8
        out = np.empty((picture.height, picture.width, channels), kind)
        pack(picture.rgb[0], out[:, :, :3])
        if channels == 4:
            out[:, :, 3] = np.iinfo(kind).max
            if picture.alpha is not None:
                pack(picture.alpha[0], out[:, :, 3:])
        if small:
            return np.asarray(Image.fromarray(out).resize(THUMBNAIL, Image.Resampling.BOX))
        return out


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a path has a place for the number of a frame."""
    path = Path(path)
    return path.suffix.lower() not in _VIDEOS and _place(path) is not None


def _place(path: Path) -> re.Match[str] | None:
    """Where the number is: the last place that looks so, since a name may have a percent sign before."""
    return next(iter([*_NUMBER.finditer(path.name)][::-1]), None)


def numbered_path(pattern: str | os.PathLike[str], number: int) -> Path:
    """The name of one picture of a sequence."""
    path = Path(pattern)
    match = _place(path)
    assert match is not None
    return path.with_name(path.name[: match.start()] + f"%{match[1]}" % number + path.name[match.end() :])


def files_of(path: str | os.PathLike[str]) -> list[Path]:
    """The files that a path or a pattern stands for, as far as they are there."""
    if not is_pattern(path):
        return [Path(path)] if Path(path).exists() else []
    try:
        return [file for _, file in sorted(_numbered(os.fspath(path)).items())]
    except FilmError:
        return []


def written_to(path: str | os.PathLike[str]) -> list[Path]:
    """Those of `files_of` that a film under this name would replace: of a pattern the names that it writes itself."""
    if not is_pattern(path):
        return [Path(path)] if os.path.lexists(path) else []
    try:
        found = sorted(_numbered(os.fspath(path)))
    except FilmError:
        return []
    return [file for file in (numbered_path(path, number) for number in found) if file.exists()]


def write_picture(pattern: str | os.PathLike[str], number: int, pixels: Pixels, *, overwrite: bool) -> Path:
    """Write one picture of a sequence, whole or not at all; its path."""
    kind = pixels.dtype == np.uint16
    saved: Any = pixels if kind else Image.fromarray(pixels)
    return save_image(saved, numbered_path(pattern, number), overwrite=overwrite)


def _numbered(pattern: str) -> dict[int, Path]:
    """The files of a sequence by their numbers."""
    path = Path(pattern)
    match = _place(path)
    assert match is not None
    name = re.compile(re.escape(path.name[: match.start()]) + r"(\d+)" + re.escape(path.name[match.end() :]))
    wanted = int(match[2]) if match[2] else 1
    try:
        found = [(name.fullmatch(each.name), each) for each in path.parent.iterdir()]
    except OSError as error:
        raise FilmError(f"{pattern}: cannot be read ({error.strerror}); expected a folder of pictures") from error
    files = {int(m[1]): each for m, each in found if m and len(m[1]) >= wanted}
    if not files:
        raise FilmError(f"{pattern}: there is no such picture; expected files like {numbered_path(path, 1).name}")
    return files


def _starts(durations: Iterable[float]) -> list[int]:
    """When each frame begins and the last one ends, rounded so that no error grows."""
    starts, exact = [0], 0.0
    for duration in durations:
        exact += duration
        starts.append(max(round(exact), starts[-1] + 1))
    return starts


def as_animation(clip: Facts, timing: Timing) -> Film:
    """What `images.write_film` wants to know of a film."""
    ends = [*timing.times[1:], timing.end]
    times = [float(1000 * (end - begin) * clip.time_base) for begin, end in zip(timing.times, ends, strict=True)]
    film = Film(Path(clip.name), len(times), clip.width, clip.height, plays=clip.plays, transparent=clip.alpha)
    return replace(film, durations=tuple(times), info=clip.info)

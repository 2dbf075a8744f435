"""Where painted frames go: a video file, an animation, or numbered pictures."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import FilmError
from ..images import FILM_KINDS, check_target, write_film
from .clip import Clip, Timing
from .codecs import Encoding
from .colors import Pixels
from .joining import Copies, join
from .parts import Parts
from .pictures import as_animation, is_pattern, numbered_path, write_picture, written_to
from .segments import Segments
from .video import VideoClip

__all__ = ["AnimationSink", "SequenceSink", "Sink", "VideoSink", "kind_of"]

log = logging.getLogger("adainkit")

State = Mapping[str, NDArray[Any]]
_EVERY = 25  # frames of numbered pictures after which it is kept what the next one needs: a second of a film


def kind_of(target: str | os.PathLike[str]) -> str:
    """ "sequence", "animation" or "video", by the name of a result."""
    if is_pattern(target):
        return "sequence"
    return "animation" if Path(target).suffix.lower() in (".gif", ".png", ".apng", ".webp") else "video"


class Sink(Protocol):
    """Takes frames in order, from the `done`-th on; the film is there after `finish`."""

    done: int

    def expect(self, count: int) -> None:
        """So many frames will come. `FilmError` where they are too many."""

    def state(self) -> dict[str, NDArray[Any]]:
        """What was given with the last frame that is done."""

    def write(self, number: int, pixels: Pixels, state: State, last: bool) -> None:
        """Take the next frame."""

    def finish(self, timing: Timing) -> None:
        """Give the film its name."""

    def abandon(self) -> None:
        """Stop: nothing is left under the name of the film."""


class VideoSink:
    """A video file, by segments."""

    def __init__(
        self,
        clip: Clip,
        target: Path,
        encoding: Encoding,
        plan: Mapping[str, Any],
        *,
        sound: bool,
        cut: bool,
        resume: bool,
        strip: bool = False,
    ) -> None:
        self._clip, self._target, self._encoding, self._cut = clip, target, encoding, cut
        self._copies = Copies(clip, encoding, sound=sound, strip=strip) if isinstance(clip, VideoClip) else None
        self.segments = Segments(target, encoding, plan, resume=resume)
        self.done = self.segments.done

    def expect(self, count: int) -> None:
        """As `Sink.expect`: any number."""

    def state(self) -> dict[str, NDArray[Any]]:
        """As `Sink.state`."""
        return self.segments.state()

    def write(self, number: int, pixels: Pixels, state: State, last: bool) -> None:
        """As `Sink.write`."""
        self.segments.write(number, pixels, state, last)

    def finish(self, timing: Timing) -> None:
        """As `Sink.finish`."""
        join(self.segments, self._target, self._encoding, self._clip.facts, timing, self._copies, self._cut)
        self.segments.remove()

    def abandon(self) -> None:
        """As `Sink.abandon`: whole segments stay for the next run."""
        self.segments.abandon()


class AnimationSink:
    """A GIF, PNG or WebP, whose frames are held until the end; more than `max_pixels` in all are a `FilmError`."""

    def __init__(self, clip: Clip, target: Path, *, overwrite: bool, max_pixels: int | None) -> None:
        kind = check_target(target, format=None, quality=None, overwrite=overwrite)
        if kind not in FILM_KINDS:
            raise FilmError(f"{target}: {kind} holds no film; expected .gif, .png or .webp")
        self.done, self._clip, self._target, self._overwrite = 0, clip, target, overwrite
        self._held: list[Image.Image] = []
        self._most, self._count = max_pixels, 0

    def expect(self, count: int) -> None:
        """As `Sink.expect`."""
        pixels = count * self._clip.facts.width * self._clip.facts.height
        if self._most is not None and pixels > self._most:
            raise FilmError(
                f"{self._target}: an animation is held until its end, and {count} frames have {pixels} pixels, "
                f"expected at most {self._most}; write .mp4 or .mkv, or pass a larger max_pixels"
            )

    def state(self) -> dict[str, NDArray[Any]]:
        """As `Sink.state`."""
        return {}

    def write(self, number: int, pixels: Pixels, state: State, last: bool) -> None:
        """As `Sink.write`."""
        self._count += 1
        self.expect(self._count)  # of a live run nobody knows how many will come
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        self._held.append(Image.fromarray(pixels))

    def finish(self, timing: Timing) -> None:
        """As `Sink.finish`."""
        film = as_animation(self._clip.facts, timing)
        write_film(self._given(), self._target, film, overwrite=self._overwrite)

    def _given(self) -> Iterator[Image.Image]:
        for place, image in enumerate(self._held):
            self._held[place] = None  # type: ignore[call-overload]
            yield image

    def abandon(self) -> None:
        """As `Sink.abandon`."""
        self._held.clear()


class SequenceSink:
    """Numbered pictures, each of which appears whole, from number 1 on, or from that of the source's first one.

    With `resume` a run with the same `plan` goes on with the first picture that is missing. What the next frame needs
    is kept every `_EVERY` frames among the film's `Parts`: those after it are painted once more, and not written.
    """

    def __init__(self, clip: Clip, target: Path, plan: Mapping[str, Any], *, overwrite: bool, resume: bool) -> None:
        self._target, self._overwrite = target, overwrite
        self._first = int(getattr(clip, "first", 1))
        check_target(self._path(0))
        self._there = self._count(overwrite) if resume else 0
        self._parts = Parts(target, plan, resume=resume)
        self.done = self._kept = self._kept_until() if self._parts.goes_on else 0
        if self._there and not self._parts.goes_on:
            log.warning("%s: no plan is there of the run that made these pictures: they are taken as they are", target)
            self.done = self._there

    def _count(self, overwrite: bool) -> int:
        """Pictures at the beginning that are there. `FilmError` where more are, beyond one that is missing."""
        count = 0
        while self._path(count).exists():
            count += 1
        beyond = set(written_to(self._target)) - {self._path(number) for number in range(count)}
        if beyond and not overwrite:
            raise FilmError(
                f"{min(beyond)} exists already, and number {count + self._first} before it does not; pass "
                "overwrite=True, or choose another name"
            )
        return count

    def _kept_until(self) -> int:
        """How many frames were painted when the last state was kept; 0 where a picture of them is missing."""
        kept = max((int(path.stem) for path in self._parts.folder.glob("[0-9]*.npz")), default=0)
        return kept if kept <= self._there else 0

    def expect(self, count: int) -> None:
        """As `Sink.expect`: any number."""
        if self._there >= count:
            self.done = count

    def _path(self, number: int) -> Path:
        return numbered_path(self._target, number + self._first)

    def state(self) -> dict[str, NDArray[Any]]:
        """As `Sink.state`."""
        return self._parts.state(self._kept) if self._kept else {}

    def write(self, number: int, pixels: Pixels, state: State, last: bool) -> None:
        """As `Sink.write`."""
        if number >= self._there:
            write_picture(self._target, number + self._first, pixels, overwrite=self._overwrite)
        if (number + 1) % _EVERY == 0:
            self._parts.keep_state(number + 1, state)
            self._parts.state_path(self._kept).unlink(missing_ok=True)
            self._kept = number + 1

    def finish(self, timing: Timing) -> None:
        """As `Sink.finish`: all is there already."""
        self._parts.remove()

    def abandon(self) -> None:
        """As `Sink.abandon`: pictures that are whole stay, and what the next run needs."""
        if self._path(0).exists():
            self._parts.release()
        else:
            self._parts.remove()

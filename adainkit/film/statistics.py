"""The content statistics of each frame of a film: of the clip, of its scene, or running; smooth within a scene."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from ..engine.content_statistics import ContentStatistics
from ..errors import FilmError
from .clip import THUMBNAIL, Clip, Frame
from .colors import Pixels
from .crew import Crew
from .scenes import Cuts

if TYPE_CHECKING:
    from ..stylizer import Stylizer

__all__ = ["DELAY", "Knot", "Measured", "live_statistics", "measure", "plan_measuring"]

_PIECE = 240  # frames of a scene that share a measurement; between two of them statistics are interpolated
_SAMPLES = 5  # frames that are measured of each piece
DELAY = 8
"""Frames of which one is measured in a live run: it shows a frame when so many later ones are read."""
_NEW = 0.5  # share of the newest measurement in a running one


class Knot(NamedTuple):
    """Statistics that belong to a frame, and the number of its scene."""

    number: int
    scene: int
    statistics: ContentStatistics


class Measured:
    """The statistics of any frame, from knots in the order of their numbers."""

    def __init__(self, knots: Sequence[Knot], cuts: Sequence[int]) -> None:
        self._knots, self._cuts = list(knots), list(cuts)
        self._numbers = [knot.number for knot in knots]

    def at(self, number: int) -> ContentStatistics:
        """Of one frame: interpolated between the knots of its scene."""
        scene = bisect_right(self._cuts, number) - 1
        after = bisect_right(self._numbers, number)
        near = [self._knots[i] for i in (after - 1, after) if 0 <= i < len(self._knots)]
        near = [knot for knot in near if knot.scene == scene]
        if not near:
            raise IndexError(number)
        return between(near[0], near[-1], number)


def between(before: Knot, after: Knot, number: int) -> ContentStatistics:
    """The statistics of a frame between two knots."""
    if number <= before.number or after.number == before.number:
        return before.statistics
    if number >= after.number:
        return after.statistics
    return before.statistics.mixed(after.statistics, (number - before.number) / (after.number - before.number))


def plan_measuring(count: int, cuts: Sequence[int], per_scene: bool) -> list[tuple[int, int, list[int]]]:
    """For a film of `count` frames whose scenes begin at `cuts`: (number of the knot, its scene, frames to measure).

    >>> plan_measuring(20, [0, 10], True)
    [(4, 0, [1, 3, 5, 7, 9]), (14, 1, [11, 13, 15, 17, 19])]
    """
    plan = []
    for scene, (begin, end) in enumerate(zip(cuts, [*cuts[1:], count], strict=True)):
        pieces = -(-(end - begin) // _PIECE) if per_scene else 1
        bounds = [begin + (end - begin) * piece // pieces for piece in range(pieces + 1)]
        for first, last in pairwise(bounds):
            samples = min(_SAMPLES if per_scene else 4 * _SAMPLES, last - first)
            chosen = [first + (2 * i + 1) * (last - first) // (2 * samples) for i in range(samples)]
            plan.append(((first + last - 1) // 2, scene, chosen))
    return plan


def measure(
    crew: Crew,
    clip: Clip,
    plan: Sequence[tuple[int, int, list[int]]],
    cuts: Sequence[int],
    scale: float,
    told: Callable[[int, int], None],
) -> Measured:
    """Go through the clip and measure the frames that `plan` wants; `told(done, total)` after each."""
    wanted = {number for _, _, chosen in plan for number in chosen}
    frames = clip.frames(only=wanted)
    knots, done = [], 0

    def counted(chosen: Iterable[int]) -> Iterator[Pixels]:
        nonlocal done
        for _ in chosen:
            frame = next(frames, None)
            if frame is None:
                raise FilmError(f"{clip.facts.name}: has fewer frames than before; it was changed while it was read")
            yield frame.pixels
            done += 1
            told(done, len(wanted))

    def measured(pixels: Pixels) -> ContentStatistics:
        return crew.stylizer.content_statistics([pixels], scale=scale, max_pixels=None)

    for number, scene, chosen in plan:
        found = reduce(ContentStatistics.together, crew.each(measured, counted(chosen)))
        knots.append(Knot(number, scene, found.lighter()))  # a film may have thousands of them
    return Measured(knots, cuts)


def live_statistics(
    stylizer: Stylizer, frames: Iterator[Frame], cuts: Cuts, scale: float
) -> Iterator[tuple[Frame, ContentStatistics, bool]]:
    """Each frame with running statistics and whether a scene begins with it, `DELAY` frames late at most.

    One frame of `DELAY` is measured, and the first of each scene; at a cut the running statistics begin anew.
    """
    waiting: deque[tuple[Frame, bool]] = deque()
    last: Knot | None = None
    scene = -1

    def ready(until: Knot | None) -> Iterator[tuple[Frame, ContentStatistics, bool]]:
        assert last is not None
        while waiting:
            frame, begins = waiting.popleft()
            yield frame, between(last, until or last, frame.number), begins

    for frame in frames:
        begins = cuts.add(_thumbnail(frame.pixels))
        if begins or last is None:
            if last is not None:
                yield from ready(None)
            scene += 1
            found = stylizer.content_statistics([frame.pixels], scale=scale, max_pixels=None)
            last = Knot(frame.number, scene, found)
        elif frame.number - last.number >= DELAY:
            found = stylizer.content_statistics([frame.pixels], scale=scale, max_pixels=None)
            knot = Knot(frame.number, scene, last.statistics.mixed(found, _NEW).settled())
            yield from ready(knot)
            last = knot
        waiting.append((frame, begins))
    if last is not None:
        yield from ready(None)


def _thumbnail(pixels: Pixels) -> Pixels:
    """As small as frames are in which cuts are looked for."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))
    return np.asarray(image.resize(THUMBNAIL, Image.Resampling.BOX))

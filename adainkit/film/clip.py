"""A clip: what every kind of film is to the rest of the room."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from .colors import Colors, Pixels

__all__ = ["THUMBNAIL", "Clip", "Facts", "Frame", "Timing"]

THUMBNAIL = (48, 27)
"""Width and height of the frames in which cuts are looked for."""


class Frame(NamedTuple):
    """A frame: its number in the clip, the time at which it is shown, in the clip's time base, its pixels,
    `(H, W, 3 | 4)` uint8 or uint16, upright, and how long it is shown where no other one follows."""

    number: int
    time: int
    pixels: Pixels
    lasts: int = 1


@dataclass(frozen=True)
class Facts:
    """What is known of a clip before its frames are looked at.

    `width` and `height` of upright frames; `rate`, frames per second on average; `aspect`, the shape of a pixel, None
    for square ones; `deep`: more than 8 bits; `form`, FFmpeg's name of the pixel format. `estimate`: of the number of
    frames, 0 where there is none. `plays`: how many times an animation runs, 0 without an end. `origin`: the time at
    which the film begins, `begins`: at which the wanted part of it does.
    """

    name: str
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    colors: Colors
    deep: bool = False
    alpha: bool = False
    aspect: Fraction | None = None
    form: str = ""
    estimate: int = 0
    plays: int = 1
    origin: int = 0
    begins: int = 0
    info: dict[str, Any] = field(default_factory=dict)

    def seconds(self, time: int) -> float:
        """A time in seconds from the beginning of the film."""
        return float((time - self.origin) * self.time_base)


@dataclass
class Timing:
    """When the frames of a clip are shown, found by looking at all of them; `end` is when the last one vanishes.

    `notes`: what was wrong with the file and repaired.
    """

    times: list[int] = field(default_factory=list)
    end: int = 0
    notes: list[str] = field(default_factory=list)


class Clip(Protocol):
    """A source of frames, which may be gone through many times."""

    facts: Facts

    def frames(self, *, first: int = 0, only: Container[int] | None = None, small: bool = False) -> Iterator[Frame]:
        """The frames with the numbers from `first` on that are in `only`, in order; `small`: as thumbnails. `FilmError`
        for what cannot be read."""

    def ended(self, times: list[int], last: Frame) -> Timing:
        """The timing of a clip whose frames have just been gone through to the `last` one."""

    def timing(self, on_frame: Any) -> Timing:
        """Go through all frames once, as thumbnails, each given to `on_frame(frame)`."""

"""Style and strength over time: keys, and what is between them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from ..errors import StyleError
from ..look.controls import Alpha
from ..style import Style

__all__ = ["Timeline", "alpha_timeline", "mix_alphas", "mix_styles"]

T = TypeVar("T")


class Timeline(Generic[T]):
    """Values at seconds of a film; between two of them `mix(one, other, share)`, before and after all the nearest."""

    def __init__(self, keys: Mapping[float, T], mix: Callable[[T, T, float], T]) -> None:
        if not keys or not all(isinstance(key, (int, float)) and math.isfinite(key) for key in keys):
            raise StyleError(f"keys must be one or more seconds of the film, got {list(keys)}")
        self._times = sorted(keys)
        self._values = [keys[time] for time in self._times]
        self._mix = mix

    def at(self, seconds: float) -> T:
        """The value at a time."""
        after = bisect_right(self._times, seconds)
        if after == 0 or after == len(self._times):
            return self._values[min(after, len(self._times) - 1)]
        begin, end = self._times[after - 1], self._times[after]
        share = (seconds - begin) / (end - begin)
        one, other = self._values[after - 1], self._values[after]
        return one if one is other or share == 0 else self._mix(one, other, share)

    @property
    def keys(self) -> list[tuple[float, T]]:
        """The seconds and their values, in order."""
        return list(zip(self._times, self._values, strict=True))

    @property
    def values(self) -> list[T]:
        """Those of the keys, in the order of their times."""
        return list(self._values)


def mix_styles(one: Style, other: Style, share: float) -> Style:
    """A cross-fade: `share` of the other."""
    return Style.blend([(one, 1 - share), (other, share)])


def mix_alphas(one: Alpha, other: Alpha, share: float) -> Alpha:
    """Each level for itself; a number stands for all levels."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one + (other - one) * share
    levels = max(len(_levels(one)), len(_levels(other)))
    pairs = zip(_spread(one, levels), _spread(other, levels), strict=True)
    return [a + (b - a) * share for a, b in pairs]


def alpha_timeline(alpha: Alpha | Mapping[float, Alpha]) -> Timeline[Alpha]:
    """A strength, or several at their seconds."""
    keys: Mapping[float, Any] = alpha if isinstance(alpha, Mapping) else {0.0: alpha}
    return Timeline(keys, mix_alphas)


def _levels(alpha: Alpha) -> Sequence[float]:
    return [alpha] if isinstance(alpha, (int, float)) else list(alpha)


def _spread(alpha: Alpha, levels: int) -> Sequence[float]:
    found = _levels(alpha)
    return found if len(found) == levels else [found[0]] * levels

"""What a run says while it runs: a first estimate after a minute, and lines in a log where there is no terminal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

__all__ = ["Telling", "spoken"]

log = logging.getLogger("adainkit.training")

_FIRST, _ESTIMATE, _EVERY, _LATER = 15.0, 60.0, 60.0, 300.0
_OFTEN = 600.0  # seconds from which on lines come more seldom
_SHORT = 600.0  # of shorter times the seconds are told
_LONG = 3600.0  # a run that takes longer than this is told of the shorter one


class Telling:
    """Called after every step of a run; `steps` are all of it, or `minutes` its time. With `lines` it logs where it is:
    first after a quarter of a minute. After a minute it says once how long the whole of it takes."""

    def __init__(
        self, steps: int, minutes: float, step: int, lines: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._steps, self._minutes, self._lines, self._clock = steps, minutes, lines, clock
        self._began, self._first = clock(), step
        self._due, self._estimated = _FIRST, False

    def at(self, step: int, seconds: float, figures: Mapping[str, float]) -> None:
        """So many steps are done, in so many `seconds` of the run; `figures` are those that were read last."""
        gone = self._clock() - self._began
        rate = (step - self._first) / max(gone, 1e-9)
        if self._minutes:
            whole = 60 * self._minutes
            left = max(0.0, whole - seconds)
            gone_by = seconds if seconds < _SHORT else seconds // 60 * 60  # else all is gone before the end
            place = f"step {step}, {spoken(gone_by)} of {spoken(whole)}"
        else:
            left = (self._steps - step) / max(rate, 1e-9)
            place = f"step {step} of {self._steps}"
        if gone >= _ESTIMATE and not self._estimated:
            self._estimated = True
            _say(self._estimate(step, rate, left))
        if self._lines and gone >= self._due:
            self._due = gone + (_EVERY if gone < _OFTEN else _LATER)
            loss = f", loss {figures['loss']:.3g}" if "loss" in figures else ""
            _say(f"{place}, {rate:.3g} steps a second, about {spoken(left)} left{loss}")

    def _estimate(self, step: int, rate: float, left: float) -> str:
        if self._minutes:
            return f"about {round(step + rate * left)} steps fit into the {spoken(60 * self._minutes)} on this machine"
        shorter = "; --minutes 30 gives a first look" if left > _LONG else ""
        return f"the {self._steps - step} steps that are left take about {spoken(left)} on this machine{shorter}"


def _say(line: str) -> None:
    with tqdm.external_write_mode(file=sys.stderr):  # a bar makes room for it
        log.info("%s", line)


def spoken(seconds: float) -> str:
    """A duration as one says it.

    >>> spoken(42), spoken(90), spoken(5 * 3600 + 20 * 60), spoken(3 * 86400 + 3600)
    ('42 s', '1 min 30 s', '5 h 20 min', '3 d 1 h')
    """
    if seconds < _SHORT:
        minutes, rest = divmod(round(seconds), 60)
        return " ".join([f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest or not minutes))
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"

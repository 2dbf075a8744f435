"""How far work is: a bar on a terminal, elsewhere (a log, a pipe, cron) a line every so often."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Meter"]

_FIRST, _EVERY = 10.0, 30.0  # seconds to the first line, and between two


class Meter:
    """A context manager around work of `total` things, called `unit`, on stderr: done, in all, and what time is left.

    One thing alone, of which only the share is told, has no unit.
    """

    def __init__(self, total: float, unit: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        from tqdm import tqdm

        counted = f"{{n:.4g}} of {{total:g}} {unit}, " if unit else ""
        form = "{desc}{percentage:3.0f}%|{bar}| " + counted + "{elapsed} gone, {remaining} left"
        options: dict[str, Any] = {"smoothing": 0, "miniters": 0, "leave": False, "disable": None}
        self._bar: tqdm[Any] = tqdm(total=total, bar_format=form, file=sys.stderr, **options)
        self._unit, self._total, self._clock = unit, total, clock
        self._began = self._stage_began = clock()
        self._stage = ""
        self._due = self._began + _FIRST

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def at(self, done: float, total: float | None = None, stage: str = "") -> None:
        """So much is `done`, of a `total` that may have become another, at a `stage` with a name: what time is left is
        that of the stage."""
        self._total = self._total if total is None else total
        if stage != self._stage:
            self._stage, self._stage_began = stage, self._clock()
            self._bar.reset(self._total)
        if self._bar.disable:
            self._line(done, stage)
            return
        self._bar.total = self._total
        if stage:
            self._bar.set_description(stage, refresh=False)
        self._bar.update(done - self._bar.n)

    def _line(self, done: float, stage: str) -> None:
        now = self._clock()
        if now < self._due or done >= self._total:  # the result says that it is done
            return
        self._due = now + _EVERY
        from tqdm import tqdm

        share = done / self._total if self._total else 0.0
        left = (now - self._stage_began) * (1 - share) / share if share else None
        counted = f"{done:.4g} of {self._total:g} {self._unit}" if self._unit else f"{share:.0%}"
        when = "" if left is None else f", about {tqdm.format_interval(left)} left"
        gone = tqdm.format_interval(now - self._began)
        print(f"adainkit: {f'{stage}, ' if stage else ''}{counted}, {gone} gone{when}", file=sys.stderr, flush=True)

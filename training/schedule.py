"""Where a run is: by its steps, or by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from .config import TrainConfig

__all__ = ["Schedule"]


class Schedule:
    """Stages and rates of a run. With `config.minutes` all of them are shares of the time, whatever a step takes: a run
    is at step s of n where s / n of its time is over, and the time that the last sample and checkpoint will take, as
    far as it is known by `closing`, is kept back.

    `before`: seconds that an earlier part of the run has taken; `setup`: seconds that reading pictures and the like has
    taken since, which are of the run's time, too, but of no step's; `clock` gives seconds.
    """

    def __init__(
        self,
        config: TrainConfig,
        before: float = 0.0,
        setup: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self._clock, self._started, self._setup = config, clock, clock() - before - setup, setup
        self._closing = min(10.0, 60 * config.minutes / 50)

    @property
    def seconds(self) -> float:
        """What the run has taken up to now."""
        return self._clock() - self._started

    @property
    def timed(self) -> bool:
        """Whether the run is one by the clock."""
        return self.config.minutes > 0

    def closing(self, seconds: float) -> None:
        """A sample and a checkpoint took so long; twice that is kept back for the last ones."""
        self._closing = max(self._closing, 2 * seconds)

    def place(self, step: int) -> float:
        """The step, of `config.steps`, that the run is at."""
        if not self.timed:
            return step
        whole = 60 * self.config.minutes - self._closing - self._setup
        return self.config.steps * min(1.0, (self.seconds - self._setup) / max(1e-6, whole))

    def over(self, step: int) -> bool:
        """Whether all steps are done, or all time is up, but for a first step."""
        return self.place(step) >= self.config.steps and (step > 0 or not self.timed)

    def stage(self, step: int) -> int:
        """The number of the stage that it is time for."""
        return self.config.stage_number(self.place(step))

    def rate(self, step: int) -> float:
        """The share of the learning rates that it is time for."""
        return self.config.rate_at(self.place(step))

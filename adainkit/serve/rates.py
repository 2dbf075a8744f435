"""How often a caller may ask: a bucket of tokens for each, which fills again as time goes by."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Rates"]

_CALLERS = 10_000  # those that were silent for the longest time are forgotten: their buckets are full again


class Rates:
    """At most `burst` calls at once of each caller, and `rate` a second in the mean."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str) -> float:
        """Seconds until this caller may ask; 0 where it may now, which is then counted."""
        now = self.clock()
        left, since = self._left.pop(caller, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.rate)
        allowed = left >= 1
        self._left[caller] = (left - 1 if allowed else left, now)
        if len(self._left) > _CALLERS:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self.rate

    def spent(self, caller: str) -> bool:
        """Whether this caller may not ask now; nothing is counted."""
        left, since = self._left.get(caller, (self.burst, self.clock()))
        return left + (self.clock() - since) * self.rate < 1

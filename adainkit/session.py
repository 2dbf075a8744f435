"""A session: warm models and styles for many callers who come one after the other. The editors' worker has one, and a
service may."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from .errors import AdaINKitError, WeightsError
from .images import MAX_PIXELS
from .store.style_cache import StyleCache
from .store.weights import cache_dir, models
from .stylizer import Stylizer

__all__ = ["LIMITS", "Busy", "Limits", "Session", "Turns"]


class Busy(AdaINKitError):
    """The queue is full. Try again later."""


@dataclass(frozen=True)
class Limits:
    """What one caller may ask for, and what is kept between calls."""

    pixels: int = MAX_PIXELS
    """The largest picture, in pixels."""
    styles: int = 8
    """The most styles that are mixed."""
    preview_side: int = 1024
    """The longest side of a thumbnail, in pixels. A thumbnail cannot be cancelled once it has begun."""
    waiting: int = 8
    """The most callers in the queue, besides the one whose turn it is."""
    models: int = 2
    """The most models that stay loaded: the default one, and one that is being tried."""


LIMITS = Limits()


class Session:
    """Stylizers by the name of their model, or by the path and the state of its file, on one `device` in one `runtime`.

    Have a turn (`turns.take`) while a Stylizer works: they share the memory of the device. A context manager.
    """

    def __init__(
        self, device: str = "auto", *, limits: Limits = LIMITS, cache: StyleCache | None = None, runtime: str = "auto"
    ) -> None:
        self.device, self.limits, self.runtime = device, limits, runtime
        self.cache = StyleCache(folder=cache_dir() / "styles") if cache is None else cache
        self.turns = Turns(limits.waiting)
        self._stylizers: OrderedDict[tuple[str, int, int], Stylizer] = OrderedDict()

    def stylizer(self, model: str = "lite") -> Stylizer:
        """The Stylizer of a model, loaded once. `WeightsError` for one that is not on this computer: nothing is fetched
        on the side."""
        known = models().get(model)
        if known is not None and not known.available:  # nobody expects a filter to download hundreds of megabytes
            raise WeightsError(
                f"the weights of {model} are not on this computer; run in a terminal: adainkit download {model}"
            )
        key = (model, *_state(model)) if known is None else (model, 0, 0)
        if key not in self._stylizers:
            self._stylizers[key] = Stylizer(model, device=self.device, cache=self.cache, runtime=self.runtime)
        self._stylizers.move_to_end(key)
        while len(self._stylizers) > self.limits.models:
            self._stylizers.popitem(last=False)[1].close()
        return self._stylizers[key]

    def warm(self) -> None:
        """Load the default model and let the libraries make their plans, so that the first call need not."""
        ramp = np.linspace(0, 1, 64 * 64 * 3, dtype=np.float32).reshape(64, 64, 3)
        stylizer = self.stylizer()
        stylizer.stylize(ramp, stylizer.encode_style(ramp))

    def close(self) -> None:
        """Let go of all models. Safe to call twice; the next call loads them again."""
        while self._stylizers:
            self._stylizers.popitem()[1].close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Turns:
    """First come, first served, one at a time; at most `waiting` wait."""

    def __init__(self, waiting: int = LIMITS.waiting, tick: float = 0.2) -> None:
        self.waiting, self.tick = waiting, tick
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @property
    def taken(self) -> int:
        """How many are in the line, whoever has the turn among them."""
        return len(self._line)

    @contextmanager
    def take(self, wait: Callable[[int], None] = lambda before: None) -> Iterator[None]:
        """Wait for the turn, and have it within the block. `wait(how many come before)` is called every `tick` seconds;
        it may raise to leave the line. `Busy` where the line is full."""
        me = object()
        with self._changed:
            if len(self._line) > self.waiting:
                raise Busy(f"{self.waiting} jobs are waiting already; try again later")
            self._line.append(me)
        try:
            while before := self._before(me):
                wait(before)
            yield
        finally:
            with self._changed:
                self._line.remove(me)
                self._changed.notify_all()

    def _before(self, me: object) -> int:
        """How many come before, after a short wait for the turn."""
        with self._changed:
            self._changed.wait_for(lambda: self._line[0] is me, self.tick if len(self._line) > 1 else 0)
            return self._line.index(me)


def _state(model: str) -> tuple[int, int]:
    """When a model's file was written, and its size: another training run may have replaced it."""
    try:
        facts = Path(model).stat()
    except (OSError, ValueError):  # the core says what is wrong
        return 0, 0
    return facts.st_mtime_ns, facts.st_size

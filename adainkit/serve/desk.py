"""The desk: one thread that computes, what waits for it, and how much may wait."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from ..errors import Cancelled, Progress
from ..session import Busy
from .places import counted_in

__all__ = ["Desk", "Lane"]

T = TypeVar("T")


class Lane(IntEnum):
    """Who goes first. Work of a lower number is done between two tiles of work of a higher one."""

    SHORT = 0
    """Previews and camera frames: a person waits with a finger on a slider."""
    WHOLE = 1
    """A picture that a request waits for."""
    JOB = 2
    """What nobody holds a connection open for."""


@dataclass(order=True)
class _Task:
    lane: Lane
    number: int
    work: Callable[[Progress], Any] = field(compare=False)
    tell: Progress | None = field(compare=False)
    future: Future[Any] = field(compare=False, default_factory=Future)
    stop: threading.Event = field(compare=False, default_factory=threading.Event)
    since: float = field(compare=False, default_factory=time.perf_counter)


class Desk:
    """Places in a bounded queue, and the thread that does the work of those who have one."""

    def __init__(
        self, waiting: int, each: int, seen: Callable[[str, float], object] = lambda stage, seconds: None
    ) -> None:
        self.waiting, self.each, self.seen = waiting, each, seen
        self.draining = False
        self._taken: Counter[str] = Counter()
        self._tasks: list[_Task] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="adainkit-desk", daemon=True)
        self._thread.start()

    @property
    def taken(self) -> int:
        """How many requests have a place."""
        return self._taken.total()

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """A place in the queue within the block. `Busy` where there is none, for anybody or for this caller;
        `Cancelled` while the service stops."""
        if self.draining:
            raise Cancelled("the service is stopping; try again later")
        if self.taken >= self.waiting:
            raise Busy(f"{self.taken} requests are waiting already; try again later")
        if self._taken[caller] >= self.each:
            raise Busy(f"{self.each} requests of this caller are waiting already; wait for their answers")
        with counted_in(self._taken, caller):
            yield

    async def compute(self, work: Callable[[Progress], T], lane: Lane, tell: Progress | None = None) -> T:
        """What `work(progress)` gives, done in the desk's thread when its turn comes. `tell` is called there as
        progress. Cancelling stops it at the next tile."""
        task = _Task(lane, next(self._numbers), work, tell)
        with self._changed:
            if self._closed:
                raise Cancelled("the service is stopping; try again later")
            heapq.heappush(self._tasks, task)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(task.future)
        except asyncio.CancelledError:
            task.stop.set()
            raise

    def close(self) -> None:
        """Stop the work that is there at its next tile, and the thread."""
        with self._changed:
            self._closed = self.draining = True
            tasks, self._tasks = self._tasks, []
            self._changed.notify()
        for task in tasks:
            task.future.cancel()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._closed)
                if self._closed:
                    return
                task = heapq.heappop(self._tasks)
            self._do(task)

    def _do(self, task: _Task) -> None:
        if not task.future.set_running_or_notify_cancel():
            return
        started = time.perf_counter()
        self.seen("queue", started - task.since)

        def progress(stage: str, done: int, total: int) -> None:
            if task.stop.is_set():
                raise Cancelled("nobody waits for this any more; ask again")
            if self._closed:
                raise Cancelled("the service is stopping; try again later")
            self._let_pass(task.lane)
            if task.tell is not None:
                task.tell(stage, done, total)

        try:
            result = task.work(progress)
        except BaseException as error:
            _end(task.future, error=error)
        else:
            _end(task.future, result)
        self.seen("model", time.perf_counter() - started)

    def _let_pass(self, lane: Lane) -> None:
        """Do what goes before work of this lane."""
        while True:
            with self._changed:
                if not self._tasks or self._tasks[0].lane >= lane:
                    return
                task = heapq.heappop(self._tasks)
            self._do(task)


def _end(future: Future[Any], result: Any = None, error: BaseException | None = None) -> None:
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

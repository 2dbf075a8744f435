"""The desk: one thread that computes, what waits for it, and how much may wait."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from ..errors import Cancelled, Progress
from ..session import Busy
from .places import counted_in

__all__ = ["Alike", "Desk", "Lane"]

T = TypeVar("T")


class Lane(IntEnum):
    """Who goes first. Work of a lower number is done between two tiles of work of a higher one."""

    SHORT = 0
    """Previews and camera frames: a person waits with a finger on a slider."""
    WHOLE = 1
    """A picture that a request waits for."""
    JOB = 2
    """What nobody holds a connection open for."""


@dataclass(frozen=True)
class Alike:
    """What may be done at once with other work of the same lane and an equal `key`: `together(items, progress)` gives
    the result of each item, of `most` of them at most. Where it raises an error, each is done by itself."""

    key: Hashable
    item: Any
    together: Callable[[Sequence[Any], Progress], Sequence[Any]]
    most: int = 1 << 30


@dataclass(order=True)
class _Task:
    lane: Lane
    number: int
    work: Callable[[Progress], Any] = field(compare=False)
    tell: Progress | None = field(compare=False)
    alike: Alike | None = field(compare=False)
    future: Future[Any] = field(compare=False, default_factory=Future)
    stop: threading.Event = field(compare=False, default_factory=threading.Event)
    since: float = field(compare=False, default_factory=time.perf_counter)


class Desk:
    """Places in a bounded queue, and the thread that does the work of those who have one. `batch`: how many that are
    alike are done at once at most; the first of them waits `patience` seconds for others that are on their way."""

    def __init__(
        self,
        waiting: int,
        each: int,
        seen: Callable[[str, float], object] = lambda stage, seconds: None,
        batch: int = 1,
        patience: float = 0.0,
    ) -> None:
        self.waiting, self.each, self.seen = waiting, each, seen
        self.batch, self.patience = batch, patience
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

    async def compute(
        self, work: Callable[[Progress], T], lane: Lane, tell: Progress | None = None, alike: Alike | None = None
    ) -> T:
        """What `work(progress)`, or `alike` in its place, gives, done in the desk's thread when its turn comes. `tell`
        is called there as progress. Cancelling stops it at the next tile."""
        task = _Task(lane, next(self._numbers), work, tell, alike)
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
                tasks = self._with_mates(heapq.heappop(self._tasks))
            self._do(tasks)

    def _with_mates(self, first: _Task) -> list[_Task]:
        """A task, and those that are done with it. Called and left in the lock, which others have while it waits."""
        found, until = [first], first.since + self.patience
        most = 1 if first.alike is None else min(self.batch, first.alike.most)
        while len(found) < most and not self._closed:
            mates = [each for each in sorted(self._tasks) if _are_alike(first, each)][: most - len(found)]
            found += mates
            self._tasks = [each for each in self._tasks if each not in mates]
            heapq.heapify(self._tasks)
            left = until - time.perf_counter()
            urgent = any(each.lane < first.lane for each in self._tasks)
            if left <= 0 or urgent or len(found) >= min(most, self.taken):
                break
            self._changed.wait(left)
        return found

    def _do(self, tasks: list[_Task]) -> None:
        tasks = [task for task in tasks if task.future.set_running_or_notify_cancel()]
        started = time.perf_counter()
        for task in tasks:
            self.seen("queue", started - task.since)
        if len(tasks) < 2 or not self._done_together(tasks):
            for task in tasks:
                try:
                    result = task.work(self._progress([task]))
                except BaseException as error:
                    _end(task.future, error=error)
                else:
                    _end(task.future, result)
        for _ in tasks:
            self.seen("model", time.perf_counter() - started)

    def _done_together(self, tasks: list[_Task]) -> bool:
        """Whether they are done; not where there was an error, which may be one picture's own."""
        alike = [task.alike for task in tasks if task.alike is not None]
        try:
            results = alike[0].together([each.item for each in alike], self._progress(tasks))
        except Exception:
            return False
        for task, result in zip(tasks, results, strict=True):
            _end(task.future, result)
        return True

    def _progress(self, tasks: list[_Task]) -> Progress:
        """What stops work that nobody waits for, lets others pass, and tells those who do wait."""

        def progress(stage: str, done: int, total: int) -> None:
            if all(task.stop.is_set() for task in tasks):
                raise Cancelled("nobody waits for this any more; ask again")
            if self._closed:
                raise Cancelled("the service is stopping; try again later")
            self._let_pass(tasks[0].lane)
            for task in tasks:
                if task.tell is not None:
                    task.tell(stage, done, total)

        return progress

    def _let_pass(self, lane: Lane) -> None:
        """Do what goes before work of this lane."""
        while True:
            with self._changed:
                if not self._tasks or self._tasks[0].lane >= lane:
                    return
                task = heapq.heappop(self._tasks)
            self._do([task])


def _are_alike(one: _Task, other: _Task) -> bool:
    keys = [task.alike.key for task in (one, other) if task.alike is not None]
    return one.lane == other.lane and len(keys) == 2 and keys[0] == keys[1]


def _end(future: Future[Any], result: Any = None, error: BaseException | None = None) -> None:
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

"""Read, work and write side by side: while one picture is computed, the next is decoded and the last one encoded.

Knows jobs and threads and nothing else: no torch, no pixels.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from .errors import AdaINKitError, Cancelled, ImageError
from .jobs import Job

__all__ = ["Alone", "Outcome", "in_flight", "run_jobs"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `error` is None for a picture that was written. `seconds` that were spent on it."""

    job: Job
    seconds: float
    error: Exception | None = None


@dataclass(frozen=True)
class Alone:
    """What `read` gives for a picture that is to be alone: all writing has ended before its `work` gets the `value`."""

    value: Any = None


def in_flight(threads: int) -> int:
    """How many pictures `run_jobs` holds at most: read or being read, one in work, being written.

    >>> in_flight(1)
    3
    """
    return threads + 1 + threads


def run_jobs(
    jobs: Iterable[Job],
    read: Callable[[Job], Any],
    work: Callable[[Job, Any], Any],
    write: Callable[[Job, Any], object],
    *,
    threads: int = 1,
    ended: Callable[[Outcome], object] = lambda outcome: None,
) -> Generator[Outcome, None, None]:
    """`write(job, work(job, read(job)))` for every job that has no problem; the outcomes in the order of their ends.

    - `read` and `write` run in `threads` threads each, `work` in the caller's; at most `in_flight(threads)` pictures
      are held.
    - `read` may give an `Alone`; `work` gives None where nothing is left to be written.
    - `ended` is called for each outcome, one at a time, in the thread and at the moment of its end.

    One job that fails is told, and the rest is done; `Cancelled`, Ctrl-C and an error of `ended` stop everything: what
    is being written then is finished, the rest is not begun. Close the iterator (`contextlib.closing`) to stop earlier.
    """
    outcomes: SimpleQueue[Outcome | BaseException] = SimpleQueue()
    one_at_a_time = threading.Lock()
    waiting = iter(jobs)
    ahead: deque[tuple[_Piece, Future[None]]] = deque()
    writing = 0  # pieces that the writers have and whose outcomes were not taken from the queue yet

    def told(piece: _Piece) -> Outcome:
        outcome = Outcome(piece.job, piece.seconds, piece.error)
        with one_at_a_time:
            ended(outcome)
        return outcome

    def finish(piece: _Piece) -> None:
        try:
            piece.go(write)
            outcomes.put(told(piece))
        except BaseException as error:  # for the caller's thread
            outcomes.put(error)

    def written(at_most: int) -> Iterator[Outcome]:
        nonlocal writing
        while writing > at_most or not outcomes.empty():
            found = outcomes.get()
            writing -= 1
            if isinstance(found, BaseException):
                raise found
            yield found

    with _pool("write", threads) as writers, _pool("read", threads) as readers:
        while True:
            while len(ahead) <= threads and (job := next(waiting, None)) is not None:
                piece = _Piece(job)
                ahead.append((piece, readers.submit(piece.go, lambda job, _: read(job), check=True)))
            if not ahead:
                break
            piece, reading = ahead.popleft()
            reading.result()
            if piece.error is None:
                if isinstance(piece.value, Alone):
                    yield from written(0)
                    piece.value = piece.value.value
                piece.go(work)
            if piece.error is not None or piece.value is None:
                yield told(piece)
            else:
                writing += 1
                writers.submit(finish, piece)
            yield from written(threads)
        yield from written(0)


@dataclass
class _Piece:
    """A job on its way, with what the last stage made of it."""

    job: Job
    value: Any = None
    seconds: float = 0.0
    error: Exception | None = None

    def go(self, stage: Callable[[Job, Any], Any], check: bool = False) -> None:
        started = time.perf_counter()
        try:
            if check and (self.job.problem or self.job.target is None):
                raise ImageError(f"{self.job.source}: {self.job.problem}")
            self.value = stage(self.job, self.value)
        except Cancelled:
            raise
        except Exception as caught:  # whatever one picture breaks, the others are still wanted
            self.value, self.error = None, caught if isinstance(caught, AdaINKitError) else self._unforeseen(caught)
        finally:
            self.seconds += time.perf_counter() - started

    def _unforeseen(self, caught: Exception) -> ImageError:
        error = ImageError(f"{self.job.source}: {type(caught).__name__}: {caught}; --debug shows where")
        error.__cause__ = caught
        return error


@contextmanager
def _pool(name: str, threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that, unlike its own `with`, drops at the end what it has not begun."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=f"adainkit-{name}")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

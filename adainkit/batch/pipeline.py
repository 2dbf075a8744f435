"""Read, work and write side by side: while one picture is computed, the next is decoded and the last one encoded.

Knows threads and the order of things, and nothing else: no torch, no pixels, no files.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import AdaINKitError, Cancelled, ImageError

if TYPE_CHECKING:
    from .jobs import Job

__all__ = ["END", "Alone", "Outcome", "in_flight", "run_jobs", "run_pipeline"]

T = TypeVar("T")
END = object()
"""What `read` gives where nothing comes any more, and what is read after it is dropped."""


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a job: `error` is None for one that is done, and `value` is then what `write` gave. `seconds` that
    were spent on it."""

    job: T
    seconds: float
    error: Exception | None = None
    value: Any = None


@dataclass(frozen=True)
class Alone:
    """What `read` gives for a picture that is to be alone: no other one is held while its `work` has the `value`. It
    waits until what was read ahead is written, and nothing is read meanwhile."""

    value: Any = None


def in_flight(threads: int) -> int:
    """How many pictures `run_pipeline` holds at most: read or being read, one in work, being written.

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
    ended: Callable[[Outcome[Job]], object] = lambda outcome: None,
) -> Generator[Outcome[Job], None, None]:
    """`run_pipeline` for files: a job that has a problem fails with it, and is not read."""

    def checked(job: Job) -> Any:
        if job.problem or job.target is None:
            raise ImageError(f"{job.source}: {job.problem}")
        return read(job)

    return run_pipeline(jobs, checked, work, write, threads=threads, ended=ended, name=lambda job: str(job.source))


def run_pipeline(
    jobs: Iterable[T],
    read: Callable[[T], Any],
    work: Callable[[T, Any], Any],
    write: Callable[[T, Any], object],
    *,
    threads: int = 1,
    ended: Callable[[Outcome[T]], object] = lambda outcome: None,
    name: Callable[[T], str] = str,
    ordered: bool = False,
) -> Generator[Outcome[T], None, None]:
    """`write(job, work(job, read(job)))` for every job; the outcomes in the order of their ends, or, `ordered`, of the
    jobs.

    - `read` and `write` run in `threads` threads each, `work` in the caller's; at most `in_flight(threads)` pictures
      are held. Jobs are taken from the iterator as they are begun.
    - `read` may give an `Alone`, or `END`; `work` gives None where nothing is left to be written.
    - `ended` is called for each outcome, one at a time, in the thread and at the moment of its end.

    One job that fails is told, and the rest is done; `Cancelled`, Ctrl-C and an error of `ended` stop everything: what
    is being written then is finished, the rest is not begun. Close the iterator (`contextlib.closing`) to stop earlier.
    An error that is not adainkit's is told as an `ImageError` with the `name` of the job.
    """
    flow = _Flow(read, work, write, ended, name)
    found = flow.outcomes(jobs, threads, ordered)
    return _in_order(found, flow.begun) if ordered else found


class _Flow(Generic[T]):
    """One run of a pipeline: its stages, and what is between them."""

    def __init__(
        self,
        read: Callable[[T], Any],
        work: Callable[[T, Any], Any],
        write: Callable[[T, Any], object],
        ended: Callable[[Outcome[T]], object],
        name: Callable[[T], str],
    ) -> None:
        self.read, self.work, self.write, self.ended, self.name = read, work, write, ended, name
        self.begun: deque[_Piece[T]] = deque()  # in the order of the jobs, for `_in_order`
        self._done: SimpleQueue[Outcome[T] | BaseException] = SimpleQueue()
        self._one_at_a_time = threading.Lock()
        self._writing = 0  # pieces that the writers have and whose outcomes were not taken from the queue yet

    def outcomes(self, jobs: Iterable[T], threads: int, ordered: bool) -> Generator[Outcome[T], None, None]:
        """Run all of it; the outcomes in the order of their ends."""
        waiting = iter(jobs)
        ahead: deque[tuple[_Piece[T], Future[None]]] = deque()
        alone: deque[_Piece[T]] = deque()
        with _pool("write", threads) as writers, _pool("read", threads) as readers:
            while True:
                while not alone and len(ahead) <= threads:
                    try:
                        piece = _Piece(next(waiting), self.name)
                    except StopIteration:
                        break
                    if ordered:
                        self.begun.append(piece)
                    ahead.append((piece, readers.submit(piece.go, lambda job, _: self.read(job))))
                if ahead:
                    piece, reading = ahead.popleft()
                    reading.result()
                    if piece.value is END:
                        waiting = iter(())
                        if ordered:
                            self.begun.remove(piece)
                        continue
                    if isinstance(piece.value, Alone):
                        alone.append(piece)
                        continue
                elif alone:
                    yield from self._written(0)
                    piece = alone.popleft()
                    piece.value = piece.value.value
                else:
                    break
                if piece.error is None:
                    piece.go(self.work)
                if piece.error is not None or piece.value is None:
                    yield self._tell(piece)
                else:
                    self._writing += 1
                    writers.submit(self._finish, piece)
                yield from self._written(threads)
            yield from self._written(0)

    def _tell(self, piece: _Piece[T]) -> Outcome[T]:
        piece.outcome = outcome = Outcome(piece.job, piece.seconds, piece.error, piece.value)
        with self._one_at_a_time:
            self.ended(outcome)
        return outcome

    def _finish(self, piece: _Piece[T]) -> None:
        try:
            piece.go(self.write)
            self._done.put(self._tell(piece))
        except BaseException as error:  # for the caller's thread
            self._done.put(error)

    def _written(self, at_most: int) -> Iterator[Outcome[T]]:
        while self._writing > at_most or not self._done.empty():
            found = self._done.get()
            self._writing -= 1
            if isinstance(found, BaseException):
                raise found
            yield found


def _in_order(found: Generator[Outcome[T], None, None], begun: deque[_Piece[T]]) -> Generator[Outcome[T], None, None]:
    """Outcomes in the order in which their pieces were begun."""
    with closing(found):
        for _ in found:
            while begun and (first := begun[0].outcome) is not None:
                begun.popleft()
                yield first


@dataclass(eq=False)
class _Piece(Generic[T]):
    """A job on its way, with what the last stage made of it."""

    job: T
    name: Callable[[T], str]
    value: Any = None
    seconds: float = 0.0
    error: Exception | None = None
    outcome: Outcome[T] | None = None

    def go(self, stage: Callable[[T, Any], Any]) -> None:
        """Run a stage; its error, but for `Cancelled`, is kept."""
        started = time.perf_counter()
        try:
            self.value = stage(self.job, self.value)
        except Cancelled:
            raise
        except Exception as caught:  # whatever one picture breaks, the others are still wanted
            self.value, self.error = None, caught if isinstance(caught, AdaINKitError) else self._unforeseen(caught)
        finally:
            self.seconds += time.perf_counter() - started

    def _unforeseen(self, caught: Exception) -> ImageError:
        error = ImageError(f"{self.name(self.job)}: {type(caught).__name__}: {caught}; --debug shows where")
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

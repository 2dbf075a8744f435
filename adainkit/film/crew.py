"""The threads that paint a film: on a CPU two frames side by side, each with half of it.

Threads that share one picture wait for each other after every layer, and whatever else the film needs of the CPU makes
them wait longer. Frames that do not wait for each other leave that time to the decoder and the encoder. They take the
memory of one more picture in the network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from ..stylizer import Stylizer

__all__ = ["SIDE_BY_SIDE", "Crew"]

T = TypeVar("T")
Item = TypeVar("Item")

SIDE_BY_SIDE = 2
"""Frames that a CPU of two or more threads works on at a time."""


class Crew:
    """A context in which `begin` works; `stylizer` is what its works are to use, `size` how many go on at a time."""

    def __init__(self, stylizer: Stylizer) -> None:
        self._threads = torch.get_num_threads()
        self.size = SIDE_BY_SIDE if stylizer.device.type == "cpu" and self._threads >= SIDE_BY_SIDE else 1
        self.stylizer = stylizer.side_by_side(self.size)
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Crew:
        if self.size > 1:
            share = self._threads // self.size
            self._pool = ThreadPoolExecutor(self.size, "adainkit-paint", _take, (share,))
            all_here = Barrier(self.size + 1)
            try:
                for _ in range(self.size):
                    self._pool.submit(all_here.wait)
                all_here.wait()
            except BaseException:  # a thread that cannot be started, Ctrl-C: nobody is left waiting
                all_here.abort()
                self.__exit__(None, None, None)
                raise
            finally:  # each thread has a number of its own; new ones take the last one set
                torch.set_num_threads(self._threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def begin(self, work: Callable[[Item], T], item: Item) -> Callable[[], T]:
        """Begin `work(item)`; what is given waits for its result, or, in a crew of one, does it then and there."""
        return partial(work, item) if self._pool is None else self._pool.submit(work, item).result

    def each(self, work: Callable[[Item], T], items: Iterable[Item]) -> Iterator[T]:
        """`work(item)` of all, in their order; one more is held than the crew works on."""
        begun: deque[Callable[[], T]] = deque()
        for item in items:
            if len(begun) == self.size:
                yield begun.popleft()()
            begun.append(self.begin(work, item))
        while begun:
            yield begun.popleft()()


def _take(threads: int) -> None:
    """So many of torch's threads for the thread that calls."""
    torch.get_num_threads()  # now the thread has a number of its own: it would take the one of others later
    torch.set_num_threads(threads)

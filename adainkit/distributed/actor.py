"""An actor: a warm `Stylizer` in a process of the cluster, with a pipeline that never runs dry while there is work.

Knows nothing of Ray: the driver makes an actor of it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from .spec import Ended, Spec
from .tasks import Task

__all__ = ["Actor"]

_MOMENT = 0.1  # seconds in which results wait for each other


class Actor:
    """`prepare` once, then `step` again and again: each takes more tasks, and gives what has ended since. `close` when
    nothing is left to do."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec  # nothing more: an error in here would be one of Ray's instead of its own
        self._waiting: SimpleQueue[tuple[int, Task] | None] = SimpleQueue()  # None: no more will come
        self._ended: SimpleQueue[tuple[int, Ended] | BaseException] = SimpleQueue()
        self._keys: dict[int, list[int]] = {}
        self._held = 0

    def prepare(self) -> str:
        """Load the model; where this is, in words. Every error of the options is raised here."""
        import torch

        from ..stylizer import Stylizer
        from .groups import GroupWork
        from .work import TaskWork

        spec = self._spec
        torch.set_num_threads(max(1, spec.threads))
        stylizer = Stylizer(
            spec.model, device=spec.device, dtype=spec.dtype, runtime=spec.runtime, cache=_styles_on_disk()
        )
        self._limit_memory(stylizer.device)
        self._work = GroupWork(TaskWork(spec, stylizer))
        self._thread = threading.Thread(target=self._run, name="adainkit-actor", daemon=True)
        self._thread.start()
        return f"process {os.getpid()} of {os.uname().nodename if hasattr(os, 'uname') else 'this machine'}"

    def step(self, tasks: Sequence[tuple[int, Task]]) -> list[tuple[int, Ended]]:
        """Take tasks, each with a number of its own; wait until one has ended, and give all that have. Half of what is
        here is waited for, for a moment: every call costs both sides a millisecond or two, and the other half is work
        enough meanwhile."""
        for task in tasks:
            self._waiting.put(task)
        self._held += len(tasks)
        found: list[tuple[int, Ended]] = []
        until = time.monotonic() + _MOMENT
        with suppress(Empty):
            while len(found) < max(1, self._held // 2) or not self._ended.empty():
                each = self._ended.get(timeout=max(0.0, until - time.monotonic()) if found else None)
                if isinstance(each, BaseException):
                    raise each
                found.append(each)
        self._held -= len(found)
        return found

    def close(self) -> None:
        """Let the thread end, and remove what it kept on disk."""
        self._waiting.put(None)
        self._thread.join()
        self._work.one.close()

    def _run(self) -> None:
        from ..batch.pipeline import run_pipeline

        work = self._work
        try:
            group = None
            while group is None or not group.over:
                group = _Groups(self._waiting, self._keys, work.batch)
                pipeline = run_pipeline(
                    group,
                    work.read,
                    work.work,
                    work.write,
                    threads=work.one.files.threads,
                    ended=self._tell,
                    name=lambda tasks: tasks[0].source,
                )
                for _ in pipeline:
                    pass
        except BaseException as error:  # told by `step`
            self._ended.put(error)

    def _tell(self, outcome: Any) -> None:
        keys = self._keys.pop(id(outcome.job))
        if outcome.error is not None:
            for key in keys:
                self._ended.put((key, Ended(outcome.seconds / len(keys), str(outcome.error))))
            return
        for key, part in zip(keys, outcome.value, strict=True):
            members = part.value if part.task.is_shard and part.error is None else ()
            told = "" if part.error is None else str(part.error) or type(part.error).__name__
            self._ended.put((key, Ended(part.seconds, told, members)))

    def _limit_memory(self, device: Any) -> None:
        """Several actors of one machine share what is free of it, where nobody has said how much they may use."""
        from ..engine.memory import memory_budget

        if self._spec.memory:
            os.environ["ADAINKIT_MEMORY"] = str(self._spec.memory)
        elif "ADAINKIT_MEMORY" not in os.environ and self._spec.crowd > 1:
            os.environ["ADAINKIT_MEMORY"] = str(max(1, memory_budget(device) // self._spec.crowd))


class _Groups:
    """Tasks in groups. The first one is waited for; then it ends whenever nothing is there, and goes on when something
    is again, so that a pipeline finishes what it has instead of waiting."""

    def __init__(self, waiting: SimpleQueue[tuple[int, Task] | None], keys: dict[int, list[int]], most: int) -> None:
        self._waiting, self._keys, self._most, self._first = waiting, keys, most, True
        self.over = False

    def __iter__(self) -> _Groups:
        return self

    def __next__(self) -> tuple[Task, ...]:
        found: list[tuple[int, Task]] = []
        try:
            while not self.over and len(found) < self._most and not (found and found[-1][1].is_shard):
                task = self._waiting.get(block=self._first)
                self._first = False
                if task is None:
                    self.over = True
                else:
                    found.append(task)
        except Empty:
            pass
        if not found:
            raise StopIteration
        group = tuple(task for _, task in found)
        self._keys[id(group)] = [key for key, _ in found]
        return group


def _styles_on_disk() -> Any:
    """The cache of encoded styles that all commands of a machine share."""
    from ..store.style_cache import StyleCache
    from ..store.weights import cache_dir

    return StyleCache(folder=cache_dir() / "styles")

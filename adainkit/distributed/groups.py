"""Pictures of one size computed together, for devices on which that is faster: the stages of a pipeline for groups."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..batch.pipeline import Alone
from ..errors import AdaINKitError, Cancelled, OutOfMemoryError
from ..images import Picture
from .tasks import Task
from .work import TaskWork

__all__ = ["GroupWork", "Part"]


@dataclass(eq=False)
class Part:
    """A task of a group, what the last stage made of it, and its share of the time."""

    task: Task
    value: Any = None
    error: Exception | None = None
    seconds: float = 0.0


class GroupWork:
    """`TaskWork` for several tasks at once. One that fails doesn't hinder the others of its group; what must be alone
    is computed by itself."""

    def __init__(self, work: TaskWork) -> None:
        self.one, self.batch = work, work.spec.batch
        options = dict(work.files.computing)
        self._together = work.spec.batch > 1 and options.pop("mask", None) is None
        self._together = options.pop("regions", None) is None and self._together
        self._options = {name: value for name, value in options.items() if name != "progress"}

    def read(self, group: Sequence[Task], _: object = None) -> list[Part] | Alone:
        """All of them decoded."""
        parts = [Part(task) for task in group]
        for part in parts:
            self._try(part, lambda p: self.one.read(p.task))
        alone = any(isinstance(part.value, Alone) for part in parts)
        return Alone(parts) if alone else parts

    def work(self, group: Sequence[Task], parts: list[Part]) -> list[Part]:
        """Those of one size at once, the others one by one."""
        plain = [part for part in parts if part.error is None and _is_open(part.value)]
        if self._together and len(plain) > 1:
            started = time.perf_counter()
            try:
                pictures, styles = [p.value[1][1] for p in plain], [p.value[1][0] for p in plain]
                made = self.one.stylizer.stylize_batch(pictures, styles, batch_size=self.batch, **self._options)
                for part, result, picture in zip(plain, made, pictures, strict=True):
                    part.value = (part.value[0], (result, picture))
                    part.seconds += (time.perf_counter() - started) / len(plain)
            except OutOfMemoryError:
                self._one_by_one(plain)
            self._one_by_one(part for part in parts if part not in plain)
        else:
            self._one_by_one(parts)
        return parts

    def write(self, group: Sequence[Task], parts: list[Part]) -> list[Part]:
        """All of them encoded; a `Part` whose task is a shard keeps what became of its members."""
        for part in parts:
            if part.error is None and part.value is not None:
                self._try(part, lambda p: self.one.write(p.task, p.value))
        return parts

    def _one_by_one(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if part.error is None:
                value = part.value.value if isinstance(part.value, Alone) else part.value
                self._try(part, lambda p, v=value: self.one.work(p.task, v))

    def _try(self, part: Part, stage: Any) -> None:
        started = time.perf_counter()
        try:
            part.value = stage(part)
        except Cancelled:
            raise
        except AdaINKitError as error:
            part.value, part.error = None, error
        except Exception as error:  # whatever one picture breaks, the others are still wanted
            part.value, part.error = None, AdaINKitError(f"{part.task.source}: {type(error).__name__}: {error}")
        if part.error is not None:
            self.one.drop(part.task)
        part.seconds += time.perf_counter() - started


def _is_open(value: Any) -> bool:
    return isinstance(value, tuple) and isinstance(value[1][1], Picture)

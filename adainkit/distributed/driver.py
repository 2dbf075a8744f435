"""The driver: hands tasks to actors, takes what becomes of them, and goes on when actors, nodes or machines die."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..atomic import remove_leftovers
from ..batch.pipeline import Outcome
from ..errors import AdaINKitError, ImageError
from .actor import Actor
from .places import absolute, is_uri, sweep
from .spec import Ended, Spec
from .tasks import Task

__all__ = ["Resources", "connected", "run_tasks", "sendable_style", "sweep_all"]

_log = logging.getLogger("adainkit")

_DEATHS = 4  # of workers over one task, the last ones while it was their only one, and it is to blame
_STARTS = 2  # for each actor: so many that die before they are ready, one after the other, are no accident
_CLOSING = 10.0  # seconds for a worker to end by itself
_LOOK = 1.0  # seconds between two looks at the clock


@dataclass(frozen=True)
class Resources:
    """What the actors get: `actors` of them (0: as many as the cluster has room for), each with so much of a machine.
    `wait`: seconds in which one must have started. `window`: tasks that an actor has at once."""

    actors: int = 0
    cpus: float = 1
    gpus: float = 0
    memory: int = 0
    window: int = 0
    wait: float = 600


@contextmanager
def connected(address: str = "") -> Iterator[Any]:
    """Ray, connected: to the cluster at `address` ("auto" or "HOST:PORT"), or, where it is empty, to that of
    `RAY_ADDRESS`, else to one on this machine alone, which is stopped at the end. `AdaINKitError` if that fails."""
    try:
        import ray
    except ImportError as error:
        raise AdaINKitError('a cluster needs Ray; run pip install "adainkit[ray]"') from error
    if ray.is_initialized():  # the caller's own
        yield ray
        return
    try:
        more = {} if address else {"include_dashboard": False}
        ray.init(address=address or None, logging_level=logging.ERROR, log_to_driver=False, **more)
    except Exception as error:
        raise AdaINKitError(f"Ray: cannot connect to {address or 'a new cluster'} ({error})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@dataclass(eq=False)
class _Hand:
    """An actor and what it has."""

    actor: Any
    number: int
    ready: bool = False
    held: dict[int, Task] = field(default_factory=dict)


def run_tasks(
    ray: Any,
    tasks: Sequence[Task],
    spec: Spec,
    resources: Resources,
    *,
    ended: Callable[[Outcome[Task]], object] = lambda outcome: None,
    begun: Callable[[Sequence[str]], object] = lambda targets: None,
) -> Generator[Outcome[Task], None, None]:
    """Do the tasks on the cluster that `ray` is connected to: an `Outcome` each, in the order of their ends.

    Of a shard there is one for each of its pictures before its own. `ended` is called for each outcome, in this thread;
    `begun` with targets before any worker has them. A task is done at least once, and a result appears whole: after a
    worker's death what it held is done again. Close the iterator to stop: the actors are killed.

    `AdaINKitError` for options that no picture can be made with, and where no actor can be started.
    """
    run = _Run(ray, spec, resources, begun)
    try:
        for outcome in run.outcomes(tasks):
            ended(outcome)
            yield outcome
    finally:
        run.close()


class _Run:
    """The state of a run: hands, what they wait for, and what is left."""

    def __init__(self, ray: Any, spec: Spec, resources: Resources, begun: Callable[[Sequence[str]], object]) -> None:
        self.ray, self.begun, self.resources = ray, begun, resources
        room, crowd = _room(ray, resources)
        self.count = resources.actors or room
        self.spec = replace(spec, crowd=min(crowd, max(1, self.count)))
        self.window = resources.window or max(4 * spec.threads, 3 * spec.batch, 8)
        self.calls: dict[Any, _Hand] = {}
        self.left: deque[tuple[int, Task]] = deque()
        self.deaths: dict[int, int] = {}
        self.swept: set[str] = set()
        self.failed_starts = self.made = 0
        self.progress = time.monotonic()

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome[Task]]:
        """Run all of it."""
        for key, task in enumerate(tasks):
            if task.problem or task.target is None:
                yield Outcome(task, 0.0, ImageError(f"{task.source}: {task.problem}"))
            else:
                self.left.append((key, task))
        for _ in range(min(self.count, len(self.left))):
            self._start()
        while self.left or any(hand.held for hand in self.calls.values()):
            ready, _ = self.ray.wait(list(self.calls), num_returns=1, timeout=_LOOK)
            for call in ready:
                yield from self._answered(call, self.calls.pop(call))
            self._see_to_progress()

    def close(self) -> None:
        """Stop all actors, then clear away what killed ones may have begun."""
        for hand in self.calls.values():
            with suppress(Exception):
                self.ray.kill(hand.actor)
        self.calls.clear()
        sweep_all(self.swept)

    def _start(self) -> None:
        resources = self.resources
        more = {"memory": resources.memory} if resources.memory else {}
        actor = self.ray.remote(Actor).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
            **more,
        )
        self.made += 1
        hand = _Hand(actor.remote(self.spec), self.made)
        self.calls[hand.actor.prepare.remote()] = hand

    def _answered(self, call: Any, hand: _Hand) -> Iterator[Outcome[Task]]:
        from ray.exceptions import RayError, RayTaskError

        try:
            answer = self.ray.get(call)
        except RayTaskError as error:  # not a death: what was raised in there is told to no picture
            raise AdaINKitError(f"a worker stopped: {_cause(error)}") from error
        except RayError as death:  # of the process, its node, or the way to it
            yield from self._lost(hand, death)
            return
        self.progress, self.failed_starts = time.monotonic(), 0
        if not hand.ready:
            hand.ready = True
            _log.debug("worker %d is ready: %s", hand.number, answer)
        else:
            for key, told in answer:
                yield from _outcomes(hand.held.pop(key), told)
        self._hand_over(hand)

    def _hand_over(self, hand: _Hand) -> None:
        """Fill the window of an actor that is idle between two calls; a suspect is handed over alone."""
        more: list[tuple[int, Task]] = []
        while self.left and len(hand.held) < self.window:
            key, task = self.left[0]
            if (suspect := key in self.deaths) and hand.held:
                break
            if task.is_shard and hand.held:
                break
            self.left.popleft()
            hand.held[key] = task
            more.append((key, _sendable(task)))
            if suspect or task.is_shard:
                break
        if more:
            self.begun([str(task.target) for _, task in more])
        if hand.held:
            self.calls[hand.actor.step.remote(more)] = hand
        else:
            with suppress(Exception):
                self.ray.get(hand.actor.close.remote(), timeout=_CLOSING)
            self.ray.kill(hand.actor)  # nothing is left for it: its place is free for others

    def _lost(self, hand: _Hand, death: Exception) -> Iterator[Outcome[Task]]:
        """A worker has died: what it held goes back, but for what killed several."""
        with suppress(Exception):  # if it only cannot be reached, it must not go on beside its successor
            self.ray.kill(hand.actor)
        why = " ".join(str(death).split())
        why = why if len(why) < 400 else f"{why[:100]} ... {why[-300:]}"  # what was raised stands at the end
        if hand.held:
            _log.warning("worker %d died with %d pictures, which are done again: %s", hand.number, len(hand.held), why)
        if not hand.ready:
            self.failed_starts += 1
            if self.failed_starts > _STARTS * max(1, self.count):
                raise AdaINKitError(f"workers die as they start: {why}; see Ray's logs of the node")
        self.swept |= {str(task.target) for task in hand.held.values()}
        sweep_all({str(task.target) for task in hand.held.values()})
        alone = len(hand.held) == 1
        for key, task in reversed(hand.held.items()):
            deaths = self.deaths[key] = self.deaths.get(key, 0) + (alone or key not in self.deaths)
            if deaths >= _DEATHS:
                text = f"{task.source}: {deaths} workers died as they did it; it may take more memory than there is"
                yield Outcome(task, 0.0, ImageError(f"{text} ({why})"))
            else:
                self.left.appendleft((key, task))

    def _see_to_progress(self) -> None:
        """Keep the number of actors, and give up where none can start."""
        while len(self.calls) < self.count and len(self.left) > sum(not hand.ready for hand in self.calls.values()):
            self._start()
        if any(hand.ready for hand in self.calls.values()):
            self.progress = time.monotonic()
        elif time.monotonic() - self.progress > self.resources.wait:
            has = {
                name: value for name, value in self.ray.cluster_resources().items() if name in ("CPU", "GPU", "memory")
            }
            wants = f"{self.resources.cpus:g} CPUs and {self.resources.gpus:g} GPUs"
            raise AdaINKitError(
                f"no worker could start within {self.resources.wait:g} seconds: each wants {wants}, the cluster has "
                f"{has}; what is done is in the manifest"
            )


def sweep_all(targets: Iterable[str]) -> None:
    """Remove what killed workers may have left beside these results."""
    for target in targets:
        with suppress(Exception):  # a place that cannot be listed now
            if is_uri(target):
                sweep(target)
            else:
                remove_leftovers(target)


def _room(ray: Any, resources: Resources) -> tuple[int, int]:
    """How many actors the cluster has room for, and one machine at most."""
    each = []
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            rooms = [has.get("CPU", 0) / resources.cpus] if resources.cpus else []
            rooms += [has.get("GPU", 0) / resources.gpus] if resources.gpus else []
            rooms += [has.get("memory", 0) / resources.memory] if resources.memory else []
            each.append(int(min(rooms, default=1) + 1e-6))
    return max(1, sum(each)), max(1, max(each, default=1))


def _sendable(task: Task) -> Task:
    """With names that mean the same on every machine."""
    source, target = absolute(task.source), absolute(str(task.target))
    members = tuple(
        replace(member, source=absolute(member.source), style=sendable_style(member.style)) for member in task.members
    )
    return replace(task, source=source, target=target, style=sendable_style(task.style), members=members)


def sendable_style(name: str) -> str:
    """A style's name as other machines know it: that of a file absolute, that of a preset as it is."""
    return absolute(name) if name and (is_uri(name) or os.path.exists(name)) else name  # noqa: PTH110


def _outcomes(task: Task, told: Ended) -> Iterator[Outcome[Task]]:
    for source, target, style, seconds, error in told.members:
        member = Task(source, target, style=style)
        yield Outcome(member, seconds, ImageError(error) if error else None)
    error = told.error.replace(absolute(task.source), task.source).replace(absolute(str(task.target)), str(task.target))
    yield Outcome(task, told.seconds, ImageError(error) if error else None)


def _cause(error: Any) -> str:
    cause = getattr(error, "cause", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__

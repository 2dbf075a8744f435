"""Read, work and write side by side: what runs beside what, how much is held, and how it stops."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adainkit.batch.jobs import Job
from adainkit.batch.pipeline import Alone, Outcome, in_flight, run_jobs
from adainkit.errors import AdaINKitError, Cancelled, ImageError, StyleError


def jobs(count: int) -> list[Job]:
    return [Job(Path(f"{i}.png"), Path(f"out/{i}.png")) for i in range(count)]


class Stages:
    """Stages that write down what they were given: ("read" | "work" | "write", number of the job)."""

    def __init__(self, fail: Callable[[str, int], object] = lambda stage, number: None) -> None:
        self.fail = fail
        self.seen: list[tuple[str, int]] = []
        self.threads: dict[str, set[str]] = {"read": set(), "work": set(), "write": set()}
        self.held = self.most = 0
        self.lock = threading.Lock()

    def _note(self, stage: str, job: Job) -> int:
        number = int(job.source.stem)
        with self.lock:
            self.seen.append((stage, number))
            self.threads[stage].add(threading.current_thread().name)
            self.held += stage == "read"
            self.most = max(self.most, self.held)
        self.fail(stage, number)
        return number

    def read(self, job: Job) -> str:
        return f"{self._note('read', job)} read"

    def work(self, job: Job, value: str) -> str:
        return f"{value}, {self._note('work', job)} worked"

    def write(self, job: Job, value: str) -> None:
        number = self._note("write", job)
        assert value == f"{number} read, {number} worked"
        time.sleep(0.002)
        with self.lock:
            self.held -= 1

    def run(self, todo: list[Job], **more: Any) -> list[Outcome]:
        return list(run_jobs(todo, self.read, self.work, self.write, **more))


@pytest.mark.parametrize("threads", [1, 3])
def test_every_job_goes_through_all_stages(threads: int):
    stages, ends = Stages(), []
    outcomes = stages.run(jobs(20), threads=threads, ended=ends.append)
    assert sorted(o.job.source.stem for o in outcomes) == sorted(str(i) for i in range(20))
    assert all(o.error is None and o.seconds > 0 for o in outcomes)
    assert sorted(stages.seen) == sorted((stage, i) for stage in ("read", "work", "write") for i in range(20))
    assert len(ends) == 20
    assert stages.threads["work"] == {threading.current_thread().name}
    assert 1 <= len(stages.threads["read"]) <= threads
    assert not set.intersection(stages.threads["read"], stages.threads["work"] | stages.threads["write"])
    assert stages.run([]) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_is_held_than_promised(threads: int):
    stages = Stages()
    stages.run(jobs(40), threads=threads)
    assert 2 <= stages.most <= in_flight(threads)


def test_the_stages_run_at_the_same_time():
    """Reading 3, working on 2 and writing 1 wait for one another: one after the other they never would."""
    together = threading.Barrier(3, timeout=20)

    def meet(stage: str, number: int) -> None:
        if (stage, number) in {("read", 3), ("work", 2), ("write", 1)}:
            together.wait()

    assert all(o.error is None for o in Stages(meet).run(jobs(6)))


def test_a_failure_is_one_jobs_own():
    def fail(stage: str, number: int) -> None:
        if (stage, number) in {("read", 1), ("work", 2), ("write", 3)}:
            raise ZeroDivisionError(stage)
        if (stage, number) == ("read", 4):
            raise StyleError("known")

    todo = [*jobs(6), Job(Path("6.png"), None, "no such file")]
    errors = {o.job.source.stem: o.error for o in Stages(fail).run(todo)}
    assert len(errors) == 7
    assert errors["0"] is errors["5"] is None
    for name, stage in (("1", "read"), ("2", "work"), ("3", "write")):
        assert isinstance(errors[name], ImageError)
        assert str(errors[name]) == f"{name}.png: ZeroDivisionError: {stage}; --debug shows where"
        assert isinstance(errors[name].__cause__, ZeroDivisionError)
    assert isinstance(errors["4"], StyleError)
    assert str(errors["6"]) == "6.png: no such file"


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("large", [{0}, {2}, {2, 3, 7}, {8}, set(range(9))])
def test_a_picture_alone_has_nothing_beside_it(threads: int, large: set[int]):
    held: set[int] = set()  # from the begin of the reading to the end of the writing
    beside: dict[int, set[int]] = {}

    def read(job: Job) -> Any:
        number = int(job.source.stem)
        if number in large:
            time.sleep(0.005)  # the others are read, or written, meanwhile
            return Alone(number)
        held.add(number)
        return number

    def work(job: Job, number: int) -> int | None:
        time.sleep(0.005)
        beside[number] = held - {number}
        return None if number in large else number

    def write(job: Job, number: int) -> None:
        time.sleep(0.01)
        held.remove(number)

    outcomes = list(run_jobs(jobs(9), read, work, write, threads=threads))
    assert sorted(beside) == list(range(9))
    assert sorted(int(o.job.source.stem) for o in outcomes) == list(range(9))
    assert not any(beside[number] for number in large)
    assert all(place - number <= threads for place, number in enumerate(beside)), "it waits for what is ahead"
    if len(large) < 9:
        assert any(beside.values())  # that of the others: the test would see it


def test_the_result_of_a_picture_alone_may_be_written_like_any_other():
    written = []
    outcomes = run_jobs(jobs(3), lambda job: Alone(job), lambda job, value: value, lambda job, v: written.append(v))
    assert [o.error for o in outcomes] == [None] * 3
    assert written == jobs(3)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Cancelled])
@pytest.mark.parametrize("where", ["read", "work", "write"])
def test_an_interrupt_finishes_what_is_written_and_begins_nothing(where: str, stop: type[BaseException]):
    def fail(stage: str, number: int) -> None:
        if (stage, number) == (where, 3):
            raise stop

    stages = Stages(fail)
    outcomes = []
    with pytest.raises(stop):
        outcomes.extend(run_jobs(jobs(50), stages.read, stages.work, stages.write))
    begun = [number for stage, number in stages.seen if stage == "write"]
    assert len([s for s, _ in stages.seen if s == "read"]) <= 3 + 1 + in_flight(1)
    assert max(begun, default=0) <= 4
    assert not [t for t in threading.enumerate() if t.name.startswith("adainkit-")]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_control_c_drops_what_is_not_begun_yet():
    def fail(stage: str, number: int) -> None:
        if (stage, number) == ("read", 0):
            time.sleep(0.2)  # now the caller waits for it, and 1 is to be read by the same thread
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.2)

    stages = Stages(fail)
    with pytest.raises(KeyboardInterrupt):
        stages.run(jobs(9))
    assert stages.seen == [("read", 0)]


def test_ends_are_told_one_at_a_time():
    inside = threading.Lock()
    together = []

    def ended(outcome: Outcome) -> None:
        free = inside.acquire(blocking=False)
        together.append(not free)
        time.sleep(0.005)
        if free:
            inside.release()

    Stages().run(jobs(20), threads=4, ended=ended)
    assert together == [False] * 20


def test_closing_stops_the_threads():
    stages = Stages()
    with closing(run_jobs(jobs(50), stages.read, stages.work, stages.write)) as outcomes:
        next(outcomes)
    assert not [t for t in threading.enumerate() if t.name.startswith("adainkit-")]
    assert len(stages.seen) < 50


def test_an_error_of_what_is_called_at_the_end_stops_everything():
    def ended(outcome: Outcome) -> None:
        raise AdaINKitError("the disk is full")

    stages = Stages()
    with pytest.raises(AdaINKitError, match="disk is full"):
        stages.run(jobs(50), ended=ended)
    assert len(stages.seen) < 30


def test_seconds_are_those_of_the_stages_not_of_waiting():
    def slow(stage: str, number: int) -> None:
        time.sleep(0.2 if number == 0 and stage == "work" else 0.01)

    outcomes = {o.job.source.stem: o for o in Stages(slow).run(jobs(3))}
    assert outcomes["0"].seconds > 0.2
    assert outcomes["1"].seconds < 0.15  # it was read while 0 was in work, and waited

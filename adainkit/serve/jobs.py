"""Jobs: work that nobody holds a connection open for, with progress, results for a while, and an end on request."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import AdaINKitError
from ..session import Busy
from .problems import Refusal, told

__all__ = ["Job", "Jobs"]

log = logging.getLogger("adainkit.serve")
_TOLD_SECONDS = 0.2  # events no more often than eyes can see


@dataclass(eq=False)
class Job:
    """A job, its folder, and what became of it. `state`: waiting, running, done, failed or stopped."""

    id: str
    owner: str
    folder: Path
    state: str = "waiting"
    progress: float = 0.0
    pictures: list[dict[str, Any]] = field(default_factory=list)
    """Of each: `name`, and `error` with `remedy` where it failed."""
    error: str = ""
    remedy: str = ""
    result: Path | None = None
    changed: float = field(default_factory=time.monotonic)
    task: asyncio.Task[None] | None = None
    _version: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "stopped")

    def told(self) -> dict[str, Any]:
        """The job as its owner sees it."""
        facts = {"id": self.id, "state": self.state, "progress": round(self.progress, 4), "pictures": self.pictures}
        if self.error:
            facts |= {"error": self.error, "remedy": self.remedy}
        facts["events"] = f"/v1/jobs/{self.id}/events"
        if self.state == "done":
            facts["result"] = f"/v1/jobs/{self.id}/result"
        return facts

    def change(self, **facts: Any) -> None:
        """Set facts, and let listeners know."""
        for name, value in facts.items():
            setattr(self, name, value)
        self.changed = time.monotonic()
        self._version += 1

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """`told` at once, after each change and at the end."""
        seen = -1
        while True:
            if seen != self._version:
                seen = self._version
                yield self.told()
                if self.ended:
                    return
            await asyncio.sleep(_TOLD_SECONDS)


class Jobs:
    """The jobs of all callers: at most `most` that are not done, `each` of one caller; results are kept `keep`
    seconds."""

    def __init__(self, most: int, each: int, keep: float) -> None:
        self.most, self.each, self.keep = most, each, keep
        self._jobs: dict[str, Job] = {}

    @property
    def open(self) -> int:
        """How many are not done."""
        return sum(not job.ended for job in self._jobs.values())

    def check_room(self, owner: str) -> None:
        """`Busy` where there is no room for another job."""
        if self.open >= self.most:
            raise Busy(f"{self.open} jobs are not done yet; try again later")
        if sum(job.owner == owner and not job.ended for job in self._jobs.values()) >= self.each:
            raise Busy(f"{self.each} jobs of this caller are not done yet; wait for them, or delete one")

    def begin(self, owner: str, folder: Path, names: Iterable[str], work: Callable[[Job], Awaitable[Path]]) -> Job:
        """A new job for pictures of these names, in a folder, which is its own from now on. `work(job)` gives the
        result's file."""
        self.check_room(owner)
        job = Job(secrets.token_urlsafe(18), owner, folder, pictures=[{"name": name} for name in names])
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._run(job, work))
        return job

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[Path]]) -> None:
        try:
            result = await work(job)
            job.change(state="done", progress=1.0, result=result)
        except asyncio.CancelledError:
            job.change(state="stopped", error="the job was stopped", remedy="send it again")
        except (Refusal, AdaINKitError, MemoryError) as error:
            what, remedy = told(error, job.folder.parent)
            job.change(state="failed", error=what, remedy=remedy)
        except Exception as error:
            log.error("a fault of adainkit", exc_info=error)
            job.change(state="failed", error="a fault of adainkit", remedy="please report it with the service's log")
        finally:
            if job.state != "done":
                await asyncio.to_thread(shutil.rmtree, job.folder, ignore_errors=True)

    def get(self, owner: str, name: str) -> Job:
        """A job of this caller. `Refusal` where there is none any more."""
        job = self._jobs.get(name)
        if job is None or job.owner != owner:
            raise Refusal(404, "there is no job of this id", "results are kept for a while only; send it again")
        return job

    async def remove(self, job: Job) -> None:
        """Stop a job within a tile, and forget it with its result."""
        if job.task is not None:
            job.task.cancel()
            await asyncio.wait({job.task})
        self._jobs.pop(job.id, None)
        await asyncio.to_thread(shutil.rmtree, job.folder, ignore_errors=True)

    async def tidy(self) -> None:
        """Forget what ended long ago."""
        for job in [*self._jobs.values()]:
            if job.ended and time.monotonic() - job.changed > self.keep:
                await self.remove(job)

    def stop_all(self) -> None:
        """Let every job end at its next tile. May be called by a handler of a signal."""
        for job in [*self._jobs.values()]:
            if job.task is not None:
                job.task.cancel()

    async def close(self) -> None:
        """Stop all, and wait for it."""
        self.stop_all()
        tasks = {job.task for job in self._jobs.values() if job.task is not None}
        if tasks:
            await asyncio.wait(tasks)

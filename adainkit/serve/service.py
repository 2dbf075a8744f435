"""The service's state: one warm session, the desk where it works, and what callers left here."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from fastapi import Request

from ..errors import AdaINKitError
from ..session import Limits, Session
from ..store.weights import models
from ..stylizer import Stylizer
from .desk import Desk, Lane
from .door import Door
from .jobs import Jobs
from .metrics import Metrics
from .pictures import Pictures
from .problems import Refusal
from .settings import Settings
from .shelf import Shelf
from .space import Space

__all__ = ["Service"]

T = TypeVar("T")
log = logging.getLogger("adainkit.serve")
_BESIDE = 3  # pictures that are decoded, computed and encoded side by side: more would only take memory
_BATCH = 8  # where it is not set, on CUDA
_JOBS_BESIDE = 2  # of jobs: places of their own, since they keep them for long


class Service:
    """One process's service. `start` and `stop` it in the event loop that answers."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.door, self.metrics = settings, Door(settings), Metrics()
        self.session = Session(settings.device, limits=Limits(models=4))
        self.shelf = Shelf(settings.saved)
        self._loading = threading.Lock()
        self.ready = False
        self.failed = ""
        self.live: Counter[str] = Counter()  # cameras, by caller

    async def start(self) -> None:
        """Make folders and threads; the model is loaded beside, and `ready` says when."""
        settings = self.settings
        self.folder = Path(tempfile.mkdtemp(prefix="adainkit-serve-", dir=settings.folder))
        places = (settings.waiting, settings.waiting_each)
        self.desk = Desk(*places, self.metrics.seen, max(1, settings.batch), settings.patience)
        self.pool = ThreadPoolExecutor(_BESIDE, thread_name_prefix="adainkit-serve")
        self.beside = {Lane.WHOLE: asyncio.Semaphore(_BESIDE), Lane.JOB: asyncio.Semaphore(_JOBS_BESIDE)}
        self.small = asyncio.Semaphore(2 * (settings.batch or _BATCH))
        (self.folder / "pictures").mkdir()
        self.space = Space(self.folder, settings.stored)
        self.pictures = Pictures(self.folder / "pictures", settings.held, settings.stored // 2, settings.keep)
        self.jobs = Jobs(settings.jobs, settings.jobs_each, settings.keep)
        self.metrics.gauge("queue", "Requests that are waiting or in work.", lambda: self.desk.taken)
        self.metrics.gauge("jobs", "Jobs that are not done.", lambda: self.jobs.open)
        self.metrics.gauge("pictures", "Uploaded pictures that are kept.", lambda: len(self.pictures))
        self.metrics.gauge("cameras", "Cameras that are connected.", self.live.total)
        self._tasks = [asyncio.create_task(self._warm()), asyncio.create_task(self._tidy())]

    def drain(self) -> None:
        """Take no more requests, and stop what is not over soon: jobs, cameras."""
        self.desk.draining = True
        self.jobs.stop_all()

    async def stop(self) -> None:
        """Stop what is at work at its next tile; nothing is left behind."""
        self.ready = False
        await self.jobs.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.desk.close)
        self.pool.shutdown(cancel_futures=True)
        self.session.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _warm(self) -> None:
        def warm() -> None:
            ramp = np.linspace(0, 1, 64 * 64 * 3, dtype=np.float32).reshape(64, 64, 3)
            stylizer = self.stylizer(self.settings.model)
            stylizer.stylize(ramp, stylizer.encode_style(ramp))
            if not self.settings.batch and stylizer.device.type == "cuda":
                self.desk.batch = _BATCH

        try:
            await self.desk.compute(lambda _: warm(), Lane.SHORT)
            self.ready = True
        except Exception as error:
            known = isinstance(error, AdaINKitError)
            self.failed = str(error) if known else "a fault of adainkit; see the service's log"
            log.error("the model %s cannot be used: %s", self.settings.model, error, exc_info=not known)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(min(30.0, self.settings.keep))
            await asyncio.to_thread(self.pictures.tidy)
            await self.jobs.tidy()

    def model(self, name: str) -> str:
        """The model that a request may name: the service's own, or one of `models()` that is on this computer."""
        if name in ("", self.settings.model):
            return self.settings.model
        known = models().get(name)
        if known is None or not known.available:
            raise Refusal(422, f"no model is called {name[:100]!r} here", "see /v1/models for those that there are")
        return name

    def stylizer(self, model: str) -> Stylizer:
        """The warm Stylizer of a model."""
        with self._loading:
            return self.session.stylizer(model)

    async def aside(self, stage: str, work: Callable[..., T], *args: Any, **more: Any) -> T:
        """`work(...)` in another thread: what is neither the network's nor quick."""
        started = time.perf_counter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, partial(work, *args, **more))
        finally:
            self.metrics.seen(stage, time.perf_counter() - started)

    async def taken(self, source: IO[bytes], target: Path) -> Path:
        """An uploaded file under a name of ours. `Refusal` where uploads and results take what they may."""
        return await asyncio.to_thread(self.space.write, source, target)

    @contextmanager
    def scratch(self, *, kept: bool = False) -> Iterator[Path]:
        """A folder of a request, which goes with it; or, `kept`, where it fails."""
        folder, done = Path(tempfile.mkdtemp(dir=self.folder)), False
        try:
            yield folder
            done = True
        finally:
            if not (kept and done):
                shutil.rmtree(folder, ignore_errors=True)

    async def attended(self, request: Request, work: Awaitable[T]) -> T:
        """What `work` gives, as long as the caller waits for it and no longer than `seconds`; then it is cancelled,
        which frees the desk within a tile."""
        task = asyncio.ensure_future(work)
        watch = asyncio.create_task(_gone(request))
        try:
            await asyncio.wait({task, watch}, timeout=self.settings.seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if watch.done():
                raise Refusal(499, "the caller has left")
            raise Refusal(
                504, f"this took longer than {self.settings.seconds:g} s", "send it to /v1/jobs, or a smaller picture"
            )
        finally:
            for each in (task, watch):
                each.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
            with suppress(asyncio.CancelledError, Exception):
                await watch


async def _gone(request: Request) -> None:
    """Returns when the caller has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

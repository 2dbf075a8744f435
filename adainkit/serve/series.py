"""A job of several pictures: their files under names of ours, painted by the batch pipeline, and packed."""

from __future__ import annotations

import asyncio
import re
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..batch.jobs import Job as Task
from ..batch.run import stylize_files
from ..errors import AdaINKitError, Progress
from .desk import Lane
from .jobs import Job
from .names import Names
from .painting import Order, is_moving, target_name
from .problems import Refusal, told
from .service import Service

__all__ = ["Series", "paint_series"]


class Series:
    """The pictures of a job, as they come in: how many and how large is bounded by the settings."""

    def __init__(self, service: Service, order: Order, folder: Path) -> None:
        self.service, self.order, self.folder = service, order, folder
        self.names: list[str] = []
        """Of each picture as the caller has it, folders included; no two are the same."""
        self.sources: list[Path] = []
        self._bytes, self._taken = 0, Names()

    def add(self, name: str, stream: IO[bytes]) -> None:
        """Take a picture over. `Refusal` for too many, or too many bytes, whatever their headers said."""
        limits = self.service.settings
        if len(self.names) >= limits.files:
            raise Refusal(413, f"more than {limits.files} pictures", "send fewer at once")
        source = self.folder / f"source-{len(self.names)}"
        self.service.space.write(stream, source, self._count)
        self.names.append(self._new_name(name))
        self.sources.append(source)

    def _count(self, more: int) -> None:
        self._bytes += more
        if self._bytes > (most := self.service.settings.unpacked):
            raise Refusal(413, f"more than {most} bytes when unpacked", "send fewer at once")

    def _new_name(self, name: str) -> str:
        """A path that goes nowhere but down, in characters that every system has."""
        parts = [re.sub(r'[\x00-\x1f<>:"|?*\\]', "_", part) for part in PurePosixPath(name.replace("\\", "/")).parts]
        safe = [part[:80] for part in parts if part not in ("/", ".", "..", "")][-8:]
        return str(self._taken.new(PurePosixPath(*safe) if safe else PurePosixPath("picture")))


async def paint_series(job: Job, series: Series) -> Path:
    """Paint all pictures: the file, or the ZIP, that the job results in. One that fails is told, the rest is done."""
    service, order, loop = series.service, series.order, asyncio.get_running_loop()
    made: dict[int, Path] = {}

    def tell(number: int, error: Exception | None, share: float) -> None:
        if error is not None:
            what, remedy = told(error, job.folder.parent)
            named = what.replace(f"{series.sources[number].name}:", f"{series.names[number]}:", 1)
            job.pictures[number] |= {"error": named, "remedy": remedy}
        job.change(state="running", progress=share)

    def ended(number: int, error: Exception | None) -> None:
        loop.call_soon_threadsafe(tell, number, error, (number + 1) / len(series.sources))

    await service.desk.compute(lambda progress: _paint(series, made, ended, progress), Lane.JOB)
    if not made:
        facts = job.pictures[0]
        raise Refusal(422, facts.get("error", "no picture could be painted"), facts.get("remedy", ""))
    if len(series.sources) == 1:
        return made[0]
    return await service.aside("encode", _packed, series, made, order)


def _paint(
    series: Series, made: dict[int, Path], ended: Callable[[int, Exception | None], None], progress: Progress
) -> None:
    order, limit = series.order, series.service.settings.pixels
    tasks, numbers = [], {}
    for number, source in enumerate(series.sources):
        try:
            target = source.with_name(f"result-{number}") / target_name(source, order.format)
            is_moving(series.service, source, target)
        except (AdaINKitError, Refusal) as error:
            ended(number, error)
            continue
        numbers[source] = number
        tasks.append(Task(source, target))
    stylizer, style = series.service.stylizer(order.model), order.style(series.service, limit)
    options: dict[str, Any] = {**order.options, "mask": order.mask, "max_pixels": limit, "progress": progress}
    saving: dict[str, Any] = {"format": order.format, "quality": order.quality, "strip": not order.metadata}
    with closing(stylize_files(stylizer, tasks, lambda _: style, **saving, **options)) as outcomes:
        for outcome in outcomes:
            number = numbers[outcome.job.source]
            if outcome.error is None and outcome.job.target is not None:
                made[number] = outcome.job.target
            outcome.job.source.unlink(missing_ok=True)
            ended(number, outcome.error)
            series.service.space.check(anew=True)
            progress("pictures", len(made), len(series.sources))


def _packed(series: Series, made: dict[int, Path], order: Order) -> Path:
    target, names = series.folder / "result.zip", Names()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # pictures are packed already
        for number, path in sorted(made.items()):
            name = names.new(PurePosixPath(series.names[number]).with_suffix(path.suffix))  # sea.jpg, and sea.png
            archive.write(path, str(name))
            path.unlink()
    return target

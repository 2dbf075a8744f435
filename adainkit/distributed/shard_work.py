"""What an actor does with a shard: its pictures go through files of a folder, as all others do, into another shard."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path, PurePosixPath

from ..batch.jobs import Job, named_after, next_name, with_format
from ..batch.pipeline import Outcome, run_jobs
from ..batch.run import FileWork
from ..errors import ImageError
from .places import fetch_to, join, upload
from .shards import CHUNK, Chunk, Made, Sample, open_sink, read_shard
from .spec import Member, Spec
from .tasks import SHARDS, Task

__all__ = ["ShardWork"]


class ShardWork:
    """One shard on its way, chunk by chunk, through the `folder`, which is removed with the work."""

    def __init__(self, files: FileWork, spec: Spec, folder: Path, task: Task) -> None:
        self.files, self.spec, self.folder, self.task = files, spec, folder, task
        self.target = str(task.target)
        self.members: list[Member] = []
        self.names: set[Path] = set()  # of files that are made; rows may share one
        self.kind = SHARDS.get(PurePosixPath(self.target).suffix.lower())

    def done(self) -> tuple[Member, ...]:
        """Make it; what became of each picture."""
        folder = self.folder
        try:
            part = folder / f"result.{self.kind}"
            sink = None if self.kind is None else open_sink(part, self.kind)
            for number, chunk in enumerate(self._chunks()):
                here = folder / str(number)
                here.mkdir()
                made = self._made(chunk, here)
                if sink is not None:
                    sink.write(chunk, made)
                else:
                    self._store(made, here)
                shutil.rmtree(here)
            if sink is not None:
                sink.close()
                upload(part, self.target)
            return tuple(self.members)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _chunks(self) -> Iterator[Chunk]:
        if not self.task.members:
            source = fetch_to(self.task.source, self.folder / f"source{PurePosixPath(self.task.source).suffix}")
            return read_shard(source, self.task.source)
        groups = (self.task.members[i : i + CHUNK] for i in range(0, len(self.task.members), CHUNK))
        return (Chunk([Sample(str(task.target), None) for task in group]) for group in groups)

    def _jobs(self, chunk: Chunk, index: int, here: Path, offset: int) -> list[tuple[Job, str, str]]:
        """Of a sample: jobs, the names of their results, and the source's place."""
        sample = chunk.samples[index]
        if self.task.members:
            task = self.task.members[offset + index]
            source = fetch_to(task.source, here / f"{index}{PurePosixPath(task.source).suffix}")
            target = here / f"{index}-0{PurePosixPath(str(task.target)).suffix}"
            return [(Job(source, target, style=task.style), str(task.target), task.source)]
        source = here / f"{index}{PurePosixPath(sample.name).suffix}"
        source.write_bytes(sample.data or b"")
        random = self.spec.styles.random
        chosen = [""] if random is None else random.of(sample.name)
        plain = with_format(Path(sample.name), self.spec.options.get("format"))
        found = []
        if self.kind is None and (plain.is_absolute() or ".." in plain.parts):
            raise ImageError(f"{sample.name}: leads out of the folder of results; give --to same")
        for number, (style, name) in enumerate(zip(chosen, named_after(plain, chosen), strict=True)):
            if self.kind is None:
                while name in self.names:
                    name = next_name(name)
                self.names.add(name)
            job = Job(source, here / f"{index}-{number}{name.suffix}", style=style)
            found.append((job, name.as_posix(), f"{self.task.source}#{sample.name}"))
        return found

    def _made(self, chunk: Chunk, here: Path) -> list[Made]:
        known: dict[int, tuple[int, str, str]] = {}
        jobs: list[Job] = []
        kept: dict[int, list[Made]] = {}
        offset = len(self.members) if self.task.members else 0
        for index, sample in enumerate(chunk.samples):
            if sample.data is None and not self.task.members:
                kept[index] = [Made(index, sample.name, None)]  # no picture: as it is
                continue
            try:
                found = self._jobs(chunk, index, here, offset)
            except ImageError as error:  # it could not be fetched, or has an impossible name
                found = [(Job(here / str(index), None, str(error)), sample.name, sample.name)]
            for job, name, place in found:
                jobs.append(job)
                known[id(job)] = index, name, place
        ended = {id(o.job): o for o in self._run(jobs)}
        for job in jobs:
            index, name, place = known[id(job)]
            failure = ended[id(job)].error
            target = join(self.target, name) if self.kind is None else f"{self.target}#{name}"
            told = "" if failure is None else str(failure).replace(str(job.source), place)
            self.members.append(
                (place, target, job.style, ended[id(job)].seconds, told.replace(str(job.target), target))
            )
            if failure is None and job.target is not None:
                kept.setdefault(index, []).append(Made(index, name, job.target.read_bytes()))
        return [made for index in sorted(kept) for made in kept[index]]

    def _run(self, jobs: list[Job]) -> Generator[Outcome[Job], None, None]:
        files = self.files
        return run_jobs(jobs, files.read, files.work, files.write, threads=files.threads)

    def _store(self, made: list[Made], here: Path) -> None:
        for each in made:
            if each.data is not None:
                part = here / f"store{PurePosixPath(each.name).suffix}"
                part.write_bytes(each.data)
                upload(part, join(self.target, each.name))

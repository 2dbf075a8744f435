"""What an actor does with tasks, in the stages of `batch.pipeline`: fetch and decode, compute, encode and store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..batch.chosen import Styled
from ..batch.fitting import Fit
from ..batch.jobs import Job
from ..batch.pipeline import Alone
from ..batch.records import complete_record
from ..batch.run import FileWork
from ..errors import ImageError
from ..style import Style
from ..stylizer import Stylizer
from .places import fetch_to, is_uri, read_bytes, upload
from .scratch import Scratch
from .shard_work import ShardWork
from .spec import Spec
from .tasks import Task

__all__ = ["TaskWork"]


class TaskWork:
    """`batch.run.FileWork` for tasks: places may be URIs, which go through files of a folder of its own, and tasks may
    be shards. `close` removes the folder."""

    def __init__(self, spec: Spec, stylizer: Stylizer) -> None:
        self.spec, self.stylizer = spec, stylizer
        self._folders: dict[int, Path] = {}
        style_of, regions = spec.styles.encoded(self._style)
        saving = {name: spec.options.get(name) for name in ("format", "quality")}
        saving |= {"strip": spec.options.get("strip", False), "overwrite": True}  # the driver has decided
        fit = Fit(**{name: spec.options.get(name) for name in ("max_size", "resize", "crop")})
        left_out = {*saving, "max_size", "resize", "crop"}
        computing = {name: value for name, value in spec.options.items() if name not in left_out}
        computing |= {"regions": regions, "max_pixels": spec.max_pixels}
        self.files = FileWork(stylizer, style_of, self._record, saving, computing, spec.threads, fit)
        self._scratch = Scratch()  # last: what raises an error leaves none

    def close(self) -> None:
        """Remove the temporary files."""
        self._scratch.close()

    def read(self, task: Task, _: object = None) -> Any:
        """A job of local files and what `FileWork.read` gives of it; of a shard nothing yet, since it is alone."""
        if task.problem or task.target is None:
            raise ImageError(f"{task.source}: {task.problem}")
        if task.is_shard:
            return Alone(None)
        source, target = Path(task.source), Path(task.target)
        if is_uri(task.source) or is_uri(task.target):
            folder = self._folders[id(task)] = self.new_folder()
            source = fetch_to(task.source, folder / f"content{source.suffix}")
            target = folder / f"result{target.suffix}" if is_uri(task.target) else target
        job = Job(source, target, style=task.style)
        with _named(job, task):
            found = self.files.read(job)
        return Alone((job, found.value)) if isinstance(found, Alone) else (job, found)

    def work(self, task: Task, found: Any) -> Any:
        """A job and what `FileWork.work` gives; of a shard all that became of its members."""
        if found is None:
            return ShardWork(self.files, self.spec, self.new_folder(), task).done()
        job, picture = found
        with _named(job, task):
            made = self.files.work(job, picture)
        if made is None and not is_uri(str(task.target)):
            self.drop(task)
            return None
        return job, made

    def write(self, task: Task, made: Any) -> Any:
        """Encode and store."""
        if task.is_shard:
            return made
        job, result = made
        with _named(job, task):
            if result is not None:
                self.files.write(job, result)
        if is_uri(str(task.target)):
            upload(job.target, str(task.target))
        self.drop(task)
        return None

    def drop(self, task: Task) -> None:
        """Remove the files of a task that has ended, well or not."""
        if (folder := self._folders.pop(id(task), None)) is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def new_folder(self) -> Path:
        """An empty folder, for whoever removes it."""
        return Path(tempfile.mkdtemp(dir=self._scratch.folder))

    def _style(self, name: str) -> Style:
        sizes: dict[str, Any] = {"style_size": self.spec.style_size, "max_pixels": self.spec.max_pixels}
        if is_uri(name):
            return self.stylizer.encode_style(read_bytes(name), name=PurePosixPath(name).stem, **sizes)
        return self.stylizer.as_style(name, **sizes)

    def _record(self, job: Styled) -> Mapping[str, Any] | None:
        if self.spec.record is None:
            return None
        return complete_record(self.spec.record, self.stylizer, self.spec.styles.of(job))


class _named:
    """An error inside speaks of the task's places instead of the job's temporary files."""

    def __init__(self, job: Job, task: Task) -> None:
        self._names = {str(job.source): task.source, str(job.target): str(task.target)}

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and len(error.args) == 1 and isinstance(error.args[0], str):
            text = error.args[0]
            for local, place in self._names.items():
                text = text.replace(local, place)
            error.args = (text,)

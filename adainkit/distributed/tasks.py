"""What is to be done on a cluster: `batch.jobs` for places that may be URIs, and for shards of many pictures.

Knows names and nothing else: no Ray, no torch, no pixels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..batch.finding import find
from ..batch.jobs import identity, named_after, plan_jobs, with_format
from ..batch.manifest import is_file_newer
from ..batch.random_styles import RandomStyles
from ..errors import StyleError
from ..formats import PICTURES
from .places import Item, Listing, absolute, is_uri, join

__all__ = ["SHARDS", "Listings", "Task", "UriStyles", "plan_tasks"]

SHARDS = {".tar": "tar", ".parquet": "parquet"}
"""The kinds of shards, by suffix: WebDataset's, and tables with a column of encoded pictures."""
_WANTED = {*PICTURES, *SHARDS}


@dataclass(frozen=True)
class Task:
    """A `batch.Job` by names: one picture, or, where it `is_shard`, all of a shard, read from `source` or made of
    `members`."""

    source: str
    target: str | None
    problem: str = ""
    style: str = ""
    done: bool = False
    is_shard: bool = False
    members: tuple[Task, ...] = ()


class Listings:
    """What there is at the URIs of a run, each listed once."""

    def __init__(self) -> None:
        self._kept: dict[str, Listing] = {}
        self._changed: dict[str, float | None] = {}

    def of(self, place: str) -> Listing:
        """The files below a URI."""
        if place not in self._kept:
            listing = self._kept[place] = Listing(place)
            self._changed |= {item.place: item.changed for item in listing.items}
        return self._kept[place]

    def has(self, place: str) -> bool:
        """Whether a file or a listed object is there."""
        return place in self._changed if is_uri(place) else os.path.lexists(place)

    def is_newer(self, source: str, target: str) -> bool:
        """`batch.manifest.is_file_newer` for places; what lies in a shard is as old as the shard."""
        source, target = (_of_shard(place) for place in (source, target))
        if not is_uri(source) and not is_uri(target):
            return is_file_newer(source, target)
        if not self.has(target):
            return True
        then, now = self._when(target), self._when(source)
        return then is not None and now is not None and now > then

    def _when(self, place: str) -> float | None:
        if is_uri(place):
            return self._changed.get(place)
        try:
            return Path(place).stat().st_mtime
        except OSError:
            return None


def _of_shard(place: str) -> str:
    head, sign, _ = place.rpartition("#")
    return head if sign and PurePosixPath(head).suffix in SHARDS else place


class UriStyles(RandomStyles):
    """`RandomStyles` of a URI: the choice that a folder with the same names gives."""

    def __init__(self, place: str, seed: int = 0, count: int = 1) -> None:
        self.place, self.seed, self.count = place.rstrip("/"), seed, count
        self._sizes = {item.inner: item.size for item in Listing(place).pictures(PICTURES)}
        self.names = sorted(self._sizes)
        if max(1, count) > len(self.names):
            raise StyleError(f"random styles: {count} for each picture were asked for, {place} has {len(self.names)}")

    @property
    def where(self) -> str:
        """The URI."""
        return self.place

    @property
    def name(self) -> str:
        """Its last part."""
        return self.place.rpartition("/")[2]

    def _place(self, name: str) -> str:
        return join(self.place, name)

    def _size(self, name: str) -> int | None:
        return self._sizes[name]


def plan_tasks(
    contents: Sequence[str],
    output: str,
    *,
    listings: Listings,
    to: str = "same",
    shard_size: int = 1000,
    format: str | None = None,
    overwrite: bool = False,
    protected: Iterable[str] = (),
    styles_of: Callable[[str], Sequence[str]] = lambda inner: ("",),
    is_done: Callable[[str, str], bool] = lambda source, target: False,
    is_ours: Callable[[str], bool] = lambda target: False,
) -> list[Task]:
    """The tasks for files, patterns, folders and shards, paths or URIs: results below the folder `output`.

    `to`: "tree" makes a file of each picture, "tar" and "parquet" shards of `shard_size` pictures; "same" a tree of
    pictures and a shard of a shard. No file that is read, nor any of the `protected`, is ever a target. `ValueError` as
    `plan_jobs`, `AdaINKitError` for URIs that cannot be listed.
    """
    plain = not any(map(is_uri, (*contents, output))) and to in ("same", "tree")
    if plain and not any(_has_shards(content) for content in contents):
        jobs = plan_jobs(
            contents,
            output if output.endswith(("/", os.sep)) else output + os.sep,
            style_name="",
            format=format,
            overwrite=overwrite,
            protected=protected,
            styles_of=styles_of,
            is_done=lambda source, target: is_done(str(source), str(target)),
            is_ours=lambda target: is_ours(str(target)),
        )
        found = [
            Task(str(j.source), None if j.target is None else str(j.target), j.problem, j.style, j.done) for j in jobs
        ]
    else:
        if is_uri(output):
            listings.of(output)  # so that what exists there is known
        planned = _Plan(output, to, format, styles_of)
        tasks = list(planned.tasks(contents, listings, shard_size))
        read = [*protected, *(each.source for task in tasks for each in task.members or (task,))]
        found = planned.checked(tasks, read, listings, overwrite, is_done, is_ours)
    return sorted(found, key=lambda task: task.style)  # one actor then reads a style once for many pictures


class _Plan:
    """Names of results below a folder."""

    def __init__(self, output: str, to: str, format: str | None, styles_of: Callable[[str], Sequence[str]]) -> None:
        self.output, self.to, self.format, self.styles_of = output.rstrip("/"), to, format, styles_of

    def tasks(self, contents: Sequence[str], listings: Listings, shard_size: int) -> Iterator[Task]:
        """Those of shards, then those of pictures."""
        pictures: list[Item] = []
        for item in _items(contents, self.output, listings):
            kind = SHARDS.get(PurePosixPath(item.inner).suffix.lower())
            if isinstance(item, _Missing):
                yield Task(item.place, None, item.problem)
            elif kind is None:
                pictures.append(item)
            elif self.to in ("same", kind):
                yield Task(item.place, join(self.output, item.inner), is_shard=True)
            elif self.to == "tree":
                inner = PurePosixPath(item.inner).with_suffix("").as_posix() + "/"
                yield Task(item.place, join(self.output, inner), is_shard=True)
            else:
                yield Task(item.place, None, f"a shard of one kind becomes no {self.to}; give --to tree or --to same")
        members = [task for item in pictures for task in self._of_picture(item)]
        if self.to in ("same", "tree"):
            yield from members
            return
        names: dict[str, str] = {}
        for task in members:
            if (other := names.setdefault(str(task.target), task.source)) != task.source:
                told = f"the shards would have two pictures of the name {task.target}, as {other} has it; rename one"
                yield Task(task.source, None, told)
        members = [task for task in members if names[str(task.target)] == task.source]
        for start in range(0, len(members), shard_size):
            yield self._shard(members[start : start + shard_size], start // shard_size)

    def _of_picture(self, item: Item) -> Iterator[Task]:
        chosen = self.styles_of(item.inner)
        targets = named_after(with_format(Path(item.inner), self.format), chosen)
        for style, target in zip(chosen, targets, strict=True):
            inner = target.as_posix()
            yield Task(item.place, inner if self.to in ("tar", "parquet") else join(self.output, inner), style=style)

    def _shard(self, members: Sequence[Task], number: int) -> Task:
        names = "\0".join(f"{task.source}\0{task.target}" for task in members)
        digest = hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()[:16]
        target = join(self.output, f"pictures-{number:06d}.{self.to}")
        return Task(f"{members[0].source}#{len(members)}-{digest}", target, is_shard=True, members=tuple(members))

    @staticmethod
    def checked(
        tasks: Sequence[Task],
        read: Iterable[str],
        listings: Listings,
        overwrite: bool,
        is_done: Callable[[str, str], bool],
        is_ours: Callable[[str], bool],
    ) -> list[Task]:
        """What is done, and what would replace something."""
        taken = {_identity(place): "read here" for place in read}
        folders = {_whole(task): task.source for task in tasks if task.is_shard and _becomes_folder(task)}
        found = []
        for task in tasks:
            if task.problem or task.target is None:
                found.append(task)
                continue
            problem, done = "", is_done(task.source, task.target)
            around = next((folders[up] for up in _above(task) if up in folders), None)
            if (owner := taken.get(_identity(task.target))) is not None:
                problem = f"its result {task.target} would replace what is {owner}; choose another -o"
            elif around is not None:
                problem = f"its result {task.target} would lie among those of {around}; choose another -o"
            elif not (overwrite or done or is_ours(task.target)) and listings.has(task.target):
                problem = f"{task.target} exists already; --overwrite replaces it, another -o keeps it"
            if not problem:
                taken[_identity(task.target)] = f"made of {task.source}"
            found.append(replace(task, problem=problem, done=done and not problem))
        return found


def _identity(place: str) -> object:
    """A value that two names of one place share."""
    place = place.removeprefix("file://")
    return place.rstrip("/") if is_uri(place) else identity(Path(place))


def _whole(task: Task) -> str:
    return absolute(str(task.target)).replace(os.sep, "/").rstrip("/")


def _becomes_folder(task: Task) -> bool:
    return task.target is not None and PurePosixPath(task.target).suffix.lower() not in SHARDS


def _above(task: Task) -> Iterator[str]:
    """The folders that a result lies in."""
    place = _whole(task)
    while "/" in place:
        place = place.rpartition("/")[0]
        yield place


@dataclass(frozen=True)
class _Missing(Item):
    problem: str = ""


def _items(contents: Sequence[str], output: str, listings: Listings) -> Iterator[Item]:
    """Pictures and shards, each once."""
    seen: set[str] = set()
    for content in contents:
        for item in _of_uri(content, output, listings) if is_uri(content) else _of_path(content, output):
            if absolute(item.place) not in seen:
                seen.add(absolute(item.place))
                yield item


def _of_uri(content: str, output: str, listings: Listings) -> Iterator[Item]:
    found = [
        item
        for item in listings.of(content).pictures(_WANTED)
        if not item.place.startswith(f"{output.rstrip('/')}/") or content.startswith(output)
    ]
    yield from found or [_Missing(content, content, problem="no pictures and no shards are there")]


def _of_path(content: str, output: str) -> Iterator[Item]:
    path = Path(content)
    if path.suffix.lower() in SHARDS and path.is_file():
        yield Item(content, path.name)
        return
    shards = list(_shards(path, output)) if path.is_dir() else []
    yield from (Item(str(shard), shard.relative_to(path).as_posix()) for shard in shards)
    for each in find([content], None if is_uri(output) else output):
        if each.problem and not shards:
            yield _Missing(str(each.source), each.inner.as_posix(), problem=each.problem)
        elif not each.problem:
            yield Item(str(each.source), each.inner.as_posix())


def _has_shards(content: str) -> bool:
    path = Path(content)
    return next(_shards(path), None) is not None if path.is_dir() else path.suffix.lower() in SHARDS


def _shards(root: Path, output: str = "") -> Iterator[Path]:
    """Those of a folder and of all below it, by name, less hidden ones and, as in `find`, the folder `output` in it."""
    results = absolute(output) if output else ""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        subfolders[:] = [name for name in subfolders if absolute(str(Path(folder, name))) != results]
        for name in sorted(names):
            if Path(name).suffix.lower() in SHARDS and not name.startswith("."):
                yield Path(folder, name)

"""Random styles for data augmentation: which of a folder's pictures a content gets, for ever the same."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from ..errors import StyleError
from .finding import find_pictures

__all__ = ["RandomStyles", "choose", "once_each"]

_T = TypeVar("_T")
_KEPT = 1 << 14  # styles: some kilobytes each


class RandomStyles:
    """The pictures of a folder and of all below it, of which every content gets `count` different ones by its name.

    The choice depends on the `seed`, the content's name and the names in the folder, and on nothing else: neither on
    the order, nor on the other contents, nor on the machine. `StyleError` for a folder that cannot be used so.
    """

    def __init__(self, folder: str | os.PathLike[str], seed: int = 0, count: int = 1) -> None:
        self.folder, self.seed, self.count = Path(folder), seed, count
        try:
            self.names = sorted(path.as_posix() for path in find_pictures(folder))
        except ValueError as error:
            raise StyleError(f"random styles: {error}; give a folder with pictures in it") from error
        if count > len(self.names):
            raise StyleError(
                f"random styles: {count} for each picture were asked for, and {self.folder} has {len(self.names)}"
            )

    def of(self, name: str) -> list[str]:
        """The paths of the styles for the content called `name`, its path below the folder of contents with "/"."""
        return [self._place(style) for style in choose(self.names, name, self.seed, self.count)]

    @property
    def where(self) -> str:
        """The folder as it was named."""
        return str(self.folder)

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.folder.resolve().name

    @property
    def paths(self) -> list[str]:
        """The paths of all styles."""
        return [self._place(name) for name in self.names]

    @property
    def facts(self) -> dict[str, object]:
        """What the choice depends on, besides seed and count: another list of names is another choice."""
        names = hashlib.sha256("\0".join(self.names).encode(errors="surrogateescape"))
        return {"folder": self.where, "pictures": len(self.names), "sha256_of_names": names.hexdigest()[:16]}

    @property
    def digest(self) -> str:
        """A hash of the names and the sizes of all styles: to read all that is in them would take minutes."""
        sizes = "\0".join(f"{name}\0{self._size(name)}" for name in self.names)
        return hashlib.sha256(sizes.encode(errors="surrogateescape")).hexdigest()[:16]

    def _place(self, name: str) -> str:
        return str(self.folder / name)

    def _size(self, name: str) -> int | None:
        return (self.folder / name).stat().st_size


def choose(names: Sequence[str], name: str, seed: int = 0, count: int = 1) -> list[str]:
    """`count` different ones of `names`, evenly random, by a hash of `seed` and `name`.

    >>> choose(["wave", "night", "garden"], "train/cat-0001.jpg", seed=0, count=2)
    ['wave', 'night']
    """
    left, chosen = list(names), []
    for draw in range(count):
        drawn = hashlib.sha256(f"{seed}\0{draw}\0{name}".encode(errors="surrogateescape")).digest()
        chosen.append(left.pop(int.from_bytes(drawn, "big") % len(left)))
    return chosen


def once_each(encode: Callable[[str], _T]) -> Callable[[str], _T]:
    """`encode`, which is called once for each name, also by several threads; its errors are kept as well."""
    lock = threading.Lock()
    kept: dict[str, Future[_T]] = {}

    def found(name: str) -> _T:
        with lock:
            future = kept.get(name)
            first = future is None
            if future is None:
                future = kept[name] = Future()
                if len(kept) > _KEPT:
                    del kept[next(iter(kept))]
        if first:
            try:
                future.set_result(encode(name))
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    return found

"""Pictures that a caller sent once: kept on disk, small in memory for previews, encoded once, for a while."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..engine.whole import Content
from ..images import Picture, open_image
from ..look.previews import bounded, reduced
from .problems import Refusal

__all__ = ["Held", "Pictures"]

_EACH = 64  # pictures of one caller: the one that was not used for the longest time goes


@dataclass(eq=False)
class Held:
    """One picture: the file as it came, and `small`, which previews are made from."""

    owner: str
    path: Path
    size: tuple[int, int]
    """Width and height of the whole picture."""
    small: Picture
    used: float
    bytes: int
    contents: OrderedDict[tuple[int, float], Content] = field(default_factory=OrderedDict)
    """By the longest side and the scale."""

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return _bytes_of(self.small) + sum(
            _bytes_of(content.picture) + sum(f.nbytes for f in content.features) for content in self.contents.values()
        )


class Pictures:
    """What callers sent, by ids that nobody guesses. `memory` and `disk` bound the bytes of all, `keep` the seconds
    since the last use."""

    def __init__(
        self, folder: Path, memory: int, disk: int, keep: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.memory, self.disk, self.keep, self.clock = folder, memory, disk, keep, clock
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def stored(self) -> int:
        """Bytes on disk."""
        with self._lock:
            return sum(each.bytes for each in self._held.values())

    def add(self, owner: str, upload: Path, side: int, max_pixels: int) -> tuple[str, Held]:
        """Take over a file, and its id. `ImageError` for what is no picture. `side`: the longest one of a preview."""
        picture = open_image(upload, max_pixels=max_pixels)
        small = reduced(picture, bounded(picture, side))
        name = secrets.token_urlsafe(18)
        target = self.folder / name
        shutil.move(upload, target)
        size, count = (picture.width, picture.height), target.stat().st_size
        held = Held(owner, target, size, small, self.clock(), count)
        with self._lock:
            self._held[name] = held
            own = [key for key, each in self._held.items() if each.owner == owner]
            for key in own[: max(0, len(own) - _EACH)]:
                self._drop(key)
            self.tidy()
        return name, held

    def get(self, owner: str, name: str) -> Held:
        """A picture of this caller. `Refusal` where there is none any more."""
        with self._lock:
            self.tidy()
            held = self._held.get(name)
            if held is None or held.owner != owner:
                raise Refusal(404, "there is no picture of this id", "send the picture again: it is kept for a while")
            held.used = self.clock()
            self._held.move_to_end(name)
            return held

    def remove(self, owner: str, name: str) -> None:
        """Forget a picture."""
        self.get(owner, name)
        with self._lock:
            self._drop(name)

    def content(self, held: Held, side: int, scale: float, make: Callable[[Picture, float], Content]) -> Content:
        """The picture at a size, encoded once."""
        key = (side, scale)
        found = held.contents.get(key)
        if found is None:
            found = make(reduced(held.small, bounded(held.small, side)), scale)
        with self._lock:
            held.contents[key] = found
            held.contents.move_to_end(key)
            self.tidy()
        return found

    def tidy(self) -> None:
        """Let go of what is too old or too much."""
        with self._lock:
            now = self.clock()
            for name in [name for name, each in self._held.items() if now - each.used > self.keep]:
                self._drop(name)
            while self.stored > self.disk and len(self._held) > 1:
                self._drop(next(iter(self._held)))
            total = sum(each.held for each in self._held.values())
            for each in [*self._held.values()]:  # the longest unused first; what is encoded can be made again
                while total > self.memory and each.contents and (each is not self._last or len(each.contents) > 1):
                    before = each.held
                    each.contents.popitem(last=False)
                    total -= before - each.held
            while total > self.memory and len(self._held) > 1:
                total -= next(iter(self._held.values())).held
                self._drop(next(iter(self._held)))

    @property
    def _last(self) -> Held:
        return next(reversed(self._held.values()))

    def _drop(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            held.path.unlink(missing_ok=True)


def _bytes_of(picture: Picture) -> int:
    return picture.rgb.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)

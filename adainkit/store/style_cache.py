"""The cache of encoded styles, in memory and on disk."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from ..errors import StyleError
from ..style import FORMAT_VERSION, Style

__all__ = ["STYLE_CACHE_BYTES", "StyleCache", "style_key"]

log = logging.getLogger("adainkit")


STYLE_CACHE_BYTES = 64 << 20
"""What encoded styles may take on disk: some ten thousand of `lite`."""


class StyleCache:
    """Keeps encoded styles, by what they were made from. The `capacity` styles that were used last are kept in memory.
    If there is a `folder`, those that were used last are kept in it too, up to `limit` bytes in all.

    Safe with several threads, and with several processes on one folder. A damaged or unwritable file is no error: the
    style is encoded again. Keys come from `style_key`.
    """

    def __init__(
        self, capacity: int = 64, folder: str | os.PathLike[str] | None = None, *, limit: int = STYLE_CACHE_BYTES
    ) -> None:
        self.capacity, self.limit = capacity, limit
        self._unseen = 0  # bytes that may be written before the folder is looked at again
        self.folder = None if folder is None else Path(folder)
        self._styles: OrderedDict[str, Style] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Style | None:
        """The style kept under `key`, or None."""
        with self._lock:
            if key in self._styles:
                self._styles.move_to_end(key)
                return self._styles[key]
        file = self._file(key)
        if file is None or not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises for a folder that may not be entered
            return None
        try:
            style = Style.load(file)
        except StyleError as error:
            log.debug("style cache: %s; it is made again", error)
            return None
        self._remember(key, style)
        with suppress(OSError):
            os.utime(file)  # the time of its last use
        return style

    def put(self, key: str, style: Style) -> None:
        """Keep `style` under `key`."""
        self._remember(key, style)
        file = self._file(key)
        if file is not None:
            try:
                style.save(file)
                self._bound(file)
            except (StyleError, OSError) as error:
                log.debug("style cache: %s", error)

    def size(self) -> tuple[int, int]:
        """How many styles are on disk, and their bytes."""
        sizes = [size for _, size, _ in self._files()]
        return len(sizes), sum(sizes)

    def _bound(self, written: Path) -> None:
        """Remove the files that were not used for the longest time, so that the rest takes `limit` bytes."""
        self._unseen -= written.stat().st_size
        if self._unseen >= 0:
            return
        files = sorted(self._files(), reverse=True)
        room = self.limit
        for _, size, path in files:
            room -= size
            if room < 0 and path != str(written):
                with suppress(OSError):  # another process was quicker
                    os.unlink(path)  # noqa: PTH108
        self._unseen = max(0, room) // 4  # other processes write as well

    def _files(self) -> list[tuple[float, int, str]]:
        """When each was used last, its bytes and its path."""
        found = []
        with suppress(OSError):
            for entry in os.scandir(self.folder) if self.folder else ():
                with suppress(OSError):
                    if entry.name.endswith(".safetensors"):
                        facts = entry.stat()
                        found.append((facts.st_mtime, facts.st_size, entry.path))
        return found

    def clear(self) -> None:
        """Forget everything, on disk too."""
        with self._lock:
            self._styles.clear()
        for file in self.folder.glob("*.safetensors") if self.folder else ():
            file.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._styles)

    def _file(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.safetensors"

    def _remember(self, key: str, style: Style) -> None:
        with self._lock:
            self._styles[key] = style
            self._styles.move_to_end(key)
            while len(self._styles) > self.capacity:
                self._styles.popitem(last=False)


def style_key(pixels: Iterable[Tensor], style_size: int | None, digest: str, dtype: torch.dtype) -> str:
    """The cache key of a style: a hash over the picture's tensors, the style size, the encoder and its precision."""
    total = hashlib.sha256(f"{FORMAT_VERSION} {digest} {style_size} {dtype}".encode())
    for tensor in pixels:
        value = tensor.detach().to("cpu").contiguous()
        total.update(f" {tuple(value.shape)} {value.dtype}".encode())
        total.update(value.numpy().data)
    return total.hexdigest()

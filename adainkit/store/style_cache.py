"""The cache of encoded styles, in memory and on disk."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from ..errors import StyleError
from ..style import FORMAT_VERSION, Style

__all__ = ["StyleCache", "style_key"]

log = logging.getLogger("adainkit")


class StyleCache:
    """Styles by what they were made from: the least recently used `capacity` in memory and, given a `folder`, all on
    disk.

    Safe with several threads, and with several processes on one folder. A damaged or unwritable file is no error: the
    style is encoded again. Keys come from `style_key`.
    """

    def __init__(self, capacity: int = 64, folder: str | os.PathLike[str] | None = None) -> None:
        self.capacity = capacity
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
        return style

    def put(self, key: str, style: Style) -> None:
        """Keep `style` under `key`."""
        self._remember(key, style)
        file = self._file(key)
        if file is not None:
            try:
                style.save(file)
            except StyleError as error:
                log.debug("style cache: %s", error)

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

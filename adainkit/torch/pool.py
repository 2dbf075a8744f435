"""The styles that contents are given at random, and one warm `Stylizer` in each process that uses them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torchvision.tv_tensors import wrap

from ..batch.finding import find_pictures
from ..errors import StyleError
from ..store.style_cache import StyleCache
from ..store.weights import cache_dir
from ..style import Style
from ..stylizer import Stylizer

__all__ = ["StylePool", "alpha_range", "stylized", "uniform"]

_KEPT = 4096  # styles in memory, some kilobytes each


class StylePool:
    """Styles by number, encoded when they are first asked for and then kept, in memory and on disk.

    `styles`: a folder of pictures (all below it, by name), or a list of pictures' paths, saved styles, presets' names
    and `Style`s. It may be sent to other processes, by fork or by pickle: each loads a model of its own when it needs
    one, and has one thread of torch if it is a worker of a DataLoader, as the others have. `StyleError` for no styles.
    """

    def __init__(
        self,
        styles: str | os.PathLike[str] | Sequence[str | os.PathLike[str] | Style],
        *,
        model: str | os.PathLike[str] = "lite",
        device: str = "cpu",
        dtype: str = "auto",
        style_size: int | None = 512,
    ) -> None:
        if isinstance(styles, (str, os.PathLike)):
            try:
                self.names: list[Any] = [os.path.join(styles, inner) for inner in sorted(find_pictures(styles))]  # noqa: PTH118
            except ValueError as error:
                raise StyleError(f"styles: {error}; give a folder with pictures, or a list of styles") from error
        else:
            self.names = list(styles)
        if not self.names:
            raise StyleError("styles: the list is empty; give one style or more")
        self.model, self.device, self.dtype, self.style_size = model, device, dtype, style_size
        self._forget()

    def _forget(self) -> None:
        self._stylizer: Stylizer | None = None
        self._process = 0
        self._styles: dict[int, Style] = {}
        self._lock = threading.Lock()

    @property
    def stylizer(self) -> Stylizer:
        """This process's own."""
        with self._lock:
            if self._stylizer is None or self._process != os.getpid():  # a fork has a copy whose threads are gone
                cache = StyleCache(capacity=0, folder=cache_dir() / "styles")
                self._stylizer = Stylizer(self.model, device=self.device, dtype=self.dtype, cache=cache)
                self._process = os.getpid()
            return self._stylizer

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> Style:
        """The style of a number below `len`."""
        if number not in self._styles:
            while len(self._styles) >= _KEPT:
                self._styles.pop(next(iter(self._styles)))
            self._styles[number] = self.stylizer.as_style(self.names[number], style_size=self.style_size)
        return self._styles[number]

    def __getstate__(self) -> Mapping[str, Any]:
        names = ("names", "model", "device", "dtype", "style_size")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


def alpha_range(alpha: float | tuple[float, float]) -> tuple[float, float]:
    """The lowest and the highest alpha of a number, or of a pair of them; `StyleError` beyond 0 to 1."""
    low, high = (alpha, alpha) if isinstance(alpha, (int, float)) else alpha
    if not 0 <= low <= high <= 1:
        raise StyleError(f"alpha: expected a number from 0 to 1, or a pair (low, high) of them, got {alpha!r}")
    return float(low), float(high)


def uniform(generator: torch.Generator | None, low: float, high: float) -> float:
    """A number from `low` to `high`, from torch's own generator by default."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def stylized(pool: StylePool, picture: Any, number: int, alpha: float) -> Any:
    """A PIL image, or a tensor `(..., 1 | 3 | 4, H, W)` of uint8 or of floats in [0, 1], in a style; of the same type.

    A gray tensor stays gray: it has the mean of the result's channels. A PIL image keeps its mode as far as Pillow
    converts to it: palettes are made anew, of 16 bits eight are left.
    """
    style = pool[number]
    if not isinstance(picture, torch.Tensor):
        made = pool.stylizer.stylize(picture, style, alpha=alpha)
        return _in_mode(made, picture.mode)
    plain = picture.as_subclass(torch.Tensor)
    *lead, channels, height, width = plain.shape
    made = pool.stylizer.stylize(plain.reshape(-1, channels, height, width), style, alpha=alpha)
    if channels == 1:
        mean = made.float().mean(1, keepdim=True)
        made = mean.round().to(plain.dtype) if plain.dtype == torch.uint8 else mean.to(plain.dtype)
    made = made.reshape(*lead, channels, height, width)
    return made if type(picture) is torch.Tensor else wrap(made, like=picture)


def _in_mode(made: Any, mode: str) -> Any:
    """A PIL image, RGB or RGBA, in the mode that the content had."""
    from PIL import Image

    if made.mode == mode:
        return made
    if mode == "P":  # RGBA has one way to a palette
        return made.quantize(256, Image.Quantize.FASTOCTREE if made.mode == "RGBA" else Image.Quantize.MEDIANCUT)
    if mode == "I" or mode.startswith("I;16"):
        gray = made.convert("L").convert("I").point(lambda level: level * 257)
        return gray if mode == "I" else gray.convert("I;16").convert(mode)
    try:
        return made.convert(mode)
    except ValueError:  # LAB, and what else wants a profile
        return made

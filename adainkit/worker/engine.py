"""The worker's work: pixels in, pixels out, by stylizers that stay loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ..errors import Progress, WeightsError
from ..style import Style, StyleCache
from ..stylizer import StyleLike, Stylizer
from ..weights import cache_dir, models
from .protocol import Pixels, Request

__all__ = ["Engine"]

Array: TypeAlias = "np.ndarray[Any, Any]"
_MODELS = 2  # kept loaded: the default and one that is being tried


class Engine:
    """Stylizers by the name of their model, or by path and state of its file; one job at a time."""

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._cache = StyleCache(folder=cache_dir() / "styles")
        self._stylizers: OrderedDict[tuple[str, int, int], Stylizer] = OrderedDict()

    def run(self, request: Request, pictures: Sequence[Array], progress: Progress) -> Array:
        """The stylized picture (or its thumbnail) as `(H, W, 3 | 4)`, of the type that came; `pictures` in the order
        of `Request.payload`. The errors of the core, and what `progress` raises: it is called after each style, and
        for each tile."""
        stylizer = self._stylizer(request.model)
        todo = list(pictures)
        content = _readable(todo.pop(0))
        sizes = {"style_size": request.options["style_size"]} if "style_size" in request.options else {}
        shares = []
        for number, (style, weight) in enumerate(request.styles, 1):
            source: StyleLike
            if isinstance(style, Pixels):
                source = _readable(todo.pop(0))
            elif isinstance(style, str):
                source = Style.preset(style, stylizer.model.config.name)
            else:
                source = style
            if weight:
                shares.append((stylizer.as_style(source, **sizes), weight))
            progress("style", number, len(request.styles))
        mixed = Style.blend(shares) if len(shares) > 1 else shares[0][0]
        options = {name: value for name, value in request.options.items() if name != "style_size"}
        if request.mask is not None:
            options["mask"] = todo.pop(0)[:, :, 0]
        if request.do == "preview":
            return np.asarray(stylizer.preview(_on_screen(content), mixed, size=request.size, **options))
        return np.asarray(stylizer.stylize(content, mixed, progress=progress, **options))

    def warm(self) -> None:
        """Load the default model and let the libraries make their plans, so that the first call need not."""
        ramp = np.linspace(0, 1, 64 * 64 * 3, dtype=np.float32).reshape(64, 64, 3)
        stylizer = self._stylizer("lite")
        stylizer.stylize(ramp, stylizer.encode_style(ramp))

    def _stylizer(self, model: str) -> Stylizer:
        known = models().get(model)
        if known is not None and not known.available:  # nobody expects a filter to download hundreds of megabytes
            raise WeightsError(
                f"the weights of {model} are not on this computer; run in a terminal: adainkit download {model}"
            )
        key = (model, *_state(model)) if known is None else (model, 0, 0)
        if key not in self._stylizers:
            self._stylizers[key] = Stylizer(model, device=self.device, cache=self._cache)
        self._stylizers.move_to_end(key)
        while len(self._stylizers) > _MODELS:
            self._stylizers.popitem(last=False)[1].close()
        return self._stylizers[key]


def _state(model: str) -> tuple[int, int]:
    """Of a model's file: another training run may have written it anew."""
    try:
        found = Path(model).stat()
    except (OSError, ValueError):  # the core says what is wrong
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _readable(pixels: Array) -> Array:
    """What the core takes: gray with alpha as RGBA; floats in [0, 1], as an editor's need not be."""
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels).clip(0, 1)
    return pixels[:, :, [0, 0, 0, 1]] if pixels.shape[2] == 2 else pixels


def _on_screen(pixels: Array) -> Image.Image:
    """8 bits a sample, for a thumbnail is to be looked at."""
    if pixels.dtype.kind == "f":
        pixels = pixels * 255
    elif pixels.dtype.itemsize == 2:
        pixels = pixels / 257
    shown = np.rint(pixels).astype(np.uint8)
    return Image.fromarray(shown[:, :, 0] if shown.shape[2] == 1 else shown)

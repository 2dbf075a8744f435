"""The worker's work: pixels in, pixels out, by stylizers that stay loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ..errors import Progress
from ..session import Session
from ..style import Style
from ..stylizer import StyleLike
from .protocol import Pixels, Request

__all__ = ["Engine"]

Array: TypeAlias = "np.ndarray[Any, Any]"


class Engine:
    """What the server asks for, done by a session's stylizers; one job at a time."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, request: Request, pictures: Sequence[Array], progress: Progress) -> Array:
        """The stylized picture (or its thumbnail) as `(H, W, 3 | 4)`, of the type that came; `pictures` in the order
        of `Request.payload`. The errors of the core, and what `progress` raises: it is called after each style, and
        for each tile."""
        stylizer = self.session.stylizer(request.model)
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
        """Make the first job quick."""
        self.session.warm()


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

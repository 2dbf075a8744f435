"""A decoded picture of more than 8 bits, in NumPy's layout: what the readers of files give, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

__all__ = ["Deep"]


@dataclass(frozen=True, eq=False)
class Deep:
    """A decoded picture of more than 8 bits, in its own colors: ``(H, W, S)`` of uint16 or float32 at full scale.

    The samples of a pixel are those of `space`, and alpha as the last one where `alpha` says how it is meant. `key` is
    the sample, or the samples, of a color that is transparent.
    """

    values: np.ndarray[Any, Any] = field(repr=False)
    space: Literal["gray", "rgb", "cmyk"]
    alpha: Literal["", "straight", "premultiplied"] = ""
    key: int | tuple[int, ...] | None = None
    profile: bytes | None = field(default=None, repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as Pillow has it."""
        return self.values.shape[1], self.values.shape[0]

    def crop(self, box: tuple[int, int, int, int]) -> Deep:
        """The part between left, top, right and bottom; a view of the same memory."""
        left, top, right, bottom = box
        return replace(self, values=self.values[top:bottom, left:right])

    def turned(self, orientation: int) -> Deep:
        """The picture as it is to be seen under an EXIF orientation of 2 to 8."""
        values = self.values.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else self.values
        rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
        return replace(self, values=values[:: -1 if rows else 1, :: -1 if columns else 1])

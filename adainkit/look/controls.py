"""Controls: how a picture is stylized, whatever the picture and the style."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import StyleError
from .color import PRESERVE_MODES

__all__ = ["Alpha", "Controls", "PreserveColor"]

Alpha: TypeAlias = "float | Sequence[float]"
PreserveColor: TypeAlias = Literal["none", "luma", "match"] | None
_MOST_SCALE = 64


@dataclass(frozen=True)
class Controls:
    """The options of `Stylizer.stylize` that are numbers and words, under its names; checked when it is made.

    `StyleError` for one that is out of its range.
    """

    alpha: Alpha = 1.0
    preserve_color: PreserveColor = None
    color_strength: float = 1.0
    scale: float = 1.0
    detail: float = 0.0

    def __post_init__(self) -> None:
        several = isinstance(self.alpha, Sequence) and not isinstance(self.alpha, str)
        numbers_of = self.alpha if several else [self.alpha]
        if not numbers_of or not all(_within(a, 0, 1) for a in numbers_of):  # type: ignore[union-attr]
            raise StyleError(
                "alpha must be from 0 (content) to 1 (style), or a list of such numbers, one for every AdaIN level, "
                f"finest first; got {self.alpha!r}"
            )
        if self.preserve_color not in (None, "none", *PRESERVE_MODES):
            raise StyleError(
                f"preserve_color must be None, {' or '.join(map(repr, PRESERVE_MODES))}, got {self.preserve_color!r}"
            )
        for name in ("color_strength", "detail"):
            if not _within(getattr(self, name), 0, 1):
                raise StyleError(f"{name} must be from 0 (none of it) to 1 (all of it), got {getattr(self, name)!r}")
        if not _within(self.scale, 1, _MOST_SCALE):
            raise StyleError(
                f"scale must be from 1 (strokes as they come) to {_MOST_SCALE} (so many times as bold), "
                f"got {self.scale!r}"
            )

    @property
    def color(self) -> Literal["luma", "match"] | None:
        """`preserve_color`, under its one name for nothing."""
        return None if self.preserve_color == "none" else self.preserve_color

    def alphas(self, levels: int) -> list[float]:
        """A number for each of a model's levels, finest first. `StyleError` if there are neither one nor as many."""
        if not isinstance(self.alpha, Sequence):
            return [float(self.alpha)] * levels
        if len(self.alpha) not in (1, levels):
            raise StyleError(f"{len(self.alpha)} alphas for a model of {levels} AdaIN levels; give 1 or {levels}")
        return [float(a) for a in self.alpha] * (levels // len(self.alpha))


def _within(value: object, low: float, high: float) -> bool:
    """From callers without types, too; NaN is not within."""
    return isinstance(value, numbers.Real) and low <= float(value) <= high

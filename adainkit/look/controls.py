"""Controls: how a picture is stylized, whatever the picture and the style; and what every surface says about them.

`CONTROLS` describes each control once. The command's flags, the inputs of the ComfyUI nodes and the fields of the
worker's requests are made from it.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..errors import StyleError

__all__ = ["CONTROLS", "PRESERVE_MODES", "Alpha", "Control", "Controls", "PreserveColor"]

Alpha: TypeAlias = "float | Sequence[float]"
PreserveColor: TypeAlias = Literal["none", "luma", "match"] | None
PRESERVE_MODES = ("luma", "match")


@dataclass(frozen=True)
class Control:
    """One control as every surface shows it. `help` is a line for a terminal, `tip` what an editor shows beside it."""

    name: str
    kind: Literal["number", "choice", "pixels"]
    """A number from `low` to `high`; one of `choices`; or a whole number of pixels from 1, or none."""
    default: Any
    help: str
    tip: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()
    alone: str | None = None
    """The choice that a flag without a value means."""
    by_level: bool = False
    """Whether a list with a number for each of the model's levels is taken, too."""
    ends: tuple[str, str] = ("none of it", "all of it")
    """What `low` and `high` mean, for messages."""


CONTROLS: dict[str, Control] = {
    control.name: control
    for control in (
        Control(
            "alpha",
            "number",
            1.0,
            "strength, from 0 (content) to 1 (style, default); or one for each AdaIN level, finest first",
            "Strength of the style: 1 is the style in full, 0 the image as the model draws it.",
            by_level=True,
            ends=("content", "style"),
        ),
        Control(
            "preserve_color",
            "choice",
            "none",
            "whose colors: the style's (none, default) or the content's; alone it means luma",
            "Whose colors: none gives the painting its style's palette, luma takes only its brightness and keeps the "
            "image's colors, match gives it the image's overall palette.",
            choices=("none", *PRESERVE_MODES),
            alone="luma",
        ),
        Control(
            "color_strength",
            "number",
            1.0,
            "how far colors come to those (default: 1); 0: the network's own",
            "How far the painting's colors come to those that preserve_color names: 1 all the way, 0 leaves them as "
            "the network paints them. vgg19 and older style files know no palette to come to.",
        ),
        Control(
            "scale",
            "number",
            1.0,
            "strokes N times as bold, from 1 (default)",
            "How bold the strokes are: 2 makes them twice as wide. For large pictures, whose strokes would otherwise "
            "be thin.",
            low=1.0,
            high=64.0,
            ends=("strokes as they come", "so many times as bold"),
        ),
        Control(
            "detail",
            "number",
            0.0,
            "the content's fine structure: text, faces",
            "Brings the image's fine structure back, for faces and lettering: 0 none of it, 1 all.",
        ),
        Control(
            "style_size",
            "pixels",
            512,
            "the style's shorter side; less: finer strokes",
            "The shorter side to which a larger picture is scaled down before it is looked at: less gives finer "
            "strokes. 0 takes it as it is. Nothing is enlarged or squashed.",
        ),
    )
}
"""All controls by name, in the order in which surfaces show them. `style_size` belongs to a style that is encoded, not
to `Controls`."""


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
        for control in CONTROLS.values():
            value = getattr(self, control.name, control.default)
            if control.kind == "choice" and value not in (None, *control.choices):
                words = " or ".join(map(repr, PRESERVE_MODES))
                raise StyleError(f"{control.name} must be None, {words}, got {value!r}")
            if control.kind == "number" and not _right(value, control):
                low, high = (
                    f"{end:g} ({word})" for end, word in zip((control.low, control.high), control.ends, strict=True)
                )
                several = ", or a list of such numbers, one for every AdaIN level, finest first" * control.by_level
                got = f"{';' if several else ','} got {value!r}"
                raise StyleError(f"{control.name} must be from {low} to {high}{several}{got}")

    @property
    def color(self) -> Literal["luma", "match"] | None:
        """`preserve_color`, under its one name for nothing."""
        return None if self.preserve_color == "none" else self.preserve_color

    @property
    def palette_strength(self) -> float:
        """How far a result comes to its style's colors: as far as the finest level, which is about colors, to its own;
        not at all where it keeps the content's."""
        alpha = self.alpha[0] if isinstance(self.alpha, Sequence) else self.alpha
        return 0.0 if self.color else float(self.color_strength * alpha)

    def alphas(self, levels: int) -> list[float]:
        """A number for each of a model's levels, finest first. `StyleError` if there are neither one nor as many."""
        if not isinstance(self.alpha, Sequence):
            return [float(self.alpha)] * levels
        if len(self.alpha) not in (1, levels):
            raise StyleError(f"{len(self.alpha)} alphas for a model of {levels} AdaIN levels; give 1 or {levels}")
        return [float(a) for a in self.alpha] * (levels // len(self.alpha))


def _right(value: object, control: Control) -> bool:
    several = control.by_level and isinstance(value, Sequence) and not isinstance(value, str)
    numbers_of: Any = value if several else [value]
    return bool(numbers_of) and all(_within(each, control.low, control.high) for each in numbers_of)


def _within(value: object, low: float, high: float) -> bool:
    """Whether a value, which may have any type, is a number in the range. NaN is not."""
    return isinstance(value, numbers.Real) and low <= float(value) <= high

"""The styles of a run: which ones its pictures get, by name, and what is read for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .jobs import default_name
from .random_styles import RandomStyles, once_each

if TYPE_CHECKING:
    from ..style import Style
    from ..stylizer import Regions

__all__ = ["ChosenStyles", "Styled"]


class Styled(Protocol):
    """A job, here or on a cluster: `style` is what was chosen for it."""

    @property
    def style(self) -> str:
        """A name, or nothing."""


@dataclass(frozen=True)
class ChosenStyles:
    """One blend for all pictures, or one style for each region, or random ones."""

    blend: dict[str, float]
    regions: Sequence[tuple[str, str]] = ()
    random: RandomStyles | None = None

    @property
    def fixed(self) -> dict[str, float]:
        """The styles that all pictures get, and their weights."""
        return self.blend or {style: 1.0 for _, style in self.regions}

    @property
    def name(self) -> str:
        """The part of a result's file name that says which styles it has."""
        return default_name(self.fixed if self.random is None else [self.random.name])

    @property
    def inputs(self) -> list[str]:
        """What is read for them and must not be replaced."""
        styles = list(self.fixed) if self.random is None else self.random.paths
        return styles + self.masks

    @property
    def masks(self) -> list[str]:
        """The masks of the regions."""
        return [mask for mask, _ in self.regions]

    def of(self, job: Styled) -> dict[str, float]:
        """The styles of one job, and their weights."""
        if self.random is None:
            return self.fixed
        return {job.style: 1.0} if job.style else {}

    def encoded(self, encode: Callable[[str], Style]) -> tuple[Callable[[Styled], Style | None], Regions | None]:
        """What gives the style of a job, and what all have as `regions`. All but random ones are encoded now, so that
        their errors come first."""
        from ..style import Style

        encode = once_each(encode)
        if self.random is not None:
            return (lambda job: encode(job.style)), None
        if self.regions:
            return (lambda job: None), [(mask, encode(style)) for mask, style in self.regions]
        blend = Style.blend([(encode(name), weight) for name, weight in self.blend.items()])
        return (lambda job: blend), None

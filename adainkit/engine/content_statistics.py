"""The statistics of a film: bound to the model and the scale that they were made with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import ImageError
from ..net.adain import Moments

__all__ = ["ContentStatistics", "check_binding"]


class ContentStatistics(tuple[Moments, ...]):
    """The moments of every AdaIN level, finest first; `digest` is the encoder's and `scale` that of the pictures."""

    digest: str
    scale: float

    def __new__(cls, levels: Iterable[Moments], digest: str, scale: float) -> ContentStatistics:
        """Bind the moments of the levels."""
        made = super().__new__(cls, levels)
        made.digest, made.scale = digest, scale
        return made

    def __getnewargs__(self) -> tuple[tuple[Moments, ...], str, float]:
        return tuple(self), self.digest, self.scale


def check_binding(statistics: Sequence[Moments] | None, digest: str, scale: float) -> None:
    """`ImageError` for statistics that another encoder made, or at another scale; plain sequences are bound to none."""
    if not isinstance(statistics, ContentStatistics):
        return
    if statistics.digest != digest:
        raise ImageError(
            f"these content_statistics are of another model: expected {digest[:12]}, got {statistics.digest[:12]}; "
            "make them with this one"
        )
    if statistics.scale != scale:
        raise ImageError(
            f"these content_statistics are of scale {statistics.scale:g}, not {scale:g}; make them with this one"
        )

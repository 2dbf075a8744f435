"""The statistics of a film: bound to the model and the scale that they were made with."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import reduce

import torch
from torch import Tensor

from ..errors import ImageError
from ..look.color import ColorStatistics
from ..net.adain import Moments, merge_moments
from .finish import Measured

__all__ = ["SAMPLES", "ContentStatistics", "check_binding"]

SAMPLES = 16
"""Samples that are kept at most."""
_LIVE = 5  # of a running mean


class ContentStatistics(tuple[Moments, ...]):
    """The moments of every AdaIN level, finest first; `digest` is the encoder's and `scale` that of the pictures.

    `samples` are small copies of what was measured, `(1, 3 | 4, h, w)` uint8 RGB and alpha: what their results are like
    tells, once for all frames, how colors have to move (`held`). `parts`: those of which these are the mean,
    with their shares, or, as they are for each picture of a batch, without any.
    """

    digest: str
    scale: float
    samples: tuple[Tensor, ...]
    parts: tuple[tuple[ContentStatistics, float | None], ...]
    _known: dict[Hashable, Measured]

    def __new__(
        cls,
        levels: Iterable[Moments],
        digest: str,
        scale: float,
        samples: Iterable[Tensor] = (),
        parts: Iterable[tuple[ContentStatistics, float | None]] = (),
    ) -> ContentStatistics:
        """Bind the moments of the levels."""
        made = super().__new__(cls, levels)
        made.digest, made.scale, made.parts, made._known = digest, scale, tuple(parts), {}
        made.samples = tuple(samples)
        while len(made.samples) > SAMPLES:
            made.samples = made.samples[::2]
        return made

    def __reduce__(self) -> tuple[type[ContentStatistics], tuple[object, ...]]:  # what is known is told anew
        return ContentStatistics, (tuple(self), self.digest, self.scale, self.samples, self.parts)

    def together(self, other: ContentStatistics) -> ContentStatistics:
        """Those of the pictures of both."""
        levels = map(merge_moments, zip(self, other, strict=True))
        return ContentStatistics(levels, self.digest, self.scale, self.samples + other.samples)

    def mixed(self, other: ContentStatistics, share: float) -> ContentStatistics:
        """Those of pixels of which `share` are as the other's, and the rest as these."""
        levels = []
        for a, b in zip(self, other, strict=True):
            both = ((a, 1 - share), (b, share))
            parts = [Moments(torch.full_like(m.count, weight), m.mean, m.variance * weight) for m, weight in both]
            levels.append(merge_moments(parts))
        return ContentStatistics(levels, self.digest, self.scale, (), [(self, 1 - share), (other, share)])

    def lighter(self) -> ContentStatistics:
        """The same, of every second sample."""
        return ContentStatistics(self, self.digest, self.scale, self.samples[::2])

    def settled(self) -> ContentStatistics:
        """The same, of the newest samples of all parts: a running mean does not remember for ever."""
        samples = [sample for part, _ in self.parts for sample in part.samples] or list(self.samples)
        return ContentStatistics(self, self.digest, self.scale, samples[-_LIVE:])

    @classmethod
    def stacked(cls, found: Sequence[ContentStatistics]) -> ContentStatistics:
        """Those of several pictures, as of a batch."""
        levels = [
            Moments(*(torch.cat([getattr(m, name) for m in level]) for name in ("count", "mean", "m2")))
            for level in zip(*found, strict=True)
        ]
        return cls(levels, found[0].digest, found[0].scale, (), [(each, None) for each in found])

    def colors(self, key: Hashable, measured: Callable[[ContentStatistics], Measured]) -> Measured:
        """What `measured` says of these, or of their parts; kept for the last `key`."""
        if not self.parts:
            found = self._known.get(key)
            if found is None:
                found = measured(self)
                self._known = {key: found}  # at once: other threads look at it
            return found
        regions = zip(*(part.colors(key, measured) for part, _ in self.parts), strict=True)
        shares = [share for _, share in self.parts]
        return [_mean(found, [s for s in shares if s is not None]) for found in regions]

    @property
    def known(self) -> bool:
        """Whether there is a sample to tell colors by."""
        return all(part.known for part, _ in self.parts) if self.parts else bool(self.samples)


def _mean(found: Sequence[ColorStatistics], shares: Sequence[float]) -> ColorStatistics:
    """The mean of both by their shares, what has no weight left out; without any, one behind the other."""
    if not shares:
        return ColorStatistics.stacked(found)
    pairs = zip(found, shares, strict=True)
    return reduce(
        ColorStatistics.merge,
        (ColorStatistics(s * (c.weight > 0).double(), c.mean, c.covariance * s) for c, s in pairs),
    )


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

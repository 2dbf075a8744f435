"""What of a film its new file cannot hold: told in the log, before the work."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from .clip import Facts
from .codecs import Encoding
from .library import need_av
from .sinks import kind_of

__all__ = ["tell_losses"]

log = logging.getLogger("adainkit")

_SRGB = (1, 2)  # FFmpeg's numbers of the primaries that pictures without words are taken to have, or of none


def tell_losses(target: str | os.PathLike[str], facts: Facts, encoding: Encoding | None = None) -> None:
    """Warn of each loss; `encoding` is that of a video file."""
    for loss in _of_pictures(target, facts) if encoding is None else _of_video(facts, encoding):
        log.warning("%s: %s", target, loss)


def _of_video(facts: Facts, encoding: Encoding) -> Iterator[str]:
    if encoding.drops_alpha:
        yield f"{encoding.codec} has no alpha channel; what was transparent is black (write .mov or .webm)"
    bits = max(component.bits for component in need_av().VideoFormat(encoding.form).components)
    if facts.deep and bits <= 8:
        yield f"more than 8 bits become 8, which is all that {encoding.codec} holds here (as {encoding.form})"
    if (encoding.width, encoding.height) != (facts.width, facts.height):
        yield (
            f"{encoding.codec} wants even sides: {facts.width} x {facts.height} became "
            f"{encoding.width} x {encoding.height} by repeating the border"
        )


def _of_pictures(target: str | os.PathLike[str], facts: Facts) -> Iterator[str]:
    kind = Path(target).suffix
    if facts.aspect:
        shape = f"{facts.aspect.numerator}:{facts.aspect.denominator}"
        yield f"pixels are {shape}, which {kind} does not say: it looks distorted"
    if facts.colors.primaries not in _SRGB:
        number = f"FFmpeg's number {facts.colors.primaries}"
        yield f"primaries ({number}) are not sRGB's, which {kind} does not say: colors look paler"
    if facts.deep and kind_of(target) == "animation":
        yield f"more than 8 bits become 8, which is all that {kind} holds here"

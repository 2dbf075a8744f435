"""Frames through the network: read, painted and written side by side, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..batch.pipeline import END, run_pipeline
from ..engine.content_statistics import ContentStatistics
from ..look.controls import Alpha
from ..style import Style
from .clip import Facts, Frame
from .colors import Pixels
from .crew import Crew
from .quiet import Quiet
from .sinks import Sink
from .source import Mask
from .steady import Steady
from .timeline import Timeline

if TYPE_CHECKING:
    from ..stylizer import Stylizer

__all__ = ["BATCH", "Item", "Look", "paint_all"]

BATCH = 5
"""Frames that run together on a GPU; a divisor of `segments.LENGTH`, so that a run that goes on makes the same ones."""


@dataclass(frozen=True)
class Look:
    """How frames are to look: styles and strengths over the time, the mask, and the controls that stay the same."""

    styles: Timeline[Style]
    alphas: Timeline[Alpha]
    mask: Mask
    controls: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Item:
    """A frame on its way: its statistics (None: its own), whether a scene begins with it, whether it is the last.

    `content`: what the network sees of it, the quiet frame; None for the frame itself.
    """

    frame: Frame
    statistics: ContentStatistics | None
    begins: bool
    last: bool
    mask: Any = None
    content: Pixels | None = None

    @property
    def seen(self) -> Pixels:
        """What the network sees."""
        return self.frame.pixels if self.content is None else self.content


Painted = tuple[Item, Pixels]


def paint_all(
    crew: Crew,
    items: Iterator[Item],
    facts: Facts,
    look: Look,
    quiet: Quiet | None,
    steady: Steady | None,
    sink: Sink,
    told: Callable[[int], None],
) -> None:
    """Paint the items and give them to the sink; `told(frames done)` after each batch."""
    batches = _batches(items, facts, look.mask, quiet, BATCH if crew.stylizer.device.type == "cuda" else 1)

    def paint(batch: list[Item]) -> list[Painted]:
        return list(zip(batch, _painted(crew.stylizer, batch, facts, look), strict=True))

    def read(_: int) -> Any:
        batch: Any = next(batches, END)
        return END if batch is END else crew.begin(paint, batch)

    def work(_: int, painted: Callable[[], list[Painted]]) -> list[Painted]:
        return painted()

    def write(_: int, done: list[Painted]) -> int:
        for item, made in done:
            state = {} if item.content is None else Quiet.state(item.content)
            if steady is not None:
                made = steady.blend(item.seen, made, item.begins)
                state |= steady.state
            sink.write(item.frame.number, made, state, item.last)
        return done[-1][0].frame.number + 1

    with closing(run_pipeline(count(), read, work, write, ordered=True, name=lambda _: facts.name)) as outcomes:
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
            told(outcome.value)


def _batches(items: Iterator[Item], facts: Facts, mask: Mask, quiet: Quiet | None, size: int) -> Iterator[list[Item]]:
    """Items together whose numbers share a multiple of `size`, each with its quiet content and its mask."""
    held: list[Item] = []
    for item in items:
        if quiet is not None:
            item.content = quiet.calm(item.frame.pixels, item.begins)
        item.mask = mask.at(facts.seconds(item.frame.time))
        if held and held[0].frame.number // size != item.frame.number // size:
            yield held
            held = []
        held.append(item)
    if held:
        yield held


def _painted(stylizer: Stylizer, batch: list[Item], facts: Facts, look: Look) -> list[Pixels]:
    seconds = [facts.seconds(item.frame.time) for item in batch]
    styles, alphas = [look.styles.at(s) for s in seconds], [look.alphas.at(s) for s in seconds]
    alike = all(s is styles[0] for s in styles) and all(a == alphas[0] for a in alphas)
    if len(batch) > 1 and alike and all(item.mask is None for item in batch):
        return _together(stylizer, batch, styles[0], alphas[0], look.controls)
    out = []
    for item, style, alpha in zip(batch, styles, alphas, strict=True):
        more = {"alpha": alpha, "mask": item.mask, "content_statistics": item.statistics, **look.controls}
        made = stylizer.stylize(item.seen, style, max_pixels=None, **more)
        if item.mask is not None and item.content is not None:  # what the mask leaves is the frame as it is
            left = (made == item.content).all(2)
            made[left] = item.frame.pixels[left]
        out.append(made)
    return out


def _together(
    stylizer: Stylizer, batch: list[Item], style: Style, alpha: Alpha, controls: Mapping[str, Any]
) -> list[Pixels]:
    """A batch as one tensor on the device, to which integers go, and from which integers come."""
    frames = torch.from_numpy(np.stack([np.ascontiguousarray(item.seen) for item in batch]))
    deep = batch[0].frame.pixels.dtype == np.uint16
    pictures = frames.to(stylizer.device).movedim(-1, 1)
    if deep:
        pictures = pictures.to(torch.float32) / 65535
    found = [item.statistics for item in batch if item.statistics is not None]
    statistics = ContentStatistics.stacked(found) if found else None
    out = stylizer.stylize(pictures, style, alpha=alpha, content_statistics=statistics, max_pixels=None, **controls)
    if deep:
        out = (out * 65535).round().to(torch.int32)
    made = out.movedim(1, -1).cpu().numpy()
    return [each.astype(np.uint16) if deep else each for each in made]

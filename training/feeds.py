"""Where a run's pictures come from: cut by worker processes, or on the device from a `Store`.

Both give the same kind of thing: named tensors of the device, and a function that makes content and style of them.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from .config import TrainConfig
from .data import Batch, Batches, Steps
from .engine import Render
from .schedule import Schedule
from .store import Store

__all__ = ["Feed", "LoaderFeed", "StoreFeed", "make_feed"]

log = logging.getLogger("adainkit.training")


@dataclass(frozen=True)
class Feed:
    """The pictures of one step. `render` makes content and style of `inputs`, tensors of the device: `(B, 3, crop,
    crop)` float32 RGB in [0, 1]. Feeds of one `key` differ in the values of the tensors alone. `count`: pictures of
    content; `broken`: files that had to be passed over."""

    inputs: Mapping[str, Tensor]
    render: Render
    key: object
    count: int
    broken: Sequence[str] = ()


class LoaderFeed:
    """Batches that worker processes cut, as uint8."""

    def __init__(self, config: TrainConfig, batches: Batches, device: torch.device) -> None:
        self.config, self.batches, self.device = config, batches, device

    def feeds(self, start: int, schedule: Schedule) -> Iterator[Feed]:
        """The pictures of the steps from `start` on."""
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=Steps(start, self.config.steps, (lambda: schedule.stage(0)) if schedule.timed else None),
            num_workers=self.config.workers,
            prefetch_factor=8 if self.config.workers else None,
            worker_init_fn=_quiet_worker,
        )
        for batch in loader:
            yield self.feed(batch)

    def feed(self, batch: Batch) -> Feed:
        """A batch on the device."""
        pictures = {"content": batch.content, "style": batch.style}
        inputs = {name: value.to(self.device, non_blocking=True) for name, value in pictures.items()}
        return Feed(inputs, self._render, tuple(batch.content.shape), len(batch.content), batch.broken)

    def _render(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        kind = torch.channels_last if self.config.channels_last else torch.contiguous_format
        content, style = (inputs[name].float().div(255).contiguous(memory_format=kind) for name in ("content", "style"))
        return content, style


class StoreFeed:
    """Tables of what to cut from pictures that are on the device."""

    def __init__(
        self,
        config: TrainConfig,
        batches: Batches,
        contents: Sequence[Path],
        styles: Sequence[Path],
        device: torch.device,
    ) -> None:
        self.config, self.batches, self.device = config, batches, device
        self._kind = torch.channels_last if config.channels_last else torch.contiguous_format
        least = min(stage.crop for stage in config.stages)
        self.contents, self.styles = (Store(paths, config.largest, least, device) for paths in (contents, styles))
        self._broken: Sequence[str] = [*self.contents.broken, *self.styles.broken]

    def feeds(self, start: int, schedule: Schedule) -> Iterator[Feed]:
        """The pictures of the steps from `start` on."""
        step = start
        while schedule.timed or step < self.config.steps:
            yield self.feed(step, schedule.stage(step))
            step += 1

    def feed(self, step: int, number: int) -> Feed:
        """The tables of a step of a stage."""
        stage = self.config.stages[number]
        samples = self.batches.views(step, stage, self.contents.sizes, self.styles.sizes)
        tables = (s.table(v, stage.crop) for s, v in zip((self.contents, self.styles), samples, strict=True))
        content, style = (table.to(self.device, non_blocking=True) for table in tables)
        broken, self._broken = self._broken, ()

        def render(inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                return tuple(  # type: ignore[return-value]
                    store.crops(inputs[name], stage.crop).contiguous(memory_format=self._kind)
                    for store, name in ((self.contents, "content"), (self.styles, "style"))
                )

        return Feed({"content": content, "style": style}, render, (stage.crop, len(content)), len(content), broken)


def make_feed(
    config: TrainConfig, batches: Batches, contents: Sequence[Path], styles: Sequence[Path], device: torch.device
) -> LoaderFeed | StoreFeed:
    """The feed that the settings ask for; by default, on CUDA, the device's own."""
    if config.data_on_device == "always" or (config.data_on_device == "auto" and device.type == "cuda"):
        return StoreFeed(config, batches, contents, styles, device)
    return LoaderFeed(config, batches, device)


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):  # often sent to the whole group: the parent decides
        signal.signal(number, signal.SIG_IGN)

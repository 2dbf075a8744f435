"""CUDA graphs: a step that is always the same is recorded once and replayed without Python."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Graphs"]

log = logging.getLogger("adainkit.training")
_WARM = 3  # steps on a side stream before a recording: libraries choose their algorithms, an optimizer makes its state

Inputs = Mapping[str, Tensor]


class Graphs:
    """Runs a function of tensors by CUDA graphs, one for each key; what it cannot record it runs as it is, for ever.

    The function takes named tensors of the device, whose shapes and types a key fixes, and gives one tensor. It must
    wait for nothing, bring nothing to the device, and depend on nothing else that changes but tensors in place.
    """

    def __init__(self) -> None:
        self.usable = True
        self._warmed: dict[Hashable, int] = {}
        self._recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, dict[str, Tensor], Tensor]] = {}
        self._pool: Any = None

    def run(self, key: Hashable, function: Callable[[Inputs], Tensor], inputs: Inputs) -> Tensor:
        """`function(inputs)`; the result is overwritten by the next run of the same key."""
        if not self.usable:
            return function(inputs)
        if key not in self._recorded:
            if self._warmed.setdefault(key, 0) < _WARM:
                self._warmed[key] += 1
                return self._aside(function, inputs)
            try:
                self._record(key, function, inputs)
            except RuntimeError as error:
                self.usable = False
                self._recorded.clear()
                torch.cuda.synchronize()
                log.warning("no CUDA graphs: a step cannot be recorded (%s)", str(error).splitlines()[0])
                return function(inputs)
        graph, own, result = self._recorded[key]
        for name, value in inputs.items():
            own[name].copy_(value, non_blocking=True)
        graph.replay()
        return result

    def _aside(self, function: Callable[[Inputs], Tensor], inputs: Inputs) -> Tensor:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            result = function(inputs)
        torch.cuda.current_stream().wait_stream(side)
        return result

    def _record(self, key: Hashable, function: Callable[[Inputs], Tensor], inputs: Inputs) -> None:
        own = {name: value.clone() for name, value in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        # other threads may use the device meanwhile
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = function(own)
        self._pool = graph.pool()
        self._recorded[key] = graph, own, result
        log.info("recorded a step: %s", key)

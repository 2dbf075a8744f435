"""Interleaved timing and its statistics: what one run of a machine can honestly say about two programs."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log

import torch

__all__ = ["CLOCKS", "Spread", "exponent", "interleave", "ratios", "spread"]

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""`cpu` counts what the process itself computed on all threads: for one thread on a machine that others use, too."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value; quartiles interpolate between neighbors, as `numpy.percentile` does."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(slower: Sequence[float], faster: Sequence[float]) -> list[float]:
    """Round by round, how many times as long `slower` took: what slows a whole round down cancels."""
    return [a / b for a, b in zip(slower, faster, strict=True)]


def exponent(pixels: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of log time over log pixels by least squares, of two sizes or more: 1 where time grows as they do."""
    return statistics.linear_regression([log(p) for p in pixels], [log(s) for s in seconds]).slope


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device | None = None,
    clock: str = "wall",
    warmup: int = 1,
) -> dict[str, list[float]]:
    """Seconds of every candidate in every round, each round in another order, after `warmup` rounds that don't count.

    A device of its own is waited for before and after each run.
    """
    now, order, shuffle = CLOCKS[clock], list(candidates), random.Random(0).shuffle
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(-warmup, rounds):
        shuffle(order)
        for name in order:
            _wait(device)
            started = now()
            candidates[name]()
            _wait(device)
            if number >= 0:
                seconds[name].append(now() - started)
    return seconds


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device is not None and device.type == "mps":
        torch.mps.synchronize()

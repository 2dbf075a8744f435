"""Inference against the rivals: the network alone and end to end, by size; ratios, peak memory, growth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from .cases import CANDIDATES, Case, sample_picture
from .memory import measure
from .report import table
from .timing import Spread, exponent, interleave, ratios, spread

__all__ = ["PARTS", "run", "show"]

PARTS = ("network", "end_to_end")
# What ratios are taken to: rivals, or of several forms of one the fastest in each round.
_RIVALS = {
    "lite": ("lite",),
    "classic": ("classic",),
    "microast": ("microast",),
    "the fastest microast": ("microast", "microast-channels_last"),
}
_MEASURED_AGAINST = {form for forms in _RIVALS.values() for form in forms} - {"lite"}


def run(
    sizes: Sequence[tuple[int, int]],
    names: Sequence[str],
    parts: Sequence[str],
    rounds: int,
    device: torch.device,
    clock: str = "wall",
    memory: bool = True,
) -> dict[str, Any]:
    """Rows of seconds, ratios and memory for every size (height, width), candidate and part; the growth exponents."""
    cases = {name: CANDIDATES[name](device) for name in names}
    rows: list[dict[str, Any]] = []
    for height, width in tqdm(sizes, unit="size", disable=None):
        peaks = {n: measure(n, height, width, device, torch.get_num_threads()) for n in names} if memory else {}
        for part in parts:
            seconds = interleave(_calls(cases, part, height, width, device), rounds, device, clock)
            for name, values in seconds.items():
                row = {"size": f"{width}x{height}", "pixels": height * width, "part": part, "candidate": name}
                row |= {"seconds": spread(values), "rounds": values, "memory": peaks.get(name)}
                row["times_as_fast_as"] = {} if name in _MEASURED_AGAINST else _against(seconds, values)
                rows.append(row)
    return {"rows": rows, "exponents": _exponents(rows)}


def show(results: dict[str, Any]) -> str:
    """The tables: one row for each measurement, and the exponents of time over pixels."""
    rivals = [r for r in _RIVALS if any(r in row["times_as_fast_as"] for row in results["rows"])]
    rows = []
    for row in results["rows"]:
        memory = row["memory"]
        peak = f"{memory['peak'] / 2**20:.0f} ({memory['before'] / 2**20:.0f})" if memory else "-"
        rate = f"{row['pixels'] / 1e6 / row['seconds'].median:.2f}"
        cells = [row["candidate"], row["part"], row["size"], f"{row['seconds']:.3f}", rate, peak]
        rows.append(cells + [_cell(row["times_as_fast_as"].get(r)) for r in rivals])
    head = [
        "candidate",
        "part",
        "size",
        "seconds",
        "MP/s",
        "peak MiB (before)",
        *(f"times as fast as {r}" for r in rivals),
    ]
    found = table(head, rows)
    if results["exponents"]:
        grown = [[*key.split(" "), f"{value:.2f}"] for key, value in results["exponents"].items()]
        found += "\n\n" + table(["candidate", "part", "time grows with pixels to the power"], grown)
    return found


def _cell(value: Spread | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _against(seconds: dict[str, list[float]], values: list[float]) -> dict[str, Spread]:
    found = {}
    for rival, forms in _RIVALS.items():
        if all(form in seconds for form in forms):
            best = [min(times) for times in zip(*(seconds[form] for form in forms), strict=True)]
            found[rival] = spread(ratios(best, values))
    return found


def _calls(
    cases: dict[str, Case], part: str, height: int, width: int, device: torch.device
) -> dict[str, Callable[[], object]]:
    picture = sample_picture(height, width)
    if part == "end_to_end":
        return {name: partial(case.end_to_end, picture) for name, case in cases.items()}
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].to(device).float() / 255
    return {name: partial(case.network, x.contiguous()) for name, case in cases.items()}


def _exponents(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    found = {}
    for key in dict.fromkeys((row["candidate"], row["part"]) for row in rows):
        own = [row for row in rows if (row["candidate"], row["part"]) == key]
        if len({row["pixels"] for row in own}) > 1:
            found[" ".join(key)] = exponent([r["pixels"] for r in own], [r["seconds"].median for r in own])
    return found

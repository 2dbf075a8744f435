"""What an evaluation found: rows of figures, the project's targets, a table to read, and the files to keep."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adainkit.atomic import write_atomically

from .metrics import art_fid_inception, frechet_distance

__all__ = ["FIGURES", "TARGETS", "Row", "environment", "is_met", "summarize", "table", "targets", "write"]

Row = dict[str, Any]

FIGURES = {
    "content_loss": "distance of the loss network's relu4_1 features from the content's; lower is better",
    "style_loss": "distance of their channel means and deviations, all layers, from the style's; lower is better",
    "ssim": "structural similarity of luma with the content, at most 1",
    "psnr_alpha_0": "dB of what alpha 0 gives back of the content",
    "lpips": "perceptual distance from the content, AlexNet; lower is better",
    "fid": "Inception distance of all results from all styles; lower is better, but no lower than few pictures allow",
    "art_fid_inception": "(1 + lpips) * (1 + fid): ArtFID but for the ordinary Inception instead of one for paintings",
    "color_distance": "2-Wasserstein distance of RGB means and covariances from the style's; lower is better",
    "grid": "log10 power of lines of 2, 4 and 8 px over its surroundings, result minus content; lower is better",
    "blotch": "by how much the chroma varies more than the content's where that is smooth, of 255; lower is better",
    "noise_gain": "change of the result over that of the content by noise of 2 of 255, alpha 1 only; lower is better",
    "noise_gain_dark": "the same of a content eight times as dark",
    "images_per_second": "median over the pictures, style encoded before; content from and result to a float tensor",
    "megapixels_per_second": "the same in millions of pixels",
}
"""The columns of a report in their order, and what they are; means over the pairs where nothing else is said."""

TARGETS = {"ssim": (">", 0.85), "lpips": ("<", 0.3), "fid": ("<", 50.0), "images_per_second": (">", 30.0)}
"""What the project asks of a model."""

_HEADINGS = {"images_per_second": "images/s", "megapixels_per_second": "MP/s"}


def is_met(figure: str, value: float) -> bool:
    """Whether `value` meets the target of `figure`, one of `TARGETS`."""
    sign, bound = TARGETS[figure]
    return value > bound if sign == ">" else value < bound


def summarize(pairs: Sequence[Row], results: Sequence[Tensor], styles: Sequence[Tensor]) -> Row:
    """One model at one alpha: the figures that could be had, of the rows of its pairs and, for FID, the Inception
    features `(1, D)` of results and styles (none, or as many as pairs)."""
    row: Row = {"pairs": len(pairs)}
    for name in FIGURES:
        if name in pairs[0]:
            row[name] = float(np.mean([p[name] for p in pairs]))
    if len(results) > 1:
        row["fid"] = frechet_distance(torch.cat(list(results)), torch.cat(list(styles)))
    if "lpips" in row and "fid" in row:
        row["art_fid_inception"] = art_fid_inception(row["lpips"], row["fid"])
    rates = np.array([1 / p["seconds"] for p in pairs])
    quartiles = np.quantile(rates, [0.25, 0.5, 0.75])
    row["images_per_second"] = float(quartiles[1])
    row["images_per_second_quartiles"] = [float(quartiles[0]), float(quartiles[2])]
    row["megapixels_per_second"] = float(np.median(rates * [p["width"] * p["height"] / 1e6 for p in pairs]))
    row["met"] = {name: is_met(name, row[name]) for name in TARGETS if name in row}
    return row


def environment(device: torch.device, precision: str) -> Row:
    """What figures of speed depend on, and the versions of what took part."""
    versions = {}
    for name in ("adainkit", "torchmetrics", "torch-fidelity"):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    cuda = device.type == "cuda"
    return {
        "torch": str(torch.__version__),  # with its build
        **versions,
        "python": platform.python_version(),
        "device": str(device),
        "hardware": torch.cuda.get_device_name(device) if cuda else platform.machine(),
        "dtype": precision,
        "threads": torch.get_num_threads(),
    }


def table(rows: Sequence[Row]) -> str:
    """The figures that any row has as lines of text, a line for each model and alpha."""
    columns = ["model", "alpha", *_present(rows)]
    lines = [[_HEADINGS.get(column, column) for column in columns]]
    lines += [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first = f"{{:{widths[0]}}}"
    return "\n".join(
        "  ".join([first.format(line[0]), *(f"{t:>{w}}" for t, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def targets(rows: Sequence[Row]) -> str:
    """A line for each model and target: at which alphas it is met, and at which not."""
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        for name, (sign, bound) in TARGETS.items():
            parts = [
                f"{told} at alpha " + ", ".join(f"{row['alpha']:g} ({_text(row[name])})" for row in found)
                for told, met in (("met", True), ("not met", False))
                if (found := [row for row in own if row["met"].get(name) is met])
            ]
            lines.append(f"{model}: {name} {sign} {bound:g}: {'; '.join(parts) or 'not measured'}")
    return "\n".join(lines)


def write(out: Path, report: Mapping[str, Any]) -> None:
    """`figures.json`, the whole report, and `figures.csv`, its "figures"; each whole or not at all."""
    rows: Sequence[Row] = report["figures"]
    figures = _present(rows)
    aimed = [name for name in figures if name in TARGETS]
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["model", "alpha", "pairs", *figures, *(f"{name}_met" for name in aimed)])
    for row in rows:
        met = ["met" if row["met"][name] else "not met" for name in aimed]
        lines.writerow([row["model"], row["alpha"], row["pairs"], *(row.get(name, "") for name in figures), *met])
    write_atomically(out / "figures.csv", text.getvalue().encode())
    write_atomically(out / "figures.json", json.dumps(report, indent=2, ensure_ascii=False).encode())


def _present(rows: Sequence[Row]) -> list[str]:
    return [name for name in FIGURES if any(name in row for row in rows)]


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)

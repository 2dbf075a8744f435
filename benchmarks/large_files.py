"""Peak memory of whole processes that stylize a file: `python -m benchmarks memory`. Needs Linux (/proc)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image
from tqdm import tqdm

from adainkit.images import picture_size

from . import gigapixel
from .report import table

__all__ = ["CASES", "run", "show"]

CASES = (
    ("jpg", 3840, 2160, None),
    ("jpg", 10000, 10000, None),
    ("jpg", 10000, 10000, "1G"),
    ("tif", 10000, 10000, None),
    ("tif", 10000, 10000, "1G"),
)
"""Format, width, height, ADAINKIT_MEMORY (None: its default)."""
_SMALL = (("jpg", 320, 200, None), ("tif", 320, 200, "50M"))


def run(device: torch.device, quick: bool = False) -> list[dict[str, Any]]:
    """For every case the seconds of `stylize_file` with `lite`, and the peak resident memory of its process."""
    rows = []
    for kind, width, height, memory in tqdm(_SMALL if quick else CASES, desc="files", disable=None):
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, f"in.{kind}"), Path(folder, f"out.{kind}")
            _write(source, width, height)
            found = gigapixel.measured(source, target, "lite", "calanque", str(device), memory)
            if picture_size(target, None) != (height, width):
                raise RuntimeError(f"expected a result of {width} x {height} pixels")
        rows.append({"format": kind, "width": width, "height": height, "memory": memory, **found})
    return rows


def _write(path: Path, width: int, height: int) -> None:
    side = -(-max(width, height) // gigapixel.TILE) * gigapixel.TILE
    pixels, across = np.empty((side, side, 3), np.uint8), side // gigapixel.TILE
    for index, tile in enumerate(gigapixel.tiles(side)):
        top, left = (number * gigapixel.TILE for number in divmod(index, across))
        pixels[top : top + gigapixel.TILE, left : left + gigapixel.TILE] = tile
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels[:height, :width], photometric="rgb", rowsperstrip=64, compression="zlib")
    else:
        Image.fromarray(pixels[:height, :width]).save(path, quality=90)


def show(rows: Sequence[dict[str, Any]]) -> str:
    """The table."""
    cells = [
        [
            f"{r['width']} x {r['height']} {r['format']}",
            r["memory"] or "default",
            f"{r['seconds']:.1f}",
            f"{r['peak_mb']:.0f}",
        ]
        for r in rows
    ]
    return table(["file to file", "ADAINKIT_MEMORY", "seconds", "peak MiB of the process"], cells)

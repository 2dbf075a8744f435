"""How fast, and in how much memory, `stylize_file` takes a large TIFF: `python -m benchmarks.gigapixel --side 8192`.

A synthetic picture (deterministic: smooth gradients and noise, tiles of 256 pixels, 8-bit RGB, uncompressed) is written
tile by tile and stylized in a fresh process, whose peak resident memory is printed with the time as a line of JSON.

32768 x 32768 stays under 3 GB with the default `--memory 1G` by construction. What is resident is: Python and torch,
about 0.6 GB; the work of a tile, which `ADAINKIT_MEMORY` bounds at 1 GB; a strip of the input and two of the output, as
bytes, which `StripExecutor` bounds at as much together (at this width they are 0.4 GB); the tables of the two files,
under 1 MB. None of it but these tables knows the height.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

TILE = 256


def tiles(side: int) -> Iterator[np.ndarray]:
    """The tiles of the picture from the left to the right, row by row; each depends on its place alone."""
    for top in range(0, side, TILE):
        y = np.arange(top, top + TILE, dtype=np.float32)[:, None] / side
        for left in range(0, side, TILE):
            x = np.arange(left, left + TILE, dtype=np.float32)[None] / side
            waves = (np.sin(40 * x + 9 * y), np.cos(31 * y - 7 * x), np.sin(23 * (x + y)) * np.cos(5 * x))
            noise = np.random.default_rng([top, left]).normal(0, 12, (TILE, TILE, 3)).astype(np.float32)
            smooth = np.stack(np.broadcast_arrays(*waves), 2) * 90 + 128
            yield (smooth + noise).clip(0, 255).astype(np.uint8)


def write_picture(path: Path, side: int) -> None:
    """A tiled RGB TIFF of `side` x `side` pixels, never whole in memory."""
    size = side * side * 3
    with tifffile.TiffWriter(path, bigtiff=size > 4_000_000_000) as writer:
        facts = {"photometric": "rgb", "tile": (TILE, TILE), "metadata": None}
        writer.write(tiles(side), shape=(side, side, 3), dtype=np.uint8, **facts)


def stylize(source: str, target: str, model: str, style: str, device: str) -> dict[str, float]:
    """Stylize a file in this process: seconds of the call, and the process's peak resident memory in MB."""
    from adainkit import Style, Stylizer

    with Stylizer(model, device=device) as stylizer:
        found = Style.preset(style, stylizer.model.config.name)
        started = time.perf_counter()
        stylizer.stylize_file(source, target, found, max_pixels=None)
        seconds = time.perf_counter() - started
    peak = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    return {"seconds": round(seconds, 2), "peak_mb": round(int(peak[1]) / 1024, 1) if peak else float("nan")}


def measured(source: Path, target: Path, model: str, style: str, device: str, memory: str | None) -> dict[str, float]:
    """`stylize` in a fresh process; `memory` is its ADAINKIT_MEMORY, None the default. `RuntimeError` if it failed."""
    same = [f"--model={model}", f"--style={style}", f"--device={device}"]
    command = [sys.executable, "-m", "benchmarks.gigapixel", "--run", str(source), str(target), *same]
    limits = {name: value for name, value in os.environ.items() if name != "ADAINKIT_MEMORY"}
    if memory is not None:
        limits["ADAINKIT_MEMORY"] = memory
    root = Path(__file__).parent.parent
    done = subprocess.run(command, env=limits, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(f"{source.name} gave no result ({told})")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Write the picture, stylize it in a fresh process, print the line."""
    parser = argparse.ArgumentParser(description="Stylize a large synthetic TIFF; prints JSON. Needs Linux (/proc).")
    parser.add_argument("--side", type=int, default=4096, help="pixels (4096)")
    parser.add_argument("--memory", default="1G", help="ADAINKIT_MEMORY (1G)")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--style", default="calanque", help="a preset (calanque)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", help="where the files go: twice the picture's bytes (the system's temporary one)")
    parser.add_argument("--run", nargs=2, metavar=("SOURCE", "TARGET"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(stylize(*args.run, args.model, args.style, args.device)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        source, target = Path(folder, "in.tif"), Path(folder, "out.tif")
        write_picture(source, args.side)
        found = measured(source, target, args.model, args.style, args.device, args.memory)
        with tifffile.TiffFile(target) as file:
            shape = file.pages[0].shape
    if shape != (args.side, args.side, 3):
        raise SystemExit(f"expected a result of {args.side} x {args.side} x 3, got {shape}")
    speed = round(args.side**2 / 1e6 / found["seconds"], 3)
    row = {"side": args.side, **found, "mp_per_s": speed, "memory": args.memory, "model": args.model}
    print(json.dumps({**row, "device": args.device}))


if __name__ == "__main__":
    main()

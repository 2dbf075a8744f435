"""What an editor waits for: a warm call of the worker, beside the network alone: `python -m benchmarks.editor`.

The call is the plug-in's own code: connect, send the pixels, wait, receive. GIMP's own part is not in it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adainkit.install.gimp import plugin_source

from .cases import CANDIDATES, sample_picture
from .report import environment, table
from .timing import interleave, spread

__all__ = ["main", "run"]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; 0 when all went well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.editor", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--width", type=int, default=1732)
    parser.add_argument("--height", type=int, default=1155)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of the CPU, for both (as torch has it)")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    results = run(args.height, args.width, args.rounds)
    facts = environment(torch.device("cpu"), "wall")
    rows = [[name, f"{spread(values):.3f}"] for name, values in results.items()]
    title = f"{args.width} x {args.height} RGBA, 8 bits, lite, a preset, {args.rounds} rounds"
    print(table(["where", "what"], [[name, str(value)] for name, value in facts.items()]), title, sep="\n\n")
    print(table(["part", "seconds"], rows))
    return 0


def run(height: int, width: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of every round: the whole call, the job as the worker counts it, the network alone, and the rest of the
    call, round by round."""
    picture = np.dstack([np.asarray(sample_picture(height, width)), np.full((height, width), 255, np.uint8)])
    pixels = picture.tobytes()
    shape = {"width": width, "height": height, "channels": 4, "type": "u8"}
    request = {"do": "stylize", "picture": shape, "styles": [{"preset": "calanque"}], "options": {"alpha": 1.0}}
    network = CANDIDATES["lite"](torch.device("cpu")).network
    x = torch.from_numpy(picture[:, :, :3].copy()).permute(2, 0, 1)[None].float() / 255
    jobs: list[float] = []
    with _worker() as worker:

        def call() -> None:
            answer = worker.request(request, [pixels])
            assert len(answer.read(answer.header["bytes"])) == len(pixels)
            jobs.append(answer.header["seconds"])
            answer.close()

        found = interleave({"call": call, "network": lambda: network(x)}, rounds)
    rest = [a - b for a, b in zip(found["call"], found["network"], strict=True)]
    return {"call": found["call"], "job": jobs[-rounds:], "network": found["network"], "not the network": rest}


@contextmanager
def _worker() -> Iterator[Any]:
    """A worker of its own, with as many threads as this process."""
    spec = importlib.util.spec_from_file_location("worker_link", plugin_source() / "worker_link.py")
    assert spec is not None
    assert spec.loader is not None
    link = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(link)
    variables = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "adainkit.worker", "--device", "cpu"]
        Path(folder, "worker.json").write_text(json.dumps({"command": command, "environment": variables}))
        worker = link.Worker(folder)
        try:
            yield worker
        finally:
            worker.stop()


if __name__ == "__main__":
    sys.exit(main())

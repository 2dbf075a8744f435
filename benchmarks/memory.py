"""Peak memory of one candidate on one picture, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from .cases import CANDIDATES, sample_picture

__all__ = ["measure", "peak"]


def measure(candidate: str, height: int, width: int, device: torch.device, threads: int) -> dict[str, int]:
    """Bytes at most (`peak`), and those of them that were there before the picture came (`before`).

    Resident memory of a fresh process; on CUDA the device's. `RuntimeError` if the process died, as from too little
    memory.
    """
    command = [sys.executable, "-m", f"{__package__}.memory", candidate, str(height), str(width), str(device)]
    done = subprocess.run([*command, str(threads)], capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(f"{candidate} at {width} x {height} gave no result ({told}); measure a smaller size")
    found: dict[str, int] = json.loads(done.stdout)
    return found


def peak(device: torch.device) -> int:
    """Bytes that this process has held at most, on CUDA those of the device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError, StopIteration):  # Linux: getrusage would count what the parent held when it forked
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _main(argv: Sequence[str]) -> None:
    candidate, height, width, name, threads = argv
    device = torch.device(name)
    torch.set_num_threads(int(threads))
    case, picture = CANDIDATES[candidate](device), sample_picture(int(height), int(width))
    before = peak(device)
    case.end_to_end(picture)
    print(json.dumps({"before": before, "peak": peak(device)}))


if __name__ == "__main__":
    _main(sys.argv[1:])

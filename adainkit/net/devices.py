"""The device on which a model runs, and the precision in which it computes."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F

from ..errors import AdaINKitError
from .config import ModelConfig

__all__ = ["PRECISIONS", "fast_bfloat16", "find_device", "find_precision"]

PRECISIONS = ("auto", "mixed", "float32", "float16", "bfloat16")
_BFLOAT16 = ("avx512_bf16", "amx_bf16")  # what the CPU's instructions for it are called
_TYPES = (torch.float16, torch.bfloat16, torch.float32)


def find_device(device: str | torch.device) -> torch.device:
    """A device by name; "auto" is cuda, else mps, else cpu. `AdaINKitError` for one that is not here."""
    if device != "auto":
        try:
            named = torch.device(device)
            torch.empty(1, device=named)
        except (RuntimeError, AssertionError) as error:  # how torch says that it has no such device
            told = " ".join(str(error).split())[:200]
            raise AdaINKitError(f"device {str(device)!r} cannot be used here ({told}); try 'auto' or 'cpu'") from error
        return named
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def find_precision(
    dtype: str | torch.dtype, device: torch.device, config: ModelConfig
) -> tuple[torch.dtype, torch.dtype]:
    """The types of the encoder and of the decoder (`AdaINModel.cast`). `AdaINKitError` for what torch cannot compute.

    "auto" as `Stylizer` says. Mixed, and measured on `lite` by `python -m benchmarks precision`, a result differs from
    float32's by a seventh of an 8-bit level on photographs and a third on flat pictures, on average; all in bfloat16 by
    half a level and by five. A model without a gain cap, as `vgg19`, was not measured and stays with float32.
    """
    if dtype == "auto":
        if device.type == "cuda":
            return torch.float16, torch.float16
        mixed = device.type == "cpu" and config.gain_cap is not None and fast_bfloat16()
        dtype = "mixed" if mixed else "float32"
    kind = torch.bfloat16 if dtype == "mixed" else getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if kind not in _TYPES:
        raise AdaINKitError(f"dtype must be {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, got {dtype!r}")
    try:
        F.pad(torch.zeros(1, 1, 2, 2, device=device, dtype=kind), (1, 1, 1, 1), mode="reflect")
    except RuntimeError as error:  # float16 on the CPU, in older releases of torch
        told = f"torch {torch.__version__} cannot compute with {kind} on {device.type}"
        raise AdaINKitError(f"{told}; use bfloat16 or float32, or a newer torch") from error
    return torch.float32 if dtype == "mixed" else kind, kind


@lru_cache(maxsize=1)
def fast_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 by itself (AVX512_BF16, AMX), as far as torch or the system tells.

    Without such instructions bfloat16 is computed by way of float32, and slower than that.
    """
    told = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.10 or so
    if told is not None:
        facts = told()
        return any(facts.get(flag, False) for flag in _BFLOAT16)
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        flags = next(line for line in lines if line.startswith("flags")).split()
        return any(flag in flags for flag in _BFLOAT16)
    return False

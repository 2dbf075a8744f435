"""Where and in which precision a model runs."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .errors import AdaINKitError

__all__ = ["find_device", "find_dtype"]


def find_device(device: str | torch.device) -> torch.device:
    """A device by name; "auto" is cuda, else mps, else cpu. `AdaINKitError` for one that is not here."""
    if device != "auto":
        try:
            found = torch.device(device)
            torch.empty(1, device=found)
        except (RuntimeError, AssertionError) as error:  # how torch says that it has no such device
            told = " ".join(str(error).split())[:200]
            raise AdaINKitError(f"device {str(device)!r} cannot be used here ({told}); try 'auto' or 'cpu'") from error
        return found
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def find_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """A precision by name; "auto" is float16 on cuda, else float32. `AdaINKitError` for one that cannot be had."""
    if dtype == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found not in (torch.float16, torch.bfloat16, torch.float32):
        raise AdaINKitError(f"dtype must be auto, float32, float16 or bfloat16, got {dtype!r}")
    try:
        F.pad(torch.zeros(1, 1, 2, 2, device=device, dtype=found), (1, 1, 1, 1), mode="reflect")
    except RuntimeError as error:  # float16 on the CPU, in older releases of torch
        told = f"torch {torch.__version__} cannot compute with {found} on {device.type}"
        raise AdaINKitError(f"{told}; use bfloat16 or float32, or a newer torch") from error
    return found

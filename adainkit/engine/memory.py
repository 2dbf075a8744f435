"""How much memory there is, and what becomes of an error that says that there is none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from ..errors import ModelError, OutOfMemoryError
from ..net.layers import no_autocast
from .available import available_memory

__all__ = ["memory_budget", "memory_errors", "memory_guard", "ordinary_tensors"]

# How torch words it where it has no exception of its own: the CPU on Windows, on Linux, and MPS.
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


def memory_budget(device: torch.device) -> int:
    """Bytes that tiles may use: `ADAINKIT_MEMORY` (bytes, or like 2G or 500M), else a share of what is free.

    `ModelError` for another `ADAINKIT_MEMORY`.
    """
    text = os.environ.get("ADAINKIT_MEMORY", "").strip()
    if text:
        match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMG]?)(?:I?B)?", text.upper())
        if match is None or not float(match[1]):
            raise ModelError(f"ADAINKIT_MEMORY is {text!r}; expected a number of bytes, or one with K, M or G")
        return max(1, int(float(match[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[match[2]]))
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * 0.7)
    return available_memory() // 4


@contextmanager
def memory_guard(what: str) -> Iterator[None]:
    """An out-of-memory error inside becomes `OutOfMemoryError`, which says that `what` did not fit."""
    with memory_errors() as failed:
        yield
    if failed:
        raise OutOfMemoryError(f"{what} does not fit into memory; use a smaller picture or batch") from failed[0]


@contextmanager
def ordinary_tensors() -> Iterator[None]:
    """No gradients, no autocast, and no inference tensors either, whatever mode the caller is in."""
    gpu = no_autocast("cuda") if torch.cuda.is_available() else nullcontext()
    with torch.inference_mode(False), torch.no_grad(), no_autocast("cpu"), gpu:
        yield


@contextmanager
def memory_errors() -> Iterator[list[BaseException]]:
    """Swallow an out-of-memory error of the device or the CPU's allocator, and put it into the list."""
    failed: list[BaseException] = []
    try:
        yield failed
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        failed.append(error.with_traceback(None))  # the traceback's frames would keep the tensors alive
    except RuntimeError as error:
        if not any(words in str(error) for words in _OUT_OF_MEMORY):
            raise
        failed.append(error.with_traceback(None))
    if failed and torch.cuda.is_available():
        torch.cuda.empty_cache()

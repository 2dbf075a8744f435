"""Which runtime computes: by name, or by what is installed and what the processor has instructions for."""

from __future__ import annotations

import os

import torch

from ..errors import AdaINKitError
from ..net.config import ModelConfig
from ..net.devices import fast_bfloat16, find_precision
from .coders import Precision
from .engines import ENGINES, here
from .graph import need_onnx
from .tensorrt_engine import need_tensorrt

__all__ = ["RUNTIMES", "find_runtime", "gains"]

RUNTIMES = ("auto", "torch", *ENGINES, "tensorrt")
_DEFAULT = "ADAINKIT_RUNTIME"


def find_runtime(
    runtime: str, device: torch.device, dtype: str | torch.dtype, config: ModelConfig
) -> tuple[str, Precision]:
    """The name of a runtime, never "auto", and what it computes in: for "torch" that is of no meaning.

    "auto" is what the variable `ADAINKIT_RUNTIME` says, or OpenVINO where `gains` holds, else torch: never TensorRT by
    itself. `AdaINKitError` for one that is unknown or not installed, and for a device or precision that it has not.
    """
    wanted = os.environ.get(_DEFAULT) or runtime if runtime == "auto" else runtime
    if wanted not in RUNTIMES:
        raise AdaINKitError(f"runtime must be {', '.join(RUNTIMES[:-1])} or {RUNTIMES[-1]}, got {wanted!r}")
    named = str(dtype).removeprefix("torch.")
    if wanted == "auto":
        suited = device.type == "cpu" and named in ("auto", "mixed") and gains(config)
        wanted = "openvino" if suited else "torch"
    if wanted == "torch":
        return wanted, "float32"
    kind, name = ("cuda", "an NVIDIA GPU") if wanted == "tensorrt" else ("cpu", "the CPU")
    if device.type != kind:
        if runtime == "auto":
            return "torch", "float32"
        raise AdaINKitError(f"the runtime {wanted!r} computes on {name}, not on {device}; use device={kind!r}")
    if wanted == "tensorrt":
        need_onnx()
        need_tensorrt()
    elif not here(wanted):
        raise AdaINKitError(f'the runtime {wanted!r} is not installed: pip install "adainkit[{ENGINES[wanted]}]"')
    try:
        return wanted, _precision(wanted, named, device, config)
    except AdaINKitError:
        if runtime != "auto":
            raise
        return "torch", "float32"  # the variable says what is liked, not what must be


def _precision(runtime: str, named: str, device: torch.device, config: ModelConfig) -> Precision:
    if runtime == "tensorrt" and named in ("auto", "float16"):
        return "float16"
    if named == "auto":
        kinds = find_precision("auto", device, config)
        return "bfloat16" if kinds[0] != kinds[1] and runtime == "openvino" else "float32"
    if named == "float32":
        return "float32"
    if runtime == "openvino" and named in ("mixed", "bfloat16"):
        return "mixed" if named == "mixed" else "bfloat16"
    known = {"openvino": "float32, mixed or bfloat16", "tensorrt": "float32 or float16"}.get(runtime, "float32")
    raise AdaINKitError(f"the runtime {runtime!r} computes in {known}, not in {named}; use runtime='torch' for that")


def gains(config: ModelConfig) -> bool:
    """Whether OpenVINO is here and faster than torch: where the processor multiplies bfloat16 by itself, and the
    model's results bear it (a `gain_cap`). In float32 the two are about equally fast."""
    return here("openvino") and config.gain_cap is not None and fast_bfloat16()

"""The engines that run a graph: OpenVINO and ONNX Runtime, behind one call from arrays to arrays."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import AdaINKitError
from .graph import Array

__all__ = ["ENGINES", "Program", "engine_version", "here", "load_program"]

log = logging.getLogger("adainkit")
Program: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]
"""Runs a graph: inputs by name -> outputs by name, in their order, each an array of its own. From any thread."""

ENGINES = {"openvino": "openvino", "onnxruntime": "onnx"}
"""The extra of this package that installs each engine."""


def here(name: str) -> bool:
    """Whether an engine, and the package that writes its graphs, is installed."""
    return find_spec(name) is not None and find_spec("onnx") is not None


def load_program(name: str, graph: bytes, *, threads: int, cache: Path | None = None) -> Program:
    """A graph, the bytes of an ONNX file, made ready by an engine: `threads` of the CPU at once.

    `cache`: a folder where the engine keeps what it compiled, if it can; it is made. `AdaINKitError` for an engine that
    is not installed, or that refuses the graph.
    """
    if name not in ENGINES:
        raise AdaINKitError(f"an engine is {' or '.join(ENGINES)}, got {name!r}")
    try:
        package = importlib.import_module(name)
    except ImportError as error:
        told = f'the runtime {name!r} is not installed ({error}): pip install "adainkit[{ENGINES[name]}]"'
        raise AdaINKitError(told) from error
    try:
        return (_openvino if name == "openvino" else _onnxruntime)(package, graph, threads, cache)
    except (RuntimeError, ValueError, OSError) as error:  # both engines' own errors are RuntimeErrors
        told = " ".join(str(error).split())[:300]
        raise AdaINKitError(f"{name} cannot run this model ({told}); use runtime='torch'") from error


def engine_version(name: str) -> str:
    """What an installed engine says its version is."""
    return str(importlib.import_module(name).__version__).partition("-")[0]


def _openvino(package: Any, graph: bytes, threads: int, cache: Path | None) -> Program:
    # The precision is that of the graph's own types, never what the engine would choose on this processor.
    told = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    if cache is not None and _writable(cache):
        told["CACHE_DIR"] = str(cache)
    core = package.Core()
    compiled = core.compile_model(core.read_model(graph), "CPU", told)
    idle: list[Any] = []  # requests, of which each computes one picture at a time and keeps its memory for the next

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            request = idle.pop()
        except IndexError:
            request = compiled.create_infer_request()
        with _memory():  # a request that had none is not used again
            found = request.infer(dict(inputs), share_inputs=True)
        outputs = {port.any_name: values for port, values in found.items()}
        idle.append(request)
        return outputs

    return run


def _onnxruntime(package: Any, graph: bytes, threads: int, cache: Path | None) -> Program:
    options = package.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = package.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        with _memory():
            return dict(zip(names, session.run(None, dict(inputs)), strict=True))

    return run


@contextmanager
def _memory() -> Iterator[None]:
    """An engine's words for memory that is not there become Python's, by which tiles are split."""
    try:
        yield
    except RuntimeError as error:
        if any(word in str(error).lower() for word in ("alloc", "out of memory")):
            raise MemoryError(" ".join(str(error).split())[:300]) from error
        raise


def _writable(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK)
    return False

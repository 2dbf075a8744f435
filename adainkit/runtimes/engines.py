"""The engines that run a graph: OpenVINO and ONNX Runtime, behind one call from arrays to arrays."""

from __future__ import annotations

import importlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache as once
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np

from ..errors import AdaINKitError
from .graph import Array

__all__ = ["ENGINES", "Program", "engine_version", "here", "load_program", "openvino_core", "writable"]

log = logging.getLogger("adainkit")
Program: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]
"""Runs a graph: inputs by name -> outputs by name, in their order, each an array of its own. From any thread. What is
bfloat16 is given and taken as its bits, uint16."""

ENGINES = {"openvino": "openvino", "onnxruntime": "onnx"}
"""The extra of this package that installs each engine."""


def here(name: str) -> bool:
    """Whether an engine, and the package that writes its graphs, is installed."""
    return find_spec(name) is not None and find_spec("onnx") is not None


def load_program(name: str, graph: bytes, *, threads: int, cache: Path | None = None, calls: int = 1) -> Program:
    """A graph, the bytes of an ONNX file, made ready by an engine: `threads` of the CPU at once, which so many `calls`
    at a time, each from a thread of its own, share.

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
        return (_openvino if name == "openvino" else _onnxruntime)(package, graph, threads, cache, calls)
    except (RuntimeError, ValueError, OSError) as error:  # both engines' own errors are RuntimeErrors
        told = " ".join(str(error).split())[:300]
        raise AdaINKitError(f"{name} cannot run this model ({told}); use runtime='torch'") from error


def engine_version(name: str) -> str:
    """What an installed engine says its version is."""
    return str(importlib.import_module(name).__version__).partition("-")[0]


@once
def openvino_core() -> Any:
    """OpenVINO's core, one for the process and never let go: each gives the thread that compiles first a stack for
    signal handlers, and takes it away when it goes, so that the next signal (Ctrl-C) would find no memory there."""
    return importlib.import_module("openvino").Core()


def _openvino(package: Any, graph: bytes, threads: int, cache: Path | None, calls: int) -> Program:
    # The precision is that of the graph's own types, never what the engine would choose on this processor.
    told = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    # Calls side by side leave room for what else their program does: its threads are on no processor of their own.
    told |= {"PERFORMANCE_HINT": "LATENCY"} if calls == 1 else {"NUM_STREAMS": calls, "ENABLE_CPU_PINNING": False}
    kept = told | ({"CACHE_DIR": str(cache)} if cache is not None and writable(cache) else {})
    core = openvino_core()
    model = core.read_model(graph)
    of_any_size = _Requests(package, core.compile_model(model, "CPU", kept))

    def of_one_size(shapes: _Shapes) -> _Requests:
        own = model.clone()
        own.reshape(dict(shapes))
        return _Requests(package, core.compile_model(own, "CPU", told))

    by_size = _BySize(of_one_size)

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        with _memory():
            size = sum(x.nbytes for x in inputs.values())
            found = by_size.find(tuple((name, x.shape) for name, x in inputs.items()), size)
            return (found or of_any_size).run(inputs)

    return run


_Shapes: TypeAlias = "tuple[tuple[str, tuple[int, ...]], ...]"


class _BySize:
    """Models that are compiled for one size, whose graph is fused further: a third of the time for the same bits.
    Compiling takes a tenth of a second, which pays for a size that comes again, and at once for `LARGE` bytes of input.
    Each has memory of its own, so there are `MOST`, and one makes room only if it was not in use for `PATIENCE` calls,
    since sizes may alternate, or for as many fewer as a call of the other one is larger than `LARGE`."""

    MOST, PATIENCE, REMEMBERED = 2, 24, 64
    LARGE = (
        16 << 20
    )  # a decoder's for 0.6 megapixels in bfloat16: 0.17 s in a graph of any size, 0.05 s in one of its own

    def __init__(self, make: Callable[[_Shapes], _Requests]) -> None:
        self._make, self._lock, self._calls = make, Lock(), 0
        self._seen: OrderedDict[_Shapes, int] = OrderedDict()
        self._made: OrderedDict[_Shapes, _Requests] = OrderedDict()

    def find(self, shapes: _Shapes, size: int) -> _Requests | None:
        """The model of a size, made if it is time for that; else None. `size`: bytes of the input."""
        with self._lock:
            self._calls += 1
            wanted = size >= self.LARGE or shapes in self._seen
            if wanted and shapes not in self._made and self._room(self.PATIENCE * self.LARGE // max(size, self.LARGE)):
                self._made[shapes] = self._make(shapes)
            self._seen[shapes] = self._calls
            self._seen.move_to_end(shapes)
            if len(self._seen) > self.REMEMBERED:
                self._seen.popitem(last=False)
            if shapes in self._made:
                self._made.move_to_end(shapes)
            return self._made.get(shapes)

    def _room(self, patience: int) -> bool:
        if len(self._made) < self.MOST:
            return True
        oldest = next(iter(self._made))
        if self._calls - self._seen.get(oldest, 0) <= patience:
            return False
        del self._made[oldest]
        return True


class _Requests:
    """A compiled model, and its requests that are not in use: each computes one picture at a time and keeps its memory
    for the next."""

    def __init__(self, package: Any, compiled: Any) -> None:
        self._package, self._compiled, self._idle = package, compiled, list[Any]()
        self._static = all(port.partial_shape.is_static for port in compiled.outputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As a `Program`."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        taken = {name: self._shared(x) for name, x in inputs.items()}
        if self._static:  # it writes into the results at once, and nothing is copied
            outputs = {port.any_name: _room(tuple(port.shape), _kind(port)) for port in self._compiled.outputs}
            for index, x in enumerate(outputs.values()):
                request.set_output_tensor(index, self._shared(x))
            request.infer(taken, share_inputs=True, share_outputs=True)
        else:
            found = request.infer(taken, share_inputs=True)
            outputs = {port.any_name: values.view(_kind(port)) for port, values in found.items()}
        self._idle.append(request)  # one that failed is not used again
        return outputs

    def _shared(self, x: Array) -> Any:
        if x.dtype == np.uint16:
            return self._package.Tensor(x, x.shape, self._package.Type.bf16)
        return self._package.Tensor(x, shared_memory=True)


def _room(shape: tuple[int, ...], kind: Any) -> Array:
    """Memory for a result, from a whole line of the cache on, and some more behind its end than it takes."""
    size, line = int(np.prod(shape)) * np.dtype(kind).itemsize, 64
    room = np.empty(size + 2 * line, np.uint8)
    first = -room.ctypes.data % line
    found: Array = room[first : first + size].view(kind).reshape(shape)
    return found


def _kind(port: Any) -> Any:
    return {"bf16": np.uint16, "f16": np.float16, "f32": np.float32}[port.get_element_type().get_type_name()]


def _onnxruntime(package: Any, graph: bytes, threads: int, cache: Path | None, calls: int) -> Program:
    options = package.SessionOptions()
    options.intra_op_num_threads = max(1, threads - calls + 1)  # each call brings one
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


def writable(folder: Path) -> bool:
    """Whether files can be kept in a folder, which is made."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK)
    return False

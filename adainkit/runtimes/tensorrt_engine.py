"""TensorRT: a graph on an NVIDIA GPU, from tensors to tensors. Written after its documentation, and never run on a GPU
by us yet.

An engine is built for one kind of GPU, one release of TensorRT and one range of shapes, which may take minutes, so its
plan is kept in a file. Precision is in the graph's own types, as everywhere: networks are strongly typed.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import cache as once
from pathlib import Path
from typing import Any, TypeAlias

import torch
from packaging.version import Version
from torch import Tensor

from ..atomic import write_atomically
from ..errors import AdaINKitError
from ..net.config import ModelConfig
from . import coders
from .engines import writable

__all__ = ["BATCH", "BEST", "SIDE", "Engine", "Profile", "build_plan", "load_engine", "need_tensorrt", "profiles"]

log = logging.getLogger("adainkit")
OLDEST = Version("10.13")
"""The first release that there is for CUDA 13; all that is called here is in it, and in 11."""
SIDE, BATCH, BEST = 2048, 4, 1024
"""The largest side in pixels and number of the windows that an engine takes at once, and the side that it is tuned for.
Of the widest model, `vgg19`, the largest tensor then has 64 x 2050 x 2050 x 4 values, which 31 bits still count."""
Profile: TypeAlias = dict[str, list[tuple[int, ...]]]
"""Of every input of a graph with sides that are not fixed the smallest, the best and the largest shape."""


def need_tensorrt() -> Any:
    """The package `tensorrt`. `AdaINKitError` where it is missing, broken or too old."""
    remedy = 'pip install "adainkit[tensorrt]", or tensorrt-cu12 where torch is built for CUDA 12'
    try:
        package = importlib.import_module("tensorrt")
        version = str(package.__version__)
    except ModuleNotFoundError as error:
        raise AdaINKitError(f"TensorRT is not installed: {remedy}") from error
    except (ImportError, OSError, AttributeError) as error:  # a library of it is not there, or it is another "tensorrt"
        raise AdaINKitError(f"TensorRT cannot be imported ({error}): {remedy}") from error
    if Version(version) < OLDEST:
        raise AdaINKitError(f"TensorRT {OLDEST} or newer is needed, here is {version}: {remedy}")
    return package


def profiles(config: ModelConfig) -> dict[str, Profile]:
    """For the graphs of `coders`, by their names. Maps are of one cell, or of as many as the features."""
    found: dict[str, Profile] = {"encoder": {}, "maps": {}, "decoder": {}}

    def add(graph: str, name: str, *shape: int) -> None:
        found[graph].setdefault(name, []).append(shape)

    for batch, side in ((1, config.min_size), (1, BEST), (BATCH, SIDE)):
        add("encoder", "picture", batch, 3, side, side)
        sides = [(-(-side // level.stride),) * 2 for level in config.levels]
        for i, (level, cells) in enumerate(zip(config.levels, sides, strict=True)):
            add("decoder", f"level{i}", batch, level.channels, *cells)
            for name in ("content_mean", "content_std", "style_mean", "style_std"):
                add("maps", f"{name}{i}", batch, level.channels)
        for i, (place, cells) in enumerate(zip(config.places, coders.place_sides(config, sides), strict=True)):
            for part in coders.parts_of(i, len(sides)):
                add("decoder", f"{part}{i}", batch, place.channels, *(cells if side == SIDE else (1, 1)))
    return found


def facts_of(package: Any, device: torch.device) -> dict[str, Any]:
    """What a plan is for: a release of TensorRT, and a kind of GPU."""
    gpu, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    return {"tensorrt": package.__version__, "gpu": gpu, "compute_capability": list(capability)}


def plan_name(graph: bytes, profile: Profile, facts: Mapping[str, Any]) -> str:
    """The name of a plan's file: another one for each graph and profile, and all else that it is for."""
    told = json.dumps([facts, profile], sort_keys=True)
    return hashlib.sha256(told.encode() + b"\0" + graph).hexdigest()[:32] + ".plan"


@once
def _logger(package: Any) -> Any:
    """What TensorRT says goes to our log; `last` is its last error. One for the process, as TensorRT wants it."""

    class Logger(package.ILogger):  # type: ignore[misc]
        last = "it gives no reason"

        def __init__(self) -> None:
            package.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            if severity in (package.ILogger.Severity.ERROR, package.ILogger.Severity.INTERNAL_ERROR):
                self.last = " ".join(text.split())[:300]
            log.debug("TensorRT: %s", text)

    return Logger()


def build_plan(package: Any, graph: bytes, profile: Profile) -> bytes:
    """A graph, the bytes of an ONNX file, compiled. `AdaINKitError` if TensorRT refuses it."""
    logger = _logger(package)
    builder = package.Builder(logger)
    network = builder.create_network(1 << int(package.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = package.OnnxParser(network, logger)
    config = builder.create_builder_config()
    config.clear_flag(package.BuilderFlag.TF32)  # what is float32 by type has 23 bits here, as everywhere
    plan = None
    if parser.parse(graph):
        shapes = builder.create_optimization_profile()
        for name, (smallest, best, largest) in profile.items():
            shapes.set_shape(name, smallest, best, largest)
        config.add_optimization_profile(shapes)
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise AdaINKitError(f"TensorRT cannot run this model ({logger.last}); use runtime='torch'")
    return bytes(plan)


def load_engine(graph: bytes, profile: Profile, device: torch.device, cache: Path | None = None) -> Engine:
    """A graph made ready for a GPU: from its plan in the folder `cache`, or built, and kept there if that can be.

    `AdaINKitError` where TensorRT is missing or refuses the graph.
    """
    package = need_tensorrt()
    with torch.cuda.device(device):
        runtime, built = package.Runtime(_logger(package)), None
        facts, path = facts_of(package, device), None
        if cache is not None and writable(cache):
            path = cache / plan_name(graph, profile, facts)
        if path is not None and path.exists():
            built = runtime.deserialize_cuda_engine(path.read_bytes())
            if built is None:
                log.warning("%s does not load and is built again (%s)", path, _logger(package).last)
        if built is None:
            log.info("building an engine of TensorRT for this GPU, once: it may take minutes")
            plan = build_plan(package, graph, profile)
            if path is not None:
                with suppress(OSError):  # a full disk is no reason to throw it away
                    write_atomically(path, plan)
            built = runtime.deserialize_cuda_engine(plan)
        if built is None:
            raise AdaINKitError(f"TensorRT does not load what it built ({_logger(package).last}); use runtime='torch'")
        return Engine(package, runtime, built, profile, device, facts)


class Engine:
    """Runs a graph: tensors by name -> tensors by name, all on its GPU, queued on torch's current stream. From any
    thread. A batch larger than `BATCH` runs in parts; `MemoryError` for windows larger than `SIDE`, by which tiles are
    split."""

    def __init__(
        self,
        package: Any,
        runtime: Any,
        engine: Any,
        profile: Profile,
        device: torch.device,
        facts: Mapping[str, Any],
    ) -> None:
        self._package, self._runtime, self._engine = package, runtime, engine  # an engine needs its runtime
        self._profile, self._device = profile, device
        self.facts = {**facts, "largest_side": SIDE, "largest_batch": BATCH}
        """What is to be known about its plan."""
        self._idle: dict[int, list[Any]] = {}  # contexts by stream: one that still runs waits for no other stream
        kinds = {package.float32: torch.float32, package.float16: torch.float16}
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._outputs = {
            name: kinds[engine.get_tensor_dtype(name)]
            for name in names
            if engine.get_tensor_mode(name) == package.TensorIOMode.OUTPUT
        }

    @property
    def plan(self) -> bytes:
        """What a file of it holds: TensorRT loads it on the same kind of GPU."""
        return bytes(self._engine.serialize())

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """As a `Program`, of tensors; arrays are taken, too."""
        for name, shapes in self._profile.items():
            if any(side > most for side, most in zip(inputs[name].shape[2:], shapes[-1][2:], strict=True)):
                raise MemoryError(f"TensorRT's engine takes windows of up to {SIDE} pixels a side")
        batch = max(len(inputs[name]) for name in self._profile)
        parts = [
            self._run({n: x[i : i + BATCH] if n in self._profile and len(x) > 1 else x for n, x in inputs.items()})
            for i in range(0, batch, BATCH)
        ]
        return parts[0] if len(parts) == 1 else {name: torch.cat([p[name] for p in parts]) for name in self._outputs}

    def _run(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        with torch.cuda.device(self._device):
            stream = torch.cuda.current_stream().cuda_stream
            idle = self._idle.setdefault(stream, [])
            try:
                context = idle.pop()
            except IndexError:
                by_us = self._package.ExecutionContextAllocationStrategy.USER_MANAGED
                context = self._engine.create_execution_context(by_us)
            given = {name: torch.as_tensor(x, device=self._device).contiguous() for name, x in inputs.items()}
            for name, x in given.items():
                self._must(context.set_input_shape(name, tuple(x.shape)), f"the shape {tuple(x.shape)} of {name}")
            outputs = {
                name: torch.empty(tuple(context.get_tensor_shape(name)), dtype=kind, device=self._device)
                for name, kind in self._outputs.items()
            }
            for name, x in (given | outputs).items():
                self._must(context.set_tensor_address(name, x.data_ptr()), f"the address of {name}")
            # Memory of torch's, which gives it to nobody else before this stream has come so far; it says where there
            # is none in the words by which tiles are split.
            size = context.update_device_memory_size_for_shapes()
            room = torch.empty(size, dtype=torch.uint8, device=self._device)
            context.set_device_memory(room.data_ptr(), size)
            self._must(context.execute_async_v3(stream), "the work")
            idle.append(context)  # one that failed is not used again
            return outputs

    def _must(self, done: bool, what: str) -> None:
        if not done:
            raise RuntimeError(f"TensorRT refuses {what}: {_logger(self._package).last}")

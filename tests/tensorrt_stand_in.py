"""A stand-in for the package `tensorrt`, on the CPU, by ONNX Runtime.

It is for the order and the arguments of our calls, and for what becomes of their results: not for TensorRT. Its names
are held to the package's own in `test_tensorrt.py`, where one is installed.
"""

from __future__ import annotations

import ctypes
import enum
import pickle
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

STREAM, MAGIC = 7, b"PLAN"
KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}


class ILogger:
    Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")


ERROR = ILogger.Severity.ERROR  # type: ignore[attr-defined]


class Logger(ILogger):
    def log(self, severity: Any, text: str) -> None:
        print(text)  # noqa: T201


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.IntEnum):
    TF32 = 7


class TensorIOMode(enum.Enum):
    INPUT, OUTPUT = 1, 2


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC, USER_MANAGED = 0, 2


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None:
        assert len(min) == len(opt) == len(max)
        assert all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True))
        self.shapes[input] = [tuple(min), tuple(opt), tuple(max)]


class IBuilderConfig:
    def __init__(self) -> None:
        self.profiles: list[IOptimizationProfile] = []
        self.flags = {BuilderFlag.TF32}

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class OnnxParser:
    def __init__(self, network: SimpleNamespace, logger: ILogger) -> None:
        self.network, self.logger = network, logger

    def parse(self, graph: bytes) -> bool:
        try:
            onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        except Exception as error:
            told = f"no graph: {error}"
            self.logger.log(ERROR, told)  # type: ignore[attr-defined]
            return False
        self.network.graph = graph
        return True


class Builder:
    built = 0

    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def create_network(self, flags: int = 0) -> SimpleNamespace:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return SimpleNamespace(graph=None)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: SimpleNamespace, config: IBuilderConfig) -> memoryview | None:
        assert not config.flags
        (profile,) = config.profiles
        for x in onnxruntime.InferenceSession(network.graph).get_inputs():
            if any(isinstance(side, str) for side in x.shape) and x.name not in profile.shapes:
                told = f"{x.name} has no profile"
                self.logger.log(ERROR, told)  # type: ignore[attr-defined]
                return None
        Builder.built += 1
        return memoryview(MAGIC + pickle.dumps((network.graph, profile.shapes)))


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> ICudaEngine | None:
        if not plan.startswith(MAGIC):
            self.logger.log(ERROR, "no plan")  # type: ignore[attr-defined]
            return None
        return ICudaEngine(plan)


class ICudaEngine:
    def __init__(self, plan: bytes) -> None:
        self.plan = plan
        graph, self.shapes = pickle.loads(plan[len(MAGIC) :])
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.inputs = {x.name: x for x in self.session.get_inputs()}
        self.outputs = {x.name: x for x in self.session.get_outputs()}
        self.num_io_tensors = len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return KINDS[(self.inputs | self.outputs)[name].type]

    def serialize(self) -> memoryview:
        return memoryview(self.plan)

    def create_execution_context(self, strategy: Any = ExecutionContextAllocationStrategy.STATIC) -> IExecutionContext:
        return IExecutionContext(self, strategy is ExecutionContextAllocationStrategy.STATIC)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine, has_memory: bool) -> None:
        self.engine, self.room = engine, 1 << 62 if has_memory else 0
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        fixed = tuple(self.engine.inputs[name].shape)
        low, _, high = self.engine.shapes.get(name, [fixed] * 3)
        fits = len(shape) == len(fixed) and all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))
        if fits:
            self.shapes[name] = shape
        return fits

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        zeros = {n: np.zeros(shape, self.engine.get_tensor_dtype(n)) for n, shape in self.shapes.items()}
        return tuple(self.engine.session.run([name], zeros)[0].shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return memory != 0

    def update_device_memory_size_for_shapes(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def set_device_memory(self, memory: int, size: int) -> None:
        self.room = size

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == STREAM
        assert self.room >= self.update_device_memory_size_for_shapes()
        given = {name: self._at(name, self.shapes[name]) for name in self.engine.inputs}
        results = self.engine.session.run(None, given)
        for name, values in zip(self.engine.outputs, results, strict=True):
            self._at(name, values.shape)[...] = values
        return True

    def _at(self, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        kind = np.dtype(self.engine.get_tensor_dtype(name))
        size = int(np.prod(shape)) * kind.itemsize
        return np.frombuffer((ctypes.c_byte * size).from_address(self.addresses[name]), kind).reshape(shape)


def install(monkeypatch: pytest.MonkeyPatch, version: str = "11.4.0.106") -> ModuleType:
    """As the package, with what torch tells of a GPU."""
    package = ModuleType("tensorrt")
    names = [name for name, value in globals().items() if isinstance(value, type) and value.__module__ == __name__]
    package.__dict__.update({name: globals()[name] for name in names})
    package.__dict__.update(__version__=version, float32=np.float32, float16=np.float16, int64=np.int64)
    monkeypatch.setitem(sys.modules, "tensorrt", package)
    monkeypatch.setattr(Builder, "built", 0)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=STREAM))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    return package

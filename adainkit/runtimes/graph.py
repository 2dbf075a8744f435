"""A graph of ONNX operators, written node by node: what `layers.py` builds and every engine reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import AdaINKitError

__all__ = ["OPSET", "Array", "Graph", "need_onnx"]

Array: TypeAlias = "np.ndarray[Any, Any]"
OPSET = 22
"""Of the exported graphs: the first one whose convolution takes bfloat16."""
_IR = 10  # of the file format: what ONNX Runtime reads from 1.20 on


def need_onnx() -> Any:
    """The package `onnx`, by which graphs are written. `AdaINKitError` where it is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise AdaINKitError('graphs are written by the package onnx: pip install "adainkit[onnx]"') from error
    return onnx


class Graph:
    """Nodes in their order. Values have names; every method that computes something gives the name of its result.

    `low`: the type of what is not in float32, "BFLOAT16" or "FLOAT16".
    """

    def __init__(self, low: str = "BFLOAT16") -> None:
        self._onnx, self.low = need_onnx(), low
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """An operator with one result."""
        name = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: Array | Sequence[int], low: bool = False) -> str:
        """Floats as float32 (or rounded to the low type), whole numbers as int64; equal ones are kept once."""
        array = np.asarray(values)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        key = f"{array.dtype}{'b' * low}{array.shape}{array.tobytes().hex()}" if array.size < _SMALL else ""
        if key in self._constants:
            return str(self._constants[key].name)
        name = f"constant{len(self._constants)}"
        if low and self.low == "FLOAT16":
            made = self._onnx.numpy_helper.from_array(array.astype(np.float16), name)
        elif low:
            kind = self._onnx.TensorProto.BFLOAT16
            made = self._onnx.helper.make_tensor(name, kind, array.shape, rounded(array).tobytes(), raw=True)
        else:
            made = self._onnx.numpy_helper.from_array(array, name)
        self._constants[key or name] = made
        return name

    def half(self, x: str) -> str:
        """`x` in float16."""
        return self.node("Cast", x, to=self._onnx.TensorProto.FLOAT16)

    def cast(self, x: str, low: bool) -> str:
        """`x` in the low type, or in float32."""
        if low and self.low == "FLOAT16":
            return self.half(x)
        kind = self._onnx.TensorProto
        if low:
            # To eight bits by arithmetic (Veltkamp's splitting), which the cast then has nothing to round of: OpenVINO
            # rounds in another way where it does not know the size.
            large = self.node("Mul", x, self.constant(np.full(1, (1 << 16) + 1, np.float32)))
            x = self.node("Sub", large, self.node("Sub", large, x))
        return self.node("Cast", x, to=kind.BFLOAT16 if low else kind.FLOAT)

    def mapped(self, x: str, gain: str, shift: str) -> str:
        """`x * gain + shift` in float32, rounded twice whatever the size: what lies between changes nothing, but keeps
        engines from making it one operation where they know the size."""
        scaled = self.node("Max", self.node("Mul", x, gain), self.constant(np.full(1, -3e38, np.float32)))
        return self.node("Add", scaled, shift)

    def result(self, x: str, name: str) -> str:
        """`x`, the result of a node, under the name of an output from now on: no node of its own, which engines remove
        and whose names they then mix up."""
        for node in self._nodes:
            for names in (node.input, node.output):
                for index, other in enumerate(names):
                    if other == x:
                        names[index] = name
        return name

    def model(
        self,
        inputs: dict[str, Sequence[str | int]],
        outputs: dict[str, Sequence[str | int]],
        facts: dict[str, str],
        low: Mapping[str, str] | None = None,
    ) -> Any:
        """The whole as an `onnx.ModelProto`; `facts` are its metadata. Shapes have a word for each dynamic side. An
        input that is called "origin" is of int64, those that `low` names of "FLOAT16" or "BFLOAT16", all others of
        float32."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto

        def kind_of(name: str) -> int:
            return int(getattr(kinds, "INT64" if name == "origin" else (low or {}).get(name, "FLOAT")))

        told = [
            [helper.make_tensor_value_info(name, kind_of(name), list(shape)) for name, shape in group.items()]
            for group in (inputs, outputs)
        ]
        graph = helper.make_graph(self._nodes, "adainkit", *told, list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR)
        model.producer_name = "adainkit"
        helper.set_model_props(model, facts)
        return model


_SMALL = 64  # numbers of a constant that is looked for among those that are there


def rounded(values: Array) -> Array:
    """The upper halves of float32, rounded to nearest even: bfloat16's bits as uint16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)

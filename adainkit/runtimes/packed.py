"""Graphs for the way through a network: their large tensors as whole numbers of a few bits.

A weight becomes a part of the largest one of its output channel: in 12 bits, or, where it is of a matrix, as the style
head has them, in 9 (its first two, through which all goes) or 8. The two bytes of more than 8 bits lie apart, the upper
ones of all of a tensor and then the lower ones, so that gzip finds the upper ones alike. Nodes of the graph put them
together again, which an engine does once, when it loads the graph.
"""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np

from .graph import Array, need_onnx

__all__ = ["BITS", "packed", "whole_numbers"]

BITS = {"kernel": 12, "first": 9, "matrix": 8}
"""With 8 for all matrices, results of `lite` are up to 4 of 255 away from what they were, with 11 for kernels up to 3;
with 9 for all matrices it has more than 3 MB."""
_SMALL = 4096  # numbers of a tensor that stays as it is


def packed(graph: Any) -> bytes:
    """The `onnx.ModelProto` with its large tensors of float32 packed, as a gzipped file that is the same each time."""
    onnx = need_onnx()
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    kept, nodes, matrices = [], list[Any](), 0
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALL:
            kept.append(tensor)
            continue
        matrices += values.ndim == 2
        kind = "kernel" if values.ndim > 2 else "first" if matrices <= 2 else "matrix"
        parts, joining = _taken_apart(onnx, tensor.name, values, BITS[kind])
        kept += [onnx.numpy_helper.from_array(part, f"{tensor.name}.{name}") for name, part in parts.items()]
        nodes += joining
    for field, new in ((made.graph.initializer, kept), (made.graph.node, [*nodes, *graph.graph.node])):
        del field[:]
        field.extend(new)
    return gzip.compress(made.SerializeToString(deterministic=True), 9, mtime=0)


def whole_numbers(values: Array, bits: int) -> tuple[Array, Array]:
    """The whole numbers, and the float32 by which they are multiplied: one for each output channel, which is the first
    axis of a convolution's kernel and the last one of a matrix."""
    own = 0 if values.ndim > 2 else values.ndim - 1
    largest = np.abs(values).max(tuple(axis for axis in range(values.ndim) if axis != own), keepdims=True)
    unit = np.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1).astype(np.float32)
    return np.rint(values / unit).astype(np.int16), unit


def _taken_apart(onnx: Any, name: str, values: Array, bits: int) -> tuple[dict[str, Array], list[Any]]:
    """The parts of a tensor, and the nodes that give it back: `(upper * 256 + lower) * unit`, or `upper * unit`."""

    def node(kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{name}.{len(nodes)}"
        nodes.append(onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def number(part: str) -> str:
        return node("Cast", f"{name}.{part}", to=onnx.TensorProto.FLOAT)

    nodes = list[Any]()
    numbers, unit = whole_numbers(values, bits)
    if bits <= 8:
        parts = {"upper": numbers.astype(np.int8)}
        node("Mul", number("upper"), f"{name}.unit")
    else:
        parts = {"upper": (numbers >> 8).astype(np.int8), "lower": (numbers & 255).astype(np.uint8)}
        parts["step"] = np.full(1, 256, np.float32)
        sum_ = node("Add", node("Mul", number("upper"), f"{name}.step"), number("lower"))
        node("Mul", sum_, f"{name}.unit")
    nodes[-1].output[0] = name
    return {**parts, "unit": unit}, nodes

"""The style head of `net/head.py` as operators of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np

from ..net.config import ModelConfig
from .graph import Array, Graph

__all__ = ["BOUND", "MOST", "head_maps"]

BOUND, MOST = 3.0, 2.0  # `net.head.StyleHead` has the same; a test holds them equal
_TINY = float(np.finfo(np.float32).tiny)


def head_maps(
    graph: Graph, config: ModelConfig, tensors: Mapping[str, Array], alphas: Sequence[str]
) -> Iterator[tuple[str, str, int]]:
    """Of each of the decoder's own places "gain" and "shift", the value's name, and its channels.

    `tensors`: those of the head; `alphas`: of each level, `(1,)`.
    """

    def number(value: float) -> str:
        return graph.constant(np.full(1, value, np.float32))

    def described(kind: str) -> str:
        parts = []
        for i in range(len(config.levels)):
            parts += [f"{kind}_mean{i}", graph.node("Log", f"{kind}_std{i}")]
        return graph.node("Concat", *parts, axis=1)

    @cache  # content and style have them in common
    def matrix(name: str) -> str:
        return graph.constant(np.ascontiguousarray(tensors[name].T))

    def code(numbers: str) -> str:
        center, scale = (graph.constant(tensors[name]) for name in ("center", "scale"))
        x = graph.node("Div", graph.node("Sub", numbers, center), scale)
        x = graph.node("Max", graph.node("Min", x, number(BOUND)), number(-BOUND))
        for layer in (0, 2):
            x = graph.node("MatMul", x, matrix(f"layers.{layer}.weight"))
            x = graph.node("Add", x, graph.constant(tensors[f"layers.{layer}.bias"]))
            x = graph.node("Mul", x, graph.node("Sigmoid", x))
        return graph.node("MatMul", x, matrix("layers.4.weight"))

    given, wanted = described("content"), described("style")
    # a level counts as far as its alpha reaches the largest one
    largest = graph.node("Max", *alphas, number(_TINY))
    shares = [
        graph.node("Expand", graph.node("Div", alpha, largest), graph.constant([2 * level.channels]))
        for alpha, level in zip(alphas, config.levels, strict=True)
    ]
    step = graph.node("Mul", graph.node("Concat", *shares, axis=0), graph.node("Sub", wanted, given))
    wanted = graph.node("Add", given, step)
    moved = graph.node("MatMul", graph.node("Sub", code(wanted), code(given)), matrix("maps.weight"))
    moved = graph.node("Mul", graph.node("Tanh", graph.node("Div", moved, number(MOST))), number(MOST))
    start = 0
    for word in config.mapped:
        width, alpha = word.before.channels, alphas[config.level_of(word.before)]
        for name in ("gain", "shift"):
            ends = (graph.constant([v]) for v in (start, start + width, 1))
            part = graph.node("Slice", moved, *ends)
            if name == "gain" and word.row.lift:
                part = graph.node("Add", part, number(word.row.lift))
            part = graph.node("Mul", part, alpha)
            yield name, graph.node("Add", part, number(word.row.rest)) if name == "gain" else part, width
            start += width

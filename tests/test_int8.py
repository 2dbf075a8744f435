"""The trial of INT8: which convolutions it quantizes, and that it does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from test_runtimes import CONFIGS, model_of, picture

from adainkit import Stylizer
from adainkit.runtimes import choice
from benchmarks import int8

if not all(map(choice.here, ("openvino", "onnxruntime"))):
    pytest.skip("needs openvino and onnxruntime", allow_module_level=True)
onnx = pytest.importorskip("onnx")


def quantized(graph: Any) -> dict[str, tuple[int, ...]]:
    """The convolutions whose values and weights are bytes: name -> the kernel's shape."""
    makers = {name: node for node in graph.graph.node for name in node.output}
    sizes = {t.name: tuple(t.dims) for t in graph.graph.initializer}
    kinds = {t.name: t.data_type for t in graph.graph.initializer}
    found = {}
    for node in graph.graph.node:
        values, weights = [*map(makers.get, node.input), None, None][:2]
        if node.op_type == "Conv" and values is not None and values.op_type == "DequantizeLinear":
            assert makers[values.input[0]].op_type == "QuantizeLinear"
            assert weights is not None
            assert kinds[weights.input[0]] == onnx.TensorProto.INT8
            found[node.name] = sizes[weights.input[0]]
    return found


def test_convolutions_are_quantized_but_for_those_that_must_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIGS[0]
    model, made = model_of(config), list[Any]()
    load = int8.load_program
    monkeypatch.setattr(int8, "load_program", lambda *a, **k: made.append(onnx.load_from_string(a[1])) or load(*a, **k))
    pictures = [picture(48, 64, seed).astype(np.float32) / 255 for seed in (1, 2)]
    exact = Stylizer(model, dtype="float32", device="cpu", cache=None, runtime="openvino")
    styles = [exact.encode_style(picture(40, 40, 3))]
    bytes_of = int8._stylizer(("encoder", "decoder"), pictures, styles, model)
    encoder, decoder = made
    # All but the first, whose weights see colors: those of res6, down8 and conv10.
    assert Counter(quantized(encoder).values()) == {(6, 6, 3, 3): 2, (8, 6, 3, 3): 1, (10, 8, 3, 3): 1}
    # Those of mod10, conv8, mod6, shuffle4 and merges; none of canvas, strokes or border, and not the last one.
    kernels = {(6, 6, 3, 3): 2, (6, 8, 1, 1): 1, (8, 8, 3, 3): 1, (8, 10, 1, 1): 1, (10, 10, 3, 3): 2, (16, 6, 3, 3): 1}
    assert Counter(quantized(decoder).values()) == kernels
    off = abs(bytes_of.stylize(pictures[0], styles[0]) - exact.stylize(pictures[0], styles[0]))
    assert 0.1 < 255 * off.mean() < 4

"""Encoder, maps and decoder as three graphs, the same for every engine.

`encoder`: "picture" `(batch, 3, height, width)`, RGB in [0, 1], sides from `config.min_size` on -> "level0", "level1"
and so on, finest first, `(batch, C, ceil(height / stride), ceil(width / stride))`.

`maps`: of content and style "content_mean0", "content_std0", "style_mean0" and so on, `(1 or batch, C)` of each level,
and "alpha", a number for each level -> what the decoder takes beside features. Computed once for a picture.

`decoder`: the same levels; for each of `config.places` "center", "gain" and "shift" with its number, `(1 or batch, C,
1, 1)` or `(..., h, w)` for every cell (only AdaIN's levels have a center); "origin", row and column of the first cell
in the whole picture, two whole numbers, where the decoder has a canvas -> "picture", not clamped, whose sides are
multiples of the stride: crop it.

Precision is in the graphs' own types, so that no engine chooses it. In "mixed" all convolutions are in bfloat16 but for
those up to the finest level and the last one; "bfloat16" takes these, too, and "float16" is that in float16. AdaIN's
maps, which amplify what was rounded before them, are in float32 always; levels are of 16 bits, in half the memory.
Measured by `python -m benchmarks precision`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from ..net.config import ModelConfig, Step
from .graph import Array, Graph
from .head import head_maps
from .layers import Layer, Map, build, shuffle_then_rgb

__all__ = ["Kept", "Precision", "decoder", "encoder", "maps", "moves", "parts_of", "place_sides"]

Precision: TypeAlias = Literal["float32", "mixed", "bfloat16", "float16"]
Kept: TypeAlias = Literal["FLOAT16", "BFLOAT16"]
_ALL_LOW = ("bfloat16", "float16")  # every convolution, the last one, too


def encoder(
    config: ModelConfig,
    tensors: Mapping[str, Array],
    precision: Precision = "float32",
    facts: Mapping[str, str] | None = None,
    kept: Kept = "FLOAT16",
    last: bool = False,
) -> Any:
    """The `onnx.ModelProto`. `tensors`: those of the model file, "encoder.layers.0.conv.weight" and so on. `kept`: the
    type of the levels where the precision is not float32. `last`: the picture's channels are its last axis."""
    graph, outputs = Graph(_low(precision)), dict[str, Any]()
    x, index, levels, now = "picture", 0, 0, False
    for step in config.encoding:
        if step.name == "tap":
            if precision == "float32" or (now and kept == graph.low):
                low = x
            else:
                low = graph.half(x) if kept == "FLOAT16" else graph.cast(x, True)
            name = graph.result(low, f"level{levels}")
            x = name if low == x else x
            outputs[name] = ["batch", step.after.channels, f"height{levels}", f"width{levels}"]
            levels += 1
            continue
        wanted = is_low(precision, levels)
        if wanted != now and step.name != "unshuffle":
            x, now = graph.cast(x, wanted), wanted
        layer = Layer(graph, step, _own(tensors, f"encoder.layers.{index}."), now, last=last and index == 0)
        x, index = build(layer, x), index + 1
    kinds = dict.fromkeys(outputs if precision != "float32" else (), kept)
    return graph.model({"picture": _sides(last)}, outputs, dict(facts or {}), kinds)


def _sides(last: bool) -> list[str | int]:
    return ["batch", "height", "width", 3] if last else ["batch", 3, "height", "width"]


def is_low(precision: Precision, level: int) -> bool:
    """Whether what makes a level is computed in the low type."""
    return precision in _ALL_LOW or (precision == "mixed" and level > 0)


def _low(precision: Precision) -> Kept:
    return "FLOAT16" if precision == "float16" else "BFLOAT16"


def decoder(
    config: ModelConfig,
    tensors: Mapping[str, Array],
    precision: Precision = "float32",
    facts: Mapping[str, str] | None = None,
    kept: Kept = "FLOAT16",
    last: bool = False,
) -> Any:
    """The `onnx.ModelProto`; `kept` and `last` as in `encoder`."""
    graph, low = Graph(_low(precision)), precision != "float32"
    count, inputs = len(config.levels), dict[str, Any]()
    for i, level in enumerate(config.levels):
        inputs[f"level{i}"] = ["batch", level.channels, f"height{i}", f"width{i}"]
    maps = []
    for i, place in enumerate(config.places):
        for part in parts_of(i, count):
            inputs[f"{part}{i}"] = [
                f"batch_of_{part}{i}",
                place.channels,
                f"rows_of_{part}{i}",
                f"columns_of_{part}{i}",
            ]
        maps.append(Map(f"gain{i}", f"shift{i}"))
    channels = [level.channels if last and low and kept == "BFLOAT16" else 0 for level in config.levels]
    levels = [_moved(graph, i, maps[i], low, wide) for i, wide in enumerate(channels)]
    if moves(config):
        inputs["origin"] = [2]
    x, own = levels.pop(), maps[count:]
    for index, step in enumerate(config.decoding):
        layer = Layer(graph, step, _own(tensors, f"decoder.layers.{index}."), low)
        layer.level = levels.pop() if "level" in step.row.needs else ""
        layer.map = own.pop(0) if "map" in step.row.needs else None
        layer.origin, layer.scale = "origin", config.stride // step.before.stride
        if step.name == "shuffle" and _is_last(config, index + 1):
            x = shuffle_then_rgb(layer, _own(tensors, f"decoder.layers.{index + 1}."), x, precision not in _ALL_LOW)
            break
        if step.name == "rgb" and low:
            x, layer.low = graph.cast(x, False), False
        x = build(layer, x)
    graph.result(graph.node("Transpose", x, perm=[0, 2, 3, 1]) if last else x, "picture")
    kinds = dict.fromkeys([f"level{i}" for i in range(count)] if low else (), kept)
    return graph.model(inputs, {"picture": _sides(last)}, dict(facts or {}), kinds)


def _moved(graph: Graph, number: int, affine: Map, low: bool, channels: int) -> str:
    """A level under AdaIN. With `channels` a convolution that changes nothing comes first: OpenVINO then goes on with
    these as the last axis, as all further convolutions want them."""
    x = f"level{number}"
    if channels:
        x = graph.node("Conv", x, graph.constant(np.ones((channels, 1, 1, 1), np.float32), True), group=channels)
    centered = graph.node("Sub", graph.cast(x, False) if low else x, f"center{number}")
    moved = graph.mapped(centered, affine.gain, affine.shift)
    return graph.cast(moved, True) if low else moved


def maps(config: ModelConfig, tensors: Mapping[str, Array], facts: Mapping[str, str] | None = None) -> Any:
    """The `onnx.ModelProto`, in float32: what `AdaINModel.modulate` computes."""
    graph, inputs, outputs = Graph(), dict[str, Any](), dict[str, Any]()
    for kind in ("content", "style"):
        for i, level in enumerate(config.levels):
            inputs |= {f"{kind}_{part}{i}": [f"{kind}s", level.channels] for part in ("mean", "std")}
    inputs["alpha"] = [len(config.levels)]

    def result(x: str, name: str, channels: int) -> None:
        graph.result(graph.node("Reshape", x, graph.constant([-1, channels, 1, 1])), name)
        outputs[name] = [f"batch_of_{name}", channels, 1, 1]

    one = graph.constant(np.ones(1, np.float32))
    alphas = [graph.node("Gather", "alpha", graph.constant([i])) for i in range(len(config.levels))]
    for i, (level, alpha) in enumerate(zip(config.levels, alphas, strict=True)):
        mean, ratio = f"content_mean{i}", graph.node("Div", f"style_std{i}", f"content_std{i}")
        if config.gain_cap is not None:
            ratio = graph.node("Min", ratio, graph.constant(np.full(1, config.gain_cap, np.float32)))
        gain = graph.node("Add", one, graph.node("Mul", alpha, graph.node("Sub", ratio, one)))
        moved = graph.node("Mul", alpha, graph.node("Sub", f"style_mean{i}", mean))
        for name, x in (("center", mean), ("gain", gain), ("shift", graph.node("Add", mean, moved))):
            result(x, f"{name}{i}", level.channels)
    if config.code:
        for i, (name, x, channels) in enumerate(head_maps(graph, config, _own(tensors, "decoder.head."), alphas)):
            result(x, f"{name}{len(config.levels) + i // 2}", channels)
    return graph.model(inputs, outputs, dict(facts or {}))


def parts_of(place: int, levels: int) -> tuple[str, ...]:
    """The parts of a place's map that the decoder takes: the decoder's own places have no center."""
    return ("center", "gain", "shift") if place < levels else ("gain", "shift")


def moves(config: ModelConfig) -> bool:
    """Whether the decoder must know where in the picture it is: its graph then has the input "origin"."""
    return any("origin" in step.row.needs for step in config.decoding)


def place_sides(config: ModelConfig, sides: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Rows and columns of the cells at each of `config.places`, from those of the levels' features."""
    found = [(int(high), int(wide)) for high, wide in sides]
    *finer, here = found
    for step in config.decoding:
        if "map" in step.row.needs:
            found.append(here)
        if "level" in step.row.needs:
            here = finer.pop()
        else:
            here = (int(here[0] * step.row.scale), int(here[1] * step.row.scale))
    return found


def _is_last(config: ModelConfig, index: int) -> bool:
    steps: tuple[Step, ...] = config.decoding
    return index == len(steps) - 1


def _own(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}

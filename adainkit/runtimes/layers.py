"""The layers of `net/layers.py` as operators of a graph: one function for each word of `net/words.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from ..net.config import Step
from .graph import Array, Graph

__all__ = ["Layer", "Map", "build", "shuffle_then_rgb"]

GRAY = np.float32(0.5)
_PERIOD = 128  # cells after which a canvas and strokes repeat, as in `net.layers`


@dataclass(frozen=True)
class Map:
    """The names of an affine map's parts."""

    gain: str
    shift: str


@dataclass
class Layer:
    """What a word's operators are made from: its tensors, by the names that they have in its torch module, and where
    it stands."""

    graph: Graph
    step: Step
    tensors: Mapping[str, Array]
    low: bool = False
    """Whether it computes in the graph's low type, not in float32."""
    level: str = ""
    map: Map | None = None
    origin: str = ""
    scale: int = 1
    """Cells in front of it to one of the coarsest level, of which `origin` is counted."""
    last: bool = False
    """Whether channels come last in what it takes."""

    def weight(self, name: str) -> str:
        """One of its tensors as a constant."""
        return self.graph.constant(self.tensors[name], self.low)

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        """An operator of the graph."""
        return self.graph.node(kind, *inputs, **attributes)

    def padded(
        self, x: str, mode: str = "reflect", rows: Sequence[int] = (1, 1), columns: Sequence[int] = (1, 1)
    ) -> str:
        """More cells around, or at two sides alone."""
        pads = [0, 0, rows[0], columns[0], 0, 0, rows[1], columns[1]]
        return self.node("Pad", x, self.graph.constant(pads), mode=mode)

    def conv(self, x: str, name: str = "conv", stride: int = 1, relu: bool = True) -> str:
        """3x3 behind reflection."""
        x = self.node(
            "Conv", self.padded(x), self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), strides=[stride, stride]
        )
        return self.node("Relu", x) if relu else x

    def wide(self, x: str) -> str:
        """`x` in float32, in which all that is no convolution is computed, however an engine joins it."""
        return self.graph.cast(x, False) if self.low else x

    def narrow(self, x: str) -> str:
        """What is computed so, as the next convolution takes it."""
        return self.graph.cast(x, True) if self.low else x

    def mapped(self, x: str) -> str:
        """`x` under the map, in float32."""
        assert self.map is not None
        return self.graph.mapped(self.wide(x), self.map.gain, self.map.shift)

    def sides(self, x: str) -> str:
        """Height and width, two whole numbers."""
        return self.node("Shape", x, start=2, end=4)

    def doubled(self, x: str, mode: str) -> str:
        """Twice the size."""
        scales = self.graph.constant(np.array([1, 1, 2, 2], np.float32))
        if mode == "nearest":
            more = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        else:
            more = {"coordinate_transformation_mode": "half_pixel"}
        return self.node("Resize", x, "", scales, mode=mode, **more)


def _conv(layer: Layer, x: str) -> str:
    return layer.conv(x)


def _down(layer: Layer, x: str) -> str:
    return layer.conv(x, stride=2)


def _residual(layer: Layer, x: str) -> str:
    hidden = layer.conv(x, "first.conv")
    return layer.node("Add", layer.conv(hidden, "second.conv", relu=False), x)


def _pool(layer: Layer, x: str) -> str:
    return layer.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)


def _unshuffle(layer: Layer, x: str) -> str:
    """Of `(batch, C, height, width)`, or of `(batch, height, width, C)` where channels are `last`."""
    graph, channels, axis = layer.graph, layer.step.before.channels, 1 if layer.last else 2
    odd = layer.node("Mod", layer.node("Shape", x, start=axis, end=axis + 2), graph.constant([2, 2]))
    behind = [graph.constant([0])] if layer.last else []
    pads = layer.node("Concat", graph.constant([0] * (4 + axis)), odd, *behind, axis=0)
    x = layer.node("Pad", x, pads, mode="edge")
    # SpaceToDepth has another order of channels, and OpenVINO 2026.4 loses a Gather that would mend it
    half = layer.node("Div", layer.node("Shape", x, start=axis, end=axis + 2), graph.constant([2, 2]))
    high, wide = (layer.node("Gather", half, graph.constant([side])) for side in (0, 1))
    two, batch, own = graph.constant([2]), graph.constant([0]), graph.constant([channels])
    cells = (high, two, wide, two)
    sides = (batch, *cells, own) if layer.last else (batch, own, *cells)
    x = layer.node("Reshape", x, layer.node("Concat", *sides, axis=0))
    x = layer.node("Transpose", x, perm=[0, 5, 2, 4, 1, 3] if layer.last else [0, 1, 3, 5, 2, 4])
    return layer.node("Reshape", x, layer.node("Concat", batch, graph.constant([4 * channels]), high, wide, axis=0))


def _up(layer: Layer, x: str) -> str:
    return layer.doubled(x, "nearest")


def _smooth(layer: Layer, x: str) -> str:
    return layer.doubled(x, "linear")


def _shuffle(layer: Layer, x: str) -> str:
    x = layer.node("DepthToSpace", layer.conv(x, "expand.conv"), blocksize=2, mode="CRD")
    x = layer.padded(x, rows=(1, 0), columns=(1, 0))
    return layer.node("AveragePool", x, kernel_shape=[2, 2], strides=[1, 1])


def _merge(layer: Layer, x: str) -> str:
    graph = layer.graph
    x = layer.node("Conv", x, layer.weight("narrow.weight"), layer.weight("narrow.bias"))
    x = layer.doubled(x, "linear")
    # the finer level may have a row or a column less than the coarser one has, twice
    x = layer.node("Slice", x, graph.constant([0, 0]), layer.sides(layer.level), graph.constant([2, 3]))
    return layer.narrow(layer.node("Add", layer.wide(x), layer.wide(layer.level)))


def _modulated(layer: Layer, x: str) -> str:
    hidden = layer.mapped(layer.conv(x, "first.conv", relu=False))
    hidden = layer.narrow(layer.node("Relu", hidden))
    return layer.node("Add", layer.conv(hidden, "second.conv", relu=False), x)


def _field(layer: Layer, x: str, margin: int) -> str:
    """What `x` sees, with a margin around it, of its layer's field, which repeats in the picture."""
    graph = layer.graph
    field = graph.constant(layer.tensors["field"][None], layer.low)
    sides = layer.sides(x)
    for axis in (0, 1):
        zero, one, more, both, period = (graph.constant(np.array(v)) for v in (0, 1, margin, 2 * margin, _PERIOD))
        index = graph.constant(np.array(axis))
        count = layer.node("Add", layer.node("Gather", sides, index), both)
        first = layer.node("Mul", layer.node("Gather", layer.origin, index), graph.constant(np.array(layer.scale)))
        first = layer.node("Sub", first, more)
        where = layer.node("Add", layer.node("Range", zero, count, one), first)
        field = layer.node("Gather", field, layer.node("Mod", where, period), axis=2 + axis)
    return field


def _canvas(layer: Layer, x: str) -> str:
    marks = layer.node("Conv", _field(layer, x, 1), layer.weight("conv.weight"))
    return layer.narrow(layer.node("Add", layer.mapped(marks), layer.wide(x)))


def _strokes(layer: Layer, x: str) -> str:
    lead = layer.node("Conv", x, layer.weight("lead.weight"), layer.weight("lead.bias"))
    led = layer.node("Mul", layer.wide(lead), layer.wide(_field(layer, x, 0)))
    marks = layer.node("Conv", layer.narrow(led), layer.weight("mix.weight"))
    return layer.narrow(layer.node("Add", layer.mapped(marks), layer.wide(x)))


def _rgb(layer: Layer, x: str) -> str:
    return layer.conv(x, relu=False)


_WORDS: dict[str, Callable[[Layer, str], str]] = {
    "conv": _conv,
    "res": _residual,
    "pool": _pool,
    "down": _down,
    "unshuffle": _unshuffle,
    "up": _up,
    "smooth": _smooth,
    "shuffle": _shuffle,
    "mod": _modulated,
    "canvas": _canvas,
    "strokes": _strokes,
    "merge": _merge,
    "rgb": _rgb,
}


def build(layer: Layer, x: str) -> str:
    """The layer's operators behind `x`. `ModelError` for a word that has none."""
    if layer.step.name not in _WORDS:
        raise ModelError(f"the layer {layer.step.name!r} has no graph yet: its model runs in torch alone")
    if layer.last and layer.step.name != "unshuffle":
        x = layer.node("Transpose", x, perm=[0, 3, 1, 2])
    return _WORDS[layer.step.name](layer, x)


def shuffle_then_rgb(layer: Layer, rgb: Mapping[str, Array], x: str, exact: bool = True) -> str:
    """The last two layers by one convolution, as `net.layers.Shuffle.then_rgb` explains it: in float32, or as all
    others if not `exact`. Colors are then rounded as differences from gray, so by a quarter of 1/255 at most."""
    graph = layer.graph
    x = layer.conv(x, "expand.conv")
    # What lies behind the last column is the one that the reflected sub-pixels ask for; before the first, itself.
    for axis in (3, 2):
        x = layer.node("Concat", _part(layer, x, axis, 0, 1), x, _behind(layer, x, axis), axis=axis)
    weight, bias = tail_kernel(rgb["conv.weight"], rgb["conv.bias"])
    if layer.low and not exact:
        x = layer.node("Conv", x, graph.constant(weight, True), graph.constant(bias - GRAY, True))
        x = graph.cast(layer.node("DepthToSpace", x, blocksize=2, mode="CRD"), False)
        return layer.node("Add", x, graph.constant(np.full(1, GRAY, np.float32)))
    if layer.low:
        x = graph.cast(x, False)
    x = layer.node("Conv", x, graph.constant(weight), graph.constant(bias))
    return layer.node("DepthToSpace", x, blocksize=2, mode="CRD")


def _part(layer: Layer, x: str, axis: int, start: int, stop: int) -> str:
    return layer.node("Slice", x, *(layer.graph.constant([v]) for v in (start, stop, axis)))


_END = np.iinfo(np.int64).max


def _behind(layer: Layer, x: str, axis: int) -> str:
    """The cells behind the last ones: of y(n) = y(n - 3) + y(n - 2) - y(n - 1) only the first sub-pixel counts, the
    last cell's second one of the cell before it, plus its first one, minus its second one."""
    channels = 4 * (layer.step.number or layer.step.after.channels)
    kernel = behind_kernel(channels, axis)
    last = _part(layer, x, axis, -2, _END)
    return layer.node("Conv", last, layer.graph.constant(kernel, layer.low))


def behind_kernel(channels: int, axis: int) -> Array:
    """`(channels, channels, 1, 2)`, or `(..., 2, 1)` for rows: from the last two cells to the one behind them."""
    kernel = np.zeros((channels, channels, 2), np.float32)
    for out in range(channels):
        bit = 1 if axis == 3 else 2  # a channel's number ends in the bits (row, column) of its sub-pixel
        first, second = out & ~bit, out | bit
        if out == first:  # y(n)
            kernel[out, second, 0] += 1
            kernel[out, first, 1] += 1
            kernel[out, second, 1] -= 1
        else:  # y(n + 1), which the kernel meets with zeros
            kernel[out, out, 1] += 1
    return kernel[:, :, None, :] if axis == 3 else kernel[:, :, :, None]


def tail_kernel(weight: Array, bias: Array) -> tuple[Array, Array]:
    """The `(12, 4 * C, 3, 3)` kernel and `(12,)` bias that are mean and last convolution together, float32."""
    channels = weight.shape[1]
    kernel = np.zeros((3, channels, 4, 4), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            kernel[:, :, row : row + 3, column : column + 3] += np.float32(0.25) * weight.astype(np.float32)
    made = np.zeros((3, 2, 2, channels, 6, 6), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            made[:, row, column, :, row : row + 4, column : column + 4] = kernel
    made = made.reshape(12, channels, 3, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4)
    return np.ascontiguousarray(made).reshape(12, 4 * channels, 3, 3), np.repeat(bias.astype(np.float32), 4)

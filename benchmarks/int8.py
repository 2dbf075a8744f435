"""A trial of INT8: `python -m benchmarks int8`, convolutions quantized by ONNX Runtime's tools and run by OpenVINO.

Only convolutions are: never maps, statistics, sums, the encoder's first and the decoder's last layer, nor a canvas's or
strokes'. Each form is compared with float32 in the same run; `ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI` holds all of them
down to a processor that multiplies bytes and no bfloat16.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adainkit.net.model import AdaINModel
from adainkit.runtimes import coders
from adainkit.runtimes.engines import Program, load_program
from adainkit.runtimes.network import CompiledNetwork
from adainkit.style import Style
from adainkit.stylizer import Stylizer

from .precision import _flat_pictures, _photographs
from .report import table
from .timing import interleave, ratios, spread

__all__ = ["run", "show"]

_PRESETS = ("iris", "ember", "ukiyo-e")
_HALVES = {"encoder": coders.encoder, "decoder": coders.decoder}


def run(rounds: int, side: int = 512, calibrated: int = 256, clock: str = "cpu") -> list[dict[str, Any]]:
    """For every choice of quantized halves: how far results are from float32, of 255, and how many times as fast."""
    forms: dict[str, tuple[str, ...]] = {"float32": (), "decoder": ("decoder",), "encoder": ("encoder",)}
    forms["both"] = ("encoder", "decoder")
    styles = [Style.preset(name) for name in _PRESETS]
    calm = _photographs(None, calibrated)
    stylizers = {name: _stylizer(halves, calm, styles) for name, halves in forms.items()}
    pictures = {"photographs": _photographs(None, side), "flat": _flat_pictures()}
    photo = pictures["photographs"][0]
    calls: dict[str, Callable[[], object]] = {
        name: lambda own=own: own.stylize(photo, styles[0], tile=None)  # type: ignore[misc]
        for name, own in stylizers.items()
    }
    seconds = interleave(calls, rounds, clock=clock, warmup=3)
    rows = []
    for name, own in stylizers.items():
        row: dict[str, Any] = {"quantized": name, "times": spread(ratios(seconds["float32"], seconds[name]))}
        for kind, images in pictures.items():
            off = [
                255 * float(np.abs(own.stylize(x, s) - stylizers["float32"].stylize(x, s)).mean())
                for x in images
                for s in styles
            ]
            row |= {kind: float(np.mean(off)), f"worst of {kind}": max(off)}
        rows.append(row)
    return rows


def _stylizer(
    halves: Sequence[str], pictures: Sequence[np.ndarray], styles: Sequence[Style], model: AdaINModel | str = "lite"
) -> Stylizer:
    """One in OpenVINO, float32, whose `halves` are quantized."""
    stylizer = Stylizer(model, dtype="float32", device="cpu", cache=None, runtime="openvino")
    network = stylizer.executor().model
    assert isinstance(network, CompiledNetwork)
    tensors = {name: t.detach().numpy() for name, t in network.model.state_dict().items()}
    for half in halves:
        seen = _inputs(stylizer, half, pictures, styles)
        graph = _HALVES[half](network.config, tensors, last=True)
        made = _quantized(graph, _left_out(graph, half), seen)
        network.__dict__[half] = load_program("openvino", made, threads=torch.get_num_threads())
    return stylizer


def _inputs(
    stylizer: Stylizer, half: str, pictures: Sequence[np.ndarray], styles: Sequence[Style]
) -> list[dict[str, Any]]:
    """What a half of the network is given for the pictures in all styles."""
    network = stylizer.executor().model
    plain: Program = getattr(network, half)
    seen: list[dict[str, Any]] = []

    def noted(inputs: Mapping[str, Any]) -> dict[str, Any]:
        seen.append({name: np.array(x) for name, x in inputs.items()})
        return plain(inputs)

    vars(network)[half] = noted
    for picture in pictures:
        for style in styles:
            stylizer.stylize(picture, style, tile=None)
    vars(network)[half] = plain
    return seen


def _left_out(graph: Any, half: str) -> list[str]:
    """Convolutions that stay as they are: the first of the encoder; of the decoder the last, those of its border, and
    those of canvases and strokes."""
    sizes = {t.name: tuple(t.dims) for t in graph.graph.initializer}
    makers = {name: node.op_type for node in graph.graph.node for name in node.output}
    led = {name for node in graph.graph.node if node.op_type == "Mul" for name in node.input}
    convs = [node for node in graph.graph.node if node.op_type == "Conv"]
    odd = [n for n in convs if sizes[n.input[1]][2:] in ((1, 2), (2, 1)) or makers.get(n.input[0]) in ("Gather", "Mul")]
    odd += [n for n in convs if n.output[0] in led and sizes[n.input[1]][2:] == (1, 1)]
    return [n.name for n in (*odd, convs[0] if half == "encoder" else convs[-1])]


def _quantized(graph: Any, left_out: Sequence[str], seen: Sequence[Mapping[str, Any]]) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: Iterator[Mapping[str, Any]] = iter(seen)

        def get_next(self) -> Any:
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph.SerializeToString())
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=list(left_out),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def show(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table."""
    kinds = ("photographs", "flat")
    cells = [
        [r["quantized"], f"{r['times']:.2f}", *(f"{r[k]:.2f} ({r[f'worst of {k}']:.2f})" for k in kinds)] for r in rows
    ]
    return table(["quantized", "times as fast", "photographs, of 255 (worst)", "flat (worst)"], cells)

"""A model as files for other programs: three graphs, what is to be known about them, and an example."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..atomic import write_atomically
from ..errors import AdaINKitError, ModelError
from ..net.demands import halo
from ..net.devices import find_device
from ..net.model import AdaINModel
from ..store.weights import cache_dir
from . import coders
from .arrays import EPS, FREE, GAINS, MOST, OPPONENT, RIDGE, ROOM, VIVID
from .choice import find_runtime
from .engines import Program, here, openvino_core
from .exported import EXPORTS, FACTS, GRAPHS, README, may_export
from .graph import OPSET
from .network import CompiledNetwork, compiled
from .readme import readme

__all__ = ["EXPORTS", "export_model"]

SIZES = ((33, 47), (75, 91), (97, 59))
"""Height and width of the pictures by which an export is checked."""
CLOSE = 1e-4
"""The largest difference from torch that is taken, of the largest value of a result, or of 1."""
CLOSE_IN_FLOAT16 = 2 / 255


def export_model(
    model: AdaINModel, kind: str, folder: str | os.PathLike[str], *, overwrite: bool | None = None
) -> list[Path]:
    """Write `encoder`, `maps` and `decoder` as .onnx, or as .xml and .bin of OpenVINO, or as .plan of TensorRT,
    `model.json` and `README.md`; the paths back. The model must be in float32 on the CPU. Plans are in float16, and
    for the GPU that is here.

    The graphs are run first, at three odd sizes, and compared with torch: `ModelError` if they differ. `AdaINKitError`
    for packages that are missing, for another kind, for a folder that cannot be written, and for one that has a file of
    these names, unless `overwrite` is True: None, for one release more, replaces it with a `FutureWarning`.
    """
    may_export(kind, folder, overwrite)
    network = _network(model, kind)
    programs: dict[str, Any] = {"maps": compiled(network, coders.maps)}
    worst, facts = check(network, programs["maps"]), facts_of(model)
    if kind == "tensorrt":
        programs |= {"encoder": network.encoder, "decoder": network.decoder}
        graphs = {name: programs[name].plan for name in GRAPHS}
        facts |= programs["maps"].facts | {"precision": network.precision}
    else:
        tensors = {name: t.detach().numpy() for name, t in model.state_dict().items()}
        told = {"digest": model.digest, "config": model.config.to_json()}
        graphs = {
            name: make(model.config, tensors, facts=told).SerializeToString()
            for name, make in (("encoder", coders.encoder), ("maps", coders.maps), ("decoder", coders.decoder))
        }
    texts = {
        FACTS: json.dumps({**facts, "largest_difference_from_torch": worst}, indent=2) + "\n",
        README: readme(model.config, kind, worst),
    }
    target = Path(folder)
    try:
        written = _write_graphs(graphs, kind, target)
        return written + [write_atomically(target / name, text.encode()) for name, text in texts.items()]
    except OSError as error:
        raise AdaINKitError(f"{target}: the export cannot be written ({error.strerror or error})") from error


def _network(model: AdaINModel, kind: str) -> CompiledNetwork:
    if kind == "tensorrt":
        device = find_device("auto")
        try:
            engine, precision = find_runtime("tensorrt", device, "auto", model.config)
        except AdaINKitError as error:
            if device.type == "cuda":
                raise
            told = "TensorRT's engines are made on the GPU that they are for; export where an NVIDIA GPU is"
            raise AdaINKitError(told) from error
        return CompiledNetwork(copy.deepcopy(model).to(device), engine, precision, cache=cache_dir() / engine)
    engine = "onnxruntime" if kind == "onnx" and here("onnxruntime") else "openvino"
    return CompiledNetwork(model, engine, threads=torch.get_num_threads())


def _write_graphs(graphs: Mapping[str, bytes], kind: str, target: Path) -> list[Path]:
    if kind != "openvino":
        return [write_atomically(target / f"{name}{EXPORTS[kind][0]}", graph) for name, graph in graphs.items()]
    import tempfile

    import openvino

    core, written = openvino_core(), list[Path]()
    with tempfile.TemporaryDirectory() as temporary:
        for name, graph in graphs.items():
            openvino.save_model(core.read_model(graph), Path(temporary, f"{name}.xml"), compress_to_fp16=False)
            for file in (f"{name}.bin", f"{name}.xml"):
                written.append(write_atomically(target / file, Path(temporary, file).read_bytes()))
    return written


def check(network: CompiledNetwork, maps: Program) -> float:
    """The largest difference of the three graphs' results from torch. `ModelError` if that is more than `CLOSE`, or
    `CLOSE_IN_FLOAT16`."""
    model, worst = network.model, 0.0
    close = CLOSE_IN_FLOAT16 if network.precision == "float16" else CLOSE
    device = next(model.parameters()).device
    random = torch.Generator().manual_seed(1)
    for height, width in SIZES:
        x, other = (torch.rand(1, 3, height, width, generator=random).to(device) for _ in range(2))
        features = model.encode(x)
        numbers = [
            [(f.mean((2, 3)), (f.var((2, 3), correction=0) + EPS).sqrt()) for f in model.encode(p)] for p in (x, other)
        ]
        alphas = torch.linspace(0.6, 1, len(features))
        affine = model.maps(numbers[0], numbers[1], alphas.tolist())
        inputs = {"alpha": alphas.numpy()}
        for kind, found in zip(("content", "style"), numbers, strict=True):
            for i, (mean, std) in enumerate(found):
                inputs |= {f"{kind}_mean{i}": mean.cpu().numpy(), f"{kind}_std{i}": std.cpu().numpy()}
        pairs = list(zip(features, network.encode(x), strict=True))
        for name, values in maps(inputs).items():
            part, place = name.rstrip("0123456789"), int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
            pairs.append((getattr(affine[place], part), torch.as_tensor(values)[:, :, 0, 0]))
        pairs.append((model.decode(features, affine, (3, 5)), network.decode(features, affine, (3, 5))))
        for expected, got in pairs:
            off = float((expected - got).abs().max()) / max(1.0, float(expected.abs().max()))
            worst = max(worst, off)
    if not worst <= close:  # NaN, too
        raise ModelError(
            f"{network.engine} gives results that differ by {worst:.2g} from torch's, {close:.2g} is allowed"
        )
    return worst


_PALETTE = {"turn": OPPONENT, "ridge": RIDGE, "gains": GAINS, "vivid": VIVID, "room": ROOM, "free": FREE, "most": MOST}


def facts_of(model: AdaINModel) -> dict[str, Any]:
    """What `model.json` says."""
    config, reach = model.config, halo(model.config)
    return {
        "name": config.name,
        "encoder_sha256": model.digest,
        "config": json.loads(config.to_json()),
        "levels": [vars(level) for level in config.levels],
        "places": [vars(place) for place in config.places],
        "stride": config.stride,
        "smallest_side": config.min_size,
        "reach_in_cells": {"encoder": reach.encode, "decoder": reach.decode},
        "gain_cap": config.gain_cap,
        "epsilon": EPS,
        "takes_origin": coders.moves(config),
        "palette": _PALETTE if config.palette else None,
        "opset": OPSET,
    }

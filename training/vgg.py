"""VGG-19 to relu4_1 or relu5_1 from the files that there are of it, and the normalized VGG-19 from photographs.

Three layouts are read, told apart by their tensors' names:

| layout | input map | 3x3 convolutions |
| --- | --- | --- |
| classic (`vgg_normalised.pth`, a port of the paper's) | `0`, a 1x1 convolution | `2 5 9 12 ... 29`, `32 35 38 42` |
| torchvision (`vgg19-dcbb9e9d.pth`) | none: ImageNet's mean and deviation are subtracted and divided | `features.N` |
| named (slim files, and what `normalise` writes) | `conv0` | `conv11 conv12 conv21 ... conv41`, `conv42 ... conv51` |

`python -m training.vgg normalise --vgg torchvision --content DIR --out vgg_normalised.safetensors`
"""

from __future__ import annotations

import argparse
import logging
import os
import pickle
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from adainkit.atomic import write_atomically
from adainkit.errors import AdaINKitError, ModelError, WeightsError
from adainkit.net.classic import fold_input_map
from adainkit.net.coders import Encoder
from adainkit.store.weights import is_offline

__all__ = [
    "DEEP_NAMES",
    "VGG_NAMES",
    "Layer",
    "fill_encoder",
    "main",
    "normalise_vgg",
    "read_teacher",
    "read_vgg",
    "run_vgg",
    "write_vgg",
]

log = logging.getLogger("adainkit.training")
Layer = tuple[Tensor, Tensor]
"""Weight and bias of one convolution."""
VGG_NAMES = ("0", "11", "12", "21", "22", "31", "32", "33", "34", "41")
"""The layers of `read_vgg`: the 1x1 input map, then block and place of each 3x3 convolution."""
DEEP_NAMES = (*VGG_NAMES, "42", "43", "44", "51")
"""The layers to relu5_1, of files that go on so far."""
_CLASSIC = ("0", "2", "5", "9", "12", "16", "19", "22", "25", "29", "32", "35", "38", "42")
_TORCHVISION = tuple(f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28))
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_FOUND_BY_NAME = "torchvision"


def read_vgg(source: str | os.PathLike[str]) -> list[Layer]:
    """The ten layers of `VGG_NAMES`, float32; `source` is a file of any layout, or "torchvision" to download its
    VGG-19 (its file's name carries the sum, which is checked). `WeightsError` if it does not fit."""
    return _layers(_state(source), source, VGG_NAMES)


def read_teacher(source: str | os.PathLike[str]) -> tuple[list[Layer], dict[str, Layer]]:
    """What a file has of a loss network: the layers to relu5_1 (of `DEEP_NAMES`), or to relu4_1 where it ends there,
    and by the layers' names the 1x1 maps `convN1_aux` of a slim network's features to VGG-19's channels (Wang et al.,
    Collaborative Distillation, CVPR 2020): weights `(D, C)`. Errors as `read_vgg`."""
    state = _state(source)
    deep = any(f"{key}.weight" in state for key in ("conv51", _TORCHVISION[-1], _CLASSIC[-1]))
    layers = _layers(state, source, DEEP_NAMES if deep else VGG_NAMES)
    maps = {}
    for (weight, _), name in zip(layers, DEEP_NAMES, strict=False):
        matrix, bias = state.get(f"conv{name}_aux.weight"), state.get(f"conv{name}_aux.bias")
        if matrix is None or bias is None:
            continue
        if matrix.ndim != 4 or tuple(matrix.shape[1:]) != (len(weight), 1, 1) or len(bias) != len(matrix):
            raise WeightsError(
                f"{source}: conv{name}_aux: expected (*, {len(weight)}, 1, 1), got {tuple(matrix.shape)}"
            )
        maps[name] = (matrix.float()[:, :, 0, 0], bias.float())
    return layers, maps


def _state(source: str | os.PathLike[str]) -> dict[str, Tensor]:
    return _download() if os.fspath(source) == _FOUND_BY_NAME else _read(Path(source))


def _layers(state: dict[str, Tensor], source: str | os.PathLike[str], names: Sequence[str]) -> list[Layer]:
    if "conv0.weight" in state:
        keys: Sequence[str] = [f"conv{name}" for name in names]
    elif "features.0.weight" in state:
        keys = ["input", *_TORCHVISION][: len(names)]
        std = torch.tensor(_IMAGENET_STD)
        state["input.weight"] = torch.diag(1 / std)[:, :, None, None]
        state["input.bias"] = -torch.tensor(_IMAGENET_MEAN) / std
    else:
        keys = _CLASSIC[: len(names)]
    layers, channels = [], 3
    for name, key in zip(names, keys, strict=True):
        weight, bias = state.get(f"{key}.weight"), state.get(f"{key}.bias")
        size = 1 if name == "0" else 3
        if weight is None or bias is None:
            raise WeightsError(
                f"{source}: has no {key}; expected VGG-19 to relu4_1 as conv0, conv11 ... conv41, as torchvision's "
                "features.0 ..., or as the classic 0, 2, 5 ... 29"
            )
        if weight.ndim != 4 or tuple(weight.shape[1:]) != (channels, size, size) or len(bias) != len(weight):
            raise WeightsError(f"{source}: {key}: expected (*, {channels}, {size}, {size}), got {tuple(weight.shape)}")
        layers.append((weight.float().contiguous(memory_format=torch.channels_last), bias.float()))
        channels = len(weight)
    return layers


def run_vgg(layers: Sequence[Layer], x: Tensor) -> Iterable[tuple[str, Tensor]]:
    """`(B, 3, H, W)` RGB in [0, 1], sides 16 or more (32 to relu5_1) -> the name and the features after ReLU of each
    3x3 layer, in order."""
    x = F.conv2d(x, *layers[0])
    for name, (weight, bias) in zip(DEEP_NAMES[1 : len(layers)], layers[1:], strict=True):
        if name.endswith("1") and name != "11":
            x = F.max_pool2d(x, 2)
        x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias))
        yield name, x


def fill_encoder(encoder: Encoder, layers: Sequence[Layer]) -> None:
    """Copy the layers into an encoder of VGG-19's shape (`ModelError` for another), the input map folded into the
    first 3x3 convolution: exact, since reflection pads with pixels."""
    convs = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
    (matrix, offset), (weight, bias), *rest = layers
    folded = [fold_input_map(matrix, offset, weight, bias), *rest]
    ours, theirs = [tuple(c.weight.shape) for c in convs], [tuple(w.shape) for w, _ in folded]
    if ours != theirs:
        raise ModelError(f"the encoder is not of this VGG-19's shape: its convolutions are {ours}, the file's {theirs}")
    with torch.no_grad():
        for conv, (w, b) in zip(convs, folded, strict=True):
            conv.weight.copy_(w)
            assert conv.bias is not None
            conv.bias.copy_(b)


@torch.no_grad()
def normalise_vgg(layers: Sequence[Layer], pictures: Iterable[Tensor]) -> list[Layer]:
    """Each filter scaled so that its mean activation over `pictures` (`(1, 3, H, W)` RGB in [0, 1] each) is 1, and the
    next layer's input channel scaled back: the same function, but for the scale of relu4_1's channels (Gatys,
    Ecker & Bethge 2016). A filter that never fires is left alone."""
    totals = [torch.zeros(len(bias), dtype=torch.float64) for _, bias in layers[1:]]
    cells = [0] * len(totals)
    for picture in pictures:
        for index, (_, features) in enumerate(run_vgg(layers, picture)):
            totals[index] += features.sum((0, 2, 3), dtype=torch.float64)
            cells[index] += features[:, 0].numel()
    if not all(cells):
        raise ValueError("normalise_vgg needs at least one picture")
    found, before = [layers[0]], torch.ones(layers[0][0].shape[0])
    for (weight, bias), total, count in zip(layers[1:], totals, cells, strict=True):
        mean = (total / count).float()
        mean = torch.where(mean > 0, mean, torch.ones_like(mean))
        scaled = weight * before[None, :, None, None] / mean[:, None, None, None]
        found.append((scaled.contiguous(memory_format=torch.channels_last), bias / mean))
        before = mean
    return found


def write_vgg(layers: Sequence[Layer], path: str | os.PathLike[str]) -> Path:
    """Write the layers as `conv0 conv11 ... conv41` of one .safetensors file, whole or not at all."""
    tensors = {}
    for name, (weight, bias) in zip(VGG_NAMES, layers, strict=True):
        tensors |= {f"conv{name}.weight": weight.contiguous(), f"conv{name}.bias": bias.contiguous()}
    return write_atomically(path, save(tensors))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path}: cannot be read as the loss network ({str(error)[:200]})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: cannot be read as the loss network (not a plain dict of tensors)")
    return state


def _download() -> dict[str, Tensor]:
    from torchvision.models import VGG19_Weights

    file = Path(torch.hub.get_dir(), "checkpoints", Path(VGG19_Weights.IMAGENET1K_V1.url).name)
    remedy = f"give the file {file.name} instead, or put it into {file.parent}"
    if is_offline() and not file.is_file():
        raise WeightsError(f"torchvision's VGG-19 is not here and ADAINKIT_OFFLINE is set; {remedy}")
    try:
        state: dict[str, Tensor] = dict(VGG19_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True, progress=False))
    except (OSError, RuntimeError) as error:  # a dead link, and a sum that differs
        raise WeightsError(f"torchvision's VGG-19 could not be downloaded ({error}); {remedy}") from error
    return state


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0, or 1 when it failed."""
    from .data import find_pictures, picture_tensors

    parser = argparse.ArgumentParser(prog="training.vgg", description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("normalise", help="derive the normalized VGG-19 (Gatys 2016) from photographs")
    command.add_argument("--vgg", default=_FOUND_BY_NAME, help="a VGG-19 file, or torchvision: download it (default)")
    command.add_argument("--content", type=Path, required=True, metavar="DIR", help="folder of a few hundred photos")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .safetensors file to write")
    command.add_argument("--size", type=int, default=256, help="the photos' shorter side in pixels (default 256)")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        layers = normalise_vgg(read_vgg(args.vgg), picture_tensors(find_pictures(args.content), args.size))
        log.info("wrote %s", write_vgg(layers, args.out))
    except (AdaINKitError, OSError, ValueError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

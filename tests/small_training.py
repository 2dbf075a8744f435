"""Models, networks and runs small enough for tests of the training package; its fixtures are in conftest.py."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from training.config import load_config
from training.train import Trainer

TINY = {
    "encoder": "unshuffle conv8 tap down8 tap",
    "decoder": "res8 merge shuffle4 rgb",
    "stages": [{"steps": 4, "crop": 32, "batch": 3}, {"steps": 4, "crop": 48, "batch": 2}],
    "validation_every": 5,
    "workers": 0,
    "amp": "none",
    "checkpoint_every": 100,
    "sample_every": 100,
}
WIDTHS = (4, 4, 6, 6, 8, 8, 8, 8, 10)
ENCODER = "conv4 conv4 pool conv6 conv6 pool conv8 conv8 conv8 conv8 pool conv10 tap"


def random_layers(seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """An input map and nine 3x3 convolutions of VGG-19's shape, narrow."""
    generator = torch.Generator().manual_seed(seed)
    layers, channels = [(torch.randn(3, 3, 1, 1, generator=generator), torch.randn(3, generator=generator))], 3
    for width in WIDTHS:
        weight = torch.randn(width, channels, 3, 3, generator=generator) * (2 / channels / 9) ** 0.5
        layers.append((weight, torch.rand(width, generator=generator)))
        channels = width
    return layers


def naive_vgg(layers: list[tuple[Tensor, Tensor]], x: Tensor) -> dict[str, Tensor]:
    """Every layer after ReLU, written out."""
    found, x = {}, F.conv2d(x, *layers[0])
    for index, (block, place) in enumerate([(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (3, 4), (4, 1)]):
        if place == 1 and block > 1:
            x = F.max_pool2d(x, 2)
        x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), *layers[index + 1]))
        found[f"relu{block}_{place}"] = x
    return found


def trainer(teacher: Path, pictures: tuple[Path, Path], out: Path, **settings: object) -> Trainer:
    return Trainer(load_config(None, {**TINY, **settings}), *pictures, teacher, out)

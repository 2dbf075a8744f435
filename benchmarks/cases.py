"""The candidates: each takes a picture with its style cached, as a tensor (`network`) and as a PIL image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from adainkit.engine.memory import ordinary_tensors
from adainkit.net.config import VGG19
from adainkit.net.model import AdaINModel
from adainkit.runtimes.engines import ENGINES, here
from adainkit.stylizer import Stylizer

from .networks import Classic, MicroAST

__all__ = ["CANDIDATES", "Case", "sample_picture", "there"]

STYLE_CHANNELS = {Classic: 512, MicroAST: 64}


@dataclass(frozen=True)
class Case:
    """One candidate on one device: `network` is `(1, 3, H, W)` to the same, clamped; `end_to_end` PIL to PIL."""

    network: Callable[[Tensor], Tensor]
    end_to_end: Callable[[Image.Image], Image.Image]


def sample_picture(height: int, width: int) -> Image.Image:
    """Smooth patches with grain, the same for the same size: no channel of any network is constant on it."""
    generator = np.random.default_rng(0)
    patches = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    picture = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = generator.integers(-12, 13, picture.shape, dtype=np.int16)
    return Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8))


def _ours(model: str, dtype: str, runtime: str = "torch") -> Callable[[torch.device], Case]:
    def make(device: torch.device) -> Case:
        torch.manual_seed(0)
        weights = AdaINModel(VGG19) if model == "vgg19" else model  # the classic weights need not be there
        stylizer = Stylizer(weights, device=device, dtype=dtype, cache=None, runtime=runtime)
        style = stylizer.encode_style(sample_picture(256, 256))
        executor = stylizer.executor()

        def network(x: Tensor) -> Tensor:
            with ordinary_tensors():
                features, found = executor.encode(x)
                maps = executor.modulate(found, [style], [1.0] * len(found))
                return executor.decode(features, maps, *x.shape[2:])

        return Case(network, lambda picture: stylizer.stylize(picture, style))

    return make


def _rival(kind: type[Classic] | type[MicroAST], memory_format: torch.memory_format) -> Callable[[torch.device], Case]:
    def make(device: torch.device) -> Case:
        torch.manual_seed(0)
        module: nn.Module = kind().eval().to(device, memory_format=memory_format)  # type: ignore[call-overload]
        mean, std = (torch.rand(1, STYLE_CHANNELS[kind], 1, 1, device=device) for _ in range(2))

        @torch.inference_mode()
        def network(x: Tensor) -> Tensor:
            output: Tensor = module(x.contiguous(memory_format=memory_format), mean, std)
            return output[..., : x.shape[2], : x.shape[3]].clamp(0, 1)

        def end_to_end(picture: Image.Image) -> Image.Image:
            x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].to(device).float() / 255
            return Image.fromarray((network(x)[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy())

        return Case(network, end_to_end)

    return make


CANDIDATES: dict[str, Callable[[torch.device], Case]] = {
    "lite": _ours("lite", "auto"),
    "lite-openvino": _ours("lite", "bfloat16", "openvino"),
    "lite-openvino-mixed": _ours("lite", "mixed", "openvino"),
    "lite-openvino-float32": _ours("lite", "float32", "openvino"),
    "lite-onnxruntime": _ours("lite", "float32", "onnxruntime"),
    "lite-float32": _ours("lite", "float32"),
    "lite-bfloat16": _ours("lite", "bfloat16"),
    "vgg19": _ours("vgg19", "float32"),
    "classic": _rival(Classic, torch.contiguous_format),
    "microast": _rival(MicroAST, torch.contiguous_format),
    "microast-channels_last": _rival(MicroAST, torch.channels_last),
}
"""Name -> maker; in torch unless the name says another runtime. What comes before the rivals is adainkit's own."""


def there() -> list[str]:
    """The candidates whose packages are installed."""
    return [name for name in CANDIDATES if all(here(engine) for engine in ENGINES if engine in name)]

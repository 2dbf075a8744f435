"""The network family: an encoder with AdaIN levels and a decoder, both written down as a list of layer words.

A `ModelConfig` is the whole architecture; VGG-19 and `lite` are two of them. The words:

| word | layer | scale |
| --- | --- | --- |
| `convN` | 3x3 convolution to N channels behind reflection padding, ReLU | 1 |
| `resN` | `x + conv(relu(conv(x)))`, two 3x3 convolutions at N channels | 1 |
| `pool` | 2x2 max-pooling, partial windows at the border count | 1/2 |
| `downN` | `convN` with stride 2 | 1/2 |
| `unshuffle` | every 2x2 pixels become channels (an odd side is replicated by one) | 1/2 |
| `tap` | an AdaIN level: the features here are what `Encoder` returns (encoder only) | 1 |
| `up` | nearest x2 (decoder only, as all below) | 2 |
| `smooth` | bilinear x2 | 2 |
| `shuffleN` | 3x3 convolution to 4N channels, ReLU, pixel shuffle to N channels, mean of 2x2 | 2 |
| `merge` | 1x1 convolution to the width of the next finer level, bilinear x2, plus that level's features | 2 |
| `rgb` | 3x3 convolution to 3 channels, in float32 whatever the rest runs in; the last word | 1 |

Every down-scaling rounds up, so that a picture of any size from `min_size` on keeps all of its border.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import ModelError

__all__ = [
    "LITE",
    "VGG19",
    "Decoder",
    "Encoder",
    "Level",
    "ModelConfig",
    "activations_per_pixel",
    "largest_per_pixel",
    "layer_words",
    "no_autocast",
]

_WORD = re.compile(r"(conv|res|down|shuffle)([1-9]\d*)|pool|unshuffle|tap|up|smooth|merge|rgb")
_HALVING = {"pool", "down", "unshuffle"}
_DOUBLING = {"up", "smooth", "shuffle", "merge"}


def _words(text: str) -> Iterator[tuple[str, int]]:
    for word in text.split():
        match = _WORD.fullmatch(word)
        if not match:
            raise ModelError(f"unknown layer word {word!r}; see the table in adainkit/network.py")
        yield match[1] or word, int(match[2] or 0)


def _channels_after(word: str, width: int, channels: int) -> int:
    return width or {"unshuffle": channels * 4, "rgb": 3}.get(word, channels)


@dataclass(frozen=True)
class Level:
    """One AdaIN level: its number of channels, and how many pixels one of its cells is wide."""

    channels: int
    stride: int


@dataclass(frozen=True)
class ModelConfig:
    """An architecture: `encoder` and `decoder` as words separated by spaces, see the module's table.

    `gain_cap` bounds AdaIN's gain (`adain.affine_map`); None leaves it free. `ModelError` for an impossible
    architecture.
    """

    name: str
    encoder: str
    decoder: str
    gain_cap: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"\w[\w .-]*", self.name):
            raise ModelError(
                f"a model's name is of letters, digits, ' ', '.', '-' and '_' (it names files), got {self.name!r}"
            )
        levels = self.levels
        if not levels:
            raise ModelError(f"model {self.name!r}: the encoder has no AdaIN level; add the word 'tap'")
        if self.encoder.split()[-1] != "tap" or self.decoder.split()[-1:] != ["rgb"]:
            raise ModelError(f"model {self.name!r}: the encoder must end with 'tap' and the decoder with 'rgb'")
        if self.encoder.split()[0] == "tap" or self.decoder.split().count("rgb") > 1:
            raise ModelError(f"model {self.name!r}: 'tap' cannot be the first word, nor 'rgb' any but the last")
        cap = self.gain_cap
        if cap is not None and (isinstance(cap, bool) or not isinstance(cap, (int, float)) or not cap > 0):
            raise ModelError(f"model {self.name!r}: gain_cap must be None or a number above 0, got {cap!r}")
        scale, merges = levels[-1].stride, 0
        for word, _ in _words(self.decoder):
            if word in _HALVING or word == "tap":
                raise ModelError(f"model {self.name!r}: '{word}' has no place in a decoder")
            scale //= 2 if word in _DOUBLING else 1
            if word == "merge":
                merges += 1
                if merges >= len(levels) or levels[-1 - merges].stride != scale:
                    raise ModelError(f"model {self.name!r}: 'merge' number {merges} meets no level of stride {scale}")
        if scale != 1 or merges != len(levels) - 1:
            raise ModelError(
                f"model {self.name!r}: the decoder ends at stride {scale} (expected 1) having merged {merges} levels "
                f"(expected {len(levels) - 1})"
            )

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The AdaIN levels, finest first."""
        found, channels, stride = [], 3, 1
        for word, width in _words(self.encoder):
            if word in _DOUBLING or word == "rgb":
                raise ModelError(f"model {self.name!r}: '{word}' has no place in an encoder")
            if word in _HALVING:
                stride *= 2
            channels = _channels_after(word, width, channels)
            if word == "tap":
                found.append(Level(channels, stride))
        return tuple(found)

    @property
    def stride(self) -> int:
        """Pixels to a cell of the coarsest level; output sides are multiples of it, to be cropped to the picture's."""
        return self.levels[-1].stride

    @property
    def min_size(self) -> int:
        """The smallest side in pixels: reflection needs two cells of the coarsest level. Smaller ones are padded."""
        return self.stride + 1

    def to_json(self) -> str:
        """One line of JSON, for a file's metadata."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """The inverse of `to_json`. `ModelError` for anything else, an unknown key included."""
        try:
            values = json.loads(text)
            unknown = set(values) - {f.name for f in fields(cls)}
            if unknown:
                raise ModelError(
                    f"model configuration has unknown keys {sorted(unknown)}; a newer adainkit may read it"
                )
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"not a model configuration: {text[:200]!r} ({error})") from error


VGG19 = ModelConfig(
    "vgg19",
    "conv64 conv64 pool conv128 conv128 pool conv256 conv256 conv256 conv256 pool conv512 tap",
    "conv256 up conv256 conv256 conv256 conv128 up conv128 conv64 up conv64 rgb",
)
"""The AdaIN paper's network: VGG-19 to relu4_1 and its mirror."""

LITE = ModelConfig(
    "lite",
    "unshuffle conv32 res32 tap down64 res64 tap down128 res128 tap",
    "res128 res128 merge res64 merge res32 shuffle8 rgb",
    gain_cap=16.0,
)
"""The small network of this project: AdaIN at strides 2, 4 and 8, nothing but an 8 -> 3 convolution at full resolution.

Without the level at stride 2 (tried for 1,000 steps) alpha 0 gives the content back at 22 dB instead of 25.
"""


def activations_per_pixel(config: ModelConfig) -> int:
    """How many values per pixel of the picture the most demanding layer holds at once: its input, the same padded, its
    output."""
    most, channels = 3.0, 3
    scale = 1.0  # cells per pixel along one side
    finer = [level.channels for level in config.levels[:-1]]
    for word, width in [*_words(config.encoder), *_words(config.decoder)]:
        before = channels * scale**2
        scale *= 0.5 if word in _HALVING else 2.0 if word in _DOUBLING else 1.0
        if word == "merge":
            width = finer.pop()
        channels = _channels_after(word, width, channels)
        most = max(most, 2 * before + channels * scale**2 * (2 if word in ("merge", "res", "shuffle") else 1))
    return math.ceil(most)


def largest_per_pixel(config: ModelConfig) -> int:
    """How many values per pixel of the picture the largest tensor between two layers holds."""
    most, channels, scale = 3.0, 3, 1.0  # cells per pixel along one side
    finer = [level.channels for level in config.levels[:-1]]
    for word, width in [*_words(config.encoder), *_words(config.decoder)]:
        scale *= 0.5 if word in _HALVING else 2.0 if word in _DOUBLING else 1.0
        channels = _channels_after(word, finer.pop() if word == "merge" else width, channels)
        most = max(most, channels * scale**2)
    return math.ceil(most)


def no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Whatever autocast the caller runs under, none inside."""
    if device_type == "mps":  # the oldest torch allowed has none there, and says so by an error
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def layer_words(text: str) -> list[str]:
    """The layers of an encoder or decoder without their widths: `["conv", "pool", ...]`."""
    return [word for word, _ in _words(text)]


class _Conv(nn.Module):
    """3x3 convolution behind reflection padding, with which an affine input map folds in exactly."""

    def __init__(self, channels: int, width: int, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride)
        self.relu = relu
        if not self.conv.weight.is_meta:  # random numbers without memory cost a second: torch loads its compiler first
            nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
            nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        return x.relu_() if self.relu else x  # a convolution's gradients don't need its output


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Conv(channels, channels)
        self.second = _Conv(channels, channels, relu=False)
        with torch.no_grad():
            self.second.conv.weight.mul_(0.1)  # a block starts close to the identity

    def forward(self, x: Tensor) -> Tensor:
        return _add(self.second(self.first(x)), x)


def _add(fresh: Tensor, x: Tensor) -> Tensor:
    """`fresh + x` in the memory of `fresh`, which no gradient needs: new pages cost more than the sum."""
    return fresh.add_(x) if fresh.dtype == x.dtype else fresh + x  # autocast's are of two types at times


class _Pool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, ceil_mode=True)


class _Unshuffle(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        odd_h, odd_w = x.shape[-2] % 2, x.shape[-1] % 2
        if odd_h or odd_w:
            x = F.pad(x, (0, odd_w, 0, odd_h), mode="replicate")
        return F.pixel_unshuffle(x, 2)


class _Up(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="nearest")


class _Smooth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class _Shuffle(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.expand = _Conv(channels, 4 * width)
        with torch.no_grad():  # the four sub-pixels start equal, so that no grid is there to be unlearned
            for tensor in self.expand.parameters():
                tensor.copy_(tensor[::4].repeat_interleave(4, 0))

    def forward(self, x: Tensor) -> Tensor:
        # The mean is zero at period 2: sub-pixels that differ by a constant, a checkerboard, cancel
        # (Sugawara et al. 2018).
        x = F.pixel_shuffle(self.expand(x), 2)
        return F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="reflect"), 2, stride=1)

    def then_rgb(self, x: Tensor, rgb: _Rgb) -> Tensor:
        """`rgb(self(x))` by one convolution in float32 before the shuffle, at a quarter of the positions; no gradients.

        A tenth of `lite`'s time went into the full-size tensors that lie between the two. Mean and convolution are
        together a 4x4 kernel over the sub-pixels -2 to 1, so each of the 2x2 results sees 3x3 cells. Reflected as the
        two layers do it, the sub-pixels before the first cell are those of the first cell itself, and the one behind
        the last, y(n), is y(n - 3) + y(n - 2) - y(n - 1).
        """
        x = self.expand(x)
        with no_autocast(x.device.type):
            x = F.pad(x, (1, 1, 1, 1), mode="replicate").float()
            cells = torch.unflatten(x, 1, (-1, 2, 2))
            cells[..., 0, :, -1] = cells[..., 1, :, -3] + cells[..., 0, :, -2] - cells[..., 1, :, -2]
            cells[:, :, 0, :, -1] = cells[:, :, 1, :, -3] + cells[:, :, 0, :, -2] - cells[:, :, 1, :, -2]
            small = rgb.conv.weight.float()
            box = small.new_full((small.shape[1], 1, 2, 2), 0.25)
            kernel = F.conv2d(small, box, padding=1, groups=small.shape[1])
            shifts = [(down, right) for down in (0, 1) for right in (0, 1)]
            placed = torch.stack([F.pad(kernel, (right, 2 - right, down, 2 - down)) for down, right in shifts], 1)
            weight = placed.reshape(*placed.shape[:3], 3, 2, 3, 2).permute(0, 1, 2, 4, 6, 3, 5)
            bias = None if rgb.conv.bias is None else rgb.conv.bias.float().repeat_interleave(4)
            return F.pixel_shuffle(F.conv2d(x, weight.reshape(12, x.shape[1], 3, 3), bias), 2)


class _Merge(nn.Module):
    """The 1x1 convolution runs before the up-scaling, with which it commutes, at a quarter of the cost."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, width, 1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = F.interpolate(self.narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
        return _add(x[..., : level.shape[-2], : level.shape[-1]], level)


class _Rgb(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        with no_autocast(x.device.type):
            x = F.pad(x.float(), (1, 1, 1, 1), mode="reflect")
            return F.conv2d(x, self.conv.weight.float(), None if self.conv.bias is None else self.conv.bias.float())


class Encoder(nn.Module):
    """`(B, 3, H, W)` RGB in [0, 1], sides from `min_size` -> the levels' features, finest first, `(B, C, ceil(H / s),
    ceil(W / s))`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers, self.taps, channels = nn.ModuleList(), set[int](), 3
        self._coarsest: torch.dtype | None = None
        for word, width in _words(config.encoder):
            if word == "tap":
                self.taps.add(len(self.layers) - 1)
                continue
            self.layers.append(_layer(word, channels, width))
            channels = _channels_after(word, width, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run it; see the class."""
        found = []
        for index, layer in enumerate(self.layers):
            x = layer(x if self._coarsest is None or index < self._bound else x.to(self._coarsest))
            if index in self.taps:
                found.append(x)
        return tuple(found)

    def cast_coarsest(self, dtype: torch.dtype | None) -> None:
        """What lies behind the last but one level runs, and gives its features, in `dtype`; None: as it is."""
        self._coarsest = dtype if len(self.taps) > 1 else None
        for layer in self.layers[self._bound :] if self._coarsest is not None else ():
            layer.to(self._coarsest)

    @property
    def _bound(self) -> int:
        return 1 + sorted(self.taps)[-2] if len(self.taps) > 1 else len(self.layers)


class Decoder(nn.Module):
    """The levels' features after AdaIN, finest first -> `(B, 3, h * stride, w * stride)` float32 RGB, not clamped."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        finer = [level.channels for level in config.levels[:-1]]
        channels = config.levels[-1].channels
        self.layers = nn.ModuleList()
        for word, width in _words(config.decoder):
            width = finer.pop() if word == "merge" else width
            self.layers.append(_layer(word, channels, width))
            channels = _channels_after(word, width, channels)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Run it; see the class."""
        *finer, x = levels
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            if isinstance(layer, _Shuffle) and index == last - 1 and not torch.is_grad_enabled():
                return layer.then_rgb(x, self.layers[last])  # type: ignore[arg-type]
            x = layer(x, finer.pop()) if isinstance(layer, _Merge) else layer(x)
        return x


def _layer(word: str, channels: int, width: int) -> nn.Module:
    if word == "res" and width != channels:
        raise ModelError(f"'res{width}' follows {channels} channels; a residual block cannot change their number")
    makers: dict[str, Callable[[], nn.Module]] = {
        "conv": lambda: _Conv(channels, width),
        "res": lambda: _Residual(width),
        "pool": _Pool,
        "down": lambda: _Conv(channels, width, stride=2),
        "unshuffle": _Unshuffle,
        "up": _Up,
        "smooth": _Smooth,
        "shuffle": lambda: _Shuffle(channels, width),
        "merge": lambda: _Merge(channels, width),
        "rgb": lambda: _Rgb(channels),
    }
    return makers[word]()

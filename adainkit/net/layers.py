"""The layers that the words of `words.py` build: plain torch modules that know nothing of an architecture.

Padding is by reflection everywhere, so that an affine map of the input folds into the first convolution exactly.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .adain import AffineMap

__all__ = [
    "Canvas",
    "Conv",
    "Merge",
    "Modulated",
    "Pool",
    "Residual",
    "Rgb",
    "Shuffle",
    "Smooth",
    "Strokes",
    "Unshuffle",
    "Up",
    "field_seen",
    "no_autocast",
]


def no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Whatever autocast the caller runs under, none inside."""
    if device_type == "mps":  # the oldest torch allowed has none there, and says so by an error
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


class Conv(nn.Module):
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


class Residual(nn.Module):
    """`x + conv(relu(conv(x)))`: the number of channels stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv(channels, channels)
        self.second = Conv(channels, channels, relu=False)
        with torch.no_grad():
            self.second.conv.weight.mul_(0.1)  # a block starts close to the identity

    def forward(self, x: Tensor) -> Tensor:
        return _add(self.second(self.first(x)), x)


def _add(fresh: Tensor, x: Tensor) -> Tensor:
    """`fresh + x` in the memory of `fresh`, which no gradient needs: new pages cost more than the sum."""
    # autocast's are of two types at times, and a picture in several styles becomes a batch
    return fresh.add_(x) if fresh.dtype == x.dtype and fresh.shape == x.shape else fresh + x


def _modulated(x: Tensor, affine: AffineMap) -> Tensor:
    """`x * gain + shift` in the type of `x`: unlike AdaIN's, these maps amplify little, and need no center."""
    gain, shift = (v if v.ndim == 4 else v[:, :, None, None] for v in (affine.gain, affine.shift))
    return torch.addcmul(shift.to(x.dtype), x, gain.to(x.dtype))


class Modulated(nn.Module):
    """`x + conv(relu(conv(x) * gain + shift))`: a residual block whose hidden channels a style opens, closes and weighs
    (feature-wise modulation, Perez et al. 2018). The number of channels stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv(channels, channels, relu=False)
        self.second = Conv(channels, channels, relu=False)
        with torch.no_grad():
            self.second.conv.weight.mul_(0.1)  # a block starts close to the identity

    def forward(self, x: Tensor, affine: AffineMap) -> Tensor:
        gain, shift = affine.gain, affine.shift
        if gain.ndim == 2 and len(gain) == 1 and not torch.is_grad_enabled():
            # the same for every cell: the map folds into the convolution, and costs nothing
            conv = self.first.conv
            weight = (conv.weight * gain[0, :, None, None, None]).to(conv.weight.dtype)
            assert conv.bias is not None
            bias = (conv.bias * gain[0] + shift[0]).to(conv.weight.dtype)
            hidden = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias).relu_()
        else:
            hidden = _modulated(self.first(x), affine).relu()
        return _add(self.second(hidden), x)


class Canvas(nn.Module):
    """`x + gain * conv(field) + shift`, where the field is noise that lies still in the picture: `fields` channels,
    which repeat every `PERIOD` cells.

    A convolution gives a flat area one color. With something to begin from, it has brush strokes there as well, and
    need not amplify the content's own noise for them. `origin`: row and column of the first cell in the whole picture,
    integers or tensors of one.
    """

    PERIOD = 128

    def __init__(self, channels: int, fields: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(fields, channels, 3, bias=False)
        seeded = torch.Generator().manual_seed(channels)
        noise = torch.randn(fields, self.PERIOD, self.PERIOD, generator=seeded, device="cpu")
        self.field: Tensor
        self.register_buffer("field", noise.half().float().to(self.conv.weight.device))

    def forward(self, x: Tensor, affine: AffineMap, origin: tuple[int | Tensor, int | Tensor]) -> Tensor:
        return _add(_modulated(self.conv(field_seen(self.field, x, origin, 1)), affine), x)


def field_seen(field: Tensor, x: Tensor, origin: tuple[int | Tensor, int | Tensor], margin: int = 0) -> Tensor:
    """What `x` sees, with a margin around it, of a field `(K, P, P)` that repeats in the picture: `(1, K, h, w)`."""
    rows, columns = (
        (torch.arange(-margin, n + margin, device=x.device) + first) % len(field[0])
        for first, n in zip(origin, x.shape[2:], strict=True)
    )
    return field[:, rows][:, :, columns][None]


class Strokes(nn.Module):
    """`x + gain * mix(lead(x) * field) + shift`: brush strokes that follow forms. The field is noise that lies still in
    the picture, `directions` channels, each drawn out in its own one (line integral convolution, Cabral & Leedom 1993,
    for so many directions at once); `lead` says which of them counts where. See `Canvas` for `origin`."""

    PERIOD = 128
    LENGTH, WIDTH = 8.0, 0.55
    """Cells from a stroke's middle to its ends, and the deviation of a Gaussian across it."""

    def __init__(self, channels: int, directions: int) -> None:
        super().__init__()
        self.lead = nn.Conv2d(channels, directions, 1)
        self.mix = nn.Conv2d(directions, channels, 1, bias=False)
        with torch.no_grad():
            self.mix.weight.mul_(0.1)  # a layer starts close to the identity
        self.field: Tensor
        self.register_buffer("field", self.drawn(directions).half().float().to(self.lead.weight.device))

    @classmethod
    def drawn(cls, directions: int) -> Tensor:
        """`(directions, PERIOD, PERIOD)`, mean 0 and deviation 1, the first across, then clockwise."""
        seeded = torch.Generator().manual_seed(directions)
        noise = torch.fft.fft2(torch.randn(cls.PERIOD, cls.PERIOD, generator=seeded, dtype=torch.float64, device="cpu"))
        cells = torch.fft.fftfreq(cls.PERIOD, 1 / cls.PERIOD, dtype=torch.float64, device="cpu")
        fields = []
        for angle in torch.arange(directions, dtype=torch.float64, device="cpu") * (math.pi / directions):
            along = cells * angle.cos() + cells[:, None] * angle.sin()
            across = cells[:, None] * angle.cos() - cells * angle.sin()
            brush = (1 + torch.cos((along / cls.LENGTH).clamp(-1, 1) * math.pi)) * torch.exp(
                -0.5 * (across / cls.WIDTH).square()
            )
            field = torch.fft.ifft2(noise * torch.fft.fft2(brush)).real
            fields.append((field - field.mean()) / field.std())
        return torch.stack(fields).float()

    def forward(self, x: Tensor, affine: AffineMap, origin: tuple[int | Tensor, int | Tensor]) -> Tensor:
        marks = self.mix(self.lead(x) * field_seen(self.field, x, origin))
        return _add(_modulated(marks, affine), x)


class Pool(nn.Module):
    """2x2 max-pooling; a partial window at the border counts."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, ceil_mode=True)


class Unshuffle(nn.Module):
    """Every 2x2 pixels become channels; an odd side is replicated by one."""

    def forward(self, x: Tensor) -> Tensor:
        odd_h, odd_w = x.shape[-2] % 2, x.shape[-1] % 2
        if odd_h or odd_w:
            x = F.pad(x, (0, odd_w, 0, odd_h), mode="replicate")
        return F.pixel_unshuffle(x, 2)


class Up(nn.Module):
    """Nearest neighbor, twice the size."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="nearest")


class Smooth(nn.Module):
    """Bilinear, twice the size."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Shuffle(nn.Module):
    """A convolution to four times the channels, which become 2x2 pixels, and the mean of every 2x2 of these."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.expand = Conv(channels, 4 * width)
        with torch.no_grad():  # the four sub-pixels start equal, so that no grid is there to be unlearned
            for tensor in self.expand.parameters():
                tensor.copy_(tensor[::4].repeat_interleave(4, 0))

    def forward(self, x: Tensor) -> Tensor:
        # The mean is zero at period 2: sub-pixels that differ by a constant, a checkerboard, cancel
        # (Sugawara et al. 2018).
        x = F.pixel_shuffle(self.expand(x), 2)
        return F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="reflect"), 2, stride=1)

    def then_rgb(self, x: Tensor, rgb: Rgb) -> Tensor:
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


class Merge(nn.Module):
    """A 1x1 convolution, bilinear up-scaling, and the finer level's features added.

    The 1x1 convolution runs before the up-scaling, with which it commutes, at a quarter of the cost.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, width, 1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = F.interpolate(self.narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
        return _add(x[..., : level.shape[-2], : level.shape[-1]], level)


class Rgb(nn.Module):
    """The last convolution, to 3 channels, in float32 whatever the rest runs in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        with no_autocast(x.device.type):
            x = F.pad(x.float(), (1, 1, 1, 1), mode="reflect")
            return F.conv2d(x, self.conv.weight.float(), None if self.conv.bias is None else self.conv.bias.float())

"""What an opened picture is, and the way of its numbers between NumPy's layout and torch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import ImageError

__all__ = ["Picture", "checked", "from_numpy", "pack"]

# Floats may leave [0, 1] by this much, a quarter of an 8-bit step, and are clamped: resizing and rounding do
# that. More is another range or an error.
_HAIR = 1 / 1024
_STRIP = 1 << 20  # pixels that are packed in one go: bounds the temporary memory of closing to some megabytes


@dataclass(frozen=True, eq=False)
class Picture:
    """An opened picture: `rgb` ``(B, 3, H, W)`` float32 sRGB in [0, 1] (B is 1 but for batched tensors), `alpha` ``(B,
    1, H, W)`` float32 in [0, 1] or ``None``; on the CPU, or on the device of a tensor that was opened.

    Never write into them: they may share the memory of the source. The rest is what `close_image` needs.
    """

    rgb: Tensor = field(repr=False)
    alpha: Tensor | None = field(repr=False)
    kind: Literal["pil", "file", "array", "tensor"]
    """What a result becomes; "file" is what `save_image` writes: as "pil", with the bits and the profile of a file."""
    dtype: np.dtype[Any] | torch.dtype
    """The samples' type in the source: for a file or PIL image uint8, uint16 or (mode F) float32."""
    batched: bool = True
    raw_alpha: np.ndarray[Any, Any] | Tensor | None = field(default=None, repr=False)
    """Alpha as it came, for arrays and tensors: re-attached bit for bit."""
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What a file keeps, as `facts.read_facts` has it, and "icc_profile"; `save_image` takes it as `info`."""
    profile: bytes | None = field(default=None, repr=False)
    """The ICC profile that the result for a file is converted to; ``None``: sRGB."""

    @property
    def height(self) -> int:
        """Rows."""
        return self.rgb.shape[2]

    @property
    def width(self) -> int:
        """Columns."""
        return self.rgb.shape[3]

    def part(self, rows: slice, columns: slice = slice(None)) -> Picture:
        """Some of its pixels; of alpha, what is shown, not what an array or a tensor gets back."""
        alpha = None if self.alpha is None else self.alpha[:, :, rows, columns]
        return replace(self, rgb=self.rgb[:, :, rows, columns], alpha=alpha)

    @property
    def pixels(self) -> int:
        """Pixels of one picture of the batch."""
        return self.height * self.width


def from_numpy(x: np.ndarray[Any, Any], name: str) -> Tensor:
    """``(H, W, C)``, or a batch of them, of integers at full scale or of floats in [0, 1] to ``(B, C, H, W)`` float32,
    without a copy if it is."""
    if x.dtype.kind in "ui":
        top = np.float32(255 if x.dtype.itemsize == 1 else 65535)
        # straight to float32: one new array, whatever the byte order and the strides
        wide = np.divide(x, top, dtype=np.float32, casting="same_kind" if x.dtype.itemsize < 4 else "unsafe")
    else:
        wide = x.astype(np.float32, copy=False)
    if not wide.flags.writeable or min(wide.strides) < 0:  # torch shares neither
        wide = np.array(wide, order="C")
    tensor = torch.from_numpy(wide if wide.ndim == 4 else wide[None]).permute(0, 3, 1, 2)
    return tensor if x.dtype.kind == "u" else checked(tensor, name)


def checked(x: Tensor, name: str) -> Tensor:
    """`x` with a hair outside [0, 1] clamped; ImageError for more than a hair, NaN and infinity."""
    low, high = (value.item() for value in torch.aminmax(x))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError(f"{name}: expected finite values in [0, 1], got NaN or infinity")
    if low < -_HAIR or high > 1 + _HAIR:
        remedy = "divide by 255" if 2 < high <= 255 and low >= 0 else "bring it to [0, 1] or clip it"
        raise ImageError(f"{name}: expected values in [0, 1], got {low:.6g} to {high:.6g}; {remedy}")
    return x.clamp(0, 1) if low < 0 or high > 1 else x


def pack(
    x: Tensor,
    out: np.ndarray[Any, Any],
    convert: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None = None,
) -> None:
    """Clamp, scale and round ``(C, H, W)`` into ``(H, W, C)``, a strip of rows at a time: no temporary of the full
    size. `convert` changes the colors of ``(h, W, C)`` floats in [0, 1]."""
    rows = max(1, _STRIP // x.shape[2])
    for top in range(0, x.shape[1], rows):
        strip = x[:, top : top + rows].detach().to("cpu", torch.float32).clamp(0, 1)
        if convert is not None:
            strip = torch.from_numpy(convert(strip.permute(1, 2, 0).numpy())).permute(2, 0, 1)
        if out.dtype.kind == "u":  # in the memory and the order of the strip: half the time of NumPy's
            strip = strip.mul_(255 if out.dtype.itemsize == 1 else 65535).round_()
        into = out[top : top + rows]
        if out.dtype == np.uint8 and into.flags.writeable:
            torch.from_numpy(into).copy_(strip.permute(1, 2, 0))  # faster than NumPy's
        else:
            into[...] = strip.permute(1, 2, 0).numpy()

"""`RandomStyle`: a torchvision v2 transform that gives pictures random styles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torchvision.transforms import v2
from torchvision.tv_tensors import Image, TVTensor, Video

from ..errors import StyleError
from ..style import Style
from .pool import StylePool, alpha_range, stylized, uniform

__all__ = ["RandomStyle"]


class RandomStyle(v2.Transform):  # type: ignore[misc]  # it has no types
    """With probability `p` a picture gets a random one of the `styles`, at a random strength within `alpha`.

    A torchvision v2 transform: of a sample it changes PIL images, image tensors `(..., 1 | 3, H, W)` (uint8, or floats
    in [0, 1]) and videos `(..., T, C, H, W)`, all of one sample in one style, and leaves boxes, masks, key points
    and labels as they are. Type, size and dtype stay. Put it after resizing and cropping, which make it cheaper, before
    normalizing.
    Its chance is torch's own, as that of all transforms: the same seed, the same pictures; a DataLoader gives each
    worker a seed of its own.

    `styles` and what follows `alpha` as in `StylePool`: on the CPU it works in a DataLoader's workers; CUDA in a worker
    wants `multiprocessing_context="spawn"`. Best there: apply it to whole batches in the training process.
    """

    def __init__(
        self,
        styles: str | os.PathLike[str] | Sequence[str | os.PathLike[str] | Style] | StylePool,
        p: float = 0.5,
        alpha: float | tuple[float, float] = 1.0,
        *,
        model: str | os.PathLike[str] = "lite",
        device: str = "cpu",
        dtype: str = "auto",
        style_size: int | None = 512,
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise StyleError(f"p: expected a probability from 0 to 1, got {p}")
        self.p, self.alpha = float(p), alpha_range(alpha)
        more: dict[str, Any] = {"model": model, "device": device, "dtype": dtype, "style_size": style_size}
        self.pool = styles if isinstance(styles, StylePool) else StylePool(styles, **more)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """What one sample gets: the number of a style, or None, and an alpha."""
        if uniform(None, 0, 1) >= self.p or not flat_inputs:
            return {"style": None, "alpha": 0.0}
        number = int(torch.randint(len(self.pool), ()))
        return {"style": number, "alpha": uniform(None, *self.alpha)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """A picture in its style, or as it is."""
        other = isinstance(inpt, TVTensor) and not isinstance(inpt, (Image, Video))  # boxes, masks, key points
        if params["style"] is None or other:
            return inpt
        return stylized(self.pool, inpt, params["style"], params["alpha"])

    # what torchvision before 0.21 calls them
    def _get_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return self.make_params(flat_inputs)

    def _transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self.transform(inpt, params)

    def extra_repr(self) -> str:
        """For print."""
        return f"{len(self.pool)} styles, p={self.p:g}, alpha={self.alpha}"

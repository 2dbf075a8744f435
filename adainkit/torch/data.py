"""`StylizedDataset`: a data set whose pictures are stylized as they are read, the same ones for ever."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from ..errors import StyleError
from ..style import Style
from .pool import StylePool, alpha_range, stylized, uniform

__all__ = ["StylizedDataset"]


class StylizedDataset(Dataset[Any]):
    """The samples of a map-style data set, with the picture of each, by chance `p`, in a random style.

    What an item gets depends on `seed`, the epoch and its index, and on nothing else: neither on the order, nor on how
    many workers there are, nor on torch's generators. Call `set_epoch` before each epoch for other styles; workers that
    persist see it as well. Without, each epoch has the same pictures.

    `dataset[i]` is a picture, or a tuple or list whose first part is one: what `stylized` takes, so PIL images, as
    `ImageFolder` gives them, or tensors. `transform` is applied to the picture afterwards. `alpha` is a number, or a
    pair between which it is drawn. The rest as in `StylePool`.
    """

    def __init__(
        self,
        dataset: Any,
        styles: str | os.PathLike[str] | Sequence[str | os.PathLike[str] | Style] | StylePool,
        *,
        p: float = 1.0,
        alpha: float | tuple[float, float] = 1.0,
        seed: int = 0,
        transform: Callable[[Any], Any] | None = None,
        model: str | os.PathLike[str] = "lite",
        device: str = "cpu",
        dtype: str = "auto",
        style_size: int | None = 512,
    ) -> None:
        if not 0 <= p <= 1:
            raise StyleError(f"p: expected a probability from 0 to 1, got {p}")
        more: dict[str, Any] = {"model": model, "device": device, "dtype": dtype, "style_size": style_size}
        self.pool = styles if isinstance(styles, StylePool) else StylePool(styles, **more)
        self.dataset, self.p, self.alpha, self.seed, self.transform = dataset, p, alpha_range(alpha), seed, transform
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]  # with workers that live for several epochs

    def set_epoch(self, epoch: int) -> None:
        """Draw other styles from now on: those of `epoch`."""
        self._epoch.fill_(epoch)

    def choice(self, index: int) -> tuple[int | None, float]:
        """The number of the style that an item has in this epoch, None for none, and its alpha."""
        generator = torch.Generator().manual_seed(_mixed(self.seed, int(self._epoch), index))
        if uniform(generator, 0, 1) >= self.p:
            return None, 0.0
        number = int(torch.randint(len(self.pool), (), generator=generator))
        return number, uniform(generator, *self.alpha)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """The sample with its picture stylized."""
        index = range(len(self))[index]  # a negative one is the same item
        sample = self.dataset[index]
        several = isinstance(sample, (tuple, list))
        picture = sample[0] if several else sample
        number, alpha = self.choice(index)
        if number is not None:
            picture = stylized(self.pool, picture, number, alpha)
        if self.transform is not None:
            picture = self.transform(picture)
        if not several:
            return picture
        parts = (picture, *sample[1:])
        return type(sample)(*parts) if hasattr(sample, "_fields") else type(sample)(parts)  # a namedtuple, or not


def _mixed(*numbers: int) -> int:
    """A seed of 64 bits in which every bit of the numbers counts."""
    import hashlib

    text = " ".join(map(str, numbers))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

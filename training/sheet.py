"""Contact sheets of tensors: rows of samples as one PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from adainkit.atomic import temporary_beside
from adainkit.images.sheet import Cell, draw_sheet
from adainkit.look.masks import resize

__all__ = ["fit", "save_sheet"]

_GAP = 4  # pixels between the samples


def save_sheet(path: str | os.PathLike[str], columns: Sequence[Tensor], labels: Sequence[str] = ()) -> None:
    """Write `columns`, each `(B, 3, H, W)` RGB in [0, 1] of one size, side by side; sample i is row i.

    `labels`: a text above each column, of one line or several.
    """
    head = [[Cell(label=label) for label in labels]] if labels else []
    rows = [[Cell(_picture(sample)) for sample in samples] for samples in zip(*columns, strict=True)]
    with temporary_beside(path) as temporary:
        draw_sheet([*head, *rows], gap=_GAP).save(temporary)


def fit(picture: Tensor, side: int) -> Tensor:
    """`(1, 3, H, W)` whole and in shape in the middle of a white square, `(1, 3, side, side)`."""
    scale = side / max(picture.shape[2:])
    height, width = (max(1, round(n * scale)) for n in picture.shape[2:])
    top, left = (side - height) // 2, (side - width) // 2
    scaled = resize(picture.float(), (height, width))
    return F.pad(scaled, (left, side - width - left, top, side - height - top), value=1.0)


def _picture(sample: Tensor) -> Image.Image:
    pixels = sample.detach().float().cpu().clamp(0, 1).mul(255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())

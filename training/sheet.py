"""Contact sheets: rows of pictures as one PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from adainkit.atomic import temporary_beside

__all__ = ["save_sheet"]


def save_sheet(path: str | os.PathLike[str], columns: Sequence[Tensor]) -> None:
    """Write `columns`, each `(B, 3, H, W)` RGB in [0, 1] of one size, side by side; sample i is row i."""
    rows = torch.cat([c.detach().float().cpu().clamp(0, 1) for c in columns], 3)  # (B, 3, H, columns * W)
    sheet = torch.cat(list(rows), 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    with temporary_beside(path) as temporary:
        Image.fromarray(sheet).save(temporary)

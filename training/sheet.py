"""Contact sheets: rows of pictures as one PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from adainkit.atomic import temporary_beside
from adainkit.masks import resize

__all__ = ["fit", "save_sheet"]

_FONT_SIZE, _LINE, _MARGIN = 15, 20, 6  # pixels


def save_sheet(path: str | os.PathLike[str], columns: Sequence[Tensor], labels: Sequence[str] | None = None) -> None:
    """Write `columns`, each `(B, 3, H, W)` RGB in [0, 1] of one size, side by side; sample i is row i.

    `labels`: a text above each column, of one line or several.
    """
    rows = torch.cat([c.detach().float().cpu().clamp(0, 1) for c in columns], 3)  # (B, 3, H, columns * W)
    sheet = Image.fromarray(torch.cat(list(rows), 1).mul(255).round().byte().permute(1, 2, 0).numpy())
    if labels is not None:
        sheet = _label(sheet, labels)
    with temporary_beside(path) as temporary:
        sheet.save(temporary)


def fit(picture: Tensor, side: int) -> Tensor:
    """`(1, 3, H, W)` whole and in shape in the middle of a white square with a margin, `(1, 3, side, side)`."""
    scale = (side - _MARGIN) / max(picture.shape[2:])
    height, width = (max(1, round(n * scale)) for n in picture.shape[2:])
    top, left = (side - height) // 2, (side - width) // 2
    scaled = resize(picture.float(), (height, width))
    return F.pad(scaled, (left, side - width - left, top, side - height - top), value=1.0)


def _label(sheet: Image.Image, labels: Sequence[str]) -> Image.Image:
    font = ImageFont.load_default(_FONT_SIZE)
    width = sheet.width // len(labels)
    head = _LINE * max(len(label.splitlines()) for label in labels) + _MARGIN
    labelled = Image.new("RGB", (sheet.width, sheet.height + head), "white")
    labelled.paste(sheet, (0, head))
    draw = ImageDraw.Draw(labelled)
    for column, label in enumerate(labels):
        for number, line in enumerate(label.splitlines()):
            shown = line
            while len(shown) > 1 and font.getlength(shown) > width - 2 * _MARGIN:  # the end of a path tells most
                shown = "…" + shown[2:]
            draw.text((column * width + _MARGIN, number * _LINE + _MARGIN // 2), shown, "black", font)
    return labelled

"""Contact sheets: rows of pictures with words below them, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Cell", "draw_sheet", "shorten", "thumbnail"]

_INK = (40, 40, 40)
_LEADING = 1.35  # of a line of text, in font sizes: Pillow's own font has letters 1.2 high
_ELLIPSIS = "…"


@dataclass(frozen=True)
class Cell:
    """A place on a sheet: a picture, words of one line or several, both or neither."""

    picture: Image.Image | None = None
    label: str = ""


def draw_sheet(rows: Sequence[Sequence[Cell]], *, gap: int = 8, font_size: int = 15) -> Image.Image:
    """The cells in rows and columns on white: RGB, each picture as large as it is, its label below it.

    A column is as wide as its widest picture, a row as high as its highest one with the longest label of the row; all
    is centered. `gap` pixels are around and between them, `font_size` is in pixels. A label that is wider than its
    column is shortened, at its front: the end of a path tells most. `ValueError` for a sheet without any picture.
    """
    table = [list(row) for row in rows]
    columns = max(map(len, table), default=0)
    widths = [max((c.picture.width for c in _column(table, i) if c.picture), default=0) for i in range(columns)]
    if not any(widths):
        raise ValueError("a contact sheet needs at least one picture")
    widths = [width or max(widths) for width in widths]
    line = round(font_size * _LEADING)
    pictures = [max((c.picture.height for c in row if c.picture), default=0) for row in table]
    labels = [line * max((len(c.label.splitlines()) for c in row), default=0) for row in table]
    size = (
        sum(widths) + gap * (columns + 1),
        sum(pictures) + sum(labels) + gap * (len(table) + 1),
    )
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(font_size)
    top = gap
    for row, high, text in zip(table, pictures, labels, strict=True):
        left = gap
        for cell, wide in zip(row, widths, strict=False):
            if cell.picture is not None:
                place = (left + (wide - cell.picture.width) // 2, top + (high - cell.picture.height) // 2)
                _paste(sheet, cell.picture, place)
            for number, words in enumerate(cell.label.splitlines()):
                shown = shorten(words, wide, font)
                at = (left + (wide - font.getlength(shown)) / 2, top + high + number * line)
                draw.text(at, shown, _INK, font)
            left += wide + gap
        top += high + text + gap
    return sheet


def thumbnail(picture: Image.Image, size: int) -> Image.Image:
    """The picture with its longer side scaled down to `size` pixels; a smaller one as it is."""
    scale = min(1.0, size / max(picture.size))
    if scale == 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def shorten(text: str, width: float, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """`text` without as much of its front as makes it, with an ellipsis, at most `width` pixels wide.

    >>> shorten("a/very/long/path/photo.jpg", 90, ImageFont.load_default(15))
    '…h/photo.jpg'
    """
    shown = text
    while len(shown) > 1 and font.getlength(shown) > width:
        shown = _ELLIPSIS + shown.removeprefix(_ELLIPSIS)[1:]
    return shown


def _column(table: Sequence[Sequence[Cell]], index: int) -> list[Cell]:
    return [row[index] for row in table if index < len(row)]


def _paste(sheet: Image.Image, picture: Image.Image, place: tuple[int, int]) -> None:
    """Through its transparency, on white."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        sheet.paste(picture, place, picture)
    else:
        sheet.paste(picture.convert("RGB"), place)

"""Contact sheets: every picture whole, every label where it belongs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from adainkit.images.sheet import Cell, draw_sheet, shorten, thumbnail

RED, GREEN, BLUE = (220, 30, 30), (30, 180, 60), (40, 60, 230)


def plain(color: tuple[int, ...], size: tuple[int, int] = (60, 40)) -> Image.Image:
    return Image.new("RGB" if len(color) == 3 else "RGBA", size, color)


def box_of(sheet: Image.Image, color: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels of that color, which fill it."""
    rows, columns = np.nonzero((np.asarray(sheet) == color).all(2))
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    assert len(rows) == (box[2] - box[0]) * (box[3] - box[1])
    return box


def ink(sheet: Image.Image, box: tuple[int, int, int, int]) -> int:
    """How many dark pixels there are."""
    return int((np.asarray(sheet.crop(box).convert("L")) < 128).sum())


def test_pictures_stand_in_rows_and_columns():
    sheet = draw_sheet([[Cell(plain(RED)), Cell(plain(GREEN))], [Cell(plain(BLUE))]], gap=5)
    assert sheet.mode == "RGB"
    assert sheet.size == (3 * 5 + 2 * 60, 3 * 5 + 2 * 40)
    assert box_of(sheet, RED) == (5, 5, 65, 45)
    assert box_of(sheet, GREEN) == (70, 5, 130, 45)
    assert box_of(sheet, BLUE) == (5, 50, 65, 90)


def test_columns_and_rows_are_as_large_as_their_largest_and_the_rest_is_centered():
    small, high, wide = plain(RED, (10, 10)), plain(GREEN, (20, 50)), plain(BLUE, (90, 20))
    sheet = draw_sheet([[Cell(small), Cell(high)], [Cell(wide)]], gap=0)
    assert sheet.size == (90 + 20, 50 + 20)
    assert box_of(sheet, RED) == (40, 20, 50, 30)
    assert box_of(sheet, GREEN) == (90, 0, 110, 50)
    assert box_of(sheet, BLUE) == (0, 50, 90, 70)


def test_labels_stand_below_their_picture(keep_picture: Callable[[str, Any], None]):
    rows = [[Cell(plain(RED), "first"), Cell(plain(GREEN))], [Cell(plain(BLUE), "second\nof two lines"), Cell()]]
    sheet = draw_sheet(rows, gap=6, font_size=12)
    keep_picture("sheet", sheet)
    left, _, right, bottom = box_of(sheet, RED)
    second = box_of(sheet, BLUE)
    assert ink(sheet, (left, bottom, right, second[1])) > 30
    assert ink(sheet, (right + 6, bottom, sheet.width, sheet.height)) == 0
    one, two = ((0, second[3] + 16 * line, right + 3, second[3] + 16 * (line + 1)) for line in (0, 1))
    assert ink(sheet, one) > 30
    assert ink(sheet, two) > 30


def test_a_row_may_be_words_alone():
    sheet = draw_sheet([[Cell(label="a"), Cell(label="b")], [Cell(plain(RED)), Cell(plain(GREEN))]], gap=4)
    left, top, right, _ = box_of(sheet, RED)
    assert 4 < top < 40
    assert ink(sheet, (left, 0, right, top)) > 5


def test_a_long_label_keeps_its_end_and_its_column():
    font = ImageFont.load_default(15)
    assert shorten("short", 1000, font) == "short"
    shown = shorten("a/folder/of/many/words/photo-0001.jpg", 100, font)
    assert shown.startswith("…")
    assert shown.endswith("0001.jpg")
    assert font.getlength(shown) <= 100
    assert shorten("a/folder", 0, font) == "…"
    sheet = draw_sheet([[Cell(plain(RED), "W" * 200), Cell(plain(GREEN), "W" * 200)]], gap=9)
    assert ink(sheet, (0, 40, 9, sheet.height)) == ink(sheet, (69, 0, 78, sheet.height)) == 0


def test_letters_are_as_large_as_asked():
    heights = []
    for size in (12, 36):
        sheet = draw_sheet([[Cell(plain(RED, (300, 10)), "HHH")]], font_size=size)
        rows = np.flatnonzero((np.asarray(sheet.convert("L")) < 70).any(1))
        heights.append(int(np.ptp(rows)))
    assert heights[1] / heights[0] == pytest.approx(3, rel=0.15)


def test_what_is_transparent_is_white():
    see_through = plain((*RED, 0))
    see_through.paste((*BLUE, 255), (0, 0, 30, 40))
    sheet = draw_sheet([[Cell(see_through)]], gap=0)
    assert box_of(sheet, BLUE) == (0, 0, 30, 40)
    assert box_of(sheet, (255, 255, 255)) == (30, 0, 60, 40)


def test_a_sheet_of_nothing_is_an_error():
    for rows in ([], [[]], [[Cell(label="words")]]):
        with pytest.raises(ValueError, match="at least one picture"):
            draw_sheet(rows)


def test_thumbnails_are_never_larger_and_keep_their_shape():
    assert thumbnail(plain(RED, (400, 100)), 100).size == (100, 25)
    assert thumbnail(plain(RED, (1000, 1)), 10).size == (10, 1)
    small = plain(RED, (30, 20))
    assert thumbnail(small, 100) is small

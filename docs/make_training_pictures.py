"""Make the picture of docs/training.md: python docs/make_training_pictures.py "lite=lite" "6 minutes=MODEL" ...

What models of a run, kept at some minutes of it, make of two photographs of scikit-image in the style of a third, which
none of them was trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from make_pictures import photo

from adainkit import Stylizer, save_image
from adainkit.images.sheet import Cell, draw_sheet

CONTENTS = ("astronaut", "chelsea")
STYLE = "immunohistochemistry"


def main() -> None:
    """Write docs/training.jpg."""
    style = photo(STYLE)
    rows = [[Cell(photo(name, 300), "photograph")] for name in CONTENTS]
    for label, _, model in (entry.partition("=") for entry in sys.argv[1:]):
        with Stylizer(model) as stylizer:
            for row, name in zip(rows, CONTENTS, strict=True):
                row.append(Cell(stylizer.stylize(photo(name, 300), style), label))
    save_image(draw_sheet(rows), Path(__file__).parent / "training.jpg", quality=88)


if __name__ == "__main__":
    main()

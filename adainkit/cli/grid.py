"""`adainkit grid`: contents x styles, steps of alpha, or steps between styles, on one sheet with labels."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..batch.finding import find_contents, find_pictures
from ..batch.jobs import same_file
from ..errors import AdaINKitError, ImageError, StyleError
from .console import check_styles, complain, make_stylizer, one_line
from .progress import Meter

if TYPE_CHECKING:
    from PIL import Image

    from ..images import Picture
    from ..images.sheet import Cell
    from ..style import Style
    from ..stylizer import Stylizer

__all__ = ["run"]

_T = TypeVar("_T")
_BESIDE = 8  # columns, besides that of the contents: more go below


def run(args: argparse.Namespace) -> int:
    """Do as `args` say: 0, or 1 if a picture failed, and the sheet is without it."""
    contents, names = _contents_and_styles(args)
    check_styles(names, args.model)
    from ..images import check_target, save_image
    from ..images.sheet import draw_sheet

    started = time.perf_counter()
    check_target(args.output, overwrite=args.overwrite)  # before the work, not after it
    with make_stylizer(args.model, args.device, args.dtype, args.runtime) as stylizer:
        painter = _Painter(stylizer, args)
        if args.interpolate and len(names) == 4:
            rows = _square(painter, contents[0], names, args.interpolate)
        else:
            rows = _table(painter, contents, *_columns(painter, names, args))
    written = save_image(draw_sheet(rows), args.output, overwrite=args.overwrite)
    seconds = round(time.perf_counter() - started, 3)
    if args.json:
        errors = [one_line(error) for error in painter.errors]
        print(json.dumps({"output": str(written), "seconds": seconds, "errors": errors}))
    else:
        print(f"{written}  ({seconds:.1f} s)")
    return 1 if painter.errors else 0


def _contents_and_styles(args: argparse.Namespace) -> tuple[list[Path], list[str]]:
    """The pictures, and the names of the styles: none of them stands for all presets."""
    shares: list[tuple[str, float]] = args.style or []
    if not shares and len(args.pictures) > 1:
        shares = [(args.pictures.pop(), 1.0)]
    if any(weight != 1 for _, weight in shares):
        args.usage_error("the styles of a grid have no weights; --interpolate N shows blends of them")
    try:
        names = [name for style, _ in shares for name in _pictures_of(style)]
        contents = find_contents(args.pictures)
    except ValueError as error:
        raise ImageError(str(error)) from error
    if args.alphas and (args.interpolate or len(names) != 1):
        args.usage_error("--alphas needs exactly one style, and no --interpolate")
    if args.interpolate and len(names) not in (2, 4):
        args.usage_error(f"--interpolate needs 2 or 4 styles, got {len(names)}")
    if args.interpolate and len(names) == 4 and len(contents) > 1:
        args.usage_error(f"--interpolate between 4 styles needs exactly one CONTENT, got {len(contents)}")
    if os.path.lexists(args.output) and not args.overwrite:
        raise ImageError(f"{args.output} exists already; --overwrite replaces it, another -o keeps it")
    for path in (*map(str, contents), *names):
        if same_file(path, args.output):
            raise ImageError(f"{args.output} would replace a picture that is read here; choose another -o")
    return contents, names


def _pictures_of(style: str) -> list[str]:
    return [str(Path(style) / name) for name in find_pictures(style)] if Path(style).is_dir() else [style]


@dataclass(frozen=True)
class _Column:
    head: Cell
    style: Style
    alpha: float | Sequence[float]


class _Painter:
    """Cells of a sheet; `errors` are those of the pictures that were told and left out."""

    def __init__(self, stylizer: Stylizer, args: argparse.Namespace) -> None:
        self.stylizer, self.debug, self.size, self.alpha = stylizer, args.debug, args.size, args.alpha
        self.sizes = {"style_size": args.style_size, "max_pixels": args.max_pixels}
        names = ("size", "preserve_color", "color_strength", "scale", "detail", "max_pixels")
        self.options: dict[str, Any] = {name: getattr(args, name) for name in names}
        self.errors: list[ImageError] = []

    def attempt(self, make: Callable[..., _T], *given: Any) -> _T | None:
        """What `make` gives, or None where a picture cannot be used."""
        try:
            return make(*given)
        except ImageError as error:
            complain(error, self.debug)
            self.errors.append(error)
            return None

    def style(self, name: str) -> Style:
        """A style by its name; a file that is none is an `ImageError`, as if it were a broken picture."""
        try:
            return self.stylizer.as_style(name, **self.sizes)
        except StyleError as error:
            if not Path(name).is_file():  # a name that nothing has, which is an error of the command
                raise
            raise ImageError(str(error)) from error

    def head(self, name: str, height: int | None = None) -> Cell:
        """A style's picture, of that height at most, and its name; a preset has no picture."""
        from ..images.sheet import Cell, thumbnail

        path = Path(name)
        if not path.is_file() or path.suffix.lower() == ".safetensors":
            return Cell(label=path.stem if path.is_file() else name)
        shown = self.thumbnail(self.open(path))
        if height is not None and shown.height > height:
            shown = thumbnail(shown, round(max(shown.size) * height / shown.height))
        return Cell(shown, path.name)

    def open(self, path: Path) -> Picture:
        """Open a picture, upright and in sRGB, as the sheet is."""
        from ..images import open_image

        return replace(open_image(path, max_pixels=self.sizes["max_pixels"]), profile=None, info={})

    def thumbnail(self, picture: Picture) -> Image.Image:
        """The picture itself, made as small as a cell."""
        from ..images import close_image
        from ..images.sheet import thumbnail

        shown: Any = close_image(picture.rgb, picture)
        return thumbnail(shown, self.size)

    def painter_of(self, picture: Picture) -> Callable[[Style, float | Sequence[float]], Cell]:
        """What shows it in a style and a strength, as `stylize` would make of it, of the size of a cell.

        `Stylizer.preview` of the picture, which is reduced once for all of its cells: the strokes' scale and what is
        smoothed are those of the picture as it was.
        """
        from ..images.sheet import Cell
        from ..look.previews import prepare_preview

        small, scale, detail = prepare_preview(picture, self.size, self.options["scale"], self.options["detail"])
        options = {**self.options, "scale": scale, "detail": detail}

        def paint(style: Style, alpha: float | Sequence[float]) -> Cell:
            return Cell(self.stylizer.preview(small, style, alpha=alpha, **options))

        return paint


def _columns(painter: _Painter, names: Sequence[str], args: argparse.Namespace) -> tuple[Cell, list[_Column]]:
    """What stands in the corner, and the columns."""
    from ..images.sheet import Cell
    from ..style import interpolate, styles

    if args.alphas:
        style = painter.style(names[0])
        head = painter.head(names[0])
        corner = Cell(head.picture, f"style: {head.label}")
        return corner, [_Column(Cell(label=f"alpha {a:g}"), style, a) for a in args.alphas]
    if args.interpolate:
        ends = [painter.head(name) for name in names]
        found = interpolate([painter.style(name) for name in names], args.interpolate)
        heads = [Cell(label=f"{1 - i / (len(found) - 1):.0%} : {i / (len(found) - 1):.0%}") for i in range(len(found))]
        heads[0], heads[-1] = ends
        return Cell(), [_Column(head, style, painter.alpha) for head, style in zip(heads, found, strict=True)]
    model = painter.stylizer.model.config.name
    names = names or list(styles(model, digest=painter.stylizer.digest))
    if not names:
        raise AdaINKitError(f"the model {args.model!r} has no presets; name styles by --style")

    def column(name: str) -> _Column:
        return _Column(painter.head(name), painter.style(name), painter.alpha)

    return Cell(), [each for name in names if (each := painter.attempt(column, name)) is not None]


def _table(painter: _Painter, contents: Sequence[Path], corner: Cell, columns: Sequence[_Column]) -> list[list[Cell]]:
    """A row for every content, under the heads of the columns; below each other where there are many columns."""
    from ..images.sheet import Cell

    rows: list[list[Cell]] = []
    done = 0
    with Meter(len(contents) * len(columns), "cells") as meter:
        for path in contents:
            picture = painter.attempt(painter.open, path)
            if picture is None:
                continue
            row, paint = [Cell(painter.thumbnail(picture), path.name)], painter.painter_of(picture)
            for column in columns:
                row.append(paint(column.style, column.alpha))
                done += 1
                meter.at(done)
            rows.append(row)
    if not rows or not columns:
        raise ImageError("nothing is left to be shown: none of the pictures could be used")
    heads = [column.head for column in columns]
    bands = range(0, len(columns), _BESIDE)
    return [
        band_row
        for start in bands
        for band_row in (
            [corner, *heads[start : start + _BESIDE]],
            *([row[0], *row[1 + start : 1 + start + _BESIDE]] for row in rows),
        )
    ]


def _square(painter: _Painter, content: Path, names: Sequence[str], n: int) -> list[list[Cell]]:
    """Four styles at the corners, what lies between them in the middle, the content beside it."""
    from ..images.sheet import Cell
    from ..style import interpolate

    picture = painter.open(content)
    shown, paint = painter.thumbnail(picture), painter.painter_of(picture)
    heads = [painter.head(name, shown.height) for name in names]
    grid = interpolate([painter.style(name) for name in names], n)
    rows = [[Cell(), *(paint(style, painter.alpha) for style in row), Cell()] for row in grid]
    for head, (row, column) in zip(heads, ((0, 0), (0, -1), (-1, 0), (-1, -1)), strict=True):
        rows[row][column] = head
    if n == 2:  # no room between the corners
        return [[Cell(), Cell(shown, content.name)], *rows]
    rows[n // 2][0] = Cell(shown, content.name)
    return rows

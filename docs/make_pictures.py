"""Make the pictures of the README and of the handbook: python docs/make_pictures.py [NAME ...]

Needs scikit-image, whose wheel brings the photographs: a cat (chelsea) and a cup of coffee, both CC0, an astronaut and
a rocket, in the public domain, and a stained tissue without known restrictions. Styles are presets and the tissue.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from adainkit import Stylizer, interpolate, save_image
from adainkit.images.sheet import Cell, draw_sheet, thumbnail

PRESETS = ("calanque", "ukiyo-e", "engraving", "maiolica", "pen-and-wash", "iris", "rivers", "ember")
Row = Sequence[Cell]


def photo(name: str, size: int = 0) -> Image.Image:
    """One of scikit-image's photographs, its longer side scaled down to `size` pixels if that is given."""
    image = Image.fromarray(getattr(data, name)())
    return thumbnail(image, size) if size else image


def round_mask(image: Image.Image, x: float, y: float, radius: float) -> np.ndarray:
    """A soft disc, in parts of the picture's width: 1 in the middle, 0 outside; float32 (H, W)."""
    rows, columns = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32) / image.width
    return (1.5 - np.hypot(columns - x, rows - y) / radius * 1.2).clip(0, 1)


def shown(mask: np.ndarray) -> Image.Image:
    """A mask as a picture."""
    return Image.fromarray((mask * 255).astype(np.uint8)).convert("RGB")


def make_styles(stylizer: Stylizer) -> list[Row]:
    """One photograph in eight of the presets."""
    content = stylizer.encode_content(photo("chelsea"))
    cells = [Cell(stylizer.stylize(content, name), name) for name in PRESETS]
    return [cells[:4], cells[4:]]


def make_alpha(stylizer: Stylizer) -> list[Row]:
    """Strength as one number, and by level."""
    content = stylizer.encode_content(photo("coffee", 330))
    alphas: list[Any] = [0.0, 0.33, 0.66, 1.0, (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]
    cells = [Cell(stylizer.stylize(content, "ukiyo-e", alpha=a), f"alpha={a}") for a in alphas]
    return [cells[:4], cells[4:]]


def make_regions(stylizer: Stylizer) -> list[Row]:
    """Two styles in two regions, and a region that keeps the photograph."""
    image = photo("astronaut", 400)
    face = round_mask(image, 0.44, 0.22, 0.2)
    both = stylizer.stylize(image, None, regions=[(face, "pen-and-wash"), (1 - face, "ember")])
    masked = stylizer.stylize(image, "ember", mask=1 - face)
    return [
        [
            Cell(shown(face), "a mask"),
            Cell(both, "regions=[(face, ...), (1 - face, ...)]"),
            Cell(masked, "mask=1 - face"),
        ]
    ]


def make_blends(stylizer: Stylizer) -> list[Row]:
    """Between four styles, as in the figure of the AdaIN paper."""
    content = stylizer.encode_content(photo("coffee", 230))
    corners = [stylizer.as_style(name) for name in ("ukiyo-e", "ember", "maiolica", "meadow")]
    return [[Cell(stylizer.stylize(content, style)) for style in row] for row in interpolate(corners, 5)]


def make_color(stylizer: Stylizer) -> list[Row]:
    """Whose colors the result has."""
    image = photo("coffee", 400)
    content = stylizer.encode_content(image)
    choices: list[dict[str, Any]] = [
        {},
        {"color_strength": 0},
        {"preserve_color": "luma"},
        {"preserve_color": "luma", "color_strength": 0.5},
        {"preserve_color": "match"},
    ]
    cells = [Cell(stylizer.stylize(content, "maiolica", **choice), _words(choice)) for choice in choices]
    return [[Cell(image, "the photograph"), *cells[:2]], cells[2:]]


def make_scale(stylizer: Stylizer) -> list[Row]:
    """Strokes of several widths: a part of each result, not scaled."""
    image = photo("astronaut", 0).resize((1024, 1024), Image.Resampling.LANCZOS)
    box = (270, 60, 670, 460)
    cells = [Cell(stylizer.stylize(image, "ukiyo-e", scale=scale).crop(box), f"scale={scale}") for scale in (1, 2, 4)]
    return [cells]


def make_detail(stylizer: Stylizer) -> list[Row]:
    """The content's fine structure."""
    content = stylizer.encode_content(photo("astronaut", 400))
    return [[Cell(stylizer.stylize(content, "iris", detail=d), f"detail={d}") for d in (0.0, 0.5, 1.0)]]


def make_first_options(stylizer: Stylizer) -> list[Row]:
    """What the four options of the first day do."""
    image = photo("astronaut", 320)
    content = stylizer.encode_content(image)
    choices: list[dict[str, Any]] = [{}, {"alpha": 0.6}, {"preserve_color": "luma"}, {"detail": 0.5}]
    cells = [Cell(stylizer.stylize(content, "maiolica", **c), _words(c) if c else "no option") for c in choices]
    cells.insert(3, Cell(stylizer.stylize(image, "maiolica", scale=2), "scale=2"))
    return [[Cell(image, "the photograph"), *cells[:2]], cells[2:]]


def make_adain(stylizer: Stylizer) -> list[Row]:
    """The formula on red, green and blue, and on features."""
    image, style = photo("coffee", 400), photo("immunohistochemistry", 400)
    x, y = np.asarray(image, np.float32), np.asarray(style, np.float32)
    moved = (x - x.mean((0, 1))) / x.std((0, 1)) * y.std((0, 1)) + y.mean((0, 1))
    colors = Image.fromarray(moved.clip(0, 255).round().astype(np.uint8))
    painted = stylizer.stylize(image, style)
    cells = [Cell(image, "a photograph"), Cell(style, "a style")]
    return [cells, [Cell(colors, "AdaIN on red, green, blue"), Cell(painted, "AdaIN on features")]]


def make_tiles(stylizer: Stylizer) -> list[Row]:
    """Four tiles that know nothing of each other, and four that are exact."""
    image = photo("rocket", 400)
    width, height = image.size
    style = stylizer.as_style("ukiyo-e")
    apart = Image.new("RGB", image.size)
    for left in (0, width // 2):
        for top in (0, height // 2):
            box = (left, top, left + width - width // 2 if left else width // 2, height if top else height // 2)
            apart.paste(stylizer.stylize(image.crop(box), style), box[:2])
    whole, exact = (stylizer.stylize(image, style, tile=tile) for tile in (None, 200))
    off = abs(np.asarray(exact, np.int16) - np.asarray(whole, np.int16)) * 32
    shown_off = Image.fromarray(off.clip(0, 255).astype(np.uint8))
    cells = [Cell(apart, "each tile by itself"), Cell(exact, "exact tiles")]
    return [[*cells, Cell(shown_off, "exact tiles minus whole, x 32")]]


def make_weights(stylizer: Stylizer) -> list[Row]:
    """Where the weights are weak, and what helps."""
    image, dark = photo("astronaut", 300), photo("rocket", 300)
    noisy = np.asarray(dark, np.float32) * 0.5 + np.random.default_rng(0).normal(0, 6, (dark.height, dark.width, 3))
    dark = Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8))
    choices: list[dict[str, Any]] = [{}, {"detail": 0.7}, {"alpha": 0.5}]
    rows = []
    for content, style in ((image, "pen-and-wash"), (dark, "ukiyo-e")):
        held = stylizer.encode_content(content)
        cells = [Cell(stylizer.stylize(held, style, **c), _words(c) if c else style) for c in choices]
        rows.append([Cell(content, "the photograph"), *cells])
    return rows


def _words(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items()) or "the style's"


MAKERS: dict[str, Callable[[Stylizer], list[Row]]] = {
    "styles": make_styles,
    "controls-alpha": make_alpha,
    "controls-regions": make_regions,
    "controls-blends": make_blends,
    "controls-color": make_color,
    "controls-scale": make_scale,
    "controls-detail": make_detail,
    "first-options": make_first_options,
    "explain-adain": make_adain,
    "explain-tiles": make_tiles,
    "explain-weights": make_weights,
}


def main() -> None:
    """Write the named pictures, or all, as JPEG files beside this one."""
    with Stylizer("lite") as stylizer:
        for name in sys.argv[1:] or MAKERS:
            sheet = draw_sheet(MAKERS[name](stylizer), gap=6, font_size=14)
            print(save_image(sheet, Path(__file__).with_name(f"{name}.jpg"), quality=82))


if __name__ == "__main__":
    main()

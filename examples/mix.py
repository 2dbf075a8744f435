"""Blends of styles, a strip between two and a grid between four: python examples/mix.py [OUT]."""

import sys
from pathlib import Path

from PIL import Image
from skimage import data

from adainkit import Style, Stylizer, interpolate, save_image
from adainkit.images.sheet import Cell, draw_sheet


def main() -> None:
    """Write blend.png, strip.png and grid.png into a folder (default: mix-out)."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "mix-out")
    photo = Image.fromarray(data.coffee()).resize((300, 200), Image.Resampling.LANCZOS)
    wave, ember = Style.preset("ukiyo-e"), Style.preset("ember")

    with Stylizer("lite") as stylizer:
        content = stylizer.encode_content(photo)

        # Shares need not sum to 1; a picture's style mixes with presets as well.
        tissue = stylizer.encode_style(Image.fromarray(data.immunohistochemistry()), name="tissue")
        blend = Style.blend([(wave, 2), (ember, 1), (tissue, 1)])
        written = [save_image(stylizer.stylize(content, blend), out / "blend.png")]

        strip = [Cell(stylizer.stylize(content, style), style.name) for style in interpolate([wave, ember], 5)]
        written.append(save_image(draw_sheet([strip]), out / "strip.png"))

        # The figure of the AdaIN paper: four styles at the corners, what lies between them in the middle.
        corners = [wave, ember, tissue, Style.preset("maiolica")]
        grid = [[Cell(stylizer.stylize(content, style)) for style in row] for row in interpolate(corners, 4)]
        written.append(save_image(draw_sheet(grid, gap=2), out / "grid.png"))
    print("Look at:", *written, sep="\n  ")


if __name__ == "__main__":
    main()

"""A style for the face and another for the rest, bold strokes, legible detail: python examples/regions.py [OUT]."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from adainkit import Stylizer, save_image


def main() -> None:
    """Write preview.png, regions.png and bold.png into a folder (default: regions-out)."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "regions-out")
    photo = Image.fromarray(data.astronaut())
    rows, columns = np.mgrid[0 : photo.height, 0 : photo.width]
    face = (1.5 - np.hypot(columns - 225, rows - 115) / 90).clip(0, 1)  # a soft disc: any gray picture or array does

    with Stylizer("lite") as stylizer:
        regions = [(face, "pen-and-wash"), (1 - face, "ember")]
        preview = stylizer.preview(photo, None, regions=regions, size=200)
        both = stylizer.stylize(photo, None, regions=regions, detail=0.3)
        bold = stylizer.stylize(photo, "ukiyo-e", scale=3, alpha=(1, 1, 0.5), preserve_color="luma", color_strength=0.5)
    pictures = {"preview": preview, "regions": both, "bold": bold}
    print("Look at:", *(save_image(picture, out / f"{name}.png") for name, picture in pictures.items()), sep="\n  ")


if __name__ == "__main__":
    main()

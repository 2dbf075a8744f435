"""Make the pictures of the README: python docs/make_pictures.py (needs scikit-image for its sample photograph)."""

from pathlib import Path

from PIL import Image
from skimage import data

import adainkit

PRESETS = ("calanque", "ukiyo-e", "engraving", "maiolica", "pen-and-wash", "iris", "rivers", "ember")


def main() -> None:
    """Write styles.jpg beside this file: two rows of four presets on one photograph."""
    photo = Image.fromarray(data.chelsea())  # 451 x 300, CC0
    sheet = Image.new("RGB", (4 * photo.width, 2 * photo.height))
    with adainkit.Stylizer("lite") as stylizer:
        content = stylizer.encode_content(photo)
        for index, name in enumerate(PRESETS):
            row, column = divmod(index, 4)
            sheet.paste(stylizer.stylize(content, name), (column * photo.width, row * photo.height))
    sheet.save(Path(__file__).with_name("styles.jpg"), quality=88)


if __name__ == "__main__":
    main()

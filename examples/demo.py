"""Stylize one photograph in a few styles: python examples/demo.py --photo a.jpg --style painting.jpg."""

import argparse
from pathlib import Path

from PIL import Image

import adainkit


def main() -> None:
    """Write the photograph and its stylized versions into a folder, and print where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", help="a picture file (default: a sample photograph of scikit-image)")
    parser.add_argument("--style", action="append", help="a painting's file or a preset's name; may be repeated")
    parser.add_argument("--alpha", type=float, default=1.0, help="strength, 0 to 1 (default 1)")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for the pictures")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    photo = Image.open(args.photo) if args.photo else sample_photo()
    written = [args.out / "photo.png"]
    photo.save(written[0])
    with adainkit.Stylizer("lite") as stylizer:
        for style in args.style or three_presets():
            written.append(args.out / f"{Path(style).stem}.png")
            stylizer.stylize(photo, style, alpha=args.alpha).save(written[-1])
    print("Look at:", *written, sep="\n  ")


def sample_photo() -> Image.Image:
    """A cup of coffee on a wooden table, 600 x 400, from scikit-image's wheel (no download)."""
    from skimage import data

    return Image.fromarray(data.coffee())


def three_presets() -> list[str]:
    """Three of the presets, spread over the list."""
    names = list(adainkit.styles("lite"))
    return [names[len(names) * part // 6] for part in (1, 3, 5)]


if __name__ == "__main__":
    main()

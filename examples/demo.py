"""Stylize one photograph in a few styles: python examples/demo.py --photo a.jpg --style painting.jpg."""

import argparse
from pathlib import Path

from PIL import Image

import adainkit


def main() -> None:
    """Write the stylized photographs into a folder, and print where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", help="a picture file (default: a sample photograph of scikit-image)")
    parser.add_argument("--style", action="append", help="a painting's file or a preset's name; may be repeated")
    parser.add_argument("--alpha", type=float, default=1.0, help="strength, 0 to 1 (default 1)")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for the pictures")
    args = parser.parse_args()

    try:
        written = stylize_in_a_few(args.photo or sample_photo(), args.style or three_presets(), args.alpha, args.out)
    except adainkit.AdaINKitError as error:
        raise SystemExit(f"demo: {error}") from error
    print("Look at:", *written, sep="\n  ")


def stylize_in_a_few(photo: str | Image.Image, styles: list[str], alpha: float, out: Path) -> list[Path]:
    """The photograph in each style, as photo-in-STYLE.png in the folder `out`; their paths."""
    written = []
    with adainkit.Stylizer("lite") as stylizer:
        content = stylizer.encode_content(photo)
        for style in styles:
            path = out / f"photo-in-{Path(style).stem}.png"
            written.append(adainkit.save_image(stylizer.stylize(content, style, alpha=alpha), path))
    return written


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

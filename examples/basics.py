"""One picture, several strengths and ways to name a style: python examples/basics.py [OUT]."""

import sys
from pathlib import Path

from PIL import Image
from skimage import data

import adainkit


def main() -> None:
    """Write the pictures into a folder (default: basics-out), and print where they are."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "basics-out")
    photo = Image.fromarray(data.chelsea())  # a cat, 451 x 300; a path or an array is as good
    painting = Image.fromarray(data.immunohistochemistry())  # any picture may be the style

    # One call: the result has the type and the size of the picture.
    results = {"one-call": adainkit.stylize(photo, painting, alpha=0.8)}

    # For more than one call, keep the model. The presets come with the package.
    print("presets:", ", ".join(adainkit.styles()))
    with adainkit.Stylizer("lite") as stylizer:
        results["preset"] = stylizer.stylize(photo, "ukiyo-e")
        results["own-colors"] = stylizer.stylize(photo, "ukiyo-e", preserve_color="luma")

        # What is encoded once costs a decoder pass for each alpha.
        content = stylizer.encode_content(photo)
        style = stylizer.encode_style(painting, name="tissue")
        for alpha in (0.25, 0.5, 1.0):
            results[f"alpha-{alpha}"] = stylizer.stylize(content, style, alpha=alpha)

        # A style is a few kilobytes of statistics, for later and for others.
        style.save(out / "tissue.safetensors")
        results["saved"] = stylizer.stylize(photo, out / "tissue.safetensors")

    print(
        "Look at:",
        *(adainkit.save_image(result, out / f"{name}.png") for name, result in results.items()),
        sep="\n  ",
    )


if __name__ == "__main__":
    main()

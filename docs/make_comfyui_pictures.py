"""Make the pictures of the ComfyUI help pages: python docs/make_comfyui_pictures.py (needs scikit-image)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import adainkit
from adainkit.cli.demo import draw_landscape

TARGET = Path(__file__).parents[1] / "comfyui_nodes" / "web" / "docs"
CELL = (225, 150)  # pixels of a picture on a sheet, half of the photograph's
CAPTION = 18


def main() -> None:
    """Write the sheets into the help pages' folder."""
    photo = Image.fromarray(data.chelsea())  # 451 x 300, CC0
    landscape = draw_landscape(720, 480)
    with adainkit.Stylizer("lite") as stylizer:
        content = stylizer.encode_content(photo)

        def paint(style: object, **options: object) -> Image.Image:
            return stylizer.stylize(content, style, **options)

        encoded = stylizer.encode_style(landscape)
        presets = list(adainkit.styles("lite"))
        save("apply", [("image", photo), ("ukiyo-e", paint("ukiyo-e")), ("calanque", paint("calanque"))])
        save(
            "options",
            [
                ("alpha 0.5", paint("iris", alpha=0.5)),
                ("alpha 1", paint("iris")),
                ("preserve_color luma", paint("iris", preserve_color="luma")),
                ("stroke_scale 3", stylizer.stylize(photo, "iris", scale=3)),
                ("detail 1", paint("iris", detail=1.0)),
                ("level_alphas 0, 0, 1", paint("iris", alpha=[0.0, 0.0, 1.0])),
            ],
            columns=2,
        )
        save("encode", [("image", landscape), ("its style on a photograph", paint(encoded))], columns=2)
        save("presets", [(name, paint(name)) for name in presets], columns=4, share=0.37)
        mixed = [adainkit.Style.blend([(stylizer.as_style("ember"), 1 - t), (encoded, t)]) for t in (0, 0.5, 1)]
        names = ("weights 1, 0", "weights 1, 1", "weights 0, 1")
        save("mix", [(name, paint(style)) for name, style in zip(names, mixed, strict=True)])
        x = np.linspace(0, 1, photo.width, dtype=np.float32)
        left = np.tile(np.clip((0.55 - x) * 8, 0, 1), (photo.height, 1))
        regions = [(left, "rivers"), (1 - left, "ember")]
        mask = Image.fromarray((left * 255).astype(np.uint8)).convert("RGB")
        save("regions", [("image", photo), ("mask_1", mask), ("rivers and ember", paint(None, regions=regions))])
        frames = [photo.crop((shift, 0, shift + 330, 220)) for shift in (0, 60, 120)]
        film = stylizer.content_statistics(frames)
        painted = [stylizer.stylize(frame, "glazed-brick", content_statistics=film) for frame in frames]
        save("frames", [(f"frame {i}", frame) for i, frame in enumerate(painted, 1)])


def save(name: str, pictures: Sequence[tuple[str, Image.Image]], columns: int = 3, share: float = 1.0) -> None:
    """A sheet of captioned pictures, each at `share` of `CELL`, as a JPEG."""
    width, height = (round(side * share) for side in CELL)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, (caption, picture) in enumerate(pictures):
        left, top = index % columns * width, index // columns * (height + CAPTION)
        sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (left, top + CAPTION))
        draw.text((left + 4, top + 1), caption, fill="black", font=font)
    sheet.save(TARGET / f"{name}.jpg", quality=72, optimize=True, progressive=True)


if __name__ == "__main__":
    main()

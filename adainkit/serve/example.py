"""A small landscape, which shows what presets look like before anybody has sent a photograph."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["example"]


@cache
def example(width: int = 384, height: int = 256) -> Image.Image:
    """A sky with a sun, two ridges of hills, a field and a house."""
    y = np.linspace(0, 1, height)[:, None, None]
    sky = np.array([96, 150, 214.0]) * (1 - y) + np.array([252, 226, 176.0]) * y
    image = Image.fromarray(np.broadcast_to(sky, (height, width, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse((0.68 * width, 0.1 * height, 0.8 * width, 0.1 * height + 0.12 * width), fill=(255, 240, 190))
    x = np.arange(width + 1)
    for base, swing, waves, color in ((0.5, 0.11, 2.3, (110, 122, 160)), (0.62, 0.08, 3.7, (74, 104, 96))):
        line = base - swing * np.sin(x / width * waves * np.pi) - 0.02 * np.sin(x / 9.0)
        ridge = [(int(a), float(b) * height) for a, b in zip(x, line, strict=True)]
        draw.polygon([(0, height), *ridge, (width, height)], fill=color)
    draw.rectangle((0, 0.74 * height, width, height), fill=(120, 150, 70))
    for row in range(7):
        top = (0.76 + 0.035 * row) * height
        draw.line((0, top, width, top + 0.03 * height), fill=(96 + 8 * row, 126 + 6 * row, 52), width=2)
    left, right, foot = 0.2 * width, 0.36 * width, 0.82 * height
    draw.rectangle((left, 0.66 * height, right, foot), fill=(232, 214, 184))
    draw.polygon([(left - 6, 0.67 * height), ((left + right) / 2, 0.54 * height), (right + 6, 0.67 * height)],
                 fill=(160, 62, 46))  # fmt: skip
    draw.rectangle((left + 14, 0.71 * height, left + 26, 0.77 * height), fill=(255, 214, 112))
    draw.rectangle((right - 24, 0.7 * height, right - 10, foot), fill=(98, 62, 42))
    return image

"""How many frames a picture file has, which is told without decoding one."""

from __future__ import annotations

from PIL import Image

__all__ = ["FILM_KINDS", "count_frames", "first_frame"]

FILM_KINDS = ("GIF", "PNG", "WEBP")
"""Pillow's names of the formats that hold films here, in and out."""


def count_frames(image: Image.Image | None) -> int | None:
    """The frames of an opened GIF, PNG or WebP, without a still picture before them; None of other kinds."""
    if image is None or image.format not in FILM_KINDS:
        return None
    return int(getattr(image, "n_frames", 1)) - first_frame(image)


def first_frame(image: Image.Image) -> int:
    """The number of the first frame: a PNG may hold a still picture before it, which no player shows."""
    return 1 if image.info.get("default_image") else 0

"""The kinds of picture files, in one list: what can be written, and what is taken from a folder. Imports nothing."""

__all__ = ["BY_PILLOW", "EXTRAS", "FORMATS", "KINDS", "PICTURES"]

KINDS = {
    "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "png": "PNG", "webp": "WEBP",
    "gif": "GIF", "avif": "AVIF", "tif": "TIFF", "tiff": "TIFF", "bmp": "BMP", "jp2": "JPEG2000",
    "heic": "HEIF", "heif": "HEIF", "jxl": "JXL",
}  # fmt: skip
"""What Pillow calls the format of an extension that can be written."""
FORMATS = tuple(KINDS)
"""Extensions that can be written; a picture of another kind becomes a PNG."""
EXTRAS = {"HEIF": ("heif", "pillow_heif"), "JXL": ("jxl", "pillow_jxl")}
"""The formats that need a package of their own: the extra that installs it, and its module."""
PICTURES = frozenset(f".{name}" for name in (*FORMATS, "hif", "mpo", "j2k", "pgm", "ppm", "tga"))
"""Suffixes of the files that are taken from a folder."""
BY_PILLOW = frozenset(f".{name}" for name, kind in KINDS.items() if kind not in EXTRAS and kind != "GIF")
"""Suffixes of the files that need no extra and have more than 256 colors, which training takes from a folder."""

"""Pictures in and out: one door for paths, files, bytes, PIL images, arrays and tensors."""

from typing import Any

from ..moved import moved_name
from .animation import FILM_KINDS, Film, find_film, is_film, write_film
from .describe import describe
from .door import MAX_PIXELS, ImageLike, alpha_as_given, close_image, mask_of, open_image
from .exif import without_sides
from .facts import read_record
from .files import Target, check_target, facts_to_write, name_of, save_image
from .picture import Picture
from .tiff import need_tifffile, write_tiff_rows
from .windows import Strips, open_strips, picture_size

__all__ = [
    "FILM_KINDS",
    "MAX_PIXELS",
    "Film",
    "ImageLike",
    "Picture",
    "Strips",
    "Target",
    "alpha_as_given",
    "check_target",
    "close_image",
    "describe",
    "facts_to_write",
    "find_film",
    "is_film",
    "mask_of",
    "name_of",
    "need_tifffile",
    "open_image",
    "open_strips",
    "picture_size",
    "read_record",
    "save_image",
    "without_sides",
    "write_film",
    "write_tiff_rows",
]


def __getattr__(name: str) -> Any:
    if name == "premix":
        return moved_name(__name__, name, "look.color")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Pictures in and out: one door for paths, files, bytes, PIL images, arrays and tensors.

Names are imported when they are first used, as those of the package: what a file says of itself needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..moved import moved_name
from .describe import describe  # at once: a module of that name would stand in its place

if TYPE_CHECKING:
    from .animation import Film, find_film, is_film, write_film
    from .door import MAX_PIXELS, ImageLike, alpha_as_given, close_image, mask_of, open_image
    from .exif import without_sides
    from .facts import read_record
    from .files import Target, check_target, facts_to_write, name_of, save_image
    from .frames import FILM_KINDS
    from .picture import Picture
    from .tiff import need_tifffile, write_tiff_rows
    from .windows import Strips, open_strips, picture_size

_HOME = {
    "FILM_KINDS": "frames",
    "MAX_PIXELS": "door",
    "Film": "animation",
    "ImageLike": "door",
    "Picture": "picture",
    "Strips": "windows",
    "Target": "files",
    "alpha_as_given": "door",
    "check_target": "files",
    "close_image": "door",
    "facts_to_write": "files",
    "find_film": "animation",
    "is_film": "animation",
    "mask_of": "door",
    "name_of": "files",
    "need_tifffile": "tiff",
    "open_image": "door",
    "open_strips": "windows",
    "picture_size": "windows",
    "read_record": "facts",
    "save_image": "files",
    "without_sides": "exif",
    "write_film": "animation",
    "write_tiff_rows": "tiff",
}

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
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return __all__

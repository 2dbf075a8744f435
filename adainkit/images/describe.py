"""What a picture file is and says, without decoding it."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

from .decoders import identify, is_tiff
from .facts import read_facts, read_record
from .frames import count_frames
from .reading import opened, reading, tiff_size
from .tiff import kind_of_tiff

__all__ = ["describe"]


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Facts about a picture file: "format", "width", "height", "frames" (of a GIF, PNG or WebP; None where they are not
    counted), "kept" (which of EXIF, XMP, ... it has), and "record", the settings that a result was made with, or None.

    The pixels are not decoded. `ImageError` if the file is no picture.
    """
    with reading(path), opened(path) as (stream, name):
        header = identify(stream, name)
        width, height = tiff_size(stream) if header is None else header.size
        of_tiff = is_tiff(stream)
        info, _ = read_facts(header or Image.new("L", (1, 1)), stream if of_tiff else None, name)
        profile = bool(header is not None and header.info.get("icc_profile"))
        return {
            "file": name,
            "format": kind_of_tiff(stream) if of_tiff else (header.format if header else None),
            "width": width,
            "height": height,
            "frames": count_frames(header),
            "kept": [*info, *(["icc_profile"] if profile else [])],
            "record": read_record(info.get("xmp")),
        }

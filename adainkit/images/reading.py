"""From a file, or the bytes of one, to pixels and facts: everything that can be wrong with it is one kind of error."""

from __future__ import annotations

import io
import logging
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any, NamedTuple

from PIL import Image, ImagePalette

from ..errors import AdaINKitError, ImageError, OutOfMemoryError
from .boxes import png_chunk, read_properties
from .cicp import cicp_profile, is_hdr, is_srgb
from .decoders import identify, is_tiff
from .deep import Deep
from .depth import deep_heif, tell_depth
from .exif import left_to_turn
from .facts import read_facts
from .ifd import read_directory, read_header
from .png16 import deep_png
from .sizes import check_size
from .tiff import read_deep

__all__ = ["Loaded", "check_size", "load", "name_of_thread", "opened", "reading", "tell_further", "tiff_size"]

_log = logging.getLogger("adainkit")

_thread = threading.local()

_COLOR_MAP = 320
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF", "HEIF")


class Loaded(NamedTuple):
    """A decoded file: its pixels as they are stored, what is kept of it, its EXIF orientation, and its name."""

    pixels: Image.Image | Deep
    info: dict[str, Any]
    orientation: int
    name: str


@contextmanager
def opened(source: Any) -> Iterator[tuple[IO[bytes], str]]:
    """A path, bytes or a binary file object as a file that can be read from its start, and a name for messages.

    `ImageError` for pipes, sockets and devices, which have no start to go back to and may never end.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source), "bytes"
        return
    if hasattr(source, "read"):
        name = str(getattr(source, "name", "") or type(source).__name__)
        data = source.read()
        if not isinstance(data, (bytes, bytearray)):
            raise ImageError(f"{name}: expected a file that was opened for bytes: open(path, 'rb')")
        yield io.BytesIO(data), name
        return
    name = os.fspath(source)
    mode = os.stat(source).st_mode  # noqa: PTH116 - Path's may raise more
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ImageError(f"{name}: is a pipe, a socket or a device; expected a file (or pass the bytes that it gives)")
    with open(source, "rb") as stream:
        yield stream, name


@contextmanager
def reading(name: Any, damage: bool = True) -> Iterator[None]:
    """Whatever is wrong with the file `name`, that the block reads, is one ImageError that says so.

    With `damage` False the block only works on what was read, and what it finds wrong is an error of its own.
    """
    name = name if isinstance(name, str) else _name_of(name)
    before, _thread.name = name_of_thread(), name
    try:
        yield
    except AdaINKitError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(
            f"{name}: the memory does not hold this picture; make it smaller, or give a TIFF to stylize_file (or the "
            "command), which reads it in strips"
        ) from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file; expected the path of a picture") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: is a folder; expected the path of a picture") from error
    except PermissionError as error:
        raise ImageError(f"{name}: cannot be read ({error}); expected the path of a readable picture") from error
    except Image.DecompressionBombError as error:  # a few plugins ask for themselves, WebP's above all
        raise ImageError(f"{name}: {error} This is Pillow's own bound: PIL.Image.MAX_IMAGE_PIXELS") from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds for damaged data
        if not damage:
            raise
        raise ImageError(f"{name}: damaged or truncated picture ({error}); expected a whole one") from error
    finally:
        _thread.name = before


def name_of_thread() -> str:
    """The picture that this thread is reading, whose name a warning of Pillow's lacks; empty for none."""
    return getattr(_thread, "name", "")


def _name_of(source: Any) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else "picture"


def load(source: Any, max_pixels: int | None) -> Loaded:
    """The first picture of a file, decoded.

    Everything that can be wrong with the file is one `ImageError`. Its size is known before any pixel is decoded.
    """
    with reading(source), opened(source) as (stream, name):
        header = identify(stream, name, max_pixels)
        size = tiff_size(stream) if header is None else header.size
        check_size(name, *size, max_pixels)
        tell_further(header, stream, name)
        pixels = _decoded(header, stream, name)
        facts = header or Image.new("L", (1, 1))
        info, orientation = read_facts(facts, stream if is_tiff(stream) else None, name)
        if pixels is header and hasattr(header, "tag_v2"):
            orientation = left_to_turn(header)
        return Loaded(pixels, info, orientation, name)


def tiff_size(stream: IO[bytes]) -> tuple[int, int]:
    """Width and height of a TIFF's first picture."""
    header = read_header(stream)
    tags = read_directory(stream, header, header.first, lambda tag: tag in (256, 257))
    return tags.integer(256), tags.integer(257)


def _decoded(header: Image.Image | None, stream: IO[bytes], name: str) -> Image.Image | Deep:
    if is_tiff(stream):
        if header is None or _bits(header) > 8:
            deep = read_deep(stream, header, name)
            if deep is not None:
                return deep
        assert header is not None  # else `read_deep` has said why
        _mend_palette(header)
    if header is None:
        raise ImageError(f"{name}: not a picture that Pillow can read")
    if header.format in ("PNG", "TIFF"):
        deep = deep_png(header, stream, identify, name)
        if deep is not None:
            header.load()  # for the texts behind the pixels
            return _with_code_points(deep, header, stream, name)
    deep = deep_heif(header, stream)
    if deep is not None:
        return _with_code_points(deep, header, stream, name)
    tell_depth(header, stream, name)
    if header.format == "PNG":
        _mend_key(header)
    header.load()
    return _with_code_points(header, header, stream, name)


def _bits(header: Image.Image) -> int:
    """The most bits of a sample of a TIFF."""
    bits = getattr(header, "tag_v2", {}).get(258, (1,))
    return max((int(b) for b in (bits if isinstance(bits, tuple) else (bits,))), default=1)


def _mend_palette(image: Image.Image) -> None:
    """A color map of 8-bit numbers, an old and common mistake, is taken as what it was meant for."""
    tags = getattr(image, "tag_v2", {})
    colors = tags.get(_COLOR_MAP)
    if image.mode in ("P", "PA") and colors and 0 < max(colors) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(colors))


def _mend_key(image: Image.Image) -> None:
    """The transparent gray of a PNG of 2 or 4 bits, which Pillow leaves as it is stored while it scales the pixels."""
    key = image.info.get("transparency")
    tiles = getattr(image, "tile", [])
    scale = {"L;2": 85, "L;4": 17}.get(str(tiles[0][3]) if tiles else "", 1)
    if isinstance(key, int) and key * scale <= 255:
        image.info["transparency"] = key * scale


def _with_code_points(
    pixels: Image.Image | Deep, header: Image.Image, stream: IO[bytes], name: str
) -> Image.Image | Deep:
    """The picture under the profile that its code points mean, if it has some that count."""
    code_points = None
    if header.format == "PNG":
        chunk = png_chunk(stream, b"cICP") or b""
        code_points = (chunk[0], chunk[1]) if len(chunk) == 4 else None
    elif header.format in ("AVIF", "HEIF") and not header.info.get("icc_profile"):
        code_points = read_properties(stream).cicp
    if code_points is None or is_srgb(*code_points):
        return pixels
    profile = cicp_profile(*code_points)
    if profile is None:
        _log.warning(
            "%s: its colors are told by code points %d/%d, which are not known: taken as sRGB", name, *code_points
        )
        return pixels
    if is_hdr(code_points[1]):
        _log.warning("%s: a picture in high dynamic range: what is brighter than paper white is clipped to it", name)
    if isinstance(pixels, Deep):
        return replace(pixels, profile=profile)
    pixels.info["icc_profile"] = profile
    return pixels


def tell_further(header: Image.Image | None, stream: IO[bytes], name: str) -> None:
    """A warning in the log where a file holds more than the picture that is taken.

    Not for a camera's JPEG with its preview. Pages are not counted, since a file may have thousands, or broken ones.
    """
    try:
        if is_tiff(stream):
            start = read_header(stream)
            further = read_directory(stream, start, start.first, lambda tag: False).following != 0
        else:
            further = header is not None and header.format in _ANIMATED and bool(getattr(header, "is_animated", False))
        if further:
            _log.warning("%s has more than one page or frame; the first is taken", name)
        if header is not None and (told := _beside(header, stream)):
            _log.warning("%s: %s is left out", name, told)
    except Exception as error:  # what is broken behind the first picture is no matter of it
        _log.debug("%s: what lies behind its first picture cannot be read (%s)", name, error)


def _beside(header: Image.Image, stream: IO[bytes]) -> str:
    """What else than pages a file holds, in words."""
    if header.format in ("AVIF", "HEIF"):
        return "its gain map, which makes it brighter on an HDR screen," if read_properties(stream).gain_map else ""
    xmp = header.info.get("xmp") or b""
    if header.format in ("JPEG", "MPO") and b"hdrgm" in (xmp if isinstance(xmp, bytes) else b""):
        return "its gain map, which makes it brighter on an HDR screen,"
    if header.format == "MPO":
        entries = getattr(header, "mpinfo", {}).get(0xB002, [])[1:]
        kinds = [entry["Attribute"]["MPType"] for entry in entries]
        if not all(kind.startswith("Large Thumbnail") for kind in kinds):
            return "a further picture of it (a gain map, depth, or the other eye's)"
    return ""

"""Which decoders open a file: by its content, from a list of those that are known to be harmless."""

from __future__ import annotations

import struct
from typing import IO, Any

from PIL import Image

from ..errors import ImageError
from .jxl import check_jxl_size

__all__ = ["identify", "is_tiff"]

# Not EPS and WMF, which start other programs or the system, not ICO and ICNS, which decode before their size is known,
# and none that only a folder of test pictures has. TGA has no signature and comes last.
_KNOWN = (
    "JPEG", "PNG", "TIFF", "WEBP", "AVIF", "GIF", "BMP", "JPEG2000", "PPM", "PSD", "QOI", "SGI", "PCX", "DDS", "TGA",
)  # fmt: skip
_EXPECTED = "expected JPEG, PNG, WebP, AVIF, TIFF, ..."
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2")
_FILMS = (b"isom", b"mp41", b"mp42", b"qt  ", b"M4V ", b"3gp4", b"3gp5", b"avc1", b"iso2")
_NO_PICTURE = (
    (0, b"%!PS", "PostScript, which would have to be run to be seen; export it as PNG"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript, which would have to be run to be seen; export it as PNG"),
    (0, b"%PDF", "a PDF document; export its pages as PNG"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR, whose light has no white; save it as PNG or TIFF as it is to be seen"),
    (0, b"#?RADIANCE", "Radiance HDR, whose light has no white; save it as PNG or TIFF as it is to be seen"),
    (0, b"\0\0\1\0", "an icon; save it as PNG"),
    (0, b"\0\0\2\0", "a cursor; save it as PNG"),
    (0, b"icns", "an icon; save it as PNG"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile; export it as PNG"),
    (0, b"gimp xcf", "a GIMP document; export it as PNG or TIFF"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw data; develop it to TIFF or JPEG"),
    (0, b"<svg", "an SVG drawing; export it as PNG"),
    (0, b"<?xml", "an XML document, perhaps an SVG drawing; export it as PNG"),
    (0, b"PK\3\4", "a ZIP archive, perhaps a document of Krita or an office program; export it as PNG"),
    (8, b"AVI ", "a film; use `adainkit film`, or pass its frames"),
    (0, b"\x1aE\xdf\xa3", "a film; use `adainkit film`, or pass its frames"),
    (8, b"CR\2\0", "a camera's raw data; develop it to TIFF or JPEG"),
)


def is_tiff(stream: IO[bytes]) -> bool:
    """Whether the file is a TIFF by its first bytes."""
    stream.seek(0)
    return stream.read(4) in _TIFF


def identify(stream: IO[bytes], name: str, max_pixels: int | None = None) -> Image.Image | None:
    """``PIL.Image.open`` less its pixel bound, which is a global of the process and warns, and with fewer decoders.

    Nothing is decoded: size, mode and tags are known; of JPEG XL, which its library decodes at once, the size is held
    against `max_pixels` before. None for a TIFF that Pillow does not know. `ImageError` for what is no picture, with
    its kind where that is known.
    """
    stream.seek(0)
    prefix = stream.read(32)
    if found := _by_extra(stream, prefix, name, max_pixels):
        return found
    for place, magic, told in _NO_PICTURE:
        if prefix[place:].startswith(magic):
            raise ImageError(f"{name}: not a picture that can be read: it is {told}")
    reasons = ""
    for register in (Image.preinit, Image.init):  # the five common formats first, all others only if need be
        register()
        for kind in [kind for kind in _KNOWN if kind in Image.OPEN]:
            factory, accept = Image.OPEN[kind]
            try:
                accepted = accept(prefix) if accept else True
                if isinstance(accepted, str):
                    reasons += f" ({accepted})"
                elif accepted:
                    stream.seek(0)
                    return factory(stream, "")
            except (SyntaxError, IndexError, TypeError, KeyError, struct.error):
                continue  # Pillow's sign for "not mine after all"
        if prefix[:4] in _TIFF and register is Image.preinit:
            return None
    raise ImageError(f"{name}: not a picture that Pillow can read{reasons}; {_EXPECTED}")


def _by_extra(stream: IO[bytes], prefix: bytes, name: str, max_pixels: int | None) -> Image.Image | None:
    """A HEIC or JPEG XL file, opened by a package that adainkit can do without; None for others."""
    found: Any = None
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _FILMS:
        raise ImageError(
            f"{name}: not a picture that can be read: it is a film; use `adainkit film`, or pass its frames"
        )
    if prefix[4:8] == b"ftyp" and (prefix[8:12] in _HEIF and b"avif" not in prefix):
        try:
            import pillow_heif
        except ImportError as error:
            raise ImageError(f'{name}: HEIC needs pillow-heif; run pip install "adainkit[heif]"') from error
        stream.seek(0)
        try:
            opener: Any = pillow_heif.HeifImageFile
            found = opener(stream, "")
        except SyntaxError as error:
            raise ImageError(f"{name}: damaged or truncated picture ({error}); expected a whole HEIC") from error
    elif prefix[:2] == b"\xff\x0a" or prefix[:12] == b"\0\0\0\x0cJXL \r\n\x87\n":
        try:
            from pillow_jxl.JpegXLImagePlugin import JXLImageFile
        except ImportError as error:
            raise ImageError(f'{name}: JPEG XL needs pillow-jxl-plugin; run pip install "adainkit[jxl]"') from error
        check_jxl_size(stream, name, max_pixels)
        stream.seek(0)
        found = JXLImageFile(stream, "")
    return found  # type: ignore[no-any-return]

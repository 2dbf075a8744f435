"""Picture files: read one with Pillow, 16-bit color too, and write one so that nobody ever finds it half-written."""

from __future__ import annotations

import io
import logging
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, features
from torch import Tensor

from ..atomic import temporary_beside
from ..errors import AdaINKitError, ImageError
from .sixteen import turn_bytes, write_png16
from .tiff import write_tiff16

__all__ = ["check_size", "check_target", "identify", "load_file", "reading", "save_image", "tell_pages"]

_log = logging.getLogger("adainkit")

_FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP",
    ".avif": "AVIF", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
_QUALITY = {"JPEG": 95, "WEBP": 92, "AVIF": 88}  # visually lossless; brush strokes suffer from less
_EXIF_LIMIT = 65533  # bytes that fit into the one segment that JPEG has for EXIF


def check_size(name: str, width: int, height: int, max_pixels: int | None) -> None:
    """Raise ImageError for an empty picture, or for one above the bound (``None``: no bound)."""
    if width < 1 or height < 1:
        raise ImageError(f"{name}: expected at least 1 x 1 pixels, got {width} x {height}")
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} = {width * height} pixels, expected at most {max_pixels}; "
            "pass a larger max_pixels if you trust this picture"
        )


def load_file(path: str | os.PathLike[str], max_pixels: int | None) -> tuple[Image.Image, Image.Image | None]:
    """The first picture of a file, decoded, and for 16-bit RGB(A) in PNG or TIFF a second one with the low bytes.

    Everything that can be wrong with the file is one ImageError. Its size is known before any pixel is decoded.
    """
    name = os.fspath(path)
    with reading(name), open(path, "rb") as stream:
        image = identify(stream, name)
        check_size(name, *image.size, max_pixels)
        tell_pages(image, name)
        turned = turn_bytes(image, name)
        image.load()
        if not turned:
            return image, None
        low = identify(stream, name)
        vars(low)["tile"] = turned
        low.load()
        return image, low


def tell_pages(image: Image.Image, name: str) -> None:
    """A warning in the log where a file has more pictures than the first; not for a camera's JPEG with its preview."""
    pages = getattr(image, "n_frames", 1)
    if pages > 1 and image.format in ("TIFF", "GIF", "PNG", "WEBP", "AVIF"):
        _log.warning("%s has %d pages or frames; the first is taken", name, pages)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever is wrong with the file `name`, that the block reads, is one ImageError that says so."""
    try:
        yield
    except AdaINKitError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file; expected the path of a picture") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: is a folder; expected the path of a picture") from error
    except PermissionError as error:
        raise ImageError(f"{name}: cannot be read ({error}); expected the path of a readable picture") from error
    except Image.DecompressionBombError as error:  # a few plugins ask for themselves, WebP's above all
        raise ImageError(f"{name}: {error} This is Pillow's own bound: PIL.Image.MAX_IMAGE_PIXELS") from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds for damaged data
        raise ImageError(f"{name}: damaged or truncated picture ({error}); expected a whole one") from error


def identify(stream: IO[bytes], name: str) -> Image.Image:
    """``PIL.Image.open`` less its pixel bound: that is a global of the process and warns; ours is an argument.

    Nothing is decoded: size, mode and tags are known.
    """
    stream.seek(0)
    prefix, tried, reasons = stream.read(16), set(), ""
    for register in (Image.preinit, Image.init):  # the five common formats first, all others only if need be
        register()
        for kind in [kind for kind in Image.ID if kind not in tried]:
            tried.add(kind)
            factory, accept = Image.OPEN[kind]
            try:
                accepted = accept(prefix) if accept else True
                if isinstance(accepted, str):
                    reasons += f" ({accepted})"
                elif accepted:
                    stream.seek(0)
                    return factory(stream, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # Pillow's sign for "not mine after all"
    raise ImageError(f"{name}: not a picture that Pillow can read{reasons}; expected JPEG, PNG, WebP, AVIF, TIFF, ...")


def save_image(
    result: Image.Image | np.ndarray[Any, Any] | Tensor,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = True,
    info: Mapping[str, Any] | None = None,
) -> Path:
    """Write a PIL image, an array ``(H, W)`` or ``(H, W, 1 | 3 | 4)``, or a tensor ``(1 | 3 | 4, H, W)``.

    Numbers are uint8, uint16 or float in [0, 1]. JPEG, PNG, WebP, AVIF, TIFF or BMP, by `format` or else by the
    extension. uint16 stays 16 bits in PNG and TIFF (color in TIFF needs ``pip install "adainkit[tiff]"``) and becomes 8
    bits elsewhere; floats become 8 bits. `quality` is 1 to 100 (JPEG, WebP, AVIF). EXIF, DPI and the ICC profile come
    from `info` (`Picture.info` for an array), by default from the image's own. JPEG and BMP have no alpha: the picture
    is laid on white, with a logged warning.

    A temporary file in the same folder (made if missing) takes the name at the end, so that the name holds the old file
    or the whole new one. Returns `path`. Raises ImageError for whatever goes wrong.
    """
    kind = check_target(path, format=format, quality=quality, overwrite=overwrite)
    target = Path(os.path.realpath(path))  # a link stays a link
    picture = _prepare(result, kind)
    kept: Mapping[Any, Any] = info if info is not None else getattr(result, "info", {})
    try:
        with temporary_beside(target) as part, _Stream(open(part, "w+b", buffering=0)) as stream:
            if isinstance(picture, Image.Image):
                _write(picture, stream, kind, quality or _QUALITY.get(kind), kept)
            elif kind == "PNG":
                write_png16(picture, stream, kept)
            else:
                write_tiff16(picture, stream, kept)
    except AdaINKitError:
        raise
    except Exception as error:  # the disk, the permissions, or an encoder's limits
        raise ImageError(
            f"{target}: cannot be written as {kind} ({str(error) or type(error).__name__}); "
            "expected a writable folder with free space, and a picture within the limits of the format"
        ) from error
    return Path(path)


class _Stream(io.BufferedRandom):
    """A file whose descriptor Pillow doesn't get: its C code takes the short write to a full disk for a whole one."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("every byte goes through `write`, which knows what was written")


def check_target(
    path: str | os.PathLike[str], *, format: str | None = None, quality: int | None = None, overwrite: bool = True
) -> str:
    """Pillow's name of the format that `save_image` would write; ImageError for what it would refuse."""
    target = Path(os.path.realpath(path))
    kind = _format_of(target, format)
    if quality is not None and not 1 <= quality <= 100:
        raise ImageError(f"quality: expected 1 to 100, got {quality}")
    if not overwrite and target.exists():
        raise ImageError(f"{target}: exists already; pass overwrite=True to replace it")
    return kind


def _format_of(path: Path, name: str | None) -> str:
    extension = f".{name.lower().lstrip('.')}" if name else path.suffix.lower()
    if extension not in _FORMATS:
        raise ImageError(f"{path}: unknown format {extension!r}; expected one of {', '.join(_FORMATS)}")
    kind = _FORMATS[extension]
    Image.init()
    if kind not in Image.SAVE:
        raise ImageError(f'{path}: this Pillow has no {kind}; run pip install -U "pillow>=11.3", or save as PNG')
    return kind


def _prepare(result: Image.Image | np.ndarray[Any, Any] | Tensor, kind: str) -> Image.Image | np.ndarray[Any, Any]:
    """A PIL image in a mode that the format has, or an array (H, W, C) of uint16 for the 16-bit writers."""
    if isinstance(result, Tensor):
        flat = result[0] if result.ndim == 4 and len(result) == 1 else result
        if flat.ndim != 3:
            raise ImageError(f"tensor to save: expected shape (C, H, W), got {tuple(result.shape)}")
        flat = flat.detach().float() if flat.is_floating_point() else flat.detach()
        result = flat.permute(1, 2, 0).cpu().numpy()
    if isinstance(result, Image.Image) and result.mode[0] in "IF":
        deep = np.asarray(result)  # further below, I, I;16 and F would be clipped to 8 bits
        result = deep.astype(np.float32) if result.mode == "F" else deep.clip(0, 65535).astype(np.uint16)
    if not isinstance(result, Image.Image):
        array = _to_integers(np.asarray(result))
        if array.dtype == np.uint16 and kind in ("PNG", "TIFF"):
            return Image.fromarray(np.ascontiguousarray(array[:, :, 0], "<u2")) if array.shape[2] == 1 else array
        if array.dtype == np.uint16:
            _log.info("%s has no 16 bits: the picture is written with 8", kind)
            array = ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        result = Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array))
    if 0 in result.size:
        raise ImageError(f"picture to save: expected at least 1 x 1 pixels, got {result.size}")
    if result.mode not in ("L", "RGB", "RGBA"):  # what all six formats take
        result = result.convert("RGBA" if result.has_transparency_data else "RGB")
    return _on_white(result, kind) if kind in ("JPEG", "BMP") and result.mode == "RGBA" else result


def _to_integers(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shape = array.shape
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in shape:
        raise ImageError(f"array to save: expected shape (H, W) or (H, W, 1 | 3 | 4), got {shape}")
    if array.dtype.kind == "f":
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 1):  # so that NaN fails too
            raise ImageError(f"array to save: expected floats in [0, 1], got {low} to {high}")
        return (array.astype(np.float32) * 255).round().astype(np.uint8)
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise ImageError(f"array to save: expected uint8, uint16 or float, got {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _on_white(image: Image.Image, kind: str) -> Image.Image:
    if image.getchannel("A").getextrema() != (255, 255):
        _log.warning("%s has no transparency: the picture is laid on white; PNG and WebP would keep it", kind)
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")


def _write(image: Image.Image, stream: IO[bytes], kind: str, quality: int | None, info: Mapping[str, Any]) -> None:
    options = {key: info[key] for key in ("exif", "icc_profile", "dpi") if info.get(key)}
    if kind == "JPEG":
        options["subsampling"] = 0  # 4:4:4: a style's color lives in fine strokes
        if len(options.get("exif", b"")) > _EXIF_LIMIT:
            _log.warning("the EXIF data is too long for JPEG and is left out")
            del options["exif"]
    exif = Image.Exif()
    exif.load(options.get("exif", b""))
    folders = {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo} & set(exif)  # Pillow's compressed TIFFs cannot have them
    if kind == "TIFF" and features.check("libtiff") and not folders:
        options["compression"] = "tiff_adobe_deflate"
    if quality is not None:
        options["quality"] = quality
    image.save(stream, kind, **options)

"""Picture files out: written so that nobody ever finds one half-written, with what the picture said of itself."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from PIL import Image, features
from torch import Tensor

from ..atomic import obstacle, temporary_beside
from ..errors import AdaINKitError, ImageError
from ..formats import EXTRAS, KINDS
from .facts import with_record
from .packing import append_facts, pillow_options
from .png16 import write_png16
from .tiff import write_tiff16

__all__ = ["DEFAULT_QUALITY", "Target", "check_target", "facts_to_write", "name_of", "save_image", "writing"]

Target: TypeAlias = "str | os.PathLike[str] | IO[bytes]"

_log = logging.getLogger("adainkit")

DEFAULT_QUALITY = {"JPEG": 95, "WEBP": 92, "AVIF": 88, "HEIF": 90, "JXL": 92}
"""By format, what is visually lossless; strokes suffer from less."""


def save_image(
    result: Image.Image | np.ndarray[Any, Any] | Tensor,
    path: Target,
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = True,
    info: Mapping[str, Any] | None = None,
    strip: bool = False,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Write a PIL image, an array ``(H, W)`` or ``(H, W, 1 | 3 | 4)``, or a tensor ``(1 | 3 | 4, H, W)``.

    Numbers are uint8, uint16 or float in [0, 1]. JPEG, PNG, WebP, GIF, AVIF, TIFF, BMP, JPEG 2000 or, with the extras
    ``heif`` and ``jxl``, HEIC and JPEG XL, by `format` or else by the extension. uint16 stays 16 bits in PNG and TIFF
    (color in TIFF needs ``pip install "adainkit[tiff]"``) and becomes 8 bits elsewhere; floats become 8 bits, and GIF
    has 256 colors. `quality` is 1 to 100 (JPEG, WebP, AVIF, HEIC, JPEG XL). JPEG and BMP have no alpha: the picture is
    laid on white, with a logged warning.

    The ICC profile, DPI, EXIF, XMP, IPTC records and a PNG's texts come from `info` (`Picture.info` for an array), by
    default from the image's own. `strip` writes the profile alone. `record` is a mapping that says how the picture was
    made; it is written as JSON into the XMP packet, from which `read_record` has it back. BMP and GIF have no place for
    any of this.

    A temporary file in the same folder (made if missing) takes the name at the end, so that the name holds the old file
    or the whole new one. Returns `path`. Raises ImageError for whatever goes wrong.

    `path` may also be a binary file object, with the `format`: it gets all bytes at the end. Its name is returned.
    """
    kind = check_target(path, format=format, quality=quality, overwrite=overwrite)
    picture = _prepare(result, kind)
    kept = facts_to_write(info if info is not None else getattr(result, "info", {}), strip, record)
    with writing(path, kind) as stream:
        if isinstance(picture, Image.Image):
            _write(picture, stream, kind, quality or DEFAULT_QUALITY.get(kind), kept)
        elif kind == "PNG":
            write_png16(picture, stream, kept)
        else:
            write_tiff16(picture, stream, kept)
            append_facts(stream, kept)
    return Path(name_of(path))


@contextmanager
def writing(path: Target, kind: str) -> Iterator[IO[bytes]]:
    """A stream of which `path` holds all when the block ends well, and nothing when not; `kind` is told in errors.

    `ImageError` for whatever the disk, the permissions or the encoder refuse.
    """
    target = Path(os.path.realpath(name_of(path)))  # a link stays a link
    try:
        if not isinstance(path, (str, os.PathLike)):
            held = io.BytesIO()
            yield held
            path.write(held.getvalue())
            return
        with temporary_beside(target) as part, _Stream(open(part, "w+b", buffering=0)) as stream:
            yield stream
    except AdaINKitError:
        raise
    except Exception as error:  # the disk, the permissions, or an encoder's limits
        raise ImageError(
            f"{target}: cannot be written as {kind} ({str(error) or type(error).__name__}); "
            "expected a writable folder with free space, and a picture within the limits of the format"
        ) from error


def facts_to_write(info: Mapping[Any, Any], strip: bool, record: Mapping[str, Any] | None) -> dict[Any, Any]:
    """What is written of a picture's `info`: with `strip` the profile alone, and the `record` if there is one."""
    kept = {key: value for key, value in info.items() if key == "icc_profile" or not strip}
    if record is not None:
        kept["xmp"] = with_record(kept.get("xmp"), record)
    return kept


class _Stream(io.BufferedRandom):
    """A file whose descriptor Pillow doesn't get: its C code takes the short write to a full disk for a whole one."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("every byte goes through `write`, which knows what was written")


def check_target(path: Target, *, format: str | None = None, quality: int | None = None, overwrite: bool = True) -> str:
    """Pillow's name of the format that `save_image` would write; ImageError for what it would refuse."""
    target = Path(os.path.realpath(name_of(path)))
    if hasattr(path, "write") and format is None and not target.suffix:
        raise ImageError(f'{name_of(path)}: a file object has no extension; name its format, like format="png"')
    kind = _format_of(target, format)
    if quality is not None and not 1 <= quality <= 100:
        raise ImageError(f"quality: expected 1 to 100, got {quality}")
    if hasattr(path, "write"):
        return kind
    if not overwrite and target.exists():
        raise ImageError(f"{target}: exists already; pass overwrite=True to replace it")
    if why := obstacle(target):
        raise ImageError(f"{target}: cannot be written, {why}; expected a writable folder")
    return kind


def name_of(path: Target) -> str:
    """The name of a path, or of a file object, which may have none: then it is `-`."""
    name = getattr(path, "name", "-") if hasattr(path, "write") else path
    return os.fspath(name) if isinstance(name, (str, os.PathLike)) else "-"  # a descriptor's name is its number


def _format_of(path: Path, name: str | None) -> str:
    extension = f".{name.lower().lstrip('.')}" if name else path.suffix.lower()
    kind = KINDS.get(extension.removeprefix("."))
    if kind is None:
        known = ", ".join(f".{each}" for each in KINDS)
        raise ImageError(f"{path}: unknown format {extension!r}; expected one of {known}")
    Image.init()
    if kind in EXTRAS:
        extra, module = EXTRAS[kind]
        try:
            import_module(module)
        except ImportError as error:
            raise ImageError(f'{path}: {extension} needs an extra; run pip install "adainkit[{extra}]"') from error
    elif kind not in Image.SAVE:
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
    result = result.copy()  # whose facts may be changed
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
    options = pillow_options(kind, info)
    if kind == "JPEG":
        options["subsampling"] = 0  # 4:4:4: a style's color lives in fine strokes
    if kind == "PNG":
        options["compress_level"] = 4  # half the time of Pillow's 6, more than the network's, for 1 % of size
    if kind == "AVIF" and image.mode == "RGBA" and _has_aom():
        options["advanced"] = {"a:lossless": "1"}  # libaom's word for alpha alone
    if kind == "TIFF" and features.check("libtiff"):
        options["compression"] = "tiff_adobe_deflate"
    if quality is not None:
        options["quality"] = quality
    image.info = {}  # it is ours, and some of Pillow's writers would take from it what is not to be written
    if kind == "HEIF":
        _write_heif(image, stream, options)
        return
    image.save(stream, kind, **options)
    if kind == "TIFF":
        append_facts(stream, info)


def _has_aom() -> bool:
    """Whether Pillow's AVIF encoder is libaom, the only one with an option for alpha."""
    try:
        from PIL import _avif

        return bool(_avif.encoder_codec_available("aom"))
    except (ImportError, AttributeError):
        return False


def _write_heif(image: Image.Image, stream: IO[bytes], options: dict[str, Any]) -> None:
    import pillow_heif

    held = pillow_heif.from_pillow(image)
    for key in ("exif", "xmp", "icc_profile"):
        if key in options:
            held.info[key] = options[key]
    held.save(stream, quality=options["quality"], chroma=444)

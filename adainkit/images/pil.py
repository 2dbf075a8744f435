"""PIL images in and out: every mode, upright, in sRGB, with what a file carries besides its pixels."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from ..errors import ImageError
from . import icc
from .picture import Picture, from_numpy

__all__ = ["close_pil", "open_pil", "to_picture", "upright"]

_log = logging.getLogger("adainkit")

_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation
# The tags that describe the picture rather than the file's layout: the only ones worth taking from a TIFF
_TIFF_TAGS = {270, 271, 272, 305, 306, 315, 33432, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}


def open_pil(image: Image.Image, low: Image.Image | None, name: str) -> Picture:
    """A decoded image as a `Picture`; `low` has the low bytes of 16-bit color, errors say `name`."""
    return to_picture(*upright(image, low, name), name)


def upright(
    image: Image.Image, low: Image.Image | None, name: str
) -> tuple[Image.Image, Image.Image | None, dict[str, Any]]:
    """The image and its low bytes as the EXIF orientation says, and what is kept of the file besides the pixels."""
    exif, orientation = _read_exif(image, name)
    info: dict[str, Any] = {"exif": exif, "dpi": _dpi(image.info.get("dpi"))}
    turn = _TURNS.get(orientation)
    if turn is not None:
        image, low = image.transpose(turn), None if low is None else low.transpose(turn)
    return image, low, info


def to_picture(
    image: Image.Image, low: Image.Image | None, info: Mapping[str, Any], name: str, *, again: bool = False
) -> Picture:
    """An upright image, or a window of one, as a `Picture` with `info`; `again`: what there is to warn of was said."""
    profile = image.info.get("icc_profile")
    if image.mode[0] == "I" or image.mode == "F":
        return _open_gray16(image, profile, info, name, again)
    if low is not None:
        _, kept, foreign = icc.to_srgb(Image.new("RGB", (1, 1)), profile, name, again)
        if not foreign:
            wide = np.asarray(image).astype(np.uint16) << 8
            wide |= np.asarray(low)
            key = image.info.get("transparency")
            visible = (
                wide[:, :, 3:] if wide.shape[2] == 4 else None if key is None else np.any(wide != key, 2, keepdims=True)
            )
            return _picture(wide[:, :, :3], visible, {**info, "icc_profile": kept}, None, np.uint16)
        told = "%s: 16-bit color is read as 8 bits, as color management with its ICC profile has no more"
        _log.log(logging.DEBUG if again else logging.WARNING, told, name)
    image = image.convert(_PREMULTIPLIED.get(image.mode, image.mode))
    gray = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        image = image.convert("LA" if gray else "RGBA")
    alpha = np.asarray(image.getchannel("A"))[:, :, None] if image.mode in ("LA", "RGBA") else None
    if image.mode not in ("CMYK", "LAB"):
        image = image.convert("L" if gray else "RGB")
    image, kept, foreign = icc.to_srgb(image, profile, name, again)
    values = np.asarray(image).reshape(image.height, image.width, -1)
    return _picture(values, alpha, {**info, "icc_profile": kept}, kept if foreign else None, np.uint8)


def _open_gray16(image: Image.Image, profile: bytes | None, info: Mapping[str, Any], name: str, again: bool) -> Picture:
    values = np.asarray(image)[:, :, None]
    key, alpha = image.info.get("transparency"), None
    if image.mode == "I":
        low, high = values.min(), values.max()
        if low < 0 or high > 65535:
            raise ImageError(f"{name}: mode I: expected values in 0 to 65535, got {low} to {high}")
        values = values.astype(np.uint16)
    dtype = np.float32 if image.mode == "F" else np.uint16
    if isinstance(key, int) and image.mode != "F":
        alpha = values != key
    ramp, _, _ = icc.to_srgb(Image.frombytes("L", (256, 1), bytes(range(256))), profile, name, again)
    if ramp.mode == "RGB":  # a gray profile is one curve: the 256 levels of it, with straight lines between
        level = from_numpy(values, name)[0, 0].mul(255).clamp_(0, 255).numpy()
        curve = np.asarray(ramp, np.float32)[0] / 255
        values = np.stack([np.interp(level, np.arange(256), curve[:, i]).astype(np.float32) for i in range(3)], 2)
    return _picture(values, alpha, info, None, dtype, name)


def _picture(
    values: np.ndarray[Any, Any],
    alpha: np.ndarray[Any, Any] | None,
    info: Mapping[str, Any],
    profile: bytes | None,
    dtype: type[np.generic],
    name: str = "picture",
) -> Picture:
    rgb = from_numpy(values, name).expand(-1, 3, -1, -1)
    wide = None
    if alpha is not None:
        wide = from_numpy(alpha.astype(np.float32) if alpha.dtype == bool else alpha, name)
    kept = {key: value for key, value in info.items() if value}
    return Picture(rgb, wide, "pil", np.dtype(dtype), info=kept, profile=profile)


def _read_exif(image: Image.Image, name: str) -> tuple[bytes | None, int]:
    """EXIF to keep, and the orientation, which is not kept; nor is the thumbnail, which shows the picture before."""
    try:
        exif = image.getexif()
        if not exif:
            return None, 1
        if getattr(exif, "bigtiff", False):  # as a BigTIFF's bytes, Pillow would not read it again
            exif = copy.copy(exif)
            exif.bigtiff = False
        kept = Image.Exif()
        kept.load(exif.tobytes())  # a copy: the caller's picture stays as it is
        orientation = kept.get(ExifTags.Base.Orientation, 1)
        drop = (
            [tag for tag in kept if tag not in _TIFF_TAGS] if hasattr(image, "tag_v2") else [ExifTags.Base.Orientation]
        )
        for tag in drop:
            kept.pop(tag, None)
        return (kept.tobytes() if kept else None), orientation
    except Exception as error:  # Pillow raises many kinds for damaged EXIF, and it is never worth losing the picture
        _log.warning("%s: its EXIF data cannot be read (%s); it is left out", name, error)
        return None, 1


def _dpi(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, tuple):
        return None
    try:
        x, y = (float(v) for v in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 65536 and 0 < y < 65536 else None  # what JPEG can hold; NaN fails too


def close_pil(values: np.ndarray[Any, Any], picture: Picture) -> Image.Image:
    """An array ``(H, W, 3 | 4)`` of uint8, sRGB, as an image in the picture's profile, with its `info`."""
    image = Image.fromarray(values)
    if picture.profile is not None:
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        image = icc.from_srgb(image.convert("RGB"), picture.profile)
        if alpha is not None:
            image.putalpha(alpha)
    image.info.update(picture.info)
    return image

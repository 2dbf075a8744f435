"""PIL images in and out: every mode, upright, in sRGB, with what a file carries besides its pixels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ImageError
from . import icc
from .deep import Deep
from .picture import Picture, from_numpy

__all__ = ["close_pil", "open_pil", "to_picture", "turned"]

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


def open_pil(image: Image.Image | Deep, info: Mapping[str, Any], orientation: int, name: str) -> Picture:
    """A decoded picture as a `Picture` with `info`, turned by its EXIF `orientation`; errors say `name`."""
    return to_picture(turned(image, orientation), info, name)


def turned(image: Image.Image | Deep, orientation: int) -> Image.Image | Deep:
    """The picture as its EXIF orientation says; any but 2 to 8 is upright."""
    turn = _TURNS.get(orientation)
    if turn is None:
        return image
    return image.turned(orientation) if isinstance(image, Deep) else image.transpose(turn)


def to_picture(image: Image.Image | Deep, info: Mapping[str, Any], name: str, *, again: bool = False) -> Picture:
    """An upright image, or a window of one, as a `Picture` with `info`; `again`: what there is to warn of was said."""
    if isinstance(image, Image.Image) and (image.mode[0] == "I" or image.mode == "F"):
        image = _deep_gray(image, name)
    if isinstance(image, Deep):
        opened = _open_deep(image, info, name, again)
        if opened is not None:
            return opened
        told = "%s: 16-bit color is read as 8 bits, as color management with its ICC profile, a table, has no more"
        _log.log(logging.DEBUG if again else logging.WARNING, told, name)
        image = _shallow(image)
    profile = image.info.get("icc_profile")
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


def _deep_gray(image: Image.Image, name: str) -> Deep:
    values = np.asarray(image)[:, :, None]
    if image.mode == "I":
        low, high = values.min(), values.max()
        if low < 0 or high > 65535:
            raise ImageError(f"{name}: mode I: expected values in 0 to 65535, got {low} to {high}")
    if image.mode != "F":
        values = values.astype(np.uint16, copy=False)
    key = image.info.get("transparency")
    key = key if isinstance(key, int) and image.mode != "F" else None
    return Deep(values, "gray", key=key, profile=image.info.get("icc_profile"))


def _open_deep(deep: Deep, info: Mapping[str, Any], name: str, again: bool) -> Picture | None:
    """None where only lcms knows its profile."""
    values, alpha = deep.values, None
    dtype = np.float32 if values.dtype.kind == "f" else np.uint16
    if deep.alpha:
        values, alpha = values[:, :, :-1], values[:, :, -1:]
    elif deep.key is not None:
        alpha = np.any(values != np.asarray(deep.key), 2, keepdims=True)
    if values.dtype.kind == "f":
        values = from_numpy(values, name)[0].permute(1, 2, 0).numpy()  # which looks at their range
        if deep.alpha == "premultiplied":  # before colors are curved
            assert alpha is not None
            values = np.clip(values / np.maximum(alpha, 1e-6), 0, 1)
    elif deep.alpha == "premultiplied":
        assert alpha is not None
        values = _straight(values, alpha)
    if deep.space == "cmyk":
        if deep.profile:
            return None
        values = _from_cmyk(values)
    converted = icc.deep_to_srgb(values, deep.profile, name, again)
    if converted is None:
        return None
    values, kept, foreign = converted
    return _picture(values, alpha, {**info, "icc_profile": kept}, kept if foreign else None, dtype, name)


def _straight(values: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Premultiplied uint16 as straight ones."""
    out = np.empty_like(values)
    for row in range(len(values)):  # a row at a time: no temporary of the full size
        part = values[row] * (65535 / np.maximum(alpha[row], 1))
        out[row] = np.minimum(part, 65535).round()
    return out


def _from_cmyk(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Ink to light as Pillow has it: what a color's ink and black leave of white, rounded to 16 bits."""
    top = 1 if values.dtype.kind == "f" else 65535
    out = np.empty((*values.shape[:2], 3), values.dtype)
    for row in range(len(values)):
        inks = values[row].astype(np.float64)
        light = (top - inks[:, :3]) * ((top - inks[:, 3:]) / top)
        out[row] = light if top == 1 else light.round()
    return out


def _shallow(deep: Deep) -> Image.Image:
    """The same with 8 bits, for lcms."""
    top = 1 if deep.values.dtype.kind == "f" else 65535
    bytes_ = (np.clip(deep.values, 0, top) * np.float32(255 / top)).round().astype(np.uint8)
    base = {"gray": "L", "rgb": "RGB", "cmyk": "CMYK"}[deep.space]
    if deep.alpha == "premultiplied" and deep.space != "cmyk":
        base = {"L": "La", "RGB": "RGBa"}[base]
    elif deep.alpha and deep.space != "cmyk":
        base += "A"
    bytes_ = bytes_[:, :, : len(Image.new(base, (1, 1)).getbands())]
    image = Image.frombytes(base, deep.size, np.ascontiguousarray(bytes_).tobytes())
    if deep.profile:
        image.info["icc_profile"] = deep.profile
    if deep.key is not None:
        visible = np.any(deep.values != np.asarray(deep.key), 2)
        image.putalpha(Image.fromarray(visible.astype(np.uint8) * np.uint8(255)))
    return image


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


def close_pil(values: np.ndarray[Any, Any], picture: Picture, *, own: bool) -> Image.Image:
    """An array ``(H, W, 3 | 4)`` of uint8, sRGB, as an image with the picture's `info`.

    With `own` in the picture's own profile. Otherwise in sRGB, and without any other profile: whatever saves it then,
    with the profile or, as most of Pillow's savers do, without, writes the right colors.
    """
    image = Image.fromarray(values)
    info = dict(picture.info)
    if picture.profile is not None and own:
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        image = icc.from_srgb(image.convert("RGB"), picture.profile)
        if alpha is not None:
            image.putalpha(alpha)
    elif picture.profile is not None:
        info.pop("icc_profile", None)
    image.info.update(info)
    return image

"""Pictures in and out without torch: Pillow's 8 bits, brought to sRGB, and arrays."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageCms, ImageOps

from ..errors import ImageError
from .arrays import premixed, resized
from .graph import Array

__all__ = ["LeanPicture", "Source", "as_given", "opened", "opened_mask"]

Source: TypeAlias = "str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any]"
_MAX_PIXELS = 1 << 28  # as `images.door.MAX_PIXELS`


@dataclass(frozen=True)
class LeanPicture:
    """`rgb` `(1, 3, H, W)` and `alpha` `(1, 1, H, W)`, float32 in [0, 1]; `dtype` is an array's own, None for files."""

    rgb: Array
    alpha: Array | None
    dtype: np.dtype[Any] | None

    @property
    def shown(self) -> Array:
        """What the network sees: what is transparent is no content."""
        return self.rgb if self.alpha is None else premixed(self.rgb, self.alpha)


def opened(source: Source) -> LeanPicture:
    """A path, PIL image or array `(H, W)` or `(H, W, 1 | 3 | 4)` of uint8, uint16 or floats in [0, 1]. `ImageError`."""
    if isinstance(source, np.ndarray):
        return _of_array(source)
    if not isinstance(source, (str, os.PathLike, Image.Image)):
        raise ImageError(f"expected a path, a PIL image or an array, got {type(source).__name__}")
    try:
        image = source if isinstance(source, Image.Image) else Image.open(source)
        if image.width * image.height > _MAX_PIXELS:
            raise ImageError(f"{source}: {image.width} x {image.height} pixels are more than {_MAX_PIXELS}")
        if image.mode.startswith(("I", "F")):  # to 8 bits they would be clipped
            raise ImageError(f"{source}: deeper than 8 bits; give an array, or use adainkit.Stylizer")
        image = _in_srgb(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{source}: cannot be read as a picture ({error})") from error
    values = np.asarray(image, np.uint8).astype(np.float32) / 255
    return _split(values, None)


def _in_srgb(image: Image.Image) -> Image.Image:
    clear = "A" in image.getbands() or "transparency" in image.info
    profile = image.info.get("icc_profile")
    if profile:
        try:
            own, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            if image.mode not in ("RGB", "RGBA", "CMYK", "L"):
                image = image.convert("RGBA" if clear else "RGB")
            mode = "RGBA" if image.mode == "RGBA" else "RGB"
            image = ImageCms.profileToProfile(image, own, target, outputMode=mode) or image
        except (ImageCms.PyCMSError, OSError):
            pass  # a profile that cannot be read, as if there were none
    return image.convert("RGBA" if clear else "RGB")


def _of_array(source: Array) -> LeanPicture:
    x = source if source.ndim == 3 else source[:, :, None]
    if source.ndim not in (2, 3) or x.shape[2] not in (1, 3, 4) or 0 in x.shape:
        raise ImageError(f"array: expected shape (H, W) or (H, W, 1 | 3 | 4), got {source.shape}")
    if x.dtype.kind == "f":
        if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
            raise ImageError("array: expected finite floats in [0, 1]")
        return _split(x.astype(np.float32), x.dtype)
    if x.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"array: expected uint8, uint16 or float in [0, 1], got {source.dtype}")
    return _split(x.astype(np.float32) / np.iinfo(x.dtype).max, x.dtype)


def _split(values: Array, dtype: np.dtype[Any] | None) -> LeanPicture:
    planes = np.ascontiguousarray(values.transpose(2, 0, 1))[None]
    rgb = np.repeat(planes, 3, 1) if planes.shape[1] == 1 else planes[:, :3]
    return LeanPicture(np.ascontiguousarray(rgb), planes[:, 3:] if planes.shape[1] == 4 else None, dtype)


def opened_mask(source: Source, size: Any) -> Array:
    """`(1, 1, H, W)` of the picture's size: a gray picture, or one whose shape is in its alpha channel."""
    given = source.astype(np.float32) if isinstance(source, np.ndarray) and source.dtype == bool else source
    picture = opened(given)
    gray = picture.rgb.mean(1, keepdims=True)
    if picture.alpha is not None and not (picture.alpha == 1).all():
        seen = gray[picture.alpha > 0]
        gray = picture.alpha if seen.size and np.ptp(seen) < 1.5 / 255 else gray * picture.alpha
    gray = resized(gray, size)
    return np.where(gray > 1 - 1e-6, np.float32(1), gray)


def as_given(rgb: Array, picture: LeanPicture) -> Any:
    """A result `(1, 3, H, W)` as what was opened: an array of its type, or a PIL image of 8 bits; with its alpha."""
    planes = rgb if picture.alpha is None else np.concatenate([rgb, picture.alpha], 1)
    values = np.ascontiguousarray(planes[0].transpose(1, 2, 0))
    dtype = np.dtype(np.uint8) if picture.dtype is None else picture.dtype
    if dtype.kind == "f":
        return values.astype(dtype)
    whole = np.rint(values.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)
    return whole if picture.dtype is not None else Image.fromarray(whole)

"""Color profiles: any ICC profile to sRGB, which the networks know, and the result back to the file's own profile."""

from __future__ import annotations

import io
import logging
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from .curves import matrix_profile

__all__ = ["deep_to_srgb", "from_srgb", "to_srgb", "turns_back"]

_log = logging.getLogger("adainkit")

# A profile that moves no color of the probe by more than this many of 255 levels is sRGB for us. Names do not
# tell: "linear sRGB" is not sRGB, and "c2" and "IEC 61966-2.1" are. Vendors' sRGB tables differ by up to 2
# levels.
_SAME = 2
# Of 255 levels, the mean over the probe's colors: a printer's tables come back within one or two of them
_WAY_BACK = 4


def _transform(source: Any, target: Any, mode: str, out: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(source, target, mode, out, ImageCms.Intent.RELATIVE_COLORIMETRIC)


def _probe(mode: str) -> Image.Image:
    """Every gray level, or 6 x 6 x 6 colors over the whole cube."""
    if mode == "L":
        return Image.frombytes("L", (256, 1), bytes(range(256)))
    steps = range(0, 256, 51)
    return Image.frombytes("RGB", (216, 1), bytes(v for r in steps for g in steps for b in steps for v in (r, g, b)))


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode not in ("L", "RGB"):
        return False
    probe = _probe(mode)
    before, after = probe.convert("RGB").tobytes(), _apply(transform, probe).tobytes()
    return max(abs(a - b) for a, b in zip(before, after, strict=True)) <= _SAME


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    result = ImageCms.applyTransform(image, transform)
    if result is None:  # only an in-place call answers None
        raise ImageCms.PyCMSError("the color transform gave no picture")
    return result


def to_srgb(
    image: Image.Image, icc: bytes | None, name: str, again: bool = False
) -> tuple[Image.Image, bytes | None, bool]:
    """Bring a picture of mode L, RGB, CMYK or LAB (8 bits) to sRGB: mode RGB, or L where a gray picture needs no
    change.

    Returns the picture, the profile that its RGB result keeps (``None``: it is sRGB without one, as a gray or CMYK
    profile does not fit) and whether the result has to be converted to that profile by `from_srgb` (an sRGB one needs
    nothing). Colors outside sRGB are clipped to it (relative colorimetric). A broken profile is a logged warning and
    counts as none; `name` says whose it was (`again`: it was said already).
    """
    if image.mode == "LAB":  # Pillow's LAB is D50 CIE L*a*b*, a profile connection space by itself
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return _apply(_transform(lab, srgb, "LAB", "RGB"), image), None, False
    plain = image.convert("RGB") if image.mode == "CMYK" else image
    if not icc:
        return plain, None, False
    try:
        source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        forth = _transform(source, srgb, image.mode, "RGB")
        if _is_srgb(forth, image.mode):
            return plain, icc if image.mode == "RGB" else None, False
        result = _apply(forth, image)
    except Exception as error:  # Pillow raises many kinds here, and a profile is never worth losing the picture
        told = "%s: its ICC profile cannot be used (%s); the colors are taken as sRGB"
        _log.log(logging.DEBUG if again else logging.WARNING, told, name, error)
        return plain, None, False
    if image.mode != "RGB":
        return result, None, False
    if not turns_back(icc):
        told = "%s: its ICC profile has no way back that fits its way in; the result is in sRGB"
        _log.log(logging.DEBUG if again else logging.WARNING, told, name)
        return result, None, False
    return result, icc, True


def deep_to_srgb(
    values: np.ndarray[Any, Any], icc: bytes | None, name: str, again: bool = False
) -> tuple[np.ndarray[Any, Any], bytes | None, bool] | None:
    """`to_srgb` for ``(H, W, 1 | 3)`` of uint16 or floats in [0, 1]: as they are, or as float32 in [0, 1].

    None for a profile that is no curves and matrix: lcms, which Pillow has for 8 bits, knows what to do with it.
    """
    if not icc:
        return values, None, False
    mode = "L" if values.shape[2] == 1 else "RGB"
    try:
        source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        if _is_srgb(_transform(source, srgb, mode, "RGB"), mode):
            return values, icc if mode == "RGB" else None, False
    except Exception as error:  # as in `to_srgb`
        told = "%s: its ICC profile cannot be used (%s); the colors are taken as sRGB"
        _log.log(logging.DEBUG if again else logging.WARNING, told, name, error)
        return values, None, False
    profile = matrix_profile(icc)
    if profile is None or (profile.matrix is None) != (mode == "L"):
        return None
    if mode == "L":
        return profile.to_srgb(values), None, False
    if not turns_back(icc):
        told = "%s: its ICC profile only reads; the result is in sRGB"
        _log.log(logging.DEBUG if again else logging.INFO, told, name)
        return profile.to_srgb(values), None, False
    return profile.to_srgb(values), icc, True


@lru_cache(maxsize=8)
def turns_back(icc: bytes) -> bool:
    """Whether an RGB profile's way from sRGB is the inverse of its way to it, for the colors that both have.

    Many have no such way, or one that does something else: JPEG XL's encoders write profiles that only read.
    """
    matrix = matrix_profile(icc)
    if matrix is not None:
        return matrix.turns_back
    try:
        source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        seen = _apply(_transform(source, srgb, "RGB", "RGB"), _probe("RGB"))
        back = _apply(_transform(srgb, source, "RGB", "RGB"), seen)
        again = _apply(_transform(source, srgb, "RGB", "RGB"), back)
    except Exception:  # Pillow raises many kinds here
        return False
    steps = [abs(a - b) for a, b in zip(seen.tobytes(), again.tobytes(), strict=True)]
    return sum(steps) <= _WAY_BACK * len(steps)


def from_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Convert an RGB picture from sRGB to the profile that `to_srgb` returned: the numbers that this profile means."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return _apply(_transform(ImageCms.createProfile("sRGB"), target, "RGB", "RGB"), image)

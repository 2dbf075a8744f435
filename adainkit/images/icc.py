"""Color profiles: any ICC profile to sRGB, which the networks know, and the result back to the file's own profile."""

from __future__ import annotations

import io
import logging
from typing import Any

from PIL import Image, ImageCms

__all__ = ["from_srgb", "to_srgb"]

_log = logging.getLogger("adainkit")

# A profile that moves no color of the probe by more than this many of 255 levels is sRGB for us. Names do not
# tell: "linear sRGB" is not sRGB, and "c2" and "IEC 61966-2.1" are. Vendors' sRGB tables differ by up to 2
# levels.
_SAME = 2


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
    try:
        _transform(srgb, source, "RGB", "RGB")
    except ImageCms.PyCMSError:
        _log.log(
            logging.DEBUG if again else logging.INFO, "%s: its ICC profile only reads; the result is in sRGB", name
        )
        return result, None, False
    return result, icc, True


def from_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Convert an RGB picture from sRGB to the profile that `to_srgb` returned: the numbers that this profile means."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return _apply(_transform(ImageCms.createProfile("sRGB"), target, "RGB", "RGB"), image)

"""Pictures of one size for a data set: scaled by their shorter side, then cut out of the middle."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ImageError
from ..images import Picture, alpha_as_given
from ..look.masks import fitted

__all__ = ["check_fit", "fit_picture"]


def check_fit(resize: int | None, crop: int | None, masks: object = None) -> None:
    """`ImageError` for sizes that are none, and where there are `masks`, which would not fit what is cut out."""
    for name, value in (("resize", resize), ("crop", crop)):
        if value is not None and value < 1:
            raise ImageError(f"{name}: expected 1 pixel or more, got {value}")
    if crop is not None and masks is not None:
        raise ImageError("crop and masks exclude each other: a mask belongs to the whole picture")


def fit_picture(picture: Picture, resize: int | None = None, crop: int | None = None) -> Picture:
    """The picture with its shorter side scaled to `resize` pixels, then the middle `crop` x `crop` pixels of it.

    Both as torchvision's `Resize` and `CenterCrop` have it, but that nothing is padded: a picture smaller than `crop`
    keeps that side. The longer side is rounded down, the middle's corner to nearest even.
    """
    if resize is not None:
        short = min(picture.height, picture.width)
        size = [resize if side == short else max(1, side * resize // short) for side in (picture.height, picture.width)]
        rgb = fitted(picture.rgb, size)
        alpha = None if picture.alpha is None else fitted(picture.alpha, size)
        raw = None if alpha is None or picture.raw_alpha is None else alpha_as_given(alpha, picture)
        picture = replace(picture, rgb=rgb, alpha=alpha, raw_alpha=raw)
    if crop is not None:
        rows, columns = (_middle(side, crop) for side in (picture.height, picture.width))
        raw = picture.raw_alpha
        if raw is not None:
            raw = raw[rows, columns] if picture.kind == "array" else raw[..., rows, columns]
        picture = replace(picture.part(rows, columns), raw_alpha=raw)
    return picture


def _middle(side: int, crop: int) -> slice:
    start = max(0, round((side - crop) / 2))
    return slice(start, start + min(side, crop))

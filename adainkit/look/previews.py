"""Previews: pictures made small, and the controls with which a small one looks like the full result made small."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ImageError
from ..images import Picture, alpha_as_given, without_sides
from .guided import working_size
from .masks import resize

__all__ = ["bounded", "limited", "prepare_preview", "reduced", "strokes_of"]

# A preview is stylized at up to twice its size: what is finer is a matter of its mean, and four times the pixels of a
# thumbnail of 256 take a tenth of a second.
_OVERSIZE = 2


def prepare_preview(picture: Picture, size: int, scale: float, detail: float) -> tuple[Picture, float, float]:
    """What is stylized for a thumbnail whose longer side has `size` pixels: the picture, its scale and its detail.

    Strokes have as many pixels there as in the full picture, and are thereby bolder. What of that `scale` does not ask
    for would be too fine to be seen, and comes to its mean: by `detail`.
    """
    small = reduced(picture, bounded(picture, _OVERSIZE * size))
    return small, *strokes_of(scale, detail, max(small.height, small.width) / max(picture.height, picture.width))


def strokes_of(scale: float, detail: float, share: float) -> tuple[float, float]:
    """The scale and the detail with which a picture at `share` of its size looks like the full result at that size."""
    strokes = scale * share
    return max(1.0, strokes), 1 - (1 - detail) * min(1.0, strokes)


def bounded(picture: Picture, longest: int) -> tuple[int, int]:
    """The size at which a picture's longer side has `longest` pixels at most."""
    return working_size(picture.height, picture.width, max(1.0, max(picture.height, picture.width) / longest))


def limited(picture: Picture, longest: int) -> Picture:
    """The picture, scaled down where its longer side has more than `longest` pixels; what its EXIF data say of its size
    is then left out."""
    if longest < 1:
        raise ImageError(f"max_size must be 1 pixel or more, or None, got {longest}")
    small = reduced(picture, bounded(picture, longest))
    exif = small.info.get("exif")
    if small is picture or not exif:
        return small
    return replace(small, info={**small.info, "exif": without_sides(exif)})


def reduced(picture: Picture, size: tuple[int, int]) -> Picture:
    """The picture at a smaller size."""
    if size == picture.rgb.shape[2:]:
        return picture
    alpha = None if picture.alpha is None else resize(picture.alpha.float(), size)
    small = replace(picture, rgb=resize(picture.rgb.float(), size), alpha=alpha, raw_alpha=None)
    return small if alpha is None else replace(small, raw_alpha=alpha_as_given(alpha, picture))

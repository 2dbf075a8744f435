"""Contents brought to a size before they are painted."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ..errors import ImageError
from ..images import Picture, alpha_as_given
from ..look.masks import fitted
from ..look.previews import limited

__all__ = ["Fit"]


@dataclass(frozen=True)
class Fit:
    """What a run does with the size of each content, in this order.

    `max_size`: a longer side is scaled down to so many pixels. `resize`: the shorter side is scaled to so many, up or
    down; then the middle `crop` x `crop` pixels are cut out. The last two as torchvision's `Resize` and `CenterCrop`
    have it, but that nothing is padded: a picture smaller than `crop` keeps that side. The longer side is rounded down,
    the middle's corner to nearest even.
    """

    max_size: int | None = None
    resize: int | None = None
    crop: int | None = None

    def check(self, masks: object = None) -> None:
        """`ImageError` for sizes that are none, and where there are `masks`, which would not fit what is cut out."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 1:
                raise ImageError(f"{field.name}: expected 1 pixel or more, got {value}")
        if self.crop is not None and masks is not None:
            raise ImageError("crop and masks exclude each other: a mask belongs to the whole picture")

    @property
    def to_one_size(self) -> bool:
        """Whether pictures of a data set come out of it, for which even a film is one picture."""
        return self.resize is not None or self.crop is not None

    def __call__(self, picture: Picture) -> Picture:
        """The picture at its new size, or itself."""
        if self.max_size is not None:
            picture = limited(picture, self.max_size)
        if self.resize is not None:
            picture = _resized(picture, self.resize)
        return picture if self.crop is None else _cropped(picture, self.crop)


def _resized(picture: Picture, shorter: int) -> Picture:
    short = min(picture.height, picture.width)
    size = [shorter if side == short else max(1, side * shorter // short) for side in (picture.height, picture.width)]
    alpha = None if picture.alpha is None else fitted(picture.alpha, size)
    raw = None if alpha is None or picture.raw_alpha is None else alpha_as_given(alpha, picture)
    return replace(picture, rgb=fitted(picture.rgb, size), alpha=alpha, raw_alpha=raw)


def _cropped(picture: Picture, crop: int) -> Picture:
    rows, columns = (_middle(side, crop) for side in (picture.height, picture.width))
    raw = picture.raw_alpha
    if raw is not None:
        raw = raw[rows, columns] if picture.kind == "array" else raw[..., rows, columns]
    return replace(picture.part(rows, columns), raw_alpha=raw)


def _middle(side: int, crop: int) -> slice:
    start = max(0, round((side - crop) / 2))
    return slice(start, start + min(side, crop))

"""Colors of a film: its own matrix, range, primaries and curve, in and out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FilmError
from .library import need_av

__all__ = ["SRGB", "Colors", "colors_of", "from_rgb", "to_rgb"]

Pixels = NDArray[Any]

_UNSPECIFIED = 2  # of matrix, primaries and curve; a range is unspecified at 0
_RESERVED = 3  # a matrix that says nothing either
_LIMITED, _FULL = 1, 2
_HDR = {16: "PQ", 18: "HLG"}
# FFmpeg's AVColorSpace -> what its scaler calls the same coefficients
_COEFFICIENTS = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
# FFmpeg's scaler: the ways to scale; full chroma inside and at the input, and accurate rounding
_BICUBIC, _AREA, _EXACT = 4, 32, 0x2000 | 0x4000 | 0x40000
# What `to_rgb` gives, by (deep, alpha). FFmpeg's scaler makes planes of YUV in a third of the time of pixels, and the
# same ones, bit for bit, unless it changes the size
_PACKED = {(False, False): "rgb24", (False, True): "rgba", (True, False): "rgb48le", (True, True): "rgba64le"}
_PLANAR = {(False, False): "gbrp", (False, True): "gbrap", (True, False): "gbrp16le", (True, True): "gbrap16le"}
_HIGH = 720  # lines; from there on a film that says nothing is BT.709, as players have it


@dataclass(frozen=True)
class Colors:
    """FFmpeg's numbers for what a film says of its colors; 2, or a range of 0, where it says nothing.

    `coefficients` and `full` are what its pixels are taken for: a film without words of at least 720 lines is BT.709,
    a smaller one BT.601, and its range is limited.
    """

    matrix: int
    range: int
    primaries: int
    curve: int
    coefficients: int
    full: bool

    def tag(self, context: Any) -> None:
        """Say the same of an encoder's film."""
        context.colorspace, context.color_range = self.matrix, self.range
        context.color_primaries, context.color_trc = self.primaries, self.curve


SRGB = Colors(1, _LIMITED, 1, 13, 1, False)
"""Of films made from pictures: the curve and the primaries of sRGB, stored by BT.709's matrix in limited range."""


def colors_of(frame: Any, context: Any, name: str) -> Colors:
    """The colors of a frame that the decoder `context` gave. `FilmError` for HDR, whose codes are no picture before
    they are mapped."""
    matrix, range_ = int(frame.colorspace), int(frame.color_range)
    told = frame if hasattr(frame, "color_trc") else context  # before PyAV 17 only a decoder tells them
    curve, primaries = int(told.color_trc), int(told.color_primaries)
    if curve in _HDR:
        raise FilmError(
            f"{name}: is HDR ({_HDR[curve]}), which is not stylized as it is; convert it to SDR first, for instance "
            "with ffmpeg's filters zscale and tonemap"
        )
    if frame.format.is_rgb or matrix == 0:
        if (primaries, curve) == (_UNSPECIFIED, _UNSPECIFIED):
            return SRGB
        return replace(SRGB, primaries=primaries, curve=curve)
    if matrix not in {*_COEFFICIENTS, _UNSPECIFIED, _RESERVED}:
        raise FilmError(
            f"{name}: its color matrix (FFmpeg's number {matrix}) is none of BT.601, 709 and 2020; convert it first, "
            "for instance with ffmpeg's filter zscale"
        )
    coefficients = _COEFFICIENTS.get(matrix, 1 if frame.height >= _HIGH else 5)
    full = range_ == _FULL or frame.format.name.startswith("yuvj")
    range_ = _FULL if full else range_
    return Colors(matrix, range_, primaries, curve, coefficients, full)


def to_rgb(frame: Any, colors: Colors, *, deep: bool, alpha: bool, size: tuple[int, int] | None = None) -> Pixels:
    """`(H, W, 3 | 4)`, R'G'B' in the film's own primaries and curve, 0..255 or, `deep`, 0..65535.

    `size`: (width, height) to scale to, by areas.
    """
    width, height = size or (frame.width, frame.height)
    whole = size is None and not frame.format.is_rgb
    out = frame.reformat(
        width=width,
        height=height,
        format=(_PLANAR if whole else _PACKED)[deep, alpha],
        src_colorspace=colors.coefficients,
        dst_colorspace=_another(colors.coefficients),
        src_color_range=_FULL if colors.full or frame.format.is_rgb else _LIMITED,
        dst_color_range=_FULL,
        interpolation=(_AREA if size else _BICUBIC) | _EXACT,
    )
    return _interleaved(out, deep, alpha) if whole else np.asarray(out.to_ndarray())


def _interleaved(frame: Any, deep: bool, alpha: bool) -> Pixels:
    """`(H, W, 3 | 4)` of a frame whose planes are green, blue, red and alpha."""
    planes = [frame.planes[place] for place in (2, 0, 1, 3)[: 4 if alpha else 3]]
    kind = np.dtype("<u2" if deep else "u1")
    lines = [np.frombuffer(plane, kind).reshape(frame.height, -1)[:, : frame.width] for plane in planes]
    return np.stack(lines, 2)


def from_rgb(pixels: Pixels, colors: Colors, form: str) -> Any:
    """The frame of the pixel format `form` that `to_rgb` would give back as `pixels`."""
    av = need_av()
    name = ("rgb48le", "rgba64le") if pixels.dtype == np.uint16 else ("rgb24", "rgba")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), name[pixels.shape[2] == 4])
    frame.colorspace = colors.coefficients  # PyAV 17 knows nothing of BT.2020 below, and goes by this
    return frame.reformat(
        format=form,
        src_colorspace=_another(colors.coefficients),
        src_color_range=_FULL,
        dst_colorspace=colors.coefficients,
        dst_color_range=_FULL if colors.full else _LIMITED,
        interpolation=_BICUBIC | _EXACT,
    )


def _another(coefficients: int) -> int:
    """What is said of RGB, which has no matrix: PyAV 16 sets nothing at all where both sides say the same."""
    return 5 if coefficients == 1 else 1

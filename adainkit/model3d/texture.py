"""A texture's pixels: out of its file and back into the same type and size, and what surrounds them for the network."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import Model3DError
from .scene import Floats, Texture, Wrap

__all__ = ["MAX_PIXELS", "crop", "decode", "encode", "picture_type", "rejoin", "surround"]

MAX_PIXELS = 1 << 26
"""Textures above 8192 x 8192 are refused unless asked for: more than most renderers load, and 10 GB of features."""

_FADE = 32  # texels over which the two continuations of a repeating texture fade into each other

_MODES: dict[Wrap, str] = {"repeat": "wrap", "mirror": "symmetric", "clamp": "edge"}  # as np.pad calls them


def picture_type(data: bytes) -> str | None:
    """PNG, JPEG or WEBP by the first bytes, as glTF demands; None for others."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def decode(texture: Texture, max_pixels: int | None) -> NDArray[np.uint8]:
    """Its pixels `(H, W, 3)`, or 4 with alpha: sRGB as it stands, since glTF knows no profile and no orientation.

    `Model3DError` for more than `max_pixels` (None: no bound but Pillow's own) and for damaged pictures.
    """
    try:
        with Image.open(io.BytesIO(texture.data), formats=("PNG", "JPEG", "WEBP")) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise Model3DError(
                    f"{texture.name}: {image.width} x {image.height} pixels, expected at most {max_pixels}; "
                    "scale it down, or pass a larger max_pixels"
                )
            return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    except Model3DError:
        raise
    except Image.DecompressionBombError as error:
        raise Model3DError(f"{texture.name}: {error} Scale it down, or raise PIL.Image.MAX_IMAGE_PIXELS.") from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds for damaged data
        raise Model3DError(f"{texture.name}: damaged picture ({error}); expected a whole one") from error


def encode(pixels: NDArray[np.uint8], like: bytes) -> bytes:
    """`(H, W, 3 | 4)` as a file of the type of `like`: JPEG of quality 95 without subsampling, WebP of 92 or, if `like`
    is, lossless."""
    kind, out = picture_type(like), io.BytesIO()
    image = Image.fromarray(pixels)
    if kind == "JPEG":
        image.save(out, kind, quality=95, subsampling=0)
    elif kind == "WEBP":
        image.save(out, kind, quality=92, lossless=b"VP8L" in like[:64], exact=True, method=4)
    else:
        image.save(out, "PNG")
    return out.getvalue()


def surround(pixels: Floats, wrap: Sequence[Wrap], borders: tuple[int, int]) -> Floats:
    """`(H, W, C)` with more rows above and below and more columns beside it, `borders`, as the texture goes on there.

    `wrap`: along u, along v. A texture that is smaller than its border repeats as often as it takes.
    """
    for axis, way in ((1, wrap[0]), (0, wrap[1])):
        pad = [(0, 0)] * pixels.ndim
        pad[axis] = (borders[axis], borders[axis])
        pixels = np.pad(pixels, pad, mode=_MODES[way])  # type: ignore[call-overload]
    return pixels


def crop(pixels: Floats, borders: tuple[int, int]) -> Floats:
    """`surround` undone: a view."""
    down, across = borders
    return pixels[down : pixels.shape[0] - down, across : pixels.shape[1] - across]


def rejoin(painted: Floats, wrap: Sequence[Wrap], borders: tuple[int, int]) -> Floats:
    """`crop` for a result: along an axis that repeats, both borders meet again.

    A network whose strokes depend on their place in the picture paints a texel and its repetition differently. Near a
    border each texel therefore fades into what was painted for it beyond the opposite border, half and half at the
    border itself. Where both are equal nothing changes.
    """
    for axis, way in ((1, wrap[0]), (0, wrap[1])):
        lines = np.moveaxis(painted, axis, 0)
        border = borders[axis]
        size = len(lines) - 2 * border
        inside = lines[border : border + size]
        fade = min(_FADE, size // 2, border)
        if way == "repeat" and fade:
            inside = inside.copy()
            share = (0.5 + (np.arange(fade, dtype=np.float32) + 0.5) / (2 * fade))[:, None, None]
            inside[:fade] = inside[:fade] * share + lines[border + size :][:fade] * (1 - share)
            inside[-fade:] = inside[-fade:] * share[::-1] + lines[border - fade : border] * (1 - share[::-1])
        painted = np.moveaxis(inside, 0, axis)
    return painted

"""The door: a path, a file, bytes, a PIL image, an array or a tensor becomes a `Picture`, and a result its like."""

from __future__ import annotations

import os
from typing import IO, Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ImageError
from .curves import matrix_profile
from .exif import left_to_turn
from .facts import read_facts
from .picture import Picture, checked, from_numpy, pack
from .pil import close_pil, open_pil
from .reading import check_size, load, reading

__all__ = ["MAX_PIXELS", "ImageLike", "alpha_as_given", "close_image", "mask_of", "open_image"]

ImageLike: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | np.ndarray[Any, Any] "
    "| Tensor | Picture"
)

MAX_PIXELS = 1 << 28
"""Pictures above 16384 x 16384 are refused unless asked for: as float32 RGB that is 3 GiB, and a file of a few
kilobytes can claim more. Pillow's own bound (a third of this) is a global of the process, which is left alone."""

_ONE_GRAY = 1.5 / 255  # a color that went through a color profile may be off by one level


def open_image(source: ImageLike, *, max_pixels: int | None = MAX_PIXELS) -> Picture:
    """Open a picture of any kind as RGB in [0, 1].

    - path, bytes, binary file object or PIL image, any mode: turned upright by its EXIF orientation, brought from its
      ICC profile (or the code points of PNG, AVIF and HEIF) to sRGB. F is [0, 1], I and I;16 are 0..65535. Of an
      animation, the first frame. More than 8 bits are kept for PNG, for TIFF (with the extra ``tiff``, floats too) and
      for HEIF; where they are not, in AVIF, JPEG 2000 and under profiles that are tables, the log says so.
    - array ``(H, W)``, ``(H, W, 1 | 3 | 4)`` or, as a batch, ``(B, H, W, 1 | 3 | 4)``: uint8, uint16 or float in
      [0, 1]; the fourth channel is alpha, not premultiplied.
    - tensor ``(C, H, W)`` or ``(B, C, H, W)`` with 1, 3 or 4 channels: any float dtype in [0, 1], or uint8.
    - `Picture`: one that is open already, which may happen in another thread; itself.

    More than `max_pixels` pixels (``None``: no bound), broken files, wrong shapes, types, ranges and NaN are an
    `ImageError`; `OutOfMemoryError` if the memory does not hold it.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, Tensor):
        return _open_tensor(source, max_pixels)
    if isinstance(source, np.ndarray):
        return _open_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _open_pil(source, max_pixels)
    if isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(source, "read"):
        loaded = load(source, max_pixels)
        with reading(loaded.name, damage=False):
            return open_pil(loaded.pixels, loaded.info, loaded.orientation, loaded.name)
    raise ImageError(
        "picture: expected a path, bytes, a binary file, PIL image, NumPy array or torch tensor, got "
        f"{type(source).__name__}"
    )


def _open_pil(source: Image.Image, max_pixels: int | None) -> Picture:
    name = "PIL image"
    check_size(name, *source.size, max_pixels)
    stream = getattr(source, "fp", None) if hasattr(source, "tag_v2") else None
    of_tiff = None if stream is None else read_facts(source, stream, name)  # loading closes the file
    with reading(name):  # a lazily opened file shows its damage only here
        source.load()
    info, orientation = of_tiff or read_facts(source, None, name)
    return open_pil(source, info, left_to_turn(source) if hasattr(source, "tag_v2") else orientation, name)


def _open_tensor(source: Tensor, max_pixels: int | None) -> Picture:
    shape = tuple(source.shape)
    if source.ndim not in (3, 4) or shape[-3] not in (1, 3, 4):
        remedy = "; channels come first: x.movedim(-1, -3)" if shape[-1:] in ((3,), (4,)) else ""
        raise ImageError(
            f"tensor: expected shape (C, H, W) or (B, C, H, W) with 1, 3 or 4 channels, got {shape}{remedy}"
        )
    if not source.is_floating_point() and source.dtype != torch.uint8:
        raise ImageError(f"tensor: expected a float dtype in [0, 1] or torch.uint8, got {source.dtype}")
    check_size("tensor", shape[-1], shape[-2], max_pixels)
    if 0 in shape:
        raise ImageError(f"tensor: expected at least one picture, got shape {shape}")
    x = source.detach() if source.ndim == 4 else source.detach()[None]
    wide = x / 255 if x.dtype == torch.uint8 else checked(x.float(), "tensor")
    alpha, raw = (wide[:, 3:], x[:, 3:].clone()) if shape[-3] == 4 else (None, None)
    rgb = wide[:, :3].expand(-1, 3, -1, -1)
    return Picture(rgb, alpha, "tensor", source.dtype, batched=source.ndim == 4, raw_alpha=raw)


def _open_array(source: np.ndarray[Any, Any], max_pixels: int | None) -> Picture:
    shape = source.shape
    if source.ndim not in (2, 3, 4) or (source.ndim > 2 and shape[-1] not in (1, 3, 4)):
        remedy = "; channels come last: np.moveaxis(x, -3, -1)" if source.ndim > 2 and shape[-3] in (3, 4) else ""
        raise ImageError(
            f"array: expected shape (H, W), (H, W, 1 | 3 | 4) or (B, H, W, 1 | 3 | 4), got {shape}{remedy}"
        )
    if source.dtype.kind != "f" and (source.dtype.kind != "u" or source.dtype.itemsize > 2):
        remedy = "; for a mask of 0 and 1 pass array.astype('float32')" if source.dtype == bool else ""
        raise ImageError(f"array: expected uint8, uint16 or float in [0, 1], got {source.dtype}{remedy}")
    x = source[:, :, None] if source.ndim == 2 else source
    check_size("array", x.shape[-2], x.shape[-3], max_pixels)
    if 0 in shape:
        raise ImageError(f"array: expected at least one picture, got shape {shape}")
    wide = from_numpy(x, "array")
    alpha, raw = (wide[:, 3:], x[..., 3:].copy()) if x.shape[-1] == 4 else (None, None)
    rgb = wide[:, :3].expand(-1, 3, -1, -1)
    return Picture(rgb, alpha, "array", source.dtype, batched=x.ndim == 4 and x is source, raw_alpha=raw)


def close_image(rgb: Tensor, picture: Picture, *, deep: bool = False) -> Image.Image | np.ndarray[Any, Any] | Tensor:
    """Give a result the type of what was opened.

    `rgb` is ``(B, 3, H, W)``, RGB in [0, 1] (clamped), of any float dtype on any device, with the picture's size.

    - path, bytes, file or PIL image: a PIL image, RGB or, where there was alpha, RGBA, of 8 bits in sRGB, so that any
      ``save`` writes the right colors; with `Picture.info` in ``.info`` (`save_image` writes it; Pillow's own savers
      want it as keywords). With `deep`, or for a `Picture` of kind "file": what `save_image` wants for a file of the
      same kind, in the picture's own ICC profile, and for more than 8 bits a uint16 array ``(H, W, 3 | 4)``.
    - array: ``(H, W, 3)``, or 4 with the source's alpha, of the same dtype and batch dimension; rounded to nearest.
    - tensor: the same dtype, device and batch dimension; 3 channels, or 4 with the source's alpha.
    """
    expected = (picture.rgb.shape[0], 3, picture.height, picture.width)
    if tuple(rgb.shape) != expected or not rgb.is_floating_point():
        raise ImageError(
            f"result: expected a float tensor {expected}, as the picture, got {rgb.dtype} {tuple(rgb.shape)}"
        )
    if isinstance(picture.dtype, torch.dtype):
        return _close_tensor(rgb, picture, picture.dtype)
    dtype, for_file = picture.dtype, picture.kind == "file" or (deep and picture.kind == "pil")
    if picture.kind == "array":
        return _close_array(rgb, picture, dtype)
    dtype = np.dtype(np.uint16 if for_file and dtype != np.uint8 else np.uint8)
    out = np.empty((picture.height, picture.width, 3 if picture.alpha is None else 4), dtype)
    profile = matrix_profile(picture.profile) if picture.profile and dtype == np.uint16 else None
    if profile is None:
        pack(rgb[0], out[:, :, :3])
    else:
        pack(rgb[0], out[:, :, :3], profile.from_srgb)
    if isinstance(picture.raw_alpha, np.ndarray):
        out[:, :, 3:] = picture.raw_alpha
    elif picture.alpha is not None:
        pack(picture.alpha[0], out[:, :, 3:])
    if dtype == np.uint16:
        return out
    return close_pil(out, picture, own=for_file)


def _close_array(rgb: Tensor, picture: Picture, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    channels = 3 if picture.raw_alpha is None else 4
    out = np.empty((len(rgb), picture.height, picture.width, channels), dtype)
    for each, into in zip(rgb, out, strict=True):
        pack(each, into[:, :, :3])
    if picture.raw_alpha is not None:
        out[..., 3:] = picture.raw_alpha
    return out if picture.batched else out[0]


def _close_tensor(rgb: Tensor, picture: Picture, dtype: torch.dtype) -> Tensor:
    out = rgb.to(picture.rgb.device, torch.float32).clamp(0, 1)
    out = (out * 255).round().to(dtype) if dtype == torch.uint8 else out.to(dtype)
    if isinstance(picture.raw_alpha, Tensor):
        out = torch.cat([out, picture.raw_alpha], 1)
    out = out.contiguous()
    return out if picture.batched else out[0]


def alpha_as_given(alpha: Tensor, picture: Picture) -> np.ndarray[Any, Any] | Tensor | None:
    """Another alpha `(B, 1, H, W)`, in [0, 1], as `picture.raw_alpha` would hold it; None where there is none."""
    raw = picture.raw_alpha
    if isinstance(raw, Tensor):
        full = alpha * 255 if raw.dtype == torch.uint8 else alpha
        return (full.round() if raw.dtype == torch.uint8 else full).to(raw.device, raw.dtype)
    if raw is None:
        return None
    out = np.empty((len(alpha), *alpha.shape[2:], 1), raw.dtype)
    for each, into in zip(alpha, out, strict=True):
        pack(each, into)
    return out if raw.ndim == 4 else out[0]


def mask_of(picture: Picture) -> Tensor:
    """A picture as a mask, ``(B, 1, H, W)`` float32 in [0, 1]: its gray, and of a picture whose shape is in its alpha
    channel that.

    Where all that is visible has one gray, alpha is the mask; otherwise what is transparent counts less.
    """
    gray = picture.rgb.mean(1, keepdim=True)
    if picture.alpha is None or bool((picture.alpha == 1).all()):
        return gray
    seen = gray[picture.alpha > 0]
    if seen.numel() and float(seen.max() - seen.min()) < _ONE_GRAY:
        return picture.alpha
    return gray * picture.alpha

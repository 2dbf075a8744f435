"""Between ComfyUI's layout of pictures, (B, H, W, C), and the library's, (B, C, H, W)."""

from torch import Tensor

from .core import adainkit

__all__ = ["check_image", "count_for", "from_image", "from_mask", "to_image"]


def check_image(image: Tensor) -> None:
    """`ImageError` unless it is a batch of pictures, `(B, H, W, 1 | 3 | 4)`, with at least one pixel."""
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
        raise adainkit.ImageError(f"an IMAGE is (batch, height, width, 1, 3 or 4 channels), got {tuple(image.shape)}")
    if not len(image):
        raise adainkit.ImageError("the batch of images is empty; check what makes it, a range of frames perhaps")
    if 0 in image.shape:
        raise adainkit.ImageError(f"the images have no pixels, their shape is {tuple(image.shape)}; check their size")


def from_image(image: Tensor) -> Tensor:
    """`(B, H, W, C)` -> `(B, C, H, W)` in [0, 1], the same dtype; NaN stays, for the library to refuse. No input is
    modified.

    Upscalers and decoders leave [0, 1] by a little, which ComfyUI clamps when it saves; the library would refuse it.
    """
    return image.movedim(-1, -3).clamp(0, 1)


def from_mask(mask: Tensor) -> Tensor:
    """A MASK, `(B, H, W)`, `(H, W)` of some nodes, or `(B, 1, H, W)` -> `(B, 1, H, W)` in [0, 1]. `ImageError` for
    others."""
    if mask.ndim not in (2, 3, 4) or (mask.ndim == 4 and mask.shape[1] != 1) or not mask.numel():
        raise adainkit.ImageError(f"a MASK is (batch, height, width) with at least one pixel, got {tuple(mask.shape)}")
    return mask.reshape(-1, 1, *mask.shape[-2:]).clamp(0, 1)


def to_image(result: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B, H, W, C)`."""
    return result.movedim(-3, -1)


def count_for(count: int, images: int, what: str) -> None:
    """`ImageError` unless there is one of `what` for all images, or one for each."""
    if count not in (1, images):
        raise adainkit.ImageError(f"{count} {what} for {images} images; give one, or one for each")

"""The bound on a picture's pixels."""

from __future__ import annotations

from ..errors import ImageError

__all__ = ["check_size"]


def check_size(name: str, width: int, height: int, max_pixels: int | None) -> None:
    """Raise ImageError for an empty picture, or for one above the bound (``None``: no bound)."""
    if width < 1 or height < 1:
        raise ImageError(f"{name}: expected at least 1 x 1 pixels, got {width} x {height}")
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} = {width * height} pixels, expected at most {max_pixels}; "
            "pass a larger max_pixels if you trust this picture"
        )

"""The former place of `adainkit.images.sheet`, kept for one release."""

from .images.sheet import Cell, draw_sheet, shorten, thumbnail

__all__ = ["Cell", "draw_sheet", "shorten", "thumbnail"]

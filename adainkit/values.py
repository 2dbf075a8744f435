"""The values of the command's options: from the text to the value, or an error that says what is expected."""

from __future__ import annotations

import argparse
from contextlib import suppress

from .jobs import split_weight

__all__ = [
    "alphas",
    "count",
    "extension",
    "fraction",
    "fractions",
    "positive",
    "quality",
    "region",
    "scale",
    "steps",
    "style_share",
    "tile",
]


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    with suppress(ValueError):
        if 0 <= (value := float(text)) <= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")


def alphas(text: str) -> float | list[float]:
    """One such number, or a list of those that commas part."""
    found = fractions(text)
    return found if len(found) > 1 else found[0]


def fractions(text: str) -> list[float]:
    """Numbers from 0 to 1 with commas between them, one or more."""
    return [fraction(part) for part in text.split(",")]


def steps(text: str) -> int:
    """A whole number from 2."""
    with suppress(ValueError):
        if (value := int(text)) >= 2:
            return value
    raise argparse.ArgumentTypeError(f"expected a whole number from 2, got {text!r}")


def scale(text: str) -> float:
    """A number from 1 to 64."""
    with suppress(ValueError):
        if 1 <= (value := float(text)) <= 64:
            return value
    raise argparse.ArgumentTypeError(f"expected a number from 1 to 64, got {text!r}")


def region(text: str) -> tuple[str, str]:
    """A mask and its style."""
    mask, _, style = text.partition("=")
    if not mask or not style:
        raise argparse.ArgumentTypeError(f"expected MASK=STYLE, like sky.png=ukiyo-e, got {text!r}")
    return mask, style


def count(text: str) -> int | None:
    """A whole number from 1, or None for the word none."""
    if text.lower() == "none":
        return None
    with suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, or none, got {text!r}")


def positive(text: str) -> int:
    """A whole number from 1."""
    with suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")


def tile(text: str) -> int | str | None:
    """As `count`, or the word auto."""
    return text.lower() if text.lower() == "auto" else count(text)


def quality(text: str) -> int:
    """A whole number from 1 to 100."""
    with suppress(ValueError):
        if 1 <= (value := int(text)) <= 100:
            return value
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 100, got {text!r}")


def extension(text: str) -> str:
    """An extension in small letters without its dot."""
    return text.lower().lstrip(".")


def style_share(text: str) -> tuple[str, float]:
    """A style and its weight in a blend."""
    try:
        return split_weight(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error

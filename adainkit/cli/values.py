"""The values of the command's options: from the text to the value, or an error that says what is expected."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from typing import TypeVar

from ..batch.jobs import split_weight

__all__ = [
    "alphas",
    "alphas_over_time",
    "bytes_of",
    "count",
    "extension",
    "fraction",
    "fractions",
    "positive",
    "quality",
    "rate",
    "region",
    "seconds",
    "steps",
    "style_at",
    "style_share",
    "tile",
    "within",
]

_N = TypeVar("_N", int, float)


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, float, 0, 1)


def alphas(text: str) -> float | list[float]:
    """One such number, or a list of those that commas part."""
    found = fractions(text)
    return found if len(found) > 1 else found[0]


def fractions(text: str) -> list[float]:
    """Numbers from 0 to 1 with commas between them, one or more."""
    return [fraction(part) for part in text.split(",")]


def alphas_over_time(text: str) -> float | list[float] | dict[float, float]:
    """As `alphas`; or a strength at each of several seconds.

    >>> alphas_over_time("0@0,1@2.5")
    {0.0: 0.0, 2.5: 1.0}
    """
    if "@" not in text:
        return alphas(text)
    keys = {}
    for part in text.split(","):
        value, sign, second = part.partition("@")
        if not sign:
            raise argparse.ArgumentTypeError(f"expected strengths at seconds, like 0@0,1@3, got {text!r}")
        keys[seconds(second)] = fraction(value)
    return keys


def style_at(text: str) -> tuple[str, float, float]:
    """A style, its weight, and the second that it belongs to: 0 where none is given.

    >>> style_at("a.jpg:0.5@12.5")
    ('a.jpg', 0.5, 12.5)
    """
    name, sign, second = text.rpartition("@")
    time = 0.0
    if sign and name and not os.path.isfile(text):  # noqa: PTH113 - Path.is_file may raise
        with suppress(argparse.ArgumentTypeError):
            time = seconds(second)
            text = name
    return (*style_share(text), time)


def seconds(text: str) -> float:
    """Seconds from 0, or minutes and hours with colons: 75, 1:15, 0:01:15.

    >>> seconds("1:15.5")
    75.5
    """
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + _number(part, float, 0)
    return total


def rate(text: str) -> Fraction:
    """Frames per second: a number or a fraction."""
    with suppress(ValueError, ZeroDivisionError):
        if 0 < (found := Fraction(text)) <= 1000:
            return found
    raise argparse.ArgumentTypeError(f"expected frames per second like 24 or 30000/1001, got {text!r}")


def steps(text: str) -> int:
    """A whole number from 2."""
    return _number(text, int, 2)


def within(low: float, high: float) -> Callable[[str], float]:
    """A number from `low` to `high`."""
    return lambda text: _number(text, float, low, high)


def bytes_of(text: str) -> int:
    """A number of bytes, or one with K, M or G behind it, as `ADAINKIT_MEMORY` has it."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMG]?)(?:I?B)?", text.upper())
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"expected a number of bytes, or one like 500M or 2G, got {text!r}")
    return max(1, int(float(match[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[match[2]]))


def region(text: str) -> tuple[str, str]:
    """A mask and its style: of several `=`, the last one before which there is a file's name parts them, else the last.

    >>> region("sky=1.png=ember")
    ('sky=1.png', 'ember')
    """
    parts = [(text[: sign.start()], text[sign.end() :]) for sign in re.finditer("=", text)]
    whole = [part for part in parts if all(part)]
    if not whole:
        raise argparse.ArgumentTypeError(f"expected MASK=STYLE, like sky.png=ukiyo-e, got {text!r}")
    return ([part for part in whole if os.path.isfile(part[0])] or whole)[-1]  # noqa: PTH113 - Path.is_file may raise


def count(text: str) -> int | None:
    """A whole number from 1, or None for the word none."""
    return None if text.lower() == "none" else _number(text, int, 1, more=", or none")


def positive(text: str) -> int:
    """A whole number from 1."""
    return _number(text, int, 1)


def tile(text: str) -> int | str | None:
    """A whole number from 1, None for the word none, or the word auto."""
    return text.lower() if text.lower() == "auto" else count(text)


def quality(text: str) -> int:
    """A whole number from 1 to 100."""
    return _number(text, int, 1, 100)


def extension(text: str) -> str:
    """An extension in small letters without its dot."""
    return text.lower().lstrip(".")


def style_share(text: str) -> tuple[str, float]:
    """A style and its weight in a blend."""
    try:
        return split_weight(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _number(text: str, kind: Callable[[str], _N], low: float, high: float = math.inf, more: str = "") -> _N:
    with suppress(ValueError):
        if low <= (value := kind(text)) <= high:
            return value
    whole, bound = "whole " * (kind is int), f" to {high:g}" * (high < math.inf)
    raise argparse.ArgumentTypeError(f"expected a {whole}number from {low:g}{bound}{more}, got {text!r}")

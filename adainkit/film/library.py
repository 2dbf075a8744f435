"""PyAV, which is optional, and what it says when something fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from ..errors import AdaINKitError, FilmError

__all__ = ["as_fraction", "as_number", "film_errors", "need_av", "need_cv2"]


def need_av() -> Any:
    """The module `av`; `FilmError` with the remedy where it is missing."""
    try:
        import av
        import av.error
    except ImportError as error:
        raise FilmError(f'films need PyAV ({error}); run pip install "adainkit[film]"') from error
    return av


def need_cv2() -> Any:
    """The module `cv2`; `FilmError` with the remedy where it is missing."""
    try:
        import cv2
    except ImportError as error:
        raise FilmError(f'steady needs OpenCV ({error}); run pip install "adainkit[steady]"') from error
    return cv2


@contextmanager
def film_errors(path: str | os.PathLike[str], doing: str = "read") -> Iterator[None]:
    """Whatever FFmpeg, its binding or the system says inside becomes a `FilmError` with the name of the file."""
    av = need_av()
    try:
        yield
    except AdaINKitError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if doing != "read":
            remedy = "expected a writable folder with free space, and a codec that takes this film"
        elif isinstance(error, FileNotFoundError):
            remedy = "there is no such file"
        else:
            remedy = "expected a film: MP4, MOV, MKV, WebM or AVI"
        what = getattr(error, "strerror", None) or str(error)
        raise FilmError(f"{os.fspath(path)}: cannot be {doing} ({what}); {remedy}") from error


def as_fraction(rate: Any) -> Fraction | None:
    """A rate or a time base of PyAV, whichever type its release has; None for one that is not set."""
    return Fraction(rate.numerator, rate.denominator) if rate and rate.denominator else None


def as_number(flags: Any) -> int:
    """Flags of PyAV, which before its release 17 are no numbers."""
    return int(getattr(flags, "value", flags))

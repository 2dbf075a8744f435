"""Every error that adainkit raises on purpose: what, where, expected against got, and the next step. And `Progress`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = [
    "AdaINKitError",
    "BatchError",
    "Cancelled",
    "DownloadError",
    "FilmError",
    "ImageError",
    "Model3DError",
    "ModelError",
    "OutOfMemoryError",
    "Progress",
    "StyleError",
    "WeightsError",
]


class AdaINKitError(Exception):
    """Base of all errors of this package: catch it to catch them all."""


class ImageError(AdaINKitError):
    """A picture cannot be read, written or used: broken file, wrong shape, range or type."""


class BatchError(ImageError):
    """Some pictures of a batch failed, and the others are done.

    `results`: in the order of the pictures, with its error where one failed. `errors`: these errors alone, by place.
    """

    def __init__(self, results: Sequence[Any], errors: Mapping[int, ImageError]) -> None:
        place, first = next(iter(errors.items()))
        many = f"{len(errors)} of {len(results)} pictures failed, first number {place + 1}: {first}"
        super().__init__(f"{many}; the others are in this error's `results`")
        self.results, self.errors = list(results), dict(errors)


class ModelError(AdaINKitError):
    """A model or its configuration cannot be used as asked: unknown layer, wrong tensor, wrong size."""


class FilmError(AdaINKitError):
    """A film cannot be read, painted or written: damaged, without pictures, HDR, or its codec or PyAV is missing."""


class Model3DError(AdaINKitError):
    """A 3D model cannot be read, painted or written: damaged, compressed, without textures, or files are missing."""


class WeightsError(AdaINKitError):
    """A weight file is missing, damaged or not of this package."""


class DownloadError(WeightsError):
    """Weights could not be fetched: network, server, disk or checksum."""


class StyleError(AdaINKitError):
    """A style cannot be used: unknown name, another model's statistics, impossible weights, broken file."""


class OutOfMemoryError(AdaINKitError):
    """The memory of the device is too small for even the smallest piece of the work."""


class Cancelled(AdaINKitError):
    """Raise it in a progress callback to stop the work at the next step."""


Progress: TypeAlias = Callable[[str, int, int], None]
"""A callback for long work. It is called with (stage, done, total); a total of 0 means that the total is not known.
An exception that it raises, preferably `Cancelled`, stops the work at the next step."""

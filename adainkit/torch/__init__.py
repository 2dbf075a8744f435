"""Styles for those who train: a torchvision v2 transform, and a data set that stylizes pictures as they are read."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import StylizedDataset
    from .transforms import RandomStyle

_HOME = {"RandomStyle": "transforms", "StylizedDataset": "data"}

__all__ = ["RandomStyle", "StylizedDataset"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)

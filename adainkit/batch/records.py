"""What a result of a run says of how it was made: the run's words, and what is known where it is computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..stylizer import Stylizer

__all__ = ["complete_record"]


def complete_record(of_run: Mapping[str, Any], stylizer: Stylizer, shares: Mapping[str, float]) -> dict[str, Any]:
    """The record of a picture: `of_run`, in its order, with the encoder, the precision and the picture's `shares` of
    styles, by their names without folders."""
    styles = {PurePath(name).name: weight for name, weight in shares.items()}
    return {**of_run, "digest": stylizer.digest[:16], "precision": stylizer.precision, "style": styles}

"""An animation from file to file: every frame under one set of content statistics, in one tone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..errors import ImageError, Progress
from ..images import MAX_PIXELS, Film, Target, write_film
from ..net.adain import Moments

if TYPE_CHECKING:
    from ..stylizer import StyleLike, Stylizer
    from .two_pass import TileSize

__all__ = ["check_film_size", "stylize_film"]

_MEASURED = 32  # frames at most that the statistics are of: more change them by nothing that is seen


def stylize_film(
    stylizer: Stylizer,
    film: Film,
    target: Target,
    style: StyleLike | None,
    *,
    scale: float = 1.0,
    content_statistics: Sequence[Moments] | None = None,
    tile: TileSize = "auto",
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = True,
    strip: bool = False,
    record: Mapping[str, Any] | None = None,
    max_pixels: int | None = MAX_PIXELS,
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """`Stylizer.stylize_frames` for a film in a file, into another of the same size, durations and number of plays.

    Without `content_statistics` all frames share those of up to 32 of them, at equal distances. `options` are those of
    `stylize_frames`, the rest is as in `Stylizer.stylize_file`. `progress` has one stage, "stylize", over the frames of
    both passes. The frames of the source are held one at a time, those of the result as `images.write_film` says.
    `ImageError` for a broken frame, with its number; the target is then as it was.
    """
    step = -(-film.frames // _MEASURED)
    measured = len(range(0, film.frames, step)) if content_statistics is None else 0
    steps = _Steps(progress, measured + 2 * film.frames)  # a frame that is painted is encoded and decoded
    if content_statistics is None:
        frames = steps.counted(film.images(step), 1)
        content_statistics = stylizer.content_statistics(frames, scale=scale, tile=tile, max_pixels=max_pixels)
    painted = stylizer.stylize_frames(
        film.images(),
        style,
        scale=scale,
        content_statistics=content_statistics,
        tile=tile,
        max_pixels=max_pixels,
        **options,
    )
    saving = {"format": format, "quality": quality, "overwrite": overwrite, "strip": strip, "record": record}
    with closing(painted):
        return write_film(steps.counted(painted, 2), target, film, **saving)  # type: ignore[arg-type]


def check_film_size(film: Film, max_size: int | None) -> None:
    """`ImageError` for a film that would have to be scaled down."""
    if max_size is not None and max(film.width, film.height) > max_size:
        raise ImageError(
            f"{film.path}: an animation of {film.width} x {film.height} keeps its size; make it smaller before, or "
            "leave max_size out"
        )


class _Steps:
    """How far a film is, in all of its passes."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def counted(self, images: Iterator[Image.Image], steps: int) -> Iterator[Image.Image]:
        """The images as they are, each of which is told as so many steps when it is done with."""
        for image in images:
            yield image
            self._done += steps
            if self._progress is not None:
                self._progress("stylize", self._done, self._total)

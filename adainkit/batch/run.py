"""Many files through one Stylizer, with reading, computing and writing side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..engine.file_to_file import fits_whole
from ..engine.memory import memory_budget
from ..engine.two_pass import Executor, TileSize
from ..errors import Progress
from ..images import (
    FILM_KINDS,
    MAX_PIXELS,
    ImageLike,
    Picture,
    check_target,
    is_film,
    open_image,
    open_strips,
    picture_size,
    save_image,
)
from ..look.controls import Alpha, Controls
from ..look.previews import limited
from .jobs import Job
from .pipeline import Alone, Outcome, in_flight, run_jobs

if TYPE_CHECKING:
    from ..style import Style
    from ..stylizer import Regions, Stylizer

__all__ = ["stylize_files"]

_GPU_THREADS = 4  # a GPU is faster than one core decodes and encodes


def stylize_files(
    stylizer: Stylizer,
    jobs: Iterable[Job],
    style_of: Callable[[Job], Style | None],
    *,
    tile: TileSize = "auto",
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = True,
    strip: bool = False,
    record_of: Callable[[Job], Mapping[str, Any] | None] | None = None,
    max_size: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    progress: Progress | None = None,
    ended: Callable[[Outcome[Job]], object] = lambda outcome: None,
    **options: Any,
) -> Generator[Outcome[Job], None, None]:
    """`Stylizer.stylize_file` for every job: the same files, sooner. An `Outcome` each, in the order of their ends.

    While one picture is computed, the next is decoded and the last one encoded. Several are in the memory at once,
    which all together keep to the budget of one; a picture that is too large for that goes through `stylize_file`
    alone. `style_of(job)`, called in another thread, is the style of each; `options` are those of `Stylizer.stylize`;
    `ended` as in `pipeline.run_jobs`; `strip` and `record_of(job)`, the record, as in `images.save_image`.
    `max_size` as in `stylize_file`. Close the iterator to stop: no file is ever half-written. Options that no picture
    can be made with, and masks that cannot be opened, are an `AdaINKitError` of this call.
    """
    _check(stylizer, max_pixels, **options)
    on_cpu = stylizer.device.type == "cpu"  # where the network itself uses the other cores
    threads = 1 if on_cpu else min(_GPU_THREADS, os.cpu_count() or 1)
    executor = Executor(stylizer.model, stylizer.device, stylizer.dtype, tile)
    saving = {"format": format, "quality": quality, "overwrite": overwrite}
    computing = {"tile": tile, "max_pixels": max_pixels, "progress": progress, **options}
    scale = options.get("scale", 1.0)

    def words(job: Job) -> dict[str, Any]:
        return {"strip": strip, "record": None if record_of is None else record_of(job)}

    def read(job: Job) -> Any:
        kind = check_target(_target(job), **saving)  # type: ignore[arg-type]  # before the work, not after it
        height, width = picture_size(job.source, max_pixels)
        style = style_of(job)
        film = kind in FILM_KINDS and is_film(job.source)
        if film or not fits_whole(executor, height * in_flight(threads), width, scale):
            return Alone((style, None))
        picture = _for_file(open_image(job.source, max_pixels=max_pixels))
        return style, picture if max_size is None else limited(picture, max_size)

    def work(job: Job, found: tuple[Style | None, Picture | None]) -> tuple[Any, Picture] | None:
        style, picture = found
        if picture is None:
            told = {**computing, **saving, **words(job), "max_size": max_size}
            stylizer.stylize_file(job.source, _target(job), style, **told)
            return None
        return stylizer.stylize(picture, style, **computing), picture

    def write(job: Job, made: tuple[Any, Picture]) -> None:
        result, picture = made
        save_image(result, _target(job), info=picture.info, **saving, **words(job))  # type: ignore[arg-type]

    return run_jobs(jobs, read, work, write, threads=threads, ended=ended)


def _check(
    stylizer: Stylizer,
    max_pixels: int | None,
    *,
    alpha: Alpha = 1.0,
    mask: ImageLike | None = None,
    regions: Regions | None = None,
    **_: Any,
) -> None:
    """What is the same for all pictures, once instead of for each."""
    Controls(alpha).alphas(len(stylizer.model.config.levels))
    for each in (mask, *(of_region for of_region, _ in regions or ())):
        if isinstance(each, (str, os.PathLike)):  # all of it is decoded, but for TIFF, which may be larger than memory
            open_strips(each, max_pixels=max_pixels, limit=memory_budget(torch.device("cpu"))).close()


def _for_file(picture: Picture) -> Picture:
    """Keep the bits and the color profile of a file, as `stylize_file` does."""
    return replace(picture, kind="file")


def _target(job: Job) -> Path:
    assert job.target is not None  # `run_jobs` has seen to it
    return job.target

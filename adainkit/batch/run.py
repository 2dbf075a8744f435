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
from .fitting import Fit
from .jobs import Job
from .pipeline import Alone, Outcome, in_flight, run_jobs

if TYPE_CHECKING:
    from ..style import Style
    from ..stylizer import Regions, Stylizer

__all__ = ["FileWork", "stylize_files"]

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
    max_pixels: int | None = MAX_PIXELS,
    progress: Progress | None = None,
    ended: Callable[[Outcome[Job]], object] = lambda outcome: None,
    threads: int | None = None,
    max_size: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    **options: Any,
) -> Generator[Outcome[Job], None, None]:
    """`Stylizer.stylize_file` for every job: the same files, sooner. An `Outcome` each, in the order of their ends.

    While one picture is computed, the next is decoded and the last one encoded. Several are in the memory at once,
    which all together keep to the budget of one; a picture that is too large for that goes through `stylize_file`
    alone. `style_of(job)`, called in another thread, is the style of each; `options` are those of `Stylizer.stylize`;
    `ended` as in `pipeline.run_jobs`; `strip` and `record_of(job)`, the record, as in `images.save_image`. `threads`
    that read, and as many that write, by default what fits the device. Sizes (`max_size` and so on) as in
    `fitting.Fit`. Close the iterator to stop: no file is ever half-written. Options that no picture can be made with,
    and masks that cannot be opened, are an `AdaINKitError` of this call.
    """
    saving = {"format": format, "quality": quality, "overwrite": overwrite, "strip": strip}
    computing = {"tile": tile, "max_pixels": max_pixels, "progress": progress, **options}
    files = FileWork(stylizer, style_of, record_of, saving, computing, threads, Fit(max_size, resize, crop))
    return run_jobs(jobs, files.read, files.work, files.write, threads=files.threads, ended=ended)


class FileWork:
    """What becomes of a file, in the three stages of a pipeline, each in a thread of its own.

    `saving` are the options of `images.save_image`, `computing` those of `Stylizer.stylize`; see `stylize_files`.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        style_of: Callable[[Job], Style | None],
        record_of: Callable[[Job], Mapping[str, Any] | None] | None,
        saving: Mapping[str, Any],
        computing: Mapping[str, Any],
        threads: int | None = None,
        fit: Fit | None = None,
    ) -> None:
        _check(stylizer, **computing)
        on_cpu = stylizer.device.type == "cpu"  # where the network itself uses the other cores
        self.threads = threads or (1 if on_cpu else min(_GPU_THREADS, os.cpu_count() or 1))
        self.stylizer, self.style_of, self.record_of, self.fit = stylizer, style_of, record_of, fit or Fit()
        self.saving, self.computing = dict(saving), dict(computing)
        self._executor = Executor(stylizer.model, stylizer.device, stylizer.dtype, self.computing.get("tile", "auto"))
        masks = (self.computing.get(name) for name in ("mask", "regions"))
        self.fit.check(next((each for each in masks if each is not None), None))

    def read(self, job: Job) -> tuple[Style | None, Picture | None] | Alone:
        """The style and the decoded picture; `Alone` for a film, and for one that the memory holds only by strips."""
        kind = self._check_target(job)  # before the work, not after it
        max_pixels = self.computing.get("max_pixels", MAX_PIXELS)
        height, width = picture_size(job.source, max_pixels)
        style = self.style_of(job)
        if self.fit.to_one_size:  # of a film the first frame, as `open_image` has it
            return style, self.fit(_for_file(open_image(job.source, max_pixels=max_pixels)))
        if kind in FILM_KINDS and is_film(job.source):
            return Alone((style, None))
        scale = self.computing.get("scale", 1.0)
        if not fits_whole(self._executor, height * in_flight(self.threads), width, scale):
            return Alone((style, None))
        return style, self.fit(_for_file(open_image(job.source, max_pixels=max_pixels)))

    def work(self, job: Job, found: tuple[Style | None, Picture | None]) -> tuple[Any, Picture] | None:
        """The result and the picture; None where all is done, the file too."""
        style, picture = found
        if picture is None:
            told = {**self.computing, **self.saving, "record": self._record(job), "max_size": self.fit.max_size}
            self.stylizer.stylize_file(job.source, _target(job), style, **told)
            return None
        return self.stylizer.stylize(picture, style, **self.computing), picture

    def write(self, job: Job, made: tuple[Any, Picture]) -> None:
        """Encode the result into the file."""
        result, picture = made
        save_image(result, _target(job), info=picture.info, record=self._record(job), **self.saving)

    def _check_target(self, job: Job) -> str:
        names = ("format", "quality", "overwrite")
        return check_target(_target(job), **{name: self.saving[name] for name in names if name in self.saving})

    def _record(self, job: Job) -> Mapping[str, Any] | None:
        return None if self.record_of is None else self.record_of(job)


def _check(
    stylizer: Stylizer,
    *,
    max_pixels: int | None = MAX_PIXELS,
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

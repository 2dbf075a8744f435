"""Strips in, strips out: which pictures go that way, and file to file in memory that does not grow with the height."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..atomic import temporary_beside
from ..errors import ImageError, Progress
from ..images import check_target, facts_to_write, need_tifffile, open_strips, save_image, write_tiff_rows
from ..look.controls import Controls
from ..look.regions import CoverWindows, RegionPlan
from ..net.adain import Moments
from .finish import Measured
from .memory import memory_budget, memory_guard, ordinary_tensors
from .scaled import ScaledStrips
from .strips import StripWork, TiledStrips
from .two_pass import Executor

__all__ = ["fits_whole", "stream_file"]

log = logging.getLogger("adainkit")

# Bytes per pixel of a picture that is kept whole, but for its features: RGB before and after as float32, the same
# once more for premixed, matched or masked colors, and a dozen for what Pillow decodes and encodes.
_WHOLE = 48
_SOME = 1 << 20  # pixels of masks that are looked at at once
_SEGMENT = 1 << 26  # bytes of a TIFF's strip or tile that are decoded at once, however small the budget is
_SIDES = {"JPEG": 65500, "WEBP": 16383, "GIF": 65535}  # what these formats, or Pillow's writers of them, can count


def fits_whole(executor: Executor, height: int, width: int, scale: float = 1.0) -> bool:
    """Whether a picture, its features between the passes and its result fit into `memory_budget` together."""
    config, size = executor.model.config, torch.finfo(executor.kept).bits // 8
    cells = height * width / scale**2
    features = cells * sum(level.channels / level.stride**2 for level in config.levels) * size
    pixels, host = height * width * (_WHOLE if scale == 1 else 2 * _WHOLE), torch.device("cpu")
    if executor.device.type == "cpu":
        return features + pixels <= memory_budget(host)
    return features <= memory_budget(executor.device) and pixels <= memory_budget(host)


def stream_file(
    executor: Executor,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    plan: RegionPlan,
    controls: Controls,
    *,
    content_statistics: Sequence[Moments] | None,
    held: Measured | None = None,
    format: str | None,
    quality: int | None,
    overwrite: bool,
    strip: bool = False,
    record: Mapping[str, Any] | None = None,
    max_pixels: int | None,
    progress: Progress | None,
) -> Path:
    """`Stylizer.stylize_file` by strips, and, but for the rounding of floats, its result. `held` as in `whole.render`.

    What is read and written a strip at a time is TIFF (`images.open_strips` says which). Pillow decodes and encodes
    PNG, JPEG and the others whole: these are held as integers, a byte per sample or two. `progress` has one stage,
    "stylize", over all passes. Where it stops before the end, the log says at which strip; the target is as before.
    """
    kind = check_target(target, format=format, quality=quality, overwrite=overwrite)
    if kind == "TIFF":
        need_tifffile("a TIFF that is written strip by strip")  # before the work, not after it
    limit = max(memory_budget(torch.device("cpu")), _SEGMENT)
    with (
        ordinary_tensors(),
        memory_guard("a strip of the picture"),
        open_strips(source, max_pixels=max_pixels, limit=limit) as strips,
    ):
        info, (height, width) = facts_to_write(strips.like.info, strip, record), (strips.height, strips.width)
        if max(height, width) > _SIDES.get(kind, height + width):
            raise ImageError(f"{target}: {kind} has no room for {width} x {height} pixels; write TIFF or PNG")
        covers = _covers(plan, height, width, max_pixels, limit)
        kind_of_work: type[StripWork] = TiledStrips if controls.scale == 1 else ScaledStrips
        work = kind_of_work(executor, strips, covers, controls, progress)
        try:
            rows = work.result([styles[0] for styles in plan.styles], content_statistics, held)
            if kind == "TIFF":
                with temporary_beside(os.path.realpath(target)) as part:
                    write_tiff_rows(rows, part, work.shape, work.kind, work.stride, info)
                    strips.close()  # it may be the very file that is replaced now
                return Path(target)
            whole = np.empty(work.shape, work.kind)
            for part_of in rows:
                whole[work.written : work.written + len(part_of)] = part_of
            return save_image(whole, target, format=format, quality=quality, overwrite=overwrite, info=info)
        except BaseException as error:
            log.warning("%s: stopped at %s; %s is not written", strips.name, work.at, os.fspath(target))
            if isinstance(error, OSError) and error is not work.failure:
                raise ImageError(
                    f"{target}: cannot be written as {kind} ({error}), stopped at {work.at}; "
                    "expected a writable folder with free space"
                ) from error
            raise
        finally:
            if covers is not None:
                covers.close()


def _covers(plan: RegionPlan, height: int, width: int, max_pixels: int | None, limit: int) -> CoverWindows | None:
    """As `RegionPlan.covers`: None where all of the picture is one region, a mask of ones too."""
    if not plan.masks:
        return None
    covers, rows = CoverWindows(plan, height, width, max_pixels=max_pixels, limit=limit), max(1, _SOME // width)
    try:
        bounds = ((top, min(height, top + rows), 0, width) for top in range(0, height, rows))
        if len(covers) > 1 or not all(bool((covers.window(*box) == 1).all()) for box in bounds):
            return covers
    except BaseException:
        covers.close()
        raise
    covers.close()
    return None

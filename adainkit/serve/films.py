"""A job of a film, where adainkit can paint films."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePath
from typing import IO, Any

from ..errors import ImageError, Progress
from ..stylizer import Stylizer
from .desk import Lane
from .jobs import Job
from .painting import Order
from .problems import Refusal
from .service import Service

__all__ = ["FILMS", "can_paint_films", "film_name", "paint_film"]

FILMS = {"mp4": "video/mp4", "mov": "video/quicktime", "mkv": "video/x-matroska", "webm": "video/webm"}
"""The endings of films that are made, and their media types."""


def can_paint_films() -> bool:
    """Whether this adainkit paints films, and what reads them is installed."""
    try:
        import av
    except ImportError:
        return False
    return hasattr(Stylizer, "stylize_film") and av is not None


def film_name(stream: IO[bytes], name: str) -> str:
    """A name of ours for a film that was sent, by its first bytes. `Refusal` for what is none, and where films cannot
    be painted.

    FFmpeg would also open playlists, which name other files and addresses: these three containers do not.
    """
    if not can_paint_films():
        raise Refusal(422, "films cannot be painted here", 'run pip install "adainkit[film]" where the service runs')
    start = stream.read(12)
    stream.seek(0)
    ending = PurePath(name).suffix.lower()[1:]
    if start[4:8] == b"ftyp":
        return "film.mov" if start[8:12] == b"qt  " else "film.mp4"
    if start[:4] == b"\x1aE\xdf\xa3":
        return "film.webm" if ending == "webm" else "film.mkv"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "film.avi"
    raise ImageError("this is no film; send MP4, MOV, MKV, WebM or AVI")


async def paint_film(service: Service, job: Job, source: Path, order: Order) -> Path:
    """The film in the style, with its sound, in a file of its own kind (of AVI, MP4)."""
    loop = asyncio.get_running_loop()
    ending = source.suffix[1:] if source.suffix[1:] in FILMS else "mp4"
    target = source.with_name(f"result.{order.format or ending}")
    limits: dict[str, Any] = {"max_pixels": service.settings.pixels, "max_frames": service.settings.frames}
    limits |= {"strip": not order.metadata, "quality": order.quality}

    def compute(progress: Progress) -> None:
        def step(stage: str, done: int, total: int) -> None:
            share = done / total if total and stage == "stylize" else 0.0
            loop.call_soon_threadsafe(lambda: job.change(state="running", progress=min(share, 1.0)))
            service.space.check()
            progress(stage, done, total)

        stylizer: Any = service.stylizer(order.model)
        style = order.style(service, service.settings.pixels)
        masked = {} if order.mask is None else {"mask": order.mask}
        stylizer.stylize_film(source, target, style, progress=step, **masked, **limits, **order.options)

    await service.desk.compute(compute, Lane.JOB)
    source.unlink(missing_ok=True)
    return target

"""Animated GIF, APNG and WebP: a film of whole frames in, and one out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from PIL import Image

from ..errors import ImageError
from .decoders import identify
from .facts import read_facts
from .files import DEFAULT_QUALITY, Target, check_target, facts_to_write, name_of, writing
from .frames import FILM_KINDS, count_frames, first_frame
from .packing import pillow_options
from .pil import turned
from .reading import opened, reading
from .sizes import check_size

__all__ = ["Film", "find_film", "is_film", "write_film"]

_MAGIC = ((0, b"GIF8"), (0, b"\x89PNG\r\n\x1a\n"), (8, b"WEBP"))
_LEAST = 1 << 12  # pixels that a frame counts at least, so that `max_pixels` bounds the number of tiny ones, too
_OPAQUE_FROM = 128  # a GIF's pixel is there or not; from this alpha on it is there
_KEY = 255  # the palette's place that stands for transparent pixels


@dataclass(frozen=True)
class Film:
    """An animation in a file, of which nothing is held but facts; `images` decodes it anew.

    `frames` of `width` x `height` pixels, as they are stored; `orientation` is EXIF's. `durations` are those of the
    frames in milliseconds, `plays` how many times it runs (0: without an end), `transparent` whether any pixel of it
    is. `info` is what it says of itself, as `facts.read_facts` has it.
    """

    path: Path
    frames: int
    width: int
    height: int
    orientation: int = 1
    durations: tuple[float, ...] = ()
    plays: int = 1
    transparent: bool = False
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def images(self, step: int = 1) -> Iterator[Image.Image]:
        """Every `step`-th frame from the first on, as an RGB or, in a `transparent` film, RGBA image of 8 bits with its
        color profile: whole, composed with those before as the file says, and upright.

        `ImageError` where the file is broken, or no longer what it was. One frame is held at a time.
        """
        for number, image in enumerate(_decoded(self)):
            if number % step == 0:
                profile = image.info.get("icc_profile")
                whole = turned(image.convert("RGBA" if self.transparent else "RGB"), self.orientation)
                assert isinstance(whole, Image.Image)
                whole.info = {"icc_profile": profile} if profile else {}
                yield whole


def find_film(source: str | os.PathLike[str], max_pixels: int | None) -> Film | None:
    """The film that a file is: a GIF, PNG or WebP with two frames or more; None for what is another picture.

    All frames are decoded once, so that a broken one is told before any work is done: an `ImageError` with its number.
    More than `max_pixels` pixels in all frames together are one too, before anything is decoded; a frame counts as 4096
    at least, so that tiny ones are bounded as well. None is no bound.
    """
    with reading(source), opened(source) as (stream, name):
        if not _may_be_film(stream):
            return None
        header = identify(stream, name)
        frames = count_frames(header) or 1
        if header is None or frames < 2:
            return None
        width, height = header.size
        check_size(name, width, height, max_pixels)
        total = frames * max(width * height, _LEAST)
        if max_pixels is not None and total > max_pixels:
            raise ImageError(
                f"{name}: {frames} frames of {width} x {height} = {total} pixels, expected at most {max_pixels} in all "
                "frames together; pass a larger max_pixels if you trust this film"
            )
        info, orientation = read_facts(header, None, name)
    return _surveyed(Film(Path(source), frames, width, height, orientation, info=info))


def is_film(source: str | os.PathLike[str]) -> bool:
    """Whether a file is a GIF, PNG or WebP with two frames or more, which are not decoded; `ImageError` for what is no
    picture."""
    with reading(source), opened(source) as (stream, name):
        return _may_be_film(stream) and (count_frames(identify(stream, name)) or 1) > 1


def _may_be_film(stream: IO[bytes]) -> bool:
    stream.seek(0)
    start = stream.read(12)
    return any(start[place:].startswith(magic) for place, magic in _MAGIC)


def _decoded(film: Film) -> Iterator[Image.Image]:
    """The frames, decoded: one image, which the next step changes."""
    with ExitStack() as stack:
        with reading(film.path):
            stream, name = stack.enter_context(opened(film.path))
            header = identify(stream, name)
            if header is None or count_frames(header) != film.frames:
                raise ImageError(f"{name}: was changed while it was read")
        first = first_frame(header)
        for number in range(film.frames):
            with reading(f"{name}: frame {number + 1} of {film.frames}"):
                header.seek(first + number)
                if header.size != (film.width, film.height):  # of a GIF, a frame may lie outside of the picture
                    raise ImageError(
                        f"{name}: frame {number + 1} makes {header.width} x {header.height} pixels of "
                        f"{film.width} x {film.height}; expected frames within the picture"
                    )
                header.load()
            yield header


def _surveyed(film: Film) -> Film:
    """The film with what only its frames tell."""
    durations: list[float] = []
    loop: int | None = None
    transparent = False
    for image in _decoded(film):
        duration, told = image.info.get("duration"), image.info.get("loop")
        durations.append(float(duration) if isinstance(duration, (int, float)) else 0.0)
        if loop is None and isinstance(told, int):
            loop = told + 1 if image.format == "GIF" and told else told  # a GIF counts what comes after the first
        if not transparent and image.has_transparency_data:
            transparent = image.convert("RGBA").getchannel("A").getextrema() != (255, 255)
    plays = 1 if loop is None else loop  # a GIF that says nothing runs once
    return replace(film, durations=tuple(durations), plays=plays, transparent=transparent)


def write_film(
    images: Iterable[Image.Image],
    path: Target,
    like: Film,
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = True,
    strip: bool = False,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Write RGB or RGBA images of one size as an animated GIF, PNG or WebP, with the durations, plays and facts of
    `like`.

    The path back; it holds the old file or the whole new one. `quality`, `strip` and `record` as in `files.save_image`;
    a GIF, which has 256 colors for each frame and durations in steps of 10 ms, holds no facts. A frame equal to the one
    before only makes that one last longer, where the writer sees to it. Pillow's writers want all frames at once: they
    are held until the end, with 4 bytes for each pixel (GIF: 1), of which the writers make up to two more copies.
    `ImageError` for whatever goes wrong, and for another format.
    """
    kind = check_target(path, format=format, quality=quality, overwrite=overwrite)
    if kind not in FILM_KINDS:
        raise ImageError(f"{path}: {kind} holds no film here; expected one of {', '.join(FILM_KINDS)}")
    held = [_for_gif(image, like.transparent) if kind == "GIF" else image for image in images]
    if len(held) != like.frames:
        raise ImageError(f"{path}: expected {like.frames} frames, got {len(held)}")
    profile = held[0].info.get("icc_profile")
    info = facts_to_write({**like.info, "icc_profile": profile}, strip, record)
    for image in held:
        image.info = {}  # from which Pillow's writers would take what is not to be written
    options = _options(kind, like, info)
    if kind == "WEBP":
        options["quality"] = quality or DEFAULT_QUALITY[kind]
    with writing(path, kind) as stream:
        held[0].save(stream, kind, save_all=True, append_images=held[1:], **options)
    return Path(name_of(path))


def _options(kind: str, film: Film, info: Mapping[str, Any]) -> dict[str, Any]:
    """What Pillow's writer of a format wants to know."""
    step = 10 if kind == "GIF" else 1
    options: dict[str, Any] = {"duration": _rounded(film.durations, step)}
    if kind != "GIF":
        return {**pillow_options(kind, info), **options, "loop": film.plays}
    if film.plays != 1:
        options["loop"] = max(0, film.plays - 1)
    if comment := (info.get("texts") or {}).get("Comment"):
        options["comment"] = comment.encode("utf-8", "surrogateescape")
    if film.transparent:
        options |= {"transparency": _KEY, "disposal": 2}  # else what was seen before shows through
    return {**options, "optimize": False}


def _rounded(durations: Iterable[float], step: int) -> list[int]:
    """Durations as multiples of `step`, so that every frame begins within half a step of when it is to begin."""
    out: list[int] = []
    begins = written = 0.0
    for duration in durations:
        begins += duration
        out.append(max(0, round((begins - written) / step)) * step)
        written += out[-1]
    return out


def _for_gif(image: Image.Image, transparent: bool) -> Image.Image:
    """The image with a palette of its own: without dithering, whose noise would swim from frame to frame."""
    plain = image.convert("RGB").quantize(
        _KEY if transparent else _KEY + 1, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    if transparent:
        colors = (plain.getpalette() or [])[: 3 * _KEY]
        plain.putpalette(colors + [0] * (3 * 256 - len(colors)))
        hidden = image.getchannel("A").point([255] * _OPAQUE_FROM + [0] * (256 - _OPAQUE_FROM))
        plain.paste(_KEY, mask=hidden)
    return plain

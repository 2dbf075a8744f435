"""stylize_film: the verb. Look through the film, measure its scenes, paint its frames, join what belongs together."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..errors import FilmError, Progress, StyleError
from ..images import ImageLike
from ..look.controls import Alpha, Controls, PreserveColor
from .clip import Clip, Frame, Timing
from .codecs import choose_encoding
from .crew import Crew
from .guard import may_replace_film
from .library import need_av
from .losses import tell_losses
from .painting import Item, Look, paint_all
from .plan import plan_of
from .quiet import Quiet
from .scenes import Cuts
from .sinks import AnimationSink, SequenceSink, Sink, VideoSink, kind_of
from .source import Mask, open_clip
from .statistics import Measured, live_statistics, measure, plan_measuring
from .steady import Steady
from .timeline import Timeline, alpha_timeline, mix_styles

if TYPE_CHECKING:
    from ..stylizer import StyleLike, Stylizer

__all__ = ["MAX_FRAMES", "MAX_PIXELS", "Kinds", "make_look", "stylize_film"]

log = logging.getLogger("adainkit")

MAX_PIXELS = 1 << 26
"""Of a frame: 8192 x 8192. Of an animation, which is held whole, in all frames."""
MAX_FRAMES = 1 << 20
"""Frames above this, nearly ten hours at 30 a second, are refused unless asked for."""

Kinds: TypeAlias = Literal["scene", "clip", "frame", "live"]


def stylize_film(
    stylizer: Stylizer,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    style: StyleLike | Mapping[float, StyleLike],
    *,
    alpha: Alpha | Mapping[float, Alpha] = 1.0,
    preserve_color: PreserveColor = None,
    color_strength: float = 1.0,
    mask: ImageLike | None = None,
    scale: float = 1.0,
    detail: float = 0.0,
    style_size: int | None = 512,
    statistics: Kinds = "scene",
    keep_noise: bool = False,
    steady: float = 0.0,
    start: float = 0.0,
    stop: float | None = None,
    fps: float | Fraction | None = None,
    codec: str | None = None,
    crf: int | None = None,
    quality: int | None = None,
    preset: str | None = None,
    sound: bool = True,
    strip: bool = False,
    resume: bool = False,
    overwrite: bool | None = None,
    max_pixels: int | None = MAX_PIXELS,
    max_frames: int | None = MAX_FRAMES,
    progress: Progress | None = None,
) -> Path:
    """A film in a style; `Stylizer.stylize_film` says what the arguments are. The path of the result."""
    source, target = Path(source), Path(target)
    _check(statistics, steady)
    replace = may_replace_film(target, overwrite, source=source, mask=mask, style=style, resume=resume)
    controls: dict[str, Any] = {"preserve_color": preserve_color, "color_strength": color_strength}
    controls |= {"scale": scale, "detail": detail}
    need_av()
    clip = open_clip(source, start=start, stop=stop, fps=fps, max_pixels=max_pixels)
    look = make_look(stylizer, style, alpha, mask, style_size, max_pixels, controls, clip.facts.rate)
    calm = (None if keep_noise else Quiet(), Steady(steady) if steady else None)
    options = {"alpha": repr(alpha), "steady": steady, "keep_noise": keep_noise}
    options |= {"statistics": statistics, "start": start, "stop": stop}
    plan = plan_of(stylizer, source, look, mask, fps, options | controls)
    encoder = {"codec": codec, "crf": crf, "quality": quality, "preset": preset}
    limits: dict[str, Any] = {"overwrite": replace, "max_pixels": max_pixels}
    limits |= {"sound": sound, "cut": stop is not None, "resume": resume}
    sink = _sink(clip, target, plan, encoder, strip=strip, **limits)
    try:
        with Crew(stylizer) as crew:
            _run(crew, clip, look, calm, sink, statistics, max_frames, progress)
    except BaseException:
        sink.abandon()
        if isinstance(sink, VideoSink) and sink.segments.done:
            log.warning("%s: the parts that are done are in %s; resume goes on there", target, sink.segments.folder)
        raise
    return target


def _sink(
    clip: Clip,
    target: Path,
    plan: dict[str, Any],
    encoder: dict[str, Any],
    *,
    strip: bool,
    overwrite: bool,
    max_pixels: int | None,
    sound: bool,
    cut: bool,
    resume: bool,
) -> Sink:
    """Where the frames go; all that can be wrong with it is told here, before the work."""
    if kind_of(target) == "video":
        encoding = choose_encoding(target, clip.facts, **encoder)
        tell_losses(target, clip.facts, encoding)
        copies = {"sound": sound, "strip": strip, "cut": cut}
        return VideoSink(clip, target, encoding, plan | encoding.facts(), **copies, resume=resume)
    if any(value is not None for value in encoder.values()):
        raise FilmError(f"{target}: codec, crf, quality and preset are for video files")
    tell_losses(target, clip.facts)
    if kind_of(target) == "animation":
        return AnimationSink(clip, target, overwrite=overwrite, max_pixels=max_pixels)
    return SequenceSink(clip, target, plan, overwrite=overwrite, resume=resume)


def make_look(
    stylizer: Stylizer,
    style: StyleLike | Mapping[float, StyleLike],
    alpha: Alpha | Mapping[float, Alpha],
    mask: ImageLike | None,
    style_size: int | None,
    max_pixels: int | None,
    controls: Mapping[str, Any],
    rate: Fraction,
) -> Look:
    """The look of a film of so many frames per second, all of it checked: `StyleError`, `ImageError`, `FilmError`."""
    alphas = alpha_timeline(alpha)
    for each in alphas.values:
        Controls(each, **controls).alphas(len(stylizer.model.config.levels))
    keys: Mapping[float, StyleLike] = style if isinstance(style, Mapping) else {0.0: style}
    found = {time: stylizer.as_style(each, style_size=style_size) for time, each in keys.items()}
    return Look(Timeline(found, mix_styles), alphas, Mask(mask, max_pixels, rate), controls)


def _check(statistics: str, steady: float) -> None:
    if statistics not in ("scene", "clip", "frame", "live"):
        raise StyleError(f"statistics must be scene, clip, frame or live, got {statistics!r}")
    if not 0 <= steady <= 1:
        raise StyleError(f"steady must be from 0 (no blending) to 1, got {steady}")


def _run(
    crew: Crew,
    clip: Clip,
    look: Look,
    calm: tuple[Quiet | None, Steady | None],
    sink: Sink,
    statistics: Kinds,
    max_frames: int | None,
    progress: Progress | None,
) -> None:
    scale = float(look.controls["scale"])
    told = progress or (lambda stage, done, total: None)
    state = sink.state()
    for each in calm:
        if each is not None:
            each.restore(state)
    if statistics == "live":
        timing, total = Timing(), clip.facts.estimate
        items = _live(crew.stylizer, clip, timing, sink.done, scale, max_frames)
    else:
        timing, cuts = _survey(clip, max_frames, told)
        total = len(timing.times)
        sink.expect(total)
        measured = None
        if statistics != "frame" and sink.done < total:
            plan = plan_measuring(total, cuts if statistics == "scene" else [0], statistics == "scene")
            where = cuts if statistics == "scene" else [0]
            measured = measure(crew, clip, plan, where, scale, lambda done, of: told("measure", done, of))
        items = _items(clip, timing, set(cuts), measured, sink.done)
    paint_all(crew, items, clip.facts, look, *calm, sink, lambda done: told("stylize", done, max(done, total)))
    for note in timing.notes:
        log.warning("%s: %s", clip.facts.name, note)
    sink.finish(timing)


def _survey(clip: Clip, max_frames: int | None, told: Progress) -> tuple[Timing, list[int]]:
    """The times of all frames, and where scenes begin."""
    cuts, estimate = Cuts(), clip.facts.estimate

    def look(frame: Frame) -> None:
        _bound(clip, frame.number, max_frames)
        cuts.add(frame.pixels)
        told("scan", frame.number + 1, max(estimate, frame.number + 1))

    return clip.timing(look), cuts.found


def _items(clip: Clip, timing: Timing, cuts: set[int], measured: Measured | None, first: int) -> Iterator[Item]:
    count, number = len(timing.times), first - 1
    if first >= count:
        return
    for frame in clip.frames(first=first):
        number = frame.number
        if number >= count:
            break
        found = None if measured is None else measured.at(number)
        yield Item(frame, found, number in cuts, number == count - 1)
    if number != count - 1:
        raise FilmError(
            f"{clip.facts.name}: had {count} frames, and now {number + 1}; it was changed while it was read"
        )


def _live(
    stylizer: Stylizer, clip: Clip, timing: Timing, first: int, scale: float, max_frames: int | None
) -> Iterator[Item]:
    """Items of a film that nobody has looked through; `timing` grows as they come."""

    def seen() -> Iterator[Frame]:
        last: Frame | None = None
        for frame in clip.frames():
            _bound(clip, frame.number, max_frames)
            timing.times.append(frame.time)
            yield frame
            last = frame
        if last is not None:
            ended = clip.ended(timing.times, last)
            timing.end, timing.notes = ended.end, ended.notes

    held: Item | None = None
    for frame, found, begins in live_statistics(stylizer, seen(), Cuts(), scale):
        if held is not None and held.frame.number >= first:
            yield held
        held = Item(frame, found, begins, False)
    if held is None:
        raise FilmError(f"{clip.facts.name}: holds no frame; expected a film")
    held.last = True
    if held.frame.number >= first:
        yield held


def _bound(clip: Clip, number: int, max_frames: int | None) -> None:
    if max_frames is not None and number >= max_frames:
        raise FilmError(
            f"{clip.facts.name}: has more than {max_frames} frames; pass a larger max_frames if you trust this film"
        )

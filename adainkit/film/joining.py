"""The whole film from its segments: real times, and all that is copied from the source as it is."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..atomic import temporary_beside
from ..errors import FilmError
from .clip import Facts, Timing
from .codecs import Encoding
from .library import as_fraction, as_number, film_errors, need_av
from .segments import Segments
from .video import VideoClip, video_stream

__all__ = ["Copies", "decoding_times", "join"]

log = logging.getLogger("adainkit")

# What containers write themselves, or what would be wrong of the new film.
_OWN = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "alpha_mode", "number_of_frames"}
_OWN |= {"number_of_bytes", "bps", "vendor_id"}
_TOLD_ALWAYS = {"language"}  # what players choose a stream by


class Copies:
    """Which streams of the source go into a film as they are. Made before the work, so that what does not fit is told
    then. `strip`: words (places, titles, dates, those of chapters) and attached files are left out."""

    def __init__(self, clip: VideoClip, encoding: Encoding, *, sound: bool, strip: bool = False) -> None:
        self.path, self.chosen, self.strip = clip.path, list[int](), strip
        av = need_av()
        with film_errors(clip.path), av.open(str(clip.path), metadata_errors="replace") as source:
            same = "matroska" in source.format.name and encoding.container == "matroska"
            for stream in source.streams:
                codec = stream.codec_context.name if stream.codec_context is not None else None
                if (stream.type == "audio" and not sound) or (stream.type == "attachment" and strip):
                    continue
                if stream.type in ("audio", "subtitle") and codec is not None:
                    if _fits(stream, encoding.container):
                        self.chosen.append(stream.index)
                        continue
                    if stream.type == "audio":
                        raise FilmError(
                            f"{clip.path}: its sound is {codec}, which {encoding.container} does not hold, and sound "
                            "is copied as it is; write .mkv, or leave the sound out (--no-sound)"
                        )
                elif stream.type == "attachment" and same:
                    self.chosen.append(stream.index)
                    continue
                if stream.type == "data" and source.chapters():
                    continue  # how MP4 stores chapters, which are copied
                if stream.type != "video":
                    what = f"{stream.type} stream {stream.index} ({codec or 'without a codec'})"
                    log.warning("%s: %s is left out: %s does not hold it", clip.path, what, encoding.container)
                elif stream.index != int(video_stream(source, clip.path).index):
                    log.warning("%s: picture stream %d is left out", clip.path, stream.index)

    def add_to(self, source: Any, out: Any) -> dict[int, Any]:
        """The new streams by the indices of the old ones, and chapters and words about the whole."""
        added = {}
        for index in self.chosen:
            old = source.streams[index]
            new = added[index] = out.add_stream_from_template(old)
            new.metadata.update(self.words(old.metadata))
            if hasattr(type(new), "disposition"):
                new.disposition = as_number(old.disposition)
        out.metadata.update(self.words(source.metadata))
        return added

    def words(self, metadata: dict[str, str]) -> dict[str, str]:
        """What is said about the film, a stream or a chapter, as far as it goes into the new film."""
        words = _words(metadata)
        return {name: words[name] for name in words if name.lower() in _TOLD_ALWAYS} if self.strip else words


def join(
    segments: Segments,
    target: Path,
    encoding: Encoding,
    facts: Facts,
    timing: Timing,
    copies: Copies | None,
    stop: bool,
) -> None:
    """Write `target`: the pictures of `segments` at the times of `timing`, and the `copies` beside them. `stop`: sound
    ends where the pictures do."""
    av = need_av()
    options = {"movflags": "faststart"} if encoding.container in ("mp4", "mov") else {}
    with film_errors(target, "written"), temporary_beside(os.path.realpath(target)) as part:
        out = av.open(str(part), "w", format=encoding.container, options=options)
        source = None if copies is None else av.open(str(copies.path), metadata_errors="replace")
        try:
            stream = encoding.add_stream(out)
            stream.time_base = facts.time_base
            if encoding.form.startswith("yuva") and encoding.codec == "vp9":
                stream.metadata["alpha_mode"] = "1"
            added: dict[int, Any] = {}
            others: Iterator[tuple[Fraction, Any]] = iter(())
            if copies is not None and source is not None:
                stream.metadata.update(copies.words(video_stream(source, copies.path).metadata))
                added = copies.add_to(source, out)
                _set_chapters(source, out, facts, timing, copies, stop)
                others = _copied(source, added, facts, timing, stop)
            _mux(out, stream, segments, facts, timing, others)
            out.close()
        finally:
            for each in (source, out):
                if each is not None:
                    _close_quietly(each)


def decoding_times(order: list[int]) -> list[int]:
    """When each packet is decoded, for packets whose pictures are shown at `order`: growing, and never after that.

    >>> decoding_times([0, 30, 10, 20])
    [-10, 0, 10, 20]
    """
    shown = sorted(order)
    rank = {time: place for place, time in enumerate(shown)}
    delay = max((place - rank[time] for place, time in enumerate(order)), default=0)
    step = min((b - a for a, b in pairwise(shown)), default=1)
    before = [shown[0] - step * (delay - place) for place in range(min(delay, len(shown)))]
    return before + shown[: len(shown) - delay]


def _mux(
    out: Any, stream: Any, segments: Segments, facts: Facts, timing: Timing, others: Iterator[tuple[Fraction, Any]]
) -> None:
    """All packets, in the order of their times: a muxer that waits for one stream holds the others in memory."""
    shift = facts.begins
    times = [time - shift for time in timing.times]
    ends = [*times[1:], timing.end - shift]
    numbers = [number for number, _ in segments.packets(len(times))]
    if sorted(numbers) != list(range(len(times))):
        raise FilmError(f"{segments.folder}: its parts are damaged; run again without --resume")
    decoded = decoding_times([times[number] for number in numbers])
    lasting = [ends[number] - times[number] for number in numbers]
    if out.format.name in ("mp4", "mov"):  # they have a film end with the packet that is decoded last
        lasting[-1] = ends[-1] - times[0] - (decoded[-1] - decoded[0])
    other = next(others, None)
    for (number, packet), dts, lasts in zip(segments.packets(len(times)), decoded, lasting, strict=True):
        while other is not None and other[0] <= dts * facts.time_base:
            out.mux(other[1])
            other = next(others, None)
        packet.stream = stream
        packet.time_base = facts.time_base
        packet.pts, packet.dts, packet.duration = times[number], dts, lasts
        out.mux(packet)
    while other is not None:
        out.mux(other[1])
        other = next(others, None)


def _copied(
    source: Any, added: dict[int, Any], facts: Facts, timing: Timing, stop: bool
) -> Iterator[tuple[Fraction, Any]]:
    """The packets of the source that are copied, in its order, moved by what is cut off before them."""
    begins, end = facts.begins * facts.time_base, timing.end * facts.time_base
    cut = facts.begins != 0
    streams = [source.streams[index] for index in added if source.streams[index].type != "attachment"]
    if not streams:
        return
    for packet in source.demux(streams):
        if packet.size == 0:
            continue
        base = as_fraction(packet.time_base) or Fraction(1)
        time = packet.pts if packet.pts is not None else packet.dts
        at = Fraction(0) if time is None else time * base
        if (cut and at < begins) or (stop and at >= end):
            continue
        if cut:
            moved = round(begins / base)
            packet.pts = None if packet.pts is None else packet.pts - moved
            packet.dts = None if packet.dts is None else packet.dts - moved
            at -= begins
        packet.stream = added[packet.stream_index]
        yield at, packet


def _set_chapters(source: Any, out: Any, facts: Facts, timing: Timing, copies: Copies, stop: bool) -> None:
    begins, end = facts.begins * facts.time_base, timing.end * facts.time_base
    kept = []
    for chapter in source.chapters():
        base = as_fraction(chapter["time_base"]) or Fraction(1)
        first, last = chapter["start"] * base, chapter["end"] * base
        if last > begins and first < max(end, begins):
            first, last = max(first, begins) - begins, min(last, end) if stop else last
            about = {"metadata": copies.words(chapter.get("metadata") or {})} if copies.strip else {}
            kept.append({**chapter, **about, "start": round(first / base), "end": round((last - begins) / base)})
    if kept:
        out.set_chapters(kept)


def _words(metadata: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in metadata.items()
        if name.lower() not in _OWN and not name.upper().startswith("_STATISTICS") and name != "DURATION"
    }


def _fits(stream: Any, container: str) -> bool:
    """Whether a container takes a stream as it is: tried, since its list of codecs promises more than it holds."""
    av = need_av()
    out = av.open(io.BytesIO(), "w", format=container)
    try:
        out.add_stream_from_template(stream)
        out.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    finally:
        _close_quietly(out)
    return True


def _close_quietly(container: Any) -> None:
    with suppress(Exception):
        container.close()

"""A clip in a video file, decoded by PyAV: every frame upright, with its own time; damage is told and left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FilmError
from .clip import THUMBNAIL, Facts, Frame, Timing
from .colors import colors_of, to_rgb
from .library import as_fraction, as_number, film_errors, need_av

__all__ = ["VideoClip", "video_stream"]

_COVER = 0x400  # FFmpeg's disposition of a picture that belongs to a song


@dataclass
class _Damage:
    """What was wrong with a file, while it was decoded."""

    skipped: int = 0
    resized: int = 0
    backward: int = 0
    cut: str = ""
    interlaced: bool = False
    sizes: set[tuple[int, int]] = field(default_factory=set)

    def notes(self) -> list[str]:
        """A sentence for each kind."""
        told = []
        if self.skipped:
            told.append(f"{self.skipped} damaged packets were skipped")
        if self.resized:
            sizes = ", ".join(f"{w} x {h}" for w, h in sorted(self.sizes))
            told.append(f"the picture changes its size in mid-stream: {self.resized} frames of {sizes} were scaled")
        if self.backward:
            told.append(f"the times of {self.backward} frames did not go forward and were moved")
        if self.interlaced:
            told.append("the film is interlaced: both fields of a frame are painted as one picture")
        if self.cut:
            told.append(self.cut)
        return told


class VideoClip:
    """The pictures of a video file from `start` to `stop` (seconds; None: to the end). `FilmError` if there are none.

    `max_pixels`: of a frame.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: float = 0.0,
        stop: float | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self.path, self._start, self._stop, self._most = Path(path), start, stop, max_pixels
        self._damage = _Damage()
        self._wants_alpha = False
        self.facts = self._look()

    def frames(self, *, first: int = 0, only: Container[int] | None = None, small: bool = False) -> Iterator[Frame]:
        """As `Clip.frames`."""
        with closing(self._decoded()) as decoded:
            for number, (time, frame) in enumerate(decoded):
                if number < first or (only is not None and number not in only):
                    continue
                yield Frame(number, time, self._pixels(frame, small), self._lasting(frame))

    def timing(self, on_frame: Callable[[Frame], None]) -> Timing:
        """As `Clip.timing`."""
        times, last = [], None
        for frame in self.frames(small=True):
            times.append(frame.time)
            last = frame
            on_frame(frame)
        if last is None:
            raise FilmError(f"{self.path}: holds no frame between {self._start:g} s and its end; expected a film")
        return self.ended(times, last)

    def ended(self, times: list[int], last: Frame) -> Timing:
        """As `Clip.ended`."""
        end = self._ends(last.time + last.lasts)
        return Timing(times, end, self._damage.notes())

    def _look(self) -> Facts:
        """The facts, from the header and the first frame."""
        av = need_av()
        with film_errors(self.path), av.open(str(self.path), metadata_errors="replace") as container:
            stream = video_stream(container, self.path)
            context = stream.codec_context
            self._bound(context.width, context.height)
            base = as_fraction(stream.time_base) or Fraction(1, 1000)
            rate = as_fraction(stream.average_rate) or as_fraction(stream.guessed_rate) or Fraction(25)
            estimate = stream.frames or _length(stream, container, base) * rate
            origin, self._wants_alpha = stream.start_time or 0, _has_alpha_beside(stream)
            self._end, self._tells_end = origin + _length(stream, container, base) / base, bool(stream.duration)
            self._whole = _reaches(stream) <= container.size
            self._step = max(1, round(1 / (rate * base)))
            self._origin, self._base, self._size = origin, base, (context.width, context.height)
            first = next((frame for _, frame in self._frames_of(container, stream)), None)
        if first is None:
            raise FilmError(f"{self.path}: not one frame of it can be decoded; expected a film")
        self._bound(first.width, first.height)
        self._size, self._turns = (first.width, first.height), _turns(first)
        wide, high = self._size[:: -1 if self._turns % 2 else 1]
        aspect = as_fraction(stream.sample_aspect_ratio)
        if aspect == 1:
            aspect = None
        return Facts(
            str(self.path),
            wide,
            high,
            base,
            rate,
            colors_of(first, context, str(self.path)),
            deep=max(component.bits for component in first.format.components) > 8,
            alpha=any(component.is_alpha for component in first.format.components),
            aspect=1 / aspect if aspect and self._turns % 2 else aspect,
            form=first.format.name,
            estimate=int(estimate),
            origin=origin,
            begins=origin + int(self._start / base) if self._start else 0,
        )

    def _bound(self, width: int, height: int) -> None:
        if self._most is not None and width * height > self._most:
            raise FilmError(
                f"{self.path}: {width} x {height} pixels, expected at most {self._most}; pass a larger max_pixels if "
                "you trust this film"
            )

    def _pixels(self, frame: Any, small: bool) -> Any:
        facts, size = self.facts, (frame.width, frame.height)
        scaled = THUMBNAIL if small else None if size == self._size else self._size
        deep, alpha = facts.deep and not small, facts.alpha and not small
        return np.rot90(to_rgb(frame, facts.colors, deep=deep, alpha=alpha, size=scaled), self._turns)

    def _decoded(self) -> Generator[tuple[int, Any], None, None]:
        """The times and frames of the wanted part, times growing."""
        av, self._damage = need_av(), _Damage()
        begin = self.facts.begins if self._start else None
        end = None if self._stop is None else self._origin + self._stop / self._base
        with film_errors(self.path), av.open(str(self.path), metadata_errors="replace") as container:
            stream = video_stream(container, self.path)
            stream.thread_type = "AUTO"
            if begin:
                with suppress(av.error.FFmpegError):  # what cannot be sought is decoded from its beginning
                    container.seek(begin, stream=stream)
            last: int | None = None
            for found, frame in self._frames_of(container, stream):
                time = found
                if last is not None and time <= last:
                    time, self._damage.backward = last + 1, self._damage.backward + 1
                last = time
                if begin is not None and time < begin:
                    continue
                if end is not None and time >= end:
                    break
                size = (frame.width, frame.height)
                if size != self._size:
                    self._bound(*size)
                    self._damage.resized += 1
                    self._damage.sizes.add(size)
                self._damage.interlaced |= bool(frame.interlaced_frame)
                yield time, frame

    def _frames_of(self, container: Any, stream: Any) -> Iterator[tuple[int, Any]]:
        """Each frame that can be decoded, with its time."""
        av = need_av()
        own = _alpha_decoder(stream) if self._wants_alpha else None
        last = self._origin - self._step
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self._damage.cut = f"the file breaks off: {error.strerror}"
                packets, packet = iter(()), av.Packet()  # an empty one gets out what the decoder still holds
                packet.stream = stream
            if packet is None:
                break
            try:
                decoded = packet.decode() if own is None else own.decode(packet if packet.size else None)
            except av.error.FFmpegError:
                self._damage.skipped += 1
                continue
            for frame in decoded:
                if frame.is_corrupt and frame.pts is None:
                    self._damage.skipped += 1
                    continue
                last = frame.pts if frame.pts is not None else last + self._step
                yield last, frame

    def _lasting(self, frame: Any) -> int:
        """How long a frame is shown that no other one follows."""
        duration = getattr(frame, "duration", 0)
        return int(duration) if duration else self._step

    def _ends(self, end: int) -> int:
        """When the last frame vanishes, which the header may know better than that frame; a cut file is told."""
        missing = float((self._end - end) * self._base)
        if self._stop is not None or missing <= 0:
            return end
        if self._tells_end and self._whole and not self._damage.cut:
            return int(self._end)
        if missing > 1 or not self._whole:
            self._damage.cut = f"the file seems to be cut off: its last {missing:.1f} s are missing"
        return end


def video_stream(container: Any, path: str | os.PathLike[str]) -> Any:
    """The first stream of moving pictures. `FilmError` if there is none."""
    for stream in container.streams.video:
        if not as_number(getattr(stream, "disposition", 0)) & _COVER and stream.codec_context is not None:
            return stream
    what = "only sound" if container.streams.audio else "no stream of pictures"
    raise FilmError(f"{os.fspath(path)}: has {what}; expected a film")


def _has_alpha_beside(stream: Any) -> bool:
    """Whether a VP8 or VP9 film says that its packets carry an alpha channel beside the picture."""
    return any(name.lower() == "alpha_mode" and value == "1" for name, value in stream.metadata.items())


def _alpha_decoder(stream: Any) -> Any:
    """VP8's and VP9's alpha channel: FFmpeg's own decoders leave it out."""
    names = {"vp9": "libvpx-vp9", "vp8": "libvpx"}
    if stream.codec_context.codec.name not in names:
        return None
    decoder = need_av().CodecContext.create(names[stream.codec_context.codec.name], "r")
    decoder.extradata = stream.codec_context.extradata
    return decoder


def _length(stream: Any, container: Any, base: Fraction) -> Fraction:
    """Seconds that the header promises; 0 if it says nothing."""
    if stream.duration:
        return Fraction(stream.duration) * base
    return Fraction(container.duration or 0, 1_000_000)


def _reaches(stream: Any) -> int:
    """How many bytes a file must have for all packets that its index names; 0 where there is none."""
    return max((entry.pos + entry.size for entry in getattr(stream, "index_entries", ())), default=0)


def _turns(frame: Any) -> int:
    """Quarter turns, counterclockwise, that stand a frame upright."""
    return round((getattr(frame, "rotation", 0) or 0) / 90) % 4

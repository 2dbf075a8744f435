"""Pictures encoded by segments, each a file that appears whole: what a killed run has done is there for the next one.

Every segment begins anew, with an encoder of its own, so that encoders get the same pictures in the same portions
whether a film is made in one run or in several. Encoders count frames, at the average rate; the real times come in when
segments are joined.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import FilmError
from .codecs import Encoding
from .colors import Pixels
from .library import as_fraction, film_errors, need_av
from .parts import Parts

__all__ = ["LENGTH", "Segments"]

LENGTH = 250
"""Frames of a segment: as far apart as encoders set key frames on their own, so that joints cost next to nothing."""

State = Mapping[str, NDArray[Any]]


class Segments:
    """The segments of a film among its `Parts`, and the state in which each one ended."""

    def __init__(self, target: Path, encoding: Encoding, plan: Mapping[str, Any], *, resume: bool) -> None:
        self._encoding, self._length = encoding, LENGTH
        self._open: _Segment | None = None
        self._parts = Parts(target, plan, resume=resume)
        self.folder = self._parts.folder
        try:
            if self._parts.goes_on:
                self._check()
        except BaseException:
            self._parts.release()
            raise
        self._next = self.done

    def _check(self) -> None:
        """`FilmError` for a segment that is damaged: now, and not when the whole film is painted."""
        try:
            counts = [len({number for number, _ in self._packets_of(i)}) for i in range(self._parts.count)]
        except FilmError as error:
            raise FilmError(f"{error}; run again without --resume") from error
        if any(count != self._length for count in counts[:-1]) or 0 in counts:
            raise FilmError(f"{self.folder}: its parts are damaged; run again without --resume")

    @property
    def done(self) -> int:
        """Frames, from the first one on, that are in whole segments."""
        return self._parts.count * self._length

    def state(self) -> dict[str, NDArray[Any]]:
        """What was kept with the last whole segment."""
        return self._parts.state(self._parts.count - 1) if self.done else {}

    def write(self, number: int, pixels: Pixels, state: State, last: bool) -> None:
        """Encode a frame; `state` is kept where it ends a segment, `last` tells the last one of the film."""
        if number != self._next:  # a frame before it has failed
            raise FilmError(f"{self.folder}: expected frame {self._next + 1}, got frame {number + 1}")
        self._next = number + 1
        if self._open is None:
            self._open = _Segment(self._parts.path(number // self._length), self._encoding)
        self._open.write(number, pixels)
        if last or (number + 1) % self._length == 0:
            index, segment = number // self._length, self._open
            segment.close()
            self._open = None
            with film_errors(self.folder, "written"):
                self._parts.keep_state(index, state)
                segment.keep()
                self._parts.state_path(index - 1).unlink(missing_ok=True)  # only the newest is needed; they are large

    def packets(self, count: int) -> Iterator[tuple[int, Any]]:
        """The packets of a film of `count` frames in the order in which they are decoded, each with the number of its
        frame."""
        for index in range(-(-count // self._length)):
            yield from self._packets_of(index)

    def _packets_of(self, index: int) -> Iterator[tuple[int, Any]]:
        path = self._parts.path(index)
        with film_errors(path), need_av().open(str(path), format=self._encoding.store) as container:
            stream = container.streams.video[0]
            base = as_fraction(stream.time_base)
            tick, first = _tick(self._encoding), None
            for packet in container.demux(stream):
                if packet.size:
                    if first is None:  # a segment begins with its first picture, at a time that its muxer moved
                        first = packet.pts
                    yield round((packet.pts - first) * base / tick) + index * self._length, packet

    def abandon(self) -> None:
        """Let go of the segment that is under way; the folder goes, too, where no whole segment is in it."""
        if self._open is not None:
            self._open.discard()
            self._open = None
        if self.done == 0:
            self.remove()
        self._parts.release()

    def remove(self) -> None:
        """Remove the folder."""
        self._parts.remove()


class _Segment:
    """One segment under way, in a file of another name."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._path, self._encoding, self._first = path, encoding, -1
        self._part = path.with_name(f".{path.name}")
        with film_errors(path, "written"):
            self._container = need_av().open(str(self._part), "w", format=encoding.store)
            self._stream = encoding.add_stream(self._container)

    def write(self, number: int, pixels: Pixels) -> None:
        """Encode a frame."""
        if self._first < 0:
            self._first = number
        with film_errors(self._path, "written"):
            frame = self._encoding.frame(pixels)
            frame.pts, frame.time_base = number - self._first, 1 / self._encoding.rate
            self._mux(self._stream.encode(frame))

    def _mux(self, packets: Any) -> None:
        tick = _tick(self._encoding)
        for packet in packets:
            if tick != 1 / self._encoding.rate:  # a container that counts milliseconds counts frames instead
                packet.time_base = tick
            self._container.mux(packet)

    def close(self) -> None:
        """End the file."""
        with film_errors(self._path, "written"):
            self._mux(self._stream.encode(None))
            self._container.close()

    def keep(self) -> None:
        """Give the file its name."""
        os.replace(self._part, self._path)

    def discard(self) -> None:
        """Remove the file."""
        with suppress(Exception):  # it is thrown away: what its encoder says of that is of no interest
            self._container.close()
        self._part.unlink(missing_ok=True)


def _tick(encoding: Encoding) -> Fraction:
    """A frame, in seconds, as the segments' container counts."""
    return Fraction(1, 1000) if encoding.store == "matroska" else 1 / encoding.rate

"""One caller's connection: bounded reads with deadlines, answers, and whether the caller is still there."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import Cancelled
from .protocol import HEADER_BYTES, Pixels, Refusal, reply

__all__ = ["Connection"]

_HEADER_SECONDS = 10.0
_STALL_SECONDS = 30.0
"""How long a caller may neither send nor take a byte: an editor that reads its swap between two pieces needs less."""
_PROGRESS_SECONDS = 0.05


class Connection:
    """A socket whose other end may be anything: slow, silent, gone, or no editor at all."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self._told = 0.0
        self._progress = 0.0
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_header(self) -> bytes:
        """The first line, without its newline; what follows it stays unread. `Refusal` if it is too long or slow."""
        deadline = time.monotonic() + _HEADER_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Refusal("timeout", f"no whole header came within {_HEADER_SECONDS:g} s")
            self.stream.settimeout(left)
            try:
                seen = self.stream.recv(HEADER_BYTES - len(line), socket.MSG_PEEK)
            except TimeoutError:
                continue
            if not seen:
                raise ConnectionError("the caller left before its header was whole")
            end = seen.find(b"\n")
            line += self.stream.recv(len(seen) if end < 0 else end + 1)
            if len(line) >= HEADER_BYTES and not line.endswith(b"\n"):
                raise Refusal("too-large", f"the header is longer than {HEADER_BYTES} bytes")
        return line

    def read_pixels(self, shape: Pixels) -> np.ndarray[Any, Any]:
        """One picture of the payload. `Refusal` if the caller stalls, `MemoryError` if there is no room for it."""
        found = np.empty(shape.shape, shape.dtype)
        rest = _bytes_of(found)
        self.stream.settimeout(_STALL_SECONDS)
        while rest:
            try:
                count = self.stream.recv_into(rest[: 1 << 20])
            except TimeoutError as error:
                raise Refusal("timeout", f"no pixels came for {_STALL_SECONDS:g} s; {len(rest)} bytes lack") from error
            if not count:
                raise ConnectionError(f"the caller left with {len(rest)} bytes to come")
            rest = rest[count:]
        return found

    def send(self, message: Mapping[str, Any], pixels: np.ndarray[Any, Any] | None = None) -> None:
        """One line, and the bytes of a picture after it. `OSError` when the caller has left or takes nothing."""
        self.stream.settimeout(_STALL_SECONDS)
        self.stream.sendall(reply(message))
        if pixels is not None:
            rest = _bytes_of(np.ascontiguousarray(pixels))
            while rest:  # not sendall: its time limit is for all of the bytes
                rest = rest[self.stream.send(rest[: 1 << 20]) :]

    def progress(self, fraction: float) -> None:
        """Tell how far the job is, no more often than eyes can see; never less than before. `Cancelled` if nobody
        listens any more."""
        self.check()
        self._progress = max(self._progress, min(1.0, fraction))
        if time.monotonic() - self._told >= _PROGRESS_SECONDS:
            try:
                self.send({"progress": round(self._progress, 4)})
            except OSError as error:
                raise Cancelled("the caller has left") from error
            self._told = time.monotonic()

    def check(self) -> None:
        """`Cancelled` if the caller has left."""
        self.stream.settimeout(0)
        try:
            if not self.stream.recv(1, socket.MSG_PEEK):
                raise Cancelled("the caller has left")
        except BlockingIOError:
            pass  # silent, as it should be
        except OSError as error:
            raise Cancelled("the caller has left") from error

    def close(self) -> None:
        """Close so that the last answer arrives: bytes that are still unread would make the system throw it away."""
        with suppress(OSError):
            self.stream.shutdown(socket.SHUT_WR)
            self.stream.settimeout(0.2)
            for _ in range(64):
                if not self.stream.recv(1 << 16):
                    break
        self.stream.close()


def _bytes_of(pixels: np.ndarray[Any, Any]) -> memoryview:
    return memoryview(pixels.reshape(-1).view(np.uint8).data)

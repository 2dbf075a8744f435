"""The worker's server: connections on the loopback interface, one job at a time, an end when nobody calls."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .. import __version__
from ..errors import Cancelled, Progress
from ..session import Busy, Turns
from .connection import Connection
from .protocol import PROTOCOL, Refusal, Request, code_of, parse
from .state import remove_state, write_state

__all__ = ["Server"]

log = logging.getLogger("adainkit.worker")
_CALLERS = 32
_TICK = 0.2
_STAGES = {"style": (0.0, 0.0), "encode": (0.0, 0.4), "decode": (0.4, 0.6), "stylize": (0.0, 1.0)}
"""Start and share of a job's time: `lite`'s encoder takes about 2 parts in 5."""


class Work(Protocol):
    """What does the jobs: `engine.Engine`, or a stand-in of a test."""

    def run(
        self, request: Request, pictures: Sequence[np.ndarray[Any, Any]], progress: Progress
    ) -> np.ndarray[Any, Any]:
        """The result's pixels."""

    def warm(self) -> None:
        """Make the first job quick."""


class Server:
    """Listens from the start; `serve` answers until it is idle for `idle` seconds, or told to stop. Callers without
    the token do not keep it up."""

    def __init__(self, work: Work, state: Path, idle: float = 900.0, turns: Turns | None = None) -> None:
        self.work, self.state, self.idle = work, state, idle
        self.token = secrets.token_hex(32)
        self.turns = Turns() if turns is None else turns
        self._stopping = threading.Event()
        self._callers: set[threading.Thread] = set()
        self._strangers: dict[socket.socket, None] = {}  # who has not shown the token yet, the longest first
        self._known = 0  # callers with the token
        self._lock = threading.Lock()
        self._warming = threading.Thread(target=self._warm, daemon=True)
        self._last_call = time.monotonic()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_CALLERS)
        self.port: int = self._listener.getsockname()[1]

    def stop(self) -> None:
        """Take no more callers, finish the jobs that are there, and end."""
        self._stopping.set()

    def serve(self) -> None:
        """Answer callers. The state file is there while this runs; `OSError` if it cannot be written."""
        facts = {"port": self.port, "token": self.token, "pid": os.getpid(), "version": __version__}
        with self._listener:
            write_state(self.state, {**facts, "protocol": PROTOCOL})
            log.info("serving %s on port %d", self.state, self.port)
            self._warming.start()
            self._listener.settimeout(_TICK)
            try:
                while not self._stopping.is_set():
                    try:
                        self._welcome(self._listener.accept()[0])
                    except TimeoutError:
                        pass  # nobody called
                    except (OSError, RuntimeError) as error:  # too many files or threads: those that are there will go
                        log.warning("a caller was not taken: %s", error)
                        time.sleep(_TICK)
                    self._callers = {caller for caller in self._callers if caller.is_alive()}
                    if self.turns.taken:
                        self._last_call = time.monotonic()
                    elif time.monotonic() - self._last_call > self.idle:
                        log.info("nobody called for %g s", self.idle)
                        break
            finally:
                remove_state(self.state, self.token)

    def finish(self) -> None:
        """Wait for what `serve` left at work: torch ends the process badly if a thread still computes."""
        for thread in (*self._callers, self._warming):
            thread.join()

    def _welcome(self, stream: socket.socket) -> None:
        caller = threading.Thread(target=self._answer, args=(stream,), daemon=True)
        with self._lock:
            self._strangers[stream] = None
            longest = next(iter(self._strangers)) if len(self._strangers) > _CALLERS else None
            if longest is not None:
                del self._strangers[longest]
        if longest is not None:  # so that silent callers never keep out one who has the token
            with suppress(OSError):
                longest.shutdown(socket.SHUT_RDWR)
        try:
            caller.start()
        except RuntimeError:
            self._forget(stream)
            stream.close()
            raise
        self._callers.add(caller)

    def _forget(self, stream: socket.socket) -> None:
        with self._lock:
            self._strangers.pop(stream, None)

    def _warm(self) -> None:
        try:
            with self.turns.take():
                self.work.warm()
        except Exception as error:  # a job that needs what is missing tells its caller
            log.warning("not warm: %s", error)

    def _answer(self, stream: socket.socket) -> None:
        """One caller from header to end. Nothing that it sends, and no way in which it leaves, ends the worker."""
        connection = Connection(stream)
        try:
            request = parse(connection.read_header(), self.token)
            self._forget(stream)
            self._last_call = time.monotonic()
            with self._counted():
                self._serve_request(connection, request)
        except Busy as busy:
            self._tell(connection, "busy", str(busy))
        except Refusal as refusal:
            log.info("refused (%s): %s", refusal.code, refusal)
            self._tell(connection, refusal.code, str(refusal))
        except (Cancelled, OSError) as error:
            log.info("the caller is gone: %s", error)
        except Exception as error:
            code = code_of(error)
            log.log(logging.ERROR if code == "internal" else logging.INFO, "failed", exc_info=error)
            self._tell(connection, code, _sentence(error, code))
        finally:
            self._forget(stream)
            with suppress(OSError):
                connection.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """One of at most `_CALLERS` with the token."""
        with self._lock:
            if self._known >= _CALLERS:
                raise Refusal("busy", f"{_CALLERS} callers are connected already; try again later")
            self._known += 1
        try:
            yield
        finally:
            with self._lock:
                self._known -= 1

    def _serve_request(self, connection: Connection, request: Request) -> None:
        if request.do in ("hello", "stop"):
            if request.do == "stop":
                remove_state(self.state, self.token)  # before the answer: whoever calls next starts another worker
                self.stop()
            connection.send({"ok": True, "version": __version__, "protocol": PROTOCOL, "pid": os.getpid()})
            return

        def wait(before: int) -> None:
            connection.check()
            connection.send({"waiting": before})

        with self.turns.take(wait):
            connection.send({"ready": True})
            pictures = [connection.read_pixels(shape) for shape in request.payload]
            started = time.perf_counter()
            result = self.work.run(request, pictures, lambda *step: connection.progress(_fraction(*step)))
            seconds = time.perf_counter() - started
            del pictures
        height, width, channels = result.shape
        kinds = {("u", 1): "u8", ("u", 2): "u16", ("f", 4): "f32"}
        shape = {"width": width, "height": height, "channels": channels}
        shape["type"] = kinds[result.dtype.kind, result.dtype.itemsize]
        log.info("%s %d x %d in %.2f s", request.do, width, height, seconds)
        connection.send({"result": shape, "bytes": result.nbytes, "seconds": round(seconds, 4)}, result)

    @staticmethod
    def _tell(connection: Connection, code: str, message: str) -> None:
        with suppress(OSError):
            connection.send({"error": code, "message": message})


def _fraction(stage: str, done: int, total: int) -> float:
    start, share = _STAGES.get(stage, (0.0, 1.0))
    return start + share * done / max(total, 1)


def _sentence(error: Exception, code: str) -> str:
    if code == "internal":
        return f"a fault of adainkit: {type(error).__name__}: {error}; please report it with the worker's log"
    if code == "memory":
        return f"{error or 'the memory is full'}; select a smaller part, or scale the picture down"
    return str(error)

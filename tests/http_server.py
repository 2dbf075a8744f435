"""A real HTTP server on 127.0.0.1 that misbehaves on request: the adversary of the download tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTML = b"<html><body>Please log in</body></html>"


class Server:
    """Serves `files` (path -> bytes); `script` says how each path's next answers go wrong, then all is well.

    A step is a status number, or one of the words in `_Handler.do_GET`; "..." at the end repeats the step
    before it for ever. `requests` logs (path, Range header or "").
    """

    def __init__(self, files: dict[str, bytes], script: dict[str, Sequence[str | int]] | None = None) -> None:
        self.files = files
        self.script: dict[str, list[str | int]] = {path: list(steps) for path, steps in (script or {}).items()}
        self.requests: list[tuple[str, str]] = []
        self.sent = 0  # bytes that "endless" got rid of
        self.released = threading.Event()  # ends the stalls
        self.lock = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self.http.daemon_threads = True

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{path}"

    def step(self, path: str) -> str | int:
        with self.lock:
            steps = self.script.get(path, [])
            if len(steps) == 2 and steps[1] == "...":
                return steps[0]
            return steps.pop(0) if steps else "ok"


@contextmanager
def serve(files: dict[str, bytes], **script: Sequence[str | int]) -> Iterator[Server]:
    """A running server. `script` names are paths with `_` for `.`: `weights_bin=["drop", 503]`."""
    paths = {path.replace(".", "_"): path for path in files}
    server = Server(files, {paths.get(name, name): steps for name, steps in script.items()})
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def handle(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # a client that gave up
            super().handle()

    def do_GET(self) -> None:
        owner, path = self.owner, self.path.lstrip("/")
        asked = self.headers.get("Range", "")
        with owner.lock:
            owner.requests.append((path, asked))
        step = owner.step(path)
        if path not in owner.files:
            return self.answer(404, b"no such file")
        body = owner.files[path]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if step == "range-ignored":
            asked, start = "", 0
        if step == "wrong":  # another file of the same length
            body = bytes(value ^ 0x5A for value in body)
        if step == "extra":  # the file and then some
            body += b"!" * 1000
        if step == "cut":  # a shorter file, told as if it were whole
            body = body[: len(body) * 3 // 4]
        if asked and start >= len(body):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if asked else {}
        status, rest = (206 if asked else 200), body[start:]

        if isinstance(step, int):
            return self.answer(step, b"trouble", {"Retry-After": "0"} if step in (429, 503) else {})
        if step == "range-refused" and asked:  # a server that wants no part of resuming
            return self.answer(416, b"")
        if step == "refuse":  # not a byte of an answer
            return self.hang_up()
        if step == "drop":  # half of what is left, then gone
            return self.answer(status, rest[: len(rest) // 2], headers, claim=len(rest))
        if step == "stall":  # half of what is left, then nothing, the line held open
            self.answer(status, rest[: len(rest) // 2], headers, claim=len(rest), end=False)
            owner.released.wait(30)
            return self.hang_up()
        if step == "mute":  # a connection is taken and never answered
            owner.released.wait(30)
            return self.hang_up()
        if step == "claims-more":
            return self.answer(status, rest, headers, claim=len(rest) + 1000)
        if step == "claims-less":
            return self.answer(status, rest[:-1000], headers, claim=len(rest) - 1000)
        if step == "unsized":  # the end of the connection is the end of the file
            return self.answer(status, rest, headers, claim=None)
        if step == "unsized-drop":
            return self.answer(status, rest[: len(rest) // 2], headers, claim=None)
        if step == "endless":  # far more than anyone asked for
            self.answer(200, b"", claim=None, end=False)
            for _ in range(200):
                self.wfile.write(body)
                owner.sent += len(body)
            return self.hang_up()
        if step == "wrong-range":  # 206 for bytes nobody asked for
            shifted = {"Content-Range": f"bytes {start + 7}-{len(body) - 1}/{len(body)}"}
            return self.answer(206, rest[7:], shifted)
        if step == "html":
            return self.answer(200, HTML, {"Content-Type": "text/html; charset=utf-8"})
        if step == "redirect":
            return self.answer(302, b"", {"Location": f"/{path}"})
        if step == "empty":
            return self.answer(200, b"")
        self.answer(status, rest, headers)

    def answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        claim: int | None = -1,
        end: bool = True,
    ) -> None:
        """Send it all; `claim` is the Content-Length to tell (-1: the true one, None: none)."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if claim is not None:
            self.send_header("Content-Length", str(len(body) if claim == -1 else claim))
        if claim != -1:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if claim != -1 and end:
            self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True

"""A folder as a site on this host, as any server of files gives it, and a server that can go away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

__all__ = ["ISOLATED", "serving_files"]

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""Headers with which a page may use several threads."""


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, more: dict[str, str], asked: list[str], **kwargs: Any) -> None:
        self._more, self._asked = more, asked
        super().__init__(*args, **kwargs)

    def end_headers(self) -> None:
        for name, value in self._more.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *args: Any) -> None:
        self._asked.append(f"{self.command} {self.path}")


@contextmanager
def serving_files(
    folder: Path, headers: dict[str, str] | None = None, port: int = 0
) -> Iterator[tuple[str, list[str]]]:
    """The address, and what was asked for; until the block ends."""
    asked: list[str] = []
    handler = partial(_Files, directory=str(folder), more=headers or {}, asked=asked)
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()

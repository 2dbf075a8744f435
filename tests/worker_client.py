"""What tests of the worker share: the plug-in's own client, a server in a thread, raw requests."""

import importlib.util
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from adainkit.errors import Progress
from adainkit.worker.protocol import Request
from adainkit.worker.server import Server, Work

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "gimp_plugin" / "adainkit"


def load_link() -> ModuleType:
    """gimp_plugin/adainkit/worker_link.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("worker_link", PLUGIN / "worker_link.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Echo:
    """Work that is over at once: the result is the content's first three samples. `steps` tiles of `pause` seconds."""

    def __init__(self, steps: int = 2, pause: float = 0.0) -> None:
        self.steps, self.pause = steps, pause
        self.done: list[Request] = []
        self.ended: list[int] = []
        self.at_once = self.most = 0

    def warm(self) -> None:
        pass

    def run(self, request: Request, pictures: Sequence[np.ndarray], progress: Progress) -> np.ndarray:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        step = 0
        try:
            for step in range(1, self.steps + 1):
                time.sleep(self.pause)
                progress("decode", step, self.steps)
            self.done.append(request)
            return pictures[0][:, :, :3]
        finally:
            self.ended.append(step)
            self.at_once -= 1


@contextmanager
def serving(work: Work, folder: Path, **options: Any) -> Iterator[Server]:
    """A server in a thread, its state file beside a worker.json that can start nothing."""
    (folder / "worker.json").write_text(json.dumps({"command": [str(folder / "no-python")]}))
    server = Server(work, folder / "worker-state.json", **options)
    thread = threading.Thread(target=lambda: (server.serve(), server.finish()), daemon=True)
    thread.start()
    wait_for((folder / "worker-state.json").exists)
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def header(server: Server, **fields: Any) -> bytes:
    """A right header of a request for 4 x 2 RGB pixels of 8 bits, with other fields."""
    found = {"protocol": 1, "token": server.token, "do": "stylize", "styles": [{"preset": "any"}]}
    found["picture"] = {"width": 4, "height": 2, "channels": 3, "type": "u8"}
    found.update(fields)
    return json.dumps(found).encode() + b"\n"


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 20)


def exchange(server: Server, data: bytes) -> list[dict[str, Any]]:
    """Send bytes; all lines that come back, and in the last one, under "pixels", what follows it."""
    with connect(server) as stream:
        stream.sendall(data)
        return read_answer(stream)


def read_answer(stream: socket.socket) -> list[dict[str, Any]]:
    with stream.makefile("rb") as file:
        lines = []
        while line := file.readline():
            lines.append(json.loads(line))
            if "result" in lines[-1]:
                lines[-1]["pixels"] = file.read(lines[-1]["bytes"])
        return lines

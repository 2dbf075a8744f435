"""A service in a thread of this process, on a free port of loopback, and what its tests send and read."""

import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import requests
import torch
from PIL import Image

from adainkit.engine.whole import Content
from adainkit.errors import Cancelled, Progress
from adainkit.serve import Settings
from adainkit.serve.run import listening, make_server
from adainkit.stylizer import Stylizer

LOOK = {"styles": [{"name": "iris", "weight": 1.0}], "controls": {"alpha": 0.8}}
ALICE, BOB = "a" * 32, "b" * 32


@contextmanager
def serving(settings: Settings | None = None, *, ready: str = "/readyz") -> Iterator[str]:
    """The address of a running service, without a slash at its end. It computes beside its callers, with one
    thread: two cores are enough for both."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = replace(settings or Settings(platform="none"), host="127.0.0.1", port=0)
    listener = listening(settings)
    server, _ = make_server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if server.started and requests.get(address + ready, timeout=10).status_code == 200:
                break
            assert thread.is_alive(), "the service did not start; its log says why"
            time.sleep(0.05)
        yield address
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
        torch.set_num_threads(threads)
    assert not thread.is_alive()


def picture(size: tuple[int, int] = (96, 64), format: str = "PNG", seed: int = 0, **saving: Any) -> bytes:
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8))
    stream = io.BytesIO()
    small.resize(size, Image.Resampling.BICUBIC).save(stream, format, **saving)
    return stream.getvalue()


def opened(answer: requests.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def problem(answer: requests.Response) -> tuple[int, str]:
    """The status and the words of an error, which has both of its parts."""
    told = answer.json()
    assert set(told) == {"error", "remedy"}
    assert told["error"]
    assert told["remedy"]
    return answer.status_code, f"{told['error']}; {told['remedy']}"


def finished(url: str, job: dict[str, Any], **asked: Any) -> dict[str, Any]:
    """The last event of a job."""
    with requests.get(url + job["events"], stream=True, timeout=60, **asked) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    return json.loads(lines[-1].removeprefix(b"data: "))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def soon(true: Callable[[], object], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(true())


def queue_of(url: str) -> float:
    return float(re.search(r"^adainkit_queue (\S+)$", requests.get(f"{url}/metrics").text, re.M)[1])


def request_of_a_picture() -> bytes:
    body = b'--x\r\nContent-Disposition: form-data; name="style"\r\n\r\niris\r\n'
    body += (
        b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n' + picture() + b"\r\n--x--\r\n"
    )
    head = f"POST /v1/stylize HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body


def called(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    caller = socket.create_connection((host, int(port)), timeout=30)
    caller.sendall(request_of_a_picture())
    return caller


class Endless:
    """A painter that works until it is stopped, for a minute at most; but for previews."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.stopped, self.go_on = threading.Event(), threading.Event(), threading.Event()
        real = Stylizer.stylize

        def stylize(stylizer: Stylizer, image: Any, style: Any, *, progress: Progress, **options: Any) -> Any:
            if isinstance(image, Content):
                return real(stylizer, image, style, progress=progress, **options)
            self.begun.set()
            for step in range(6000):
                if self.go_on.is_set():
                    return real(stylizer, image, style, progress=progress, **options)
                try:
                    progress("decode", step, 6000)
                except Cancelled:
                    self.stopped.set()
                    raise
                time.sleep(0.01)
            raise AssertionError("nobody stopped it")

        monkeypatch.setattr(Stylizer, "stylize", stylize)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Endless]]:
    """Makes painting endless from its call on."""
    made: list[Endless] = []
    yield lambda: made.append(Endless(monkeypatch)) or made[-1]
    for each in made:
        each.go_on.set()

"""A service in a thread of this process, on a free port of loopback."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import requests

from adainkit.serve import Settings
from adainkit.serve.run import make_server


@contextmanager
def serving(settings: Settings | None = None, *, ready: str = "/readyz") -> Iterator[str]:
    """The address of a running service, without a slash at its end."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    server, _ = make_server(replace(settings or Settings(platform="none"), host="127.0.0.1"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if server.started and requests.get(address + ready, timeout=10).status_code == 200:
                break
            time.sleep(0.05)
        yield address
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
    assert not thread.is_alive()

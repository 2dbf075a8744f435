"""Serving the application: uvicorn, its socket, and an end that leaves nobody waiting."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import tempfile
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ..engine.pages import keep_pages
from ..errors import AdaINKitError
from ..store.weights import models, resolve
from .settings import Settings, SettingsError, is_loopback, platform_of

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

__all__ = ["for_platform", "listening", "make_server", "open_app", "run"]

log = logging.getLogger("adainkit.serve")
_MODEL = Path("/opt/ml/model")  # where SageMaker unpacks model.tar.gz


def run(
    settings: Settings,
    started: Callable[[str], object] = lambda address: None,
    ending: Callable[[], object] = lambda: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, which let the requests that are there end. `started(address)` is called when the
    socket listens, `ending()` when a signal comes. `SettingsError` for a place where strangers would be let in,
    `WeightsError` for a model that there is not."""
    keep_pages()
    settings = for_platform(settings)
    if settings.model not in models():
        resolve(settings.model)
    server, _ = make_server(settings, ending)
    with listening(settings) as listener:
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        started(f"http://{host}:{port}/")
        server.run(sockets=[listener])


def open_app(
    settings: Settings, opener: Callable[[str], object] = webbrowser.open, told: Callable[[str], object] = str
) -> None:
    """The page in the system's browser, for this user alone: on loopback, on a free port, with a token that is made for
    this run. `told(address)` is called first. The token stands behind #, which a browser sends to nobody, and the
    browser is given a file that leads there: what a command is called with, every user of the computer sees."""
    token = secrets.token_urlsafe(32)
    own = replace(settings, host="127.0.0.1", port=0, token=token, tokens=None, platform="none", hosts=())
    with tempfile.TemporaryDirectory(prefix="adainkit-app-", ignore_cleanup_errors=True) as folder:  # the user's alone

        def started(address: str) -> None:
            told(f"{address}#token={token}")
            opener(leading_to(f"{address}#token={token}", Path(folder) / "open.html").as_uri())

        run(own, started, lambda: shutil.rmtree(folder, ignore_errors=True))  # a signal may end the process within


def leading_to(address: str, path: Path) -> Path:
    """A file, for its owner's eyes, whose page leads to an address."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={address}">')
    return path


def for_platform(settings: Settings) -> Settings:
    """The settings, with the port and the model of the platform that it runs on. `SettingsError` where anybody could
    call."""
    platform = platform_of(settings.platform)
    if platform == "none":
        if not settings.protected and not is_loopback(settings.host):
            raise SettingsError(f"on {settings.host} anybody could call; give --tokens FILE, or listen on 127.0.0.1")
        return replace(settings, platform="none")
    name = "AIP_HTTP_PORT" if platform == "vertex" else "SAGEMAKER_BIND_TO_PORT"
    port = os.environ.get(name, "8080")
    if not port.isdigit():
        raise SettingsError(f"{name} must be a port, got {port!r}")
    own = sorted(_MODEL.glob("*.safetensors")) if platform == "sagemaker" else []
    model = str(own[0]) if own else settings.model
    return replace(settings, host="0.0.0.0", port=int(port), model=model, platform=platform)


def make_server(settings: Settings, ending: Callable[[], object] = lambda: None) -> tuple[uvicorn.Server, FastAPI]:
    """uvicorn's server for a new application, and the application; `ending()` is called when a signal comes.
    `AdaINKitError` without the extra."""
    try:
        import uvicorn

        from .app import create_app
    except ModuleNotFoundError as error:
        raise AdaINKitError(f'the service needs {error.name}; run pip install "adainkit[serve]"') from error

    class Draining(uvicorn.Server):
        """A server whose app knows when it is to end: open streams end by themselves then."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            ending()
            if self.started:
                app.state.service.drain()
            super().handle_exit(sig, frame)

    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="h11",  # whose heads have a limit, below; httptools' have none
        log_config=None,  # the log is ours; addresses and tokens of callers are not written down
        access_log=False,
        server_header=False,
        forwarded_allow_ips=[*settings.proxies] or ["127.0.0.1", "::1"],
        limit_concurrency=4 * settings.waiting + 64,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=max(1, int(settings.grace)),
        ws_max_size=1 << 20,
        h11_max_incomplete_event_size=1 << 16,
    )
    return Draining(config), app


def listening(settings: Settings) -> socket.socket:
    """The socket that a server of these settings takes its callers from."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise SettingsError(
            f"{where} cannot be listened on ({error.strerror or error}); choose another port"
        ) from error
    # asyncio sends at once only from sockets that name their protocol; others hold an answer's body back for 40 ms
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, listener.detach())

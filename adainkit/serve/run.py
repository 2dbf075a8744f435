"""Serving the application: uvicorn, its sockets, and a way to stop that leaves nobody waiting."""

from __future__ import annotations

from .settings import Settings

__all__ = ["run"]


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    import uvicorn

    from .app import create_app

    uvicorn.run(create_app(settings), host=settings.host, port=settings.port)

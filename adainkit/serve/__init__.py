"""The service: style transfer over HTTP for a team, a shop or a class, and the page that it shows. See docs/service.md.

Needs the extra ``serve``. `create_app(Settings(...))` is the ASGI application, `run(Settings(...))` serves it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import create_app
    from .run import run
    from .settings import Settings

_HOME = {"Settings": "settings", "create_app": "app", "run": "run"}

__all__ = ["Settings", "create_app", "run"]


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used: the command's help needs neither torch nor FastAPI."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)

"""Any picture in the style of any other: arbitrary style transfer by AdaIN (Huang and Belongie, ICCV 2017).

`stylize(photo, painting)` is the whole library in one call; `Stylizer` is the object for repeated ones. Names are
imported when they are first used (PEP 562): `import adainkit` alone costs neither time nor torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import (
        AdaINKitError,
        Cancelled,
        DownloadError,
        ImageError,
        Model3DError,
        ModelError,
        OutOfMemoryError,
        StyleError,
        WeightsError,
    )
    from .model import AdaINModel
    from .model3d import stylize_model3d
    from .network import ModelConfig
    from .rendering import Content
    from .style import Style, interpolate, styles
    from .stylizer import Stylizer
    from .verb import stylize
    from .weights import clear_cache, download, models

__all__ = [
    "AdaINKitError",
    "AdaINModel",
    "Cancelled",
    "Content",
    "DownloadError",
    "ImageError",
    "Model3DError",
    "ModelConfig",
    "ModelError",
    "OutOfMemoryError",
    "Style",
    "StyleError",
    "Stylizer",
    "WeightsError",
    "__version__",
    "clear_cache",
    "download",
    "interpolate",
    "models",
    "styles",
    "stylize",
    "stylize_model3d",
]

__version__: str  # read from the installed package when it is asked for

_HOME = {
    "AdaINModel": "model",
    "Content": "rendering",
    "ModelConfig": "network",
    "Style": "style",
    "Stylizer": "stylizer",
    "clear_cache": "weights",
    "download": "weights",
    "interpolate": "style",
    "models": "weights",
    "styles": "style",
    "stylize": "verb",
    "stylize_model3d": "model3d",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in __all__:
        value = getattr(import_module(f".{_HOME.get(name, 'errors')}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("adainkit")
    except PackageNotFoundError:  # a bare checkout on sys.path, as in ComfyUI's custom_nodes
        return "0+unknown"

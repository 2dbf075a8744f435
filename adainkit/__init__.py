"""Any picture in the style of any other: arbitrary style transfer by AdaIN (Huang and Belongie, ICCV 2017).

`stylize(photo, painting)` is the whole library in one call; `Stylizer` is the object for repeated ones. Names are
imported when they are first used (PEP 562): `import adainkit` alone costs neither time nor torch.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .moved import Movers

if TYPE_CHECKING:
    from .batch.run import stylize_files
    from .engine.whole import Content
    from .errors import (
        AdaINKitError,
        BatchError,
        Cancelled,
        DownloadError,
        FilmError,
        ImageError,
        Model3DError,
        ModelError,
        OutOfMemoryError,
        Progress,
        StyleError,
        WeightsError,
    )
    from .images import describe, open_image, save_image
    from .model3d import stylize_model3d
    from .net.config import ModelConfig
    from .net.model import AdaINModel
    from .preset_list import styles
    from .store.style_cache import StyleCache
    from .store.weights import clear_cache, download, models, register_model
    from .style import Style, interpolate
    from .stylizer import Stylizer
    from .verb import stylize

_HOME = {
    "AdaINModel": "net.model",
    "Content": "engine.whole",
    "ModelConfig": "net.config",
    "Style": "style",
    "StyleCache": "store.style_cache",
    "Stylizer": "stylizer",
    "clear_cache": "store.weights",
    "describe": "images",
    "download": "store.weights",
    "interpolate": "style",
    "models": "store.weights",
    "open_image": "images",
    "register_model": "store.weights",
    "save_image": "images",
    "styles": "preset_list",
    "stylize": "verb",
    "stylize_files": "batch.run",
    "stylize_model3d": "model3d",
}

__all__ = [
    "AdaINKitError",
    "AdaINModel",
    "BatchError",
    "Cancelled",
    "Content",
    "DownloadError",
    "FilmError",
    "ImageError",
    "Model3DError",
    "ModelConfig",
    "ModelError",
    "OutOfMemoryError",
    "Progress",
    "Style",
    "StyleCache",
    "StyleError",
    "Stylizer",
    "WeightsError",
    "__version__",
    "clear_cache",
    "describe",
    "download",
    "interpolate",
    "models",
    "open_image",
    "register_model",
    "save_image",
    "styles",
    "stylize",
    "stylize_files",
    "stylize_model3d",
]

sys.meta_path.insert(0, Movers(__name__))  # before the folder of weights is found for an old module

__version__: str  # read from the installed package when it is asked for


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

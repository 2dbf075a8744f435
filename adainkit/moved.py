"""Old paths of modules, for one release: importing one warns, and gives the names of the modules that have them now."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MOVED", "Movers"]

MOVED: dict[str, tuple[str, ...]] = {
    "adain": ("net.adain",),
    "classic": ("net.classic",),
    "color": ("look.color",),
    "controls": ("look.controls",),
    "devices": ("net.devices",),
    "executor": ("engine.two_pass", "engine.memory"),
    "guided": ("look.guided",),
    "masks": ("look.masks",),
    "model": ("net.model",),
    "network": ("net.config", "net.coders", "net.demands", "net.layers"),
    "previews": ("look.previews",),
    "progress": ("errors",),
    "regions": ("look.regions",),
    "rendering": ("engine.whole",),
    "scaled_strips": ("engine.scaled",),
    "streaming": ("engine.file_to_file",),
    "strip_executor": ("engine.strips",),
    "tiling": ("engine.tiles", "net.demands"),
}
"""Of a module's old path, the modules that have its names now; both below the package."""


class Movers:
    """A finder and loader for `sys.meta_path`: it knows the old paths below `package`, and nothing else."""

    def __init__(self, package: str) -> None:
        self._prefix = f"{package}."

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The protocol of `sys.meta_path`."""
        old = name.removeprefix(self._prefix)
        if old == name or old not in MOVED:
            return None
        package = any(other.startswith(f"{old}.") for other in MOVED)
        return ModuleSpec(name, self, is_package=package)  # type: ignore[arg-type] # importlib.abc takes 20 ms to import

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The protocol of loaders: an ordinary module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and look names up in the new homes when they are asked for."""
        homes = [self._prefix + home for home in MOVED[module.__name__.removeprefix(self._prefix)]]
        told = f"{module.__name__} has moved to {' and '.join(homes)}; the old path goes with the next release"
        warnings.warn(told, DeprecationWarning, stacklevel=2)

        def look_up(name: str) -> Any:
            for home in homes:
                if hasattr(found := import_module(home), name):
                    return getattr(found, name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__dict__.update(__getattr__=look_up, __doc__=told)

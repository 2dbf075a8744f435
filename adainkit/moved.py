"""Old paths of modules, for one release: importing one warns, and gives the names of the modules that have them now."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MOVED", "Movers", "moved_name"]

MOVED: dict[str, tuple[str, ...]] = {
    "adain": ("net.adain",),
    "arguments": ("cli.arguments",),
    "classic": ("net.classic",),
    "color": ("look.color",),
    "comfyui_install": ("install.comfyui",),
    "commands": ("cli",),
    "commands.console": ("cli.console",),
    "commands.gimp": ("cli.editors",),
    "commands.grid": ("cli.grid",),
    "commands.stylize": ("cli.stylize",),
    "controls": ("look.controls",),
    "demo": ("cli.demo",),
    "devices": ("net.devices",),
    "doctor": ("cli.doctor", "install.finding"),
    "executor": ("engine.two_pass", "engine.memory"),
    "fetch": ("store.fetch",),
    "finding": ("batch.finding",),
    "gimp_install": ("install.gimp",),
    "guided": ("look.guided",),
    "images.sixteen": ("images.png16",),
    "images.strips": ("images.windows",),
    "jobs": ("batch.jobs", "batch.finding"),
    "manifest": ("batch.manifest",),
    "masks": ("look.masks",),
    "model": ("net.model",),
    "network": ("net.config", "net.coders", "net.demands", "net.layers"),
    "pipeline": ("batch.pipeline",),
    "previews": ("look.previews",),
    "progress": ("errors",),
    "random_styles": ("batch.random_styles",),
    "regions": ("look.regions",),
    "rendering": ("engine.whole",),
    "scaled_strips": ("engine.scaled",),
    "streaming": ("engine.file_to_file",),
    "sheet": ("images.sheet",),
    "strip_executor": ("engine.strips",),
    "tiling": ("engine.tiles", "net.demands"),
    "values": ("cli.values",),
    "weights": ("store.weights",),
}
"""The old path of a module, and the modules that have its names now. All are below the package."""


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


def moved_name(module: str, name: str, home: str) -> Any:
    """Look up a name that has moved to `home`, for the `__getattr__` of the module in which it was, and warn."""
    package = module.rpartition(".")[0]
    told = f"{module}.{name} has moved to {package}.{home}; the old place goes with the next release"
    warnings.warn(told, DeprecationWarning, stacklevel=3)
    return getattr(import_module(f"{package}.{home}"), name)

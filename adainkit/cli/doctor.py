"""What this installation has and can, what is missing, and how to repair it: `adainkit doctor`."""

from __future__ import annotations

import importlib
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from ..install.finding import Finding

__all__ = ["examine"]

_NEEDED_LATER = {"torchvision"}  # nothing of the library imports it yet: broken, it is no harm
_EXTRAS_OF_DEVELOPERS = {"test", "dev", "demo", "docs"}
_VARIABLES = re.compile(r"ADAINKIT_\w+|(https?|all|no)_proxy|OMP_NUM_THREADS|CUDA_VISIBLE_DEVICES", re.IGNORECASE)
_REINSTALL = "pip install --force-reinstall --no-deps adainkit"


def examine() -> Iterator[Finding]:
    """Findings one by one, the quick ones first. Never raises, for what fails is a finding; downloads nothing."""
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (
        _system,
        _libraries,
        _devices,
        _runtimes,
        _cache,
        _models,
        _trial,
        _formats,
        _extras,
        _environment,
    )
    for part in parts:
        try:
            yield from part()
        except Exception as error:  # a report that stops at the first fault would hide the others
            told = f"cannot be examined: {type(error).__name__}: {error}"
            yield Finding(part.__name__.strip("_"), told, "broken", _REINSTALL)


def _system() -> Iterator[Finding]:
    from .. import __version__

    yield Finding("adainkit", f"{__version__} in {Path(__file__).parent.parent}")
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _libraries() -> Iterator[Finding]:
    """The runtime dependencies: there, new enough, and importable."""
    for needed in _requirements(""):
        status: Literal["missing", "broken"] = "missing" if needed.name in _NEEDED_LATER else "broken"
        remedy = f'pip install "{needed.name}{needed.specifier}"'
        try:
            version = metadata.version(needed.name)
            importlib.import_module({"pillow": "PIL"}.get(needed.name, needed.name))
        except metadata.PackageNotFoundError:
            yield Finding(needed.name, "not installed", status, remedy)
        except Exception as error:  # a library for another torch or system fails in its own way
            told = str(error).strip().partition("\n")[0]
            yield Finding(needed.name, f"{version} cannot be imported ({told})", status, f"{remedy} --force-reinstall")
        else:
            if needed.specifier.contains(version, prereleases=True):
                yield Finding(needed.name, version)
            else:
                told = f"{version} is not {needed.specifier}"
                yield Finding(needed.name, told, status, f"{remedy} --upgrade")


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("cpu", f"{torch.get_num_threads()} threads of {os.cpu_count()} processors")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            yield Finding(f"cuda:{index}", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    else:
        built = torch.version.cuda or torch.version.hip
        why = f"none found (this torch is built for {built})" if built else "this torch has no GPU support"
        yield Finding("cuda", f"{why}; not needed")
    yield Finding("mps", "here" if torch.backends.mps.is_available() else "none found; not needed")


def _runtimes() -> Iterator[Finding]:
    """What may compute instead of torch, and what "auto" takes for the default model."""
    import torch

    from ..errors import AdaINKitError
    from ..net.config import LITE
    from ..runtimes.choice import find_runtime
    from ..runtimes.engines import ENGINES, engine_version, here
    from ..runtimes.tensorrt_engine import need_tensorrt

    for name, extra in ENGINES.items():
        if here(name):
            yield Finding(name, f"{engine_version(name)}, for --runtime {name}")
        else:
            yield Finding(name, f'not installed; not needed (pip install "adainkit[{extra}]")')
    try:
        told = f"{need_tensorrt().__version__}, for --runtime tensorrt"
        yield Finding("tensorrt", told if torch.cuda.is_available() else f"{told}, which needs an NVIDIA GPU")
    except AdaINKitError as error:
        yield Finding("tensorrt", f"{error}; not needed")
    taken, precision = find_runtime("auto", torch.device("cpu"), "auto", LITE)
    told = taken if taken == "torch" else f"{taken} in {precision}"
    yield Finding("runtime", f"auto is {told} on this CPU")


def _cache() -> Iterator[Finding]:
    from ..store.weights import cache_dir

    folder = cache_dir()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            yield Finding("cache", f"{folder}, writable" + ("" if there == folder else ", not made yet"))
    except OSError as error:
        remedy = "set ADAINKIT_HOME to a folder that can be written; until then styles are encoded again each time"
        yield Finding("cache", f"{folder} cannot be written ({error.strerror})", "missing", remedy)
    from ..store.style_cache import STYLE_CACHE_BYTES, StyleCache

    count, size = StyleCache(folder=folder / "styles").size()
    yield Finding("styles", f"{count} encoded, {size / 1e6:.1f} of at most {STYLE_CACHE_BYTES / 1e6:.0f} MB")


def _models() -> Iterator[Finding]:
    """The weights that are here must load (which checks their sum), and their presets must be of the same encoder."""
    from ..errors import AdaINKitError
    from ..net.model import AdaINModel
    from ..preset_list import presets_file, styles
    from ..store.weights import models
    from ..style import Style

    for name, weights in models().items():
        status: Literal["missing", "broken"] = "missing" if weights.sources else "broken"
        remedy = f"adainkit download {name}" if weights.sources else _REINSTALL
        if not weights.available:
            yield Finding(f"model {name}", "not here" if weights.sources else f"no {weights.path}", status, remedy)
            continue
        try:
            model = AdaINModel.load(weights.path)
            yield Finding(f"model {name}", f"{(weights.size or 0) / 1e6:.1f} MB, encoder {model.digest[:12]}, loads")
        except AdaINKitError as error:
            if weights.sources:
                remedy = f'python -c "import adainkit; adainkit.clear_cache({name!r})", then {remedy}'
            yield Finding(f"model {name}", str(error), status, remedy)
            continue
        if weights.sources and not presets_file(name).exists():
            continue  # presets are for the embedded models
        try:
            presets = list(styles(name))
            foreign = [p for p in presets[:1] if Style.preset(p, name).digest != model.digest]
        except AdaINKitError as error:
            yield Finding(f"presets of {name}", str(error), "broken", _REINSTALL)
            continue
        if foreign or not presets:
            told = "made for other weights" if foreign else "none"
            yield Finding(f"presets of {name}", told, "broken", _REINSTALL)
        else:
            yield Finding(f"presets of {name}", str(len(presets)))


def _trial() -> Iterator[Finding]:
    """Real work on the device that "auto" takes."""
    import torch

    from ..stylizer import Stylizer

    ramp = torch.linspace(0, 1, 96 * 64).reshape(1, 64, 96).expand(3, -1, -1)
    try:
        with Stylizer(cache=None) as stylizer:
            started = time.perf_counter()
            result = stylizer.stylize(ramp, ramp.flip(1))
            seconds = time.perf_counter() - started
            where = f"{stylizer.device}, {stylizer.precision} in {stylizer.runtime}"
        if not bool(torch.isfinite(result).all()):
            raise ArithmeticError("the result is not finite")
        yield Finding("trial run", f"96 x 64 pixels on {where}, in {seconds:.2f} s")
    except Exception as error:  # drivers fail in many ways
        told = str(error).strip().partition("\n")[0]
        remedy = "repair what the findings above name; if it is a GPU's, --device cpu works without it"
        yield Finding("trial run", f"failed: {type(error).__name__}: {told}", "broken", remedy)


def _formats() -> Iterator[Finding]:
    from PIL import features

    for kind in ("webp", "avif"):
        if features.check(kind):
            yield Finding(kind, "read and written")
        else:
            yield Finding(kind, "not in this Pillow", "missing", 'pip install -U "pillow>=11.3"')


def _extras() -> Iterator[Finding]:
    try:
        extras = metadata.metadata("adainkit").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        yield Finding("extras", "unknown", "missing", "this is a checkout that is not installed: pip install -e .")
        return
    for extra in extras:
        if extra in _EXTRAS_OF_DEVELOPERS:
            continue
        lacking = [each.name for each in _requirements(extra) if not _installed(each.name)]
        if lacking:
            told = f"{', '.join(lacking)} not installed"
            yield Finding(f"extra {extra}", told, "missing", f'pip install "adainkit[{extra}]"')
        else:
            yield Finding(f"extra {extra}", "installed")


def _environment() -> Iterator[Finding]:
    for name, value in sorted(os.environ.items()):
        if _VARIABLES.fullmatch(name):
            yield Finding(name, re.sub(r"//[^/@\s]*@", "//***@", value))  # a mirror's or proxy's password stays private


def _requirements(extra: str) -> list[Requirement]:
    """What the installed package declares, for an extra or (empty) for all uses."""
    try:
        declared = [Requirement(line) for line in metadata.requires("adainkit") or []]
    except metadata.PackageNotFoundError:  # a checkout: the libraries that nothing goes without
        return [] if extra else [Requirement(name) for name in ("torch", "numpy", "pillow", "safetensors")]
    for_all = [each for each in declared if each.marker is None or each.marker.evaluate({"extra": ""})]
    if not extra:
        return for_all
    return [each for each in declared if each not in for_all and each.marker and each.marker.evaluate({"extra": extra})]


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True

"""A model as a static page that paints in its visitor's browser: the service's page with another `place.js`, graphs,
presets, and the engine."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AdaINKitError, ModelError
from ..look.controls import CONTROLS, Control
from ..net.demands import halo
from ..preset_list import styles
from ..store.weights import resolve
from . import coders
from .arrays import PALETTE
from .exported import refuse
from .lean import LeanStyle, LeanStylizer, with_graphs
from .model_file import ModelFile, read_model
from .packed import packed
from .web_package import ENGINE_FILES, read_package

__all__ = ["CLOSE", "browser_files", "export_page"]

CLOSE = 2
"""Of 255: how far a result may be from that of the model as it is, whose weights are packed here."""
_SERVICE, _OWN = Path(__file__).parent.parent / "serve" / "page", Path(__file__).parent / "browser"
_GRAPHS: dict[str, Any] = {"encoder": coders.encoder, "maps": coders.maps, "decoder": coders.decoder}
_FACTS, _PRESETS = "model.json", "presets.bin"
_WORKER, _LICENSE = "service-worker.js", "ort/LICENSE.txt"
_CONTROLS = ("alpha", "preserve_color", "color_strength")  # those of the lean runtime
_SIZE = Control("size", "choice", "1024", "", "The longest side of the download.", choices=("1024", "2048", "full"))
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
_CHANGES = {
    '<body data-view="start">': '<body data-view="start" data-place="browser">',
    '<meta charset="utf-8">': '<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
    '<h1 class="mark">adainkit</h1>': '<h1 class="mark">adainkit</h1>\n  <p class="here" id="here" role="status"></p>',
    '<link rel="stylesheet" href="page/parts.css">': '<link rel="stylesheet" href="page/parts.css">\n'
    '<link rel="stylesheet" href="page/browser.css">\n<link rel="manifest" href="manifest.webmanifest">\n'
    '<link rel="apple-touch-icon" href="page/icon-192.png">',
}
"""Of the service's index.html."""


def export_page(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    package: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the page to `folder`, which is made; the paths of its files. `package`: as in `read_package`.

    Results with the packed weights are compared with those of the model first: `ModelError` if they differ by more than
    `CLOSE`. `AdaINKitError` for a model without presets, for packages that are missing, for a folder that cannot be
    written, and for one that has a file of these names, unless `overwrite`. Everything is made before the first file is
    put into its place.
    """
    target = Path(folder)
    refuse([target / name for name in browser_files()], overwrite)
    files = page_files() | model_files(resolve(model)) | {f"ort/{k}": v for k, v in read_package(package).items()}
    files[_LICENSE] = (_OWN / "ort-LICENSE.txt").read_bytes()
    files[_WORKER] = _service_worker(files)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".adainkit-", dir=target) as made:
            for name, data in files.items():
                place = Path(made, name)
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(data)
            for name in files:  # the service worker, by which browsers see that all is new, comes last
                (target / name).parent.mkdir(exist_ok=True)
                os.replace(Path(made, name), target / name)
    except OSError as error:
        raise AdaINKitError(f"{target}: the page cannot be written ({error.strerror or error})") from error
    return [target / name for name in files]


def browser_files() -> list[str]:
    """The names of all files of the page."""
    made = [*(f"{name}.onnx.gz" for name in _GRAPHS), _FACTS, _PRESETS]
    return [*page_files(), *made, *(f"ort/{name}" for name in ENGINE_FILES), _LICENSE, _WORKER]


def page_files() -> dict[str, bytes]:
    """What a person sees, by name: the service's files, of which some are replaced."""
    found = {f"page/{path.name}": path.read_bytes() for home in (_SERVICE, _OWN / "page") for path in home.iterdir()}
    index = found.pop("page/index.html").decode()
    for old, new in _CHANGES.items():
        assert index.count(old) == 1, f"the service's page has no {old}"
        index = index.replace(old, new)
    name = "manifest.webmanifest"
    return {"index.html": index.encode(), name: (_OWN / name).read_bytes()} | found


def model_files(path: Path) -> dict[str, bytes]:
    """Graphs with packed weights, presets, and what is to be known about them."""
    model = read_model(path)
    presets = styles(model.config.name, digest=model.digest)
    if not presets:
        raise AdaINKitError(f"{path}: has no presets, which the page shows; export the model 'lite'")
    graphs = {name: packed(make(model.config, model.tensors)) for name, make in _GRAPHS.items()}
    check = _check(path, graphs)
    found = [LeanStyle.preset(name, model.config.name) for name in presets]
    levels = range(len(model.config.levels))
    names = [f"{part}{level}" for level in levels for part in ("mean", "std")]
    palette = model.config.palette and all(style.palette for style in found)
    names += PALETTE if palette else ()
    parts = [style.tensors[name].ravel() for style in found for name in names]
    rows = [
        {"name": p.name, "label": p.name.replace("-", " ").capitalize(), "description": p.description, "kind": "preset"}
        for p in presets.values()
    ]
    facts = {
        **_facts(model),
        "palette": palette,
        "check": check,
        "controls": [_described(control) for control in (*(CONTROLS[name] for name in _CONTROLS), _SIZE)],
        "presets": rows,
    }
    return {f"{name}.onnx.gz": data for name, data in graphs.items()} | {
        _PRESETS: np.concatenate(parts).astype("<f4").tobytes(),
        _FACTS: json.dumps(facts, ensure_ascii=False).encode(),
    }


def _facts(model: ModelFile) -> dict[str, Any]:
    config, reach = model.config, halo(model.config)
    return {
        "name": config.name,
        "encoder_sha256": model.digest,
        "levels": [vars(level) for level in config.levels],
        "stride": config.stride,
        "smallest": config.min_size,
        "reach": {"encoder": reach.encode, "decoder": reach.decode},
        "origin": coders.moves(config),
    }


def _described(control: Control) -> dict[str, Any]:
    facts = {"name": control.name, "kind": control.kind, "default": control.default, "help": control.tip}
    return facts | ({"choices": control.choices} if control.choices else {"low": control.low, "high": control.high})


def _check(path: Path, graphs: Mapping[str, bytes]) -> dict[str, Any]:
    """A small picture's result, by which a browser sees whether its engine computes as it should; the picture itself is
    made by a formula there, too. `ModelError` where packed weights give one, in two presets, that is more than `CLOSE`
    away from that of the model as it is."""
    plain = LeanStylizer(path)
    close = with_graphs(plain, {name: gzip.decompress(data) for name, data in graphs.items()})
    y, x = np.mgrid[0:25, 0:31]
    picture = np.stack([8 * x, 10 * y, x * y % 256], -1).astype(np.uint8)
    for preset in list(styles(plain.config.name))[::16]:
        expected, found = (each.stylize(picture, preset).astype(int) for each in (plain, close))
        worst = int(abs(expected - found).max())
        if worst > CLOSE:
            raise ModelError(f"{path}: with packed weights results differ by {worst} of 255, {CLOSE} is allowed")
    result = base64.b64encode(found.astype(np.uint8).tobytes()).decode()
    return {"width": 31, "height": 25, "style": preset, "close": CLOSE, "result": result}


def _service_worker(files: Mapping[str, bytes]) -> bytes:
    """With the sum of all files, by which a browser sees a new page, and the names of those that are kept at once."""
    source = (_OWN / _WORKER).read_bytes()
    total = hashlib.sha256(source)
    for name, data in sorted(files.items()):
        total.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    kept = ["./", *(name for name in files if not name.startswith("ort/"))]
    return (
        f"const VERSION = {json.dumps(total.hexdigest()[:16])};\nconst FILES = {json.dumps(kept)};\n\n".encode()
        + source
    )

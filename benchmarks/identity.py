"""Proof that a change of the code changes no result: `python -m benchmarks.identity record FILE`, then `compare FILE`.

`record` stylizes tiny pictures in every way the library knows and keeps the results; `compare` does the same with the
code as it is now and names every result that is not equal bit for bit. Only public names are used, so that it runs
before and after modules move. The two runs must be on one machine, with one release of torch.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

import adainkit
from adainkit import AdaINModel, ModelConfig, Style, Stylizer

__all__ = ["main", "results"]

Array: TypeAlias = "np.ndarray[Any, Any]"
Cases: TypeAlias = Iterator[tuple[str, Any]]

# Together these use every word of layers; three levels, one level, and levels that are not neighbors.
CONFIGS = [
    ModelConfig(
        "three", "unshuffle conv6 res6 tap down8 tap pool conv10 tap", "res10 merge conv8 merge shuffle4 rgb", 16
    ),
    ModelConfig("one", "conv4 pool conv6 tap", "up conv4 conv4 rgb"),
    ModelConfig("smooth", "unshuffle down5 tap down6 res6 tap", "res6 merge smooth smooth conv4 rgb", gain_cap=4.0),
]
CONTROLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "alpha": {"alpha": 0.6},
    "luma": {"preserve_color": "luma", "color_strength": 0.7},
    "match": {"preserve_color": "match"},
    "detail": {"detail": 0.6},
    "scale": {"scale": 2.5},
    "all": {"alpha": 0.8, "preserve_color": "match", "color_strength": 0.5, "scale": 1.7, "detail": 0.3},
}
TINY_BUDGET = "1"  # byte: no picture is kept whole, and tiles are as small as they get


def results(only: str = "") -> Cases:
    """Every case: its name and the array, tensor or file that came out. `only`: of models whose name begins so."""
    torch.set_num_threads(1)
    logging.getLogger("adainkit").setLevel(logging.ERROR)  # tiles that are slow are meant to be
    for dtype in ("float32", "mixed", "bfloat16"):
        if not f"lite {dtype}".startswith(only):
            continue
        yield from _of_stylizer(
            f"lite {dtype}", Stylizer("lite", device="cpu", dtype=dtype, cache=None), dtype == "float32"
        )
    for config in CONFIGS:
        if not config.name.startswith(only):
            continue
        torch.manual_seed(3)
        model = AdaINModel(config)
        yield from _of_stylizer(config.name, Stylizer(model, device="cpu", dtype="float32", cache=None), True)
        yield f"{config.name} digest", np.frombuffer(bytes.fromhex(model.digest), np.uint8)
    if only:
        return
    array = _picture(40, 52, 3, np.uint8)
    yield "verb", adainkit.stylize(array, "iris", alpha=0.7, dtype="float32", device="cpu")
    yield "preset", np.concatenate([v.numpy() for v in Style.preset("ember").means])


def _of_stylizer(name: str, stylizer: Stylizer, thorough: bool) -> Cases:
    style = stylizer.encode_style(_picture(50, 61, 3, np.uint8, 5), style_size=40)
    other = stylizer.encode_style(_picture(44, 41, 4, np.uint8, 6))
    blend = Style.blend([(style, 0.7), (other, 0.3)])
    yield f"{name} styles", np.concatenate([v.numpy() for s in (style, other, blend) for v in (*s.means, *s.stds)])
    for what, result in _pictures(stylizer, blend):
        yield f"{name} {what}", result
    for what, result in _controlled(stylizer, style, other):
        yield f"{name} {what}", result
    if thorough:
        for what, result in _files(stylizer, style, other):
            yield f"{name} {what}", result


def _pictures(stylizer: Stylizer, style: Style) -> Cases:
    """Every type and shape that goes in."""
    rgba = _picture(45, 70, 4, np.uint8)
    sources = {
        "uint8": _picture(45, 70, 3, np.uint8),
        "uint16": _picture(45, 70, 3, np.uint16),
        "float": _picture(45, 70, 3, np.float32),
        "gray": _picture(45, 70, 1, np.uint8)[:, :, 0],
        "rgba": rgba,
        "deep rgba": _picture(45, 70, 4, np.uint16),
        "pil": Image.fromarray(rgba[:, :, :3]),
        "pil rgba": Image.fromarray(rgba),
        "pixel": _picture(1, 1, 3, np.uint8),
        "column": _picture(37, 1, 3, np.uint8),
        "row": _picture(2, 40, 3, np.uint8),
        "batch": _tensor(33, 47, 3, 2),
        "batch alpha": _tensor(33, 47, 4, 2),
        "half": _tensor(33, 47, 3, 1).half(),
    }
    for what, source in sources.items():
        yield what, stylizer.stylize(source, style)
    several = [sources[what] for what in ("uint8", "uint16", "rgba", "pil", "batch", "float")]
    for what, result in zip("abcdef", stylizer.stylize_batch(several, style, batch_size=3, detail=0.2), strict=True):
        yield f"of a batch {what}", result
    pairs = stylizer.stylize_batch([several[0], several[1]], [style, style], preserve_color="luma")
    yield "styles of a batch", np.concatenate([np.asarray(p).ravel().astype(np.float64) for p in pairs])


def _controlled(stylizer: Stylizer, style: Style, other: Style) -> Cases:
    """Every control and tile, with masks and regions, of whole pictures."""
    levels = len(stylizer.model.config.levels)
    array, rgba = _picture(75, 90, 3, np.float32), _picture(61, 83, 4, np.uint8)
    mask, masks = _mask(20, 24, 1), [_mask(30, 31, n) for n in (2, 3)]
    statistics = stylizer.content_statistics([array, rgba])
    where: dict[str, dict[str, Any]] = {
        "everywhere": {},
        "mask": {"mask": mask},
        "regions": {"regions": list(zip(masks, (style, other), strict=True))},
        "regions in mask": {"regions": list(zip(masks, (other, style), strict=True)), "mask": mask},
        "film": {"content_statistics": statistics},
    }
    for what, options in CONTROLS.items():
        for place, more in where.items():
            first = None if "regions" in more else style
            yield f"{what} {place}", stylizer.stylize(array, first, **options, **more)
            if what in ("plain", "all"):
                yield f"{what} {place} rgba", stylizer.stylize(rgba, first, **options, **more)
                yield f"{what} {place} preview", stylizer.preview(array, first, size=24, **options, **more)
                for tile in (1, 32, None) if place != "film" else (16,):
                    yield f"{what} {place} tile {tile}", stylizer.stylize(array, first, tile=tile, **options, **more)
    yield "levels", stylizer.stylize(array, style, alpha=[0.2 + 0.3 * i for i in range(levels)])
    content = stylizer.encode_content(rgba, scale=1.5)
    yield "content", stylizer.stylize(content, other)
    with _budget("600K"):
        yield "small budget", stylizer.stylize(_picture(150, 190, 3, np.uint8), style)
    batch = _tensor(33, 47, 3, 2)
    masks_of_batch = torch.stack([torch.tensor(_mask(33, 47, n)) for n in (5, 6)])
    yield "masks of a batch", stylizer.stylize(batch, style, mask=masks_of_batch, tile=16)


def _files(stylizer: Stylizer, style: Style, other: Style) -> Cases:
    """From file to file, whole and in strips."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"photo.png": _picture(75, 90, 3, np.uint8), "alpha.png": _picture(61, 83, 4, np.uint8)}
        for file, array in sources.items():
            Image.fromarray(array).save(folder / file)
        Image.fromarray(_picture(50, 64, 1, np.uint16)[:, :, 0]).save(folder / "deep.png")
        Image.fromarray((_mask(40, 33, 4) * 255).astype(np.uint8)).save(folder / "mask.png")
        pairs = [(_mask(30, 31, 2), style), (folder / "mask.png", other)]
        where: dict[str, dict[str, Any]] = {
            "everywhere": {},
            "mask": {"mask": folder / "mask.png"},
            "regions": {"regions": pairs},
            "regions in mask": {"regions": pairs, "mask": folder / "mask.png"},
            "film": {"content_statistics": stylizer.content_statistics([sources["photo.png"]])},
        }
        for file, target in (("photo.png", "out.png"), ("alpha.png", "out.tif"), ("deep.png", "out.tif")):
            for what, options in CONTROLS.items():
                for place, more in where.items():
                    first = None if "regions" in more else style
                    arguments = {**options, **more, "overwrite": True}
                    with _budget(TINY_BUDGET):
                        stylizer.stylize_file(folder / file, folder / target, first, **arguments)
                    yield f"strips {file} {what} {place}", folder / target
                    if what in ("plain", "match"):
                        stylizer.stylize_file(folder / file, folder / target, first, **arguments)
                        yield f"file {file} {what} {place}", folder / target


def _picture(height: int, width: int, channels: int, kind: Any, seed: int = 0) -> Array:
    """Blobs of color and some noise; alpha, if there is one, has holes."""
    random = np.random.default_rng(seed)
    blobs = random.random((-(-height // 6), -(-width // 6), channels)).repeat(6, 0).repeat(6, 1)
    x = 0.8 * blobs[:height, :width] + 0.2 * random.random((height, width, channels))
    if channels == 4:
        x[:, :, 3] = np.where(x[:, :, 3] < 0.4, 0, x[:, :, 3])
    return x.astype(kind) if kind == np.float32 else (x * np.iinfo(kind).max).astype(kind)


def _tensor(height: int, width: int, channels: int, batch: int) -> torch.Tensor:
    arrays = [_picture(height, width, channels, np.float32, seed) for seed in range(batch)]
    return torch.stack([torch.tensor(a).permute(2, 0, 1) for a in arrays])


def _mask(height: int, width: int, seed: int) -> Array:
    return (_picture(height, width, 1, np.float32, seed)[:, :, 0] * 2 - 0.5).clip(0, 1)


@contextmanager
def _budget(text: str) -> Iterator[None]:
    os.environ["ADAINKIT_MEMORY"] = text
    try:
        yield
    finally:
        del os.environ["ADAINKIT_MEMORY"]


def _as_array(result: Any) -> Array:
    if isinstance(result, Path):
        return np.frombuffer(result.read_bytes(), np.uint8)
    return result.numpy() if isinstance(result, torch.Tensor) else np.asarray(result)


def _samples(file: Array) -> Array:
    """The samples of a picture file that was kept as bytes."""
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(file.tobytes())
        stream.flush()
        picture = adainkit.open_image(stream.name)
    return torch.cat([picture.rgb] + ([] if picture.alpha is None else [picture.alpha]), 1).numpy()


def _record(path: Path, only: str) -> int:
    kept = {name: _as_array(result) for name, result in results(only)}
    with path.open("wb") as stream:
        np.savez_compressed(stream, **kept)  # type: ignore[arg-type]
    print(f"{len(kept)} results recorded in {path}")
    return 0


def _compare(path: Path, only: str) -> int:
    with np.load(path) as before:
        missing, different, count = {name for name in before.files if name.startswith(only)}, 0, 0
        for name, result in results(only):
            now, count = _as_array(result), count + 1
            missing.discard(name)
            if name not in before.files:
                print(f"{name}: was not recorded")
                continue
            then = before[name]
            if isinstance(result, Path) and then.tobytes() != now.tobytes():  # another zlib packs the same pixels anew
                then, now = _samples(then), _samples(now)
            if then.shape == now.shape and then.dtype == now.dtype and then.tobytes() == now.tobytes():
                continue
            different += 1
            print(f"{name}: {_difference(then, now)}")
    for name in sorted(missing):
        print(f"{name}: is no longer there")
    print(f"{count - different} of {count} results are identical")
    return 1 if different or missing else 0


def _difference(then: Array, now: Array) -> str:
    if then.shape != now.shape or then.dtype != now.dtype:
        return f"was {then.dtype} {then.shape}, is {now.dtype} {now.shape}"
    return f"differs by up to {np.abs(then.astype(np.float64) - now.astype(np.float64)).max():.3g}"


def main(argv: Sequence[str] | None = None) -> int:
    """Record or compare; 1 where a result differs."""
    parser = argparse.ArgumentParser("python -m benchmarks.identity", description=__doc__)
    parser.add_argument("do", choices=("record", "compare"))
    parser.add_argument("file", type=Path, help="where the results are kept, as .npz")
    parser.add_argument("--only", default="", metavar="NAME", help="only models whose name begins so")
    args = parser.parse_args(argv)
    actions: dict[str, Callable[[Path, str], int]] = {"record": _record, "compare": _compare}
    return actions[args.do](args.file, args.only)


if __name__ == "__main__":
    sys.exit(main())

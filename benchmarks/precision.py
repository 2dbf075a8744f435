"""How far each precision is from float32: `python -m benchmarks precision`, in 8-bit levels of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from adainkit.runtimes.engines import here
from adainkit.style import Style, styles
from adainkit.stylizer import Stylizer

from .report import table

__all__ = ["KINDS", "run", "show"]

KINDS = ("mixed", "bfloat16", *(f"openvino {kind}" for kind in ("mixed", "bfloat16") if here("openvino")))
ALPHAS = (0.0, 1.0)
_PHOTOS = ("chelsea", "astronaut", "coffee", "rocket")
_FLAT = "flat and noisy flat"


def run(
    device: torch.device, presets: int, folder: Path | None = None, model: str = "lite", side: int = 512
) -> list[dict[str, Any]]:
    """For every kind of picture, alpha and precision: the mean of all results, the worst result's, the worst pixel's.

    Photographs are scikit-image's, or those of `folder`, at most `side` pixels a side; the first `presets` styles.
    """
    exact = _stylizer(model, device, "float32")
    others = {kind: _stylizer(model, device, kind) for kind in KINDS if device.type == "cpu" or " " not in kind}
    found = [Style.preset(name, model) for name in list(styles(model))[:presets]]
    rows = []
    groups = {"photographs": _photographs(folder, side), _FLAT: _flat_pictures()}
    for group, pictures in groups.items():
        for alpha in ALPHAS:
            off = _differences(exact, others, pictures, found, alpha, group)
            for kind, values in off.items():
                means, most = zip(*values, strict=True)
                row = {"pictures": group, "alpha": alpha, "precision": kind, "results": len(values)}
                rows.append({**row, "mean": float(np.mean(means)), "worst": max(means), "pixel": max(most)})
    return rows


def _stylizer(model: str, device: torch.device, kind: str) -> Stylizer:
    runtime, _, dtype = kind.rpartition(" ")
    return Stylizer(model, device=device, dtype=dtype, cache=None, runtime=runtime or "torch")


def _differences(
    exact: Stylizer,
    others: Mapping[str, Stylizer],
    pictures: Sequence[np.ndarray],
    found: Sequence[Style],
    alpha: float,
    told: str,
) -> dict[str, list[tuple[float, float]]]:
    off: dict[str, list[tuple[float, float]]] = {kind: [] for kind in others}
    for picture in tqdm(pictures, desc=f"{told}, alpha {alpha:g}", disable=None):
        for style in found:
            expected = exact.stylize(picture, style, alpha=alpha)
            for kind, stylizer in others.items():
                difference = 255 * np.abs(stylizer.stylize(picture, style, alpha=alpha) - expected)
                off[kind].append((float(difference.mean()), float(difference.max())))
    return off


def _photographs(folder: Path | None, side: int) -> list[np.ndarray]:
    if folder is not None:
        images = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir()) if path.is_file()]
    else:
        try:
            from skimage import data
        except ImportError as error:
            raise SystemExit("the photographs are scikit-image's: pip install scikit-image, or --pictures") from error
        images = [Image.fromarray(getattr(data, name)()) for name in _PHOTOS]
    for image in images:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return [np.asarray(image, dtype=np.float32) / 255 for image in images]


def _flat_pictures() -> list[np.ndarray]:
    """One color, a soft gradient, and a sky with a noise of two levels: where AdaIN's gains are largest."""
    flat = np.full((256, 256, 3), (150, 180, 215), np.float32)
    gradient = flat + np.linspace(-20, 20, 256, dtype=np.float32)[:, None, None]
    sky = flat + np.random.default_rng(1).normal(0, 2, flat.shape).astype(np.float32)
    return [(x.clip(0, 255) / 255).astype(np.float32) for x in (flat, gradient, sky)]


def show(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table."""
    cells = [
        [r["pictures"], f"{r['alpha']:g}", r["precision"], str(r["results"])]
        + [f"{r[key]:.2f}" for key in ("mean", "worst", "pixel")]
        for r in rows
    ]
    head = ["pictures", "alpha", "precision", "results", "mean difference of 255", "worst result's", "worst pixel's"]
    return table(head, cells)

"""Judge models on pictures: `python -m training.evaluate --model lite --content DIR --style DIR --out DIR`.

Stylizes pairs of content and style at several alphas and writes figures.json (everything, with versions, settings and
the rows of single pairs), figures.csv (a row for each model and alpha) and sheet.png (the first pairs to look at), and
prints a table. `report.FIGURES` says what the figures are. A figure whose network is not here is left out by name.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from adainkit.errors import AdaINKitError, ImageError, ModelError
from adainkit.net.devices import PRECISIONS
from adainkit.store.weights import resolve
from adainkit.stylizer import Stylizer

from . import report
from .data import find_pictures, split
from .metrics import Judge, noise_gain
from .pairs import SMALLEST, load_picture, pair_up
from .report import Row
from .sheet import fit, save_sheet

__all__ = ["Evaluation", "evaluate", "main"]

log = logging.getLogger("adainkit.training")

STYLE_SIZE = 512  # as `Stylizer.encode_style` has it
SHEET_ROWS, SHEET_CELL = 8, 256
ENOUGH_FOR_FID = 2048  # pictures for a covariance of its 2,048 features


@dataclass
class Evaluation:
    """`pairs`: a row for each pair, model and alpha; `figures`: for each model and alpha; `sheet`: columns by label;
    `skipped`: why pictures could not be judged, by path."""

    pairs: list[Row] = field(default_factory=list)
    figures: list[Row] = field(default_factory=list)
    sheet: dict[str, list[Tensor]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


@torch.no_grad()
def evaluate(
    stylizers: Mapping[str, Stylizer],
    pairs: Sequence[tuple[Path, Path]],
    alphas: Sequence[float],
    judge: Judge,
    size: int = 512,
) -> Evaluation:
    """Every pair by every model at every alpha, judged. `ImageError` when no pair can be read."""
    found = Evaluation()
    rows: dict[tuple[str, float], list[Row]] = {(m, a): [] for m in stylizers for a in alphas}
    features: dict[tuple[str, float], list[Tensor]] = {key: [] for key in rows}
    styles: list[Tensor] = []
    for paths in tqdm(pairs, unit="pair", disable=not sys.stderr.isatty()):
        opened = [_open(path, side, found.skipped) for path, side in zip(paths, (size, STYLE_SIZE), strict=True)]
        if any(picture is None for picture in opened):
            continue
        content, style = (picture.to(judge.device) for picture in opened if picture is not None)
        shots = {"content": content, "style": style}
        if judge.inception is not None:
            styles.append(judge.inception(style).cpu())
        prepared = judge.prepare(content, style)
        names = {"content": paths[0].name, "style": paths[1].name}
        for key, result, seconds in _stylize(stylizers, content, style, alphas, judge.device, not found.pairs):
            row = {**names, "model": key[0], "alpha": key[1], "width": content.shape[3], "height": content.shape[2]}
            row |= {"seconds": seconds, **judge(prepared, result, key[1])}
            if key[1] == 1:
                row |= _noise_gains(stylizers[key[0]], content, style)
            if judge.inception is not None:
                features[key].append(judge.inception(result).cpu())
            rows[key].append(row)
            found.pairs.append(row)
            shots[f"{key[0]}\nalpha {key[1]:g}"] = result
        for label, shot in shots.items():
            if len(column := found.sheet.setdefault(label, [])) < SHEET_ROWS:
                column.append(fit(shot, SHEET_CELL).cpu())
    if not found.pairs:
        raise ImageError(f"no pair could be judged; the first reason: {next(iter(found.skipped.values()))}")
    for key in rows:
        figures = report.summarize(rows[key], features[key], styles)
        found.figures.append({"model": key[0], "alpha": key[1], **figures})
    return found


def _open(path: Path, size: int, skipped: dict[str, str]) -> Tensor | None:
    try:
        return load_picture(path, size)
    except ImageError as error:
        skipped[str(path)] = str(error)
        return None


def _stylize(
    stylizers: Mapping[str, Stylizer],
    content: Tensor,
    style: Tensor,
    alphas: Sequence[float],
    device: torch.device,
    warm_up: bool,
) -> Iterator[tuple[tuple[str, float], Tensor, float]]:
    """((model, alpha), result, seconds) for each; the style is encoded before the clock starts."""
    for model, stylizer in stylizers.items():
        encoded = stylizer.encode_style(style, style_size=None)
        if warm_up:  # the first call pays for what later ones find ready
            stylizer.stylize(content, encoded)
        for alpha in alphas:
            _wait(device)
            started = time.perf_counter()
            result = stylizer.stylize(content, encoded, alpha=alpha)
            _wait(device)
            yield (model, alpha), result, time.perf_counter() - started


def _noise_gains(stylizer: Stylizer, content: Tensor, style: Tensor) -> dict[str, float]:
    """At alpha 1, of the content and of one eight times as dark."""
    encoded = stylizer.encode_style(style, style_size=None)

    def render(picture: Tensor) -> Tensor:
        return stylizer.stylize(picture, encoded)

    return {"noise_gain": noise_gain(render, content), "noise_gain_dark": noise_gain(render, content / 8)}


def _wait(device: torch.device) -> None:
    """Until the device has done what it was given, so that the clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _label(models: Sequence[str]) -> list[str]:
    """The shortest ends of their paths that tell the models apart. `ModelError` for one that is named twice."""
    parts = [Path(model.removesuffix(".safetensors")).parts for model in models]
    for length in range(1, max(map(len, parts)) + 1):
        labels = ["/".join(part[-length:]) for part in parts]
        if len(set(labels)) == len(models):
            return labels
    raise ModelError(f"--model: one is named twice in {', '.join(models)}")


def _pictures(folder: Path, held_out: int | None) -> list[Path]:
    found = find_pictures(folder)
    if held_out is not None and not (held := split(found, held_out)[1]):
        raise ImageError(f"--held-out {held_out}: none of the {len(found)} pictures in {folder} is held out")
    return found if held_out is None else held


def _run(args: argparse.Namespace) -> None:
    labels, alphas = _label(args.model), sorted(set(args.alphas))
    folders = [_pictures(folder, args.held_out) for folder in (args.content, args.style)]
    pairs = pair_up(*folders, args.pairs, args.seed)
    files = {label: resolve(model) for label, model in zip(labels, args.model, strict=True)}
    stylizers = {k: Stylizer(f, device=args.device, dtype=args.dtype, cache=None) for k, f in files.items()}
    first = stylizers[labels[0]]
    judge = Judge(args.teacher, first.device)
    for figure, why in judge.missing.items():
        log.warning("%s: left out: %s", figure, why)
    found = evaluate(stylizers, pairs, alphas, judge, args.size)
    environment = report.environment(first.device, first.precision)
    full = {
        "settings": {**{k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}, "alphas": alphas},
        "environment": environment,
        "models": {
            label: {
                "file": str(file),
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "parameters": sum(p.numel() for p in stylizers[label].model.parameters()),
            }
            for label, file in files.items()
        },
        "meaning": report.FIGURES,
        "targets": {name: f"{sign} {bound:g}" for name, (sign, bound) in report.TARGETS.items()},
        "missing": judge.missing,
        "figures": found.figures,
        "pairs": found.pairs,
        "skipped": found.skipped,
    }
    report.write(args.out, full)
    save_sheet(args.out / "sheet.png", [torch.cat(column) for column in found.sheet.values()], list(found.sheet))
    print(report.table(found.figures), report.targets(found.figures), sep="\n\n")
    count = found.figures[0]["pairs"]
    told = "{device} ({hardware}), {dtype}, {threads} threads, torch {torch}".format(**environment)
    print(f"\n{count} pairs, shorter side at most {args.size} px; {told}\n{args.out / 'sheet.png'}")
    if judge.inception is not None and count < ENOUGH_FOR_FID:
        log.warning("fid: %d pairs are few, which adds to it: hold it only against models on the same pairs", count)
    for path, why in found.skipped.items():
        log.warning("skipped: %s", why if path in why else f"{path}: {why}")


def _number(kind: type, low: float, high: float = float("inf")) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        with suppress(ValueError):
            if low <= (value := kind(text)) <= high:
                return value
        span = f"from {low} to {high}" if high < float("inf") else f"of {low} or more"
        raise argparse.ArgumentTypeError(f"expected a number {span}, got {text!r}")

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="training.evaluate", description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--model", action="append", required=True, help="a name of `adainkit models`, or a file; again for more")
    add("--content", type=Path, required=True, metavar="DIR", help="folder of photographs")
    add("--style", type=Path, required=True, metavar="DIR", help="folder of paintings")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for figures.json, figures.csv and sheet.png")
    add("--teacher", type=Path, metavar="FILE", help="the loss network, .safetensors, for content and style loss")
    sweep, told = (0.0, 0.25, 0.5, 0.75, 1.0), "default: 0 0.25 0.5 0.75 1"
    add("--alphas", type=_number(float, 0, 1), nargs="+", default=sweep, metavar="A", help=told)
    add("--pairs", type=_number(int, 1), metavar="N", help="how many (default: every content once)")
    add("--seed", type=int, default=0, metavar="N", help="another one pairs otherwise (default: 0)")
    add("--held-out", type=_number(int, 1), metavar="N", help="only what training with validation_every N never saw")
    size = f"shorter side of contents, in px (default: 512); styles: {STYLE_SIZE}; smaller ones stay"
    add("--size", type=_number(int, SMALLEST), default=512, metavar="N", help=size)
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    add("--dtype", choices=PRECISIONS, default="auto", help="of the models")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0, or 1 when it failed."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        _run(args)
    except (AdaINKitError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

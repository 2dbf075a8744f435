"""What a recipe's losses ask for: `python -m training.probe --config lite --content FILE --style FILE --teacher FILE`.

Descends on the pixels themselves, from the content, under the losses alone, so that no network stands between them and
the eye: blotches, dots or lines along the border that show here are what the losses want, and no training takes them
away. Writes sheet.png (content, style, optimum) and figures.json: the loss's parts, and how blotchy, how grid-like and
how lined along its border the optimum is. A minute at 256 px on a CPU.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import yaml
from torch import Tensor
from tqdm import tqdm

from adainkit.atomic import write_atomically
from adainkit.errors import AdaINKitError

from . import metrics
from .config import ConfigError, TrainConfig, load_config
from .criterion import Criterion
from .looks import draw_looks
from .loss_network import LossNetwork
from .losses import calm_loss, reconstruction_loss, ssim
from .pairs import load_picture
from .sheet import fit, save_sheet

__all__ = ["descend", "main", "picture_figures"]

log = logging.getLogger("adainkit.training")
_OF_NETWORKS = ("brush_weight", "noise_weight", "reconstruction_weight")
"""Losses that judge a network, not a picture by itself."""


def descend(
    criterion: Criterion,
    content: Tensor,
    style: Tensor,
    steps: int = 160,
    rate: float = 0.02,
    tell: Callable[[int, float], object] = lambda step, loss: None,
) -> tuple[Tensor, dict[str, float]]:
    """The picture that Adam finds in so many steps from the content, `(1, 3, H, W)` clamped to [0, 1], and the loss's
    parts there: means over the last tenth of the steps, whose looks and loss networks differ.

    `content` and `style` `(1, 3, H, W)`, RGB in [0, 1]. The rate falls to zero over the last half.
    """
    config = criterion.config
    pixels = content.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([pixels], rate, betas=(0.9, 0.99))
    last: dict[str, list[float]] = {}
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (steps - step) / steps)
        looks = draw_looks(config.seed, step, config.look_shift, config.look_flip).to(content.device)
        parts = criterion(pixels, content, style, turn=step, looks=looks)
        loss = torch.stack([getattr(config, f"{name}_weight") * value for name, value in parts.items()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tell(step, loss.item())
        if step >= steps - max(1, steps // 10):
            for name, value in parts.items():
                last.setdefault(name, []).append(value.item())
    return pixels.detach().clamp(0, 1), {name: sum(values) / len(values) for name, values in last.items()}


@torch.no_grad()
def picture_figures(result: Tensor, content: Tensor) -> dict[str, float]:
    """`blotch`: `losses.calm_loss` in units of 255, which no noise of single pixels moves. `grid`:
    `metrics.grid_energy` above the content's. `border`: `metrics.border_line` above the content's. `moved`: mean
    absolute change of the pixels. `ssim`: with the content."""
    return {
        "blotch": 255 * calm_loss(result, content).item(),
        "grid": metrics.grid_energy(result) - metrics.grid_energy(content),
        "border": metrics.border_line(result) - metrics.border_line(content),
        "moved": reconstruction_loss(result, content).item(),
        "ssim": ssim(result, content).item(),
    }


def _run(args: argparse.Namespace, config: TrainConfig) -> None:
    teachers = [LossNetwork(source, config.deep).to(args.device) for source in args.teacher]
    criterion = Criterion(config, teachers).requires_grad_(False)
    if not any(v for k, v in vars(config).items() if k.endswith("_weight") and k not in _OF_NETWORKS):
        raise ConfigError(f"{args.config}: its losses judge no picture by itself, so there is nothing to probe")
    columns: dict[str, list[Tensor]] = {"content": [], "style": [], "optimum": []}
    rows = []
    if len(args.content) != len(args.style):
        raise ConfigError(
            f"--content, --style: as many of the one as of the other, got {len(args.content)} and {len(args.style)}"
        )
    for paths in zip(args.content, args.style, strict=True):
        content, style = (load_picture(p, args.side).to(args.device) for p in paths)
        with tqdm(total=args.steps, unit="step", disable=not sys.stderr.isatty()) as bar:
            result, parts = descend(criterion, content, style, args.steps, args.rate, lambda *_: bar.update())
        row = {"content": paths[0].name, "style": paths[1].name, "loss": parts, **picture_figures(result, content)}
        rows.append(row)
        log.info("%s", json.dumps(row))
        for column, picture in zip(columns.values(), (content, style, result), strict=True):
            column.append(fit(picture, round(args.side * 1.5)).cpu())
    args.out.mkdir(parents=True, exist_ok=True)
    save_sheet(args.out / "sheet.png", [torch.cat(column) for column in columns.values()], list(columns))
    settings = yaml.safe_load(config.to_yaml())
    text = json.dumps({"pairs": rows, "steps": args.steps, "side": args.side, "settings": settings}, indent=1)
    write_atomically(args.out / "figures.json", text.encode())
    log.info("wrote %s", args.out / "sheet.png")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="training.probe", description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--config", help="a YAML file, or the name of a packaged one")
    add("--set", action="append", default=[], metavar="NAME=YAML", help="a setting over the configuration's; again")
    add(
        "--content",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="a photograph; again for more pairs",
    )
    add("--style", type=Path, action="append", required=True, metavar="FILE", help="its painting; again for more pairs")
    add("--teacher", action="append", required=True, metavar="FILE", help="the loss network; again for more")
    add(
        "--out", type=Path, default=Path("probe"), metavar="DIR", help="for sheet.png and figures.json (default: probe)"
    )
    add("--steps", type=int, default=160, metavar="N", help="of the descent (default: 160)")
    add("--side", type=int, default=256, metavar="PX", help="shorter side of both pictures at most (default: 256)")
    add("--rate", type=float, default=0.02, help="Adam's, in units of the range of pixels (default: 0.02)")
    add("--device", default="cpu", help="cpu (default), cuda ...")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0, or 1 when it failed."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        overrides = dict(entry.partition("=")[::2] for entry in args.set)
        config = load_config(args.config, {k: yaml.safe_load(v) for k, v in overrides.items()})
        _run(args, config)
    except (ConfigError, AdaINKitError, OSError, yaml.YAMLError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command: `python -m benchmarks` for inference; `training`, `precision`, `memory`, `flicker`, `film`, `int8`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from adainkit.errors import AdaINKitError
from adainkit.net.devices import find_device

from . import film, flicker, inference, int8, large_files, precision, training_speed
from .cases import CANDIDATES, there
from .report import environment, table, write_json
from .timing import CLOCKS

SIZES = ("256", "512", "1024", "2048", "4K")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print tables, write JSON if asked to; 0 when all went well."""
    args = _parser().parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    facts = environment(args.device, args.clock)
    if args.what == "training":
        rounds = args.rounds or (2 if args.quick else 5)
        batch, size = (2, 64) if args.quick else (args.batch, args.crop)
        results = training_speed.run(batch, size, rounds, args.device, args.clock)
        text = training_speed.show(results)
    elif args.what == "precision":
        results = precision.run(args.device, 2 if args.quick else args.presets, args.pictures)
        text = precision.show(results)
    elif args.what == "flicker":
        results = flicker.run(args.clips, args.styles, args.frames, args.side, str(args.device), microast=args.microast)
        text = flicker.show(results)
    elif args.what == "film":
        height, width = (90, 160) if args.quick else (args.sizes or [(720, 1280)])[0]
        rounds = args.rounds or (1 if args.quick else 3)
        memory = args.memory and not args.quick
        results = film.run(args.frames, height, width, rounds, str(args.device), args.clock, memory)
        text = film.show(results)
    elif args.what == "int8":
        results = int8.run(args.rounds or 5, 256 if args.quick else 512, 160 if args.quick else 256, args.clock)
        text = int8.show(results)
    elif args.what == "memory":
        results = large_files.run(args.device, args.quick)
        text = large_files.show(results)
    else:
        rounds = args.rounds or (3 if args.quick else 7)
        sizes = args.sizes or [_size(text) for text in (SIZES[:1] if args.quick else SIZES)]
        memory = args.memory and not args.quick
        results = inference.run(sizes, args.only, args.parts, rounds, args.device, args.clock, memory)
        text = inference.show(results)
    print(table(["where", "what"], [[name, str(value)] for name, value in facts.items()]), text, sep="\n\n")
    if args.json:
        write_json(args.json, {"environment": facts, args.what: results})
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", {"4K": "3840x2160"}.get(text.upper(), text))
    if not match:
        raise argparse.ArgumentTypeError(f"a size is a side in pixels, WIDTHxHEIGHT, or 4K, got {text!r}")
    return int(match[2] or match[1]), int(match[1])


def _device(text: str) -> torch.device:
    try:
        return find_device(text)
    except AdaINKitError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _crop(text: str) -> int:
    if not text.isdecimal() or int(text) < 16 or int(text) % 8:
        raise argparse.ArgumentTypeError(f"expected a multiple of 8 from 16 on, got {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Median and quartiles of interleaved runs; ratios are taken round by round.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=["inference", "training", "precision", "memory", "flicker", "film", "int8"],
        default="inference",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    parser.add_argument("--device", type=_device, default="cpu")
    parser.add_argument("--rounds", type=_positive, help="measured rounds after one that warms up (7; training 5)")
    parser.add_argument("--quick", action="store_true", help="one small size, few rounds, no memory")
    parser.add_argument("--threads", type=_positive, help="of the CPU (as torch has it)")
    parser.add_argument(
        "--clock", choices=sorted(CLOCKS), default="wall", help="cpu: the process's own time, for a machine in use"
    )
    group = parser.add_argument_group("inference")
    group.add_argument(
        "--sizes", type=_size, nargs="+", metavar="SIZE", help=f"pixels a side, WxH, 4K ({' '.join(SIZES)})"
    )
    group.add_argument("--only", nargs="+", choices=list(CANDIDATES), default=there(), metavar="CANDIDATE")
    group.add_argument("--parts", nargs="+", choices=inference.PARTS, default=list(inference.PARTS))
    group.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    group = parser.add_argument_group("precision")
    group.add_argument("--presets", type=_positive, default=5, metavar="N", help="of the first N presets (5)")
    group.add_argument("--pictures", type=Path, metavar="FOLDER", help="photographs instead of scikit-image's")
    group = parser.add_argument_group("flicker")
    group.add_argument("--clips", nargs="+", default=[], metavar="FILE[@SECOND]", help="films, or frames/%%05d.png")
    group.add_argument("--styles", nargs="+", default=["ember", "iris", "ukiyo-e"], metavar="STYLE")
    group.add_argument("--frames", type=_positive, default=12, metavar="N", help="of each clip (12)")
    group.add_argument("--side", type=_positive, default=512, metavar="N", help="pixels of the longer side (512)")
    group.add_argument("--microast", type=Path, metavar="FOLDER", help="of its weights; --styles are pictures then")
    group = parser.add_argument_group("training")
    group.add_argument("--batch", type=_positive, default=8)
    group.add_argument("--crop", type=_crop, default=256, help="pixels a side, a multiple of 8 from 16 on")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""`adainkit model3d`: a 3D model in the style of a painting."""

from __future__ import annotations

import argparse
import json
import sys
import time

from . import values
from .console import make_stylizer

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = (
    "adainkit model3d duck.glb painting.jpg -o painted.glb\n"
    "adainkit model3d scene.gltf PRESET -o painted/scene.gltf --emissive --alpha 0.8"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What follows `adainkit model3d`."""
    parser.usage = "adainkit model3d MODEL STYLE -o OUT [options]"
    add = parser.add_argument
    add("model_file", metavar="MODEL", help=".glb, .gltf or .obj, with the files that it names beside it")
    add("style", metavar="STYLE", help="a picture, a saved style or a preset")
    add("-o", "--output", metavar="OUT", required=True, help="of the same type; of several files, in another folder")
    add("--alpha", type=values.alphas, default=1.0, metavar="A|A,B,...", help="as of stylize (default: 1)")
    add("--emissive", action="store_true", help="paint what the model emits, too")
    add("--preserve-color", choices=("none", "luma", "match"), default="none", help="keep the model's colors")
    add("--color-strength", type=values.fraction, default=1.0, metavar="0-1", help="how much of that (default: 1)")
    add("--scale", type=values.scale, default=1.0, metavar="N", help="strokes N times as bold, from 1 (default)")
    add("--detail", type=values.fraction, default=0.0, metavar="0-1", help="the textures' fine structure")
    add("--style-size", type=values.count, default=512, metavar="N|none", help="the style's shorter side")
    add("--model", default="lite", help="of the style transfer: a name of `adainkit models`, or a file (default: lite)")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    add("--dtype", choices=("auto", "mixed", "float32", "float16", "bfloat16"), default="auto", help="precision")
    add(
        "--max-pixels",
        type=values.count,
        default=1 << 26,
        metavar="N|none",
        help="refuse larger textures (default: 2^26, 8192 x 8192)",
    )
    add("--overwrite", action="store_true", help="replace what exists")
    add("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Do as `args` say: 0; `AdaINKitError` for what fails."""
    from tqdm import tqdm

    from ..model3d import stylize_model3d

    started = time.perf_counter()
    names = ("alpha", "preserve_color", "color_strength", "scale", "detail", "style_size", "emissive")
    options = {name: getattr(args, name) for name in (*names, "overwrite", "max_pixels")}
    with (
        make_stylizer(args.model, args.device, args.dtype) as stylizer,
        tqdm(leave=False, disable=None, file=sys.stderr) as bar,
    ):

        def progress(stage: str, done: int, total: int) -> None:
            bar.set_description(stage, refresh=False)
            bar.total, bar.n = total, done
            bar.refresh()

        written = stylize_model3d(
            args.model_file, args.output, args.style, stylizer=stylizer, progress=progress, **options
        )
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps({"output": str(written), "seconds": round(seconds, 3)}))
    else:
        print(f"{written}  ({seconds:.1f} s)")
    return 0

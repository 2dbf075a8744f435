"""`adainkit model3d`: a 3D model in the style of a painting."""

from __future__ import annotations

import argparse
import json
import sys
import time

from .console import make_stylizer

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Do as `args` say: 0; `AdaINKitError` for what fails."""
    from tqdm import tqdm

    from ..model3d import stylize_model3d

    started = time.perf_counter()
    names = ("alpha", "preserve_color", "color_strength", "scale", "detail", "style_size", "emissive")
    options = {name: getattr(args, name) for name in (*names, "overwrite", "max_pixels")}
    with (
        make_stylizer(args.model, args.device, args.dtype, args.runtime) as stylizer,
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

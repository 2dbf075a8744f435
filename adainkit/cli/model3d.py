"""`adainkit model3d`: a 3D model in the style of a painting."""

from __future__ import annotations

import argparse
import json
import time

from .console import check_styles, make_stylizer
from .progress import Meter

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Do as `args` say: 0; `AdaINKitError` for what fails."""
    started = time.perf_counter()
    check_styles([args.style], args.model)
    from ..model3d import stylize_model3d

    names = ("alpha", "preserve_color", "color_strength", "scale", "detail", "style_size", "emissive")
    options = {name: getattr(args, name) for name in (*names, "overwrite", "max_pixels")}
    with (
        make_stylizer(args.model, args.device, args.dtype, args.runtime) as stylizer,
        Meter(1) as meter,
    ):

        def progress(stage: str, done: int, total: int) -> None:
            meter.at(done, total, stage)

        written = stylize_model3d(
            args.model_file, args.output, args.style, stylizer=stylizer, progress=progress, **options
        )
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps({"output": str(written), "seconds": round(seconds, 3)}))
    else:
        print(f"{written}  ({seconds:.1f} s)")
    return 0

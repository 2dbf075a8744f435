"""`adainkit film`: a film in a style, with its sound."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..formats import PICTURES
from .console import check_styles, make_stylizer
from .progress import Meter

if TYPE_CHECKING:
    from ..style import Style
    from ..stylizer import Stylizer

__all__ = ["run"]

_ANIMATED = {".gif", ".png", ".webp", ".avif"}


# flags that `stylize_film` takes under their own names
_PASSED = ("steady", "keep_noise", "stop", "codec", "crf", "preset", "strip", "resume", "overwrite", "max_frames")


def run(args: argparse.Namespace) -> int:
    """Do as `args` say: 0; `AdaINKitError` for what fails."""
    started = time.perf_counter()
    shares = _shares(args)
    names = [name for parts in shares.values() for name, _ in parts]
    check_styles(names, args.model)
    _check_source(args)
    from ..film.preview import preview_film
    from ..film.sinks import kind_of
    from .film_target import default_target, is_finished

    if args.output is None:
        kept = {"preview": args.preview, "overwrite": args.overwrite, "resume": args.resume}
        args.output = str(default_target(args.source, names, **kept))
    if args.resume and not args.overwrite and not args.preview and is_finished(args.output):
        return _tell_finished(args.output, args.json)
    if args.strip and not args.preview and kind_of(args.output) == "animation":
        args.usage_error("--strip is for video files; `adainkit stylize --strip` paints animations")
    look = ("alpha", "preserve_color", "color_strength", "scale", "detail", "mask", "fps", "max_pixels", "start")
    options: dict[str, Any] = {name: getattr(args, name) for name in look}
    with (
        make_stylizer(args.model, args.device, args.dtype, args.runtime) as stylizer,
        Meter(1, "frames") as meter,
    ):
        style = _styles(stylizer, shares, args.style_size)
        frames = 0
        shown: list[int] = []

        def progress(stage: str, done: int, total: int) -> None:
            nonlocal frames
            frames = done if stage == "stylize" else frames
            meter.at(done, total, stage)

        if args.preview:
            options |= {"stop": args.stop, "overwrite": args.overwrite, "told": shown.append}
            written = preview_film(stylizer, args.source, args.output, style, count=args.preview, **options)
            frames = shown[0]
        else:
            options |= {name: getattr(args, name) for name in _PASSED}
            options |= {"statistics": "live" if args.live else args.statistics, "sound": not args.no_sound}
            written = stylizer.stylize_film(args.source, args.output, style, progress=progress, **options)
    return _tell(written, frames, time.perf_counter() - started, args.json)


def _tell(written: Path, frames: int, seconds: float, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"output": str(written), "frames": frames, "seconds": round(seconds, 3)}))
    else:
        print(f"{written}  ({frames} frame{'s' * (frames != 1)}, {seconds:.1f} s)")
    return 0


def _tell_finished(written: str, as_json: bool) -> int:
    told = "was finished before: no run is left that could go on; --overwrite paints it anew"
    if as_json:
        return _tell(Path(written), 0, 0.0, as_json)
    print(f"{written}  ({told})")
    return 0


def _check_source(args: argparse.Namespace) -> None:
    """A usage error for a picture, which FFmpeg would take for a film of one frame."""
    suffix = Path(args.source).suffix.lower()
    if suffix in PICTURES - _ANIMATED and "%" not in Path(args.source).name:
        args.usage_error(f"{args.source} is a picture, not a film; `adainkit stylize {args.source} STYLE` paints it")


def _shares(args: argparse.Namespace) -> dict[float, list[tuple[str, float]]]:
    """By the seconds of the film, the styles and their weights."""
    if (args.given_style is None) == (not args.style):
        args.usage_error("give one STYLE, or --style STYLE[:WEIGHT][@SECONDS] once or several times")
    found: dict[float, list[tuple[str, float]]] = {}
    for name, weight, second in args.style or [(args.given_style, 1.0, 0.0)]:
        found.setdefault(second, []).append((name, weight))
    for second, parts in found.items():
        if not any(weight for _, weight in parts):
            args.usage_error(f"at least one --style at {second:g} s needs a weight above 0")
    return found


def _styles(
    stylizer: Stylizer, shares: dict[float, list[tuple[str, float]]], style_size: int | None
) -> dict[float, Style]:
    from ..style import Style

    def mix(parts: list[tuple[str, float]]) -> Style:
        found = [(stylizer.as_style(name, style_size=style_size), weight) for name, weight in parts]
        return found[0][0] if len(found) == 1 else Style.blend(found)

    return {second: mix(parts) for second, parts in shares.items()}

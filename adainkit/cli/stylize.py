"""`adainkit stylize`: pictures and folders in one style, a blend, or random ones; resumable by a manifest."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..atomic import obstacle
from ..batch.chosen import ChosenStyles
from ..batch.finding import find_pictures
from ..batch.jobs import Job, plan_jobs
from ..batch.manifest import Manifest
from ..batch.pipeline import Outcome, run_jobs
from ..batch.random_styles import RandomStyles
from ..batch.records import complete_record
from ..errors import ImageError, StyleError
from ..preset_list import styles as presets
from ..store.fetch import file_digest
from ..store.weights import models
from . import grid
from .arguments import parse_arguments
from .console import check_styles, complain, make_stylizer, one_line
from .pipes import Pipes
from .progress import Meter

if TYPE_CHECKING:
    from ..errors import Progress

__all__ = ["Compute", "facts_of", "options_of", "plan", "record_of_run", "report", "run", "styles_of"]

Ended: TypeAlias = "Callable[[Outcome[Any]], object]"
Compute: TypeAlias = "Callable[[Sequence[Any], Ended, Progress], Generator[Outcome[Any], None, None]]"
"""Does jobs, which are `batch.Job` or what has its fields, and calls the second argument as each ends."""

_FIT = ("max_size", "resize", "crop")
# What the result doesn't depend on, or what has a place of its own in the manifest; all the rest are its options.
_NO_OPTIONS = {
    "command",
    "usage_error",
    "debug",
    "json",
    "pictures",
    "output",
    "overwrite",
    "manifest",
    "style",
    "seed",
    "pipes",
}
_NO_OPTIONS |= {"device", "runtime", "tile", "max_pixels", "strip", "no_record"}
_NO_OPTIONS |= {"address", "actors", "cpus_per_actor", "gpus_per_actor", "memory_per_actor", "batch", "window", "wait"}
_NO_OPTIONS |= {"to", "shard_size"}  # `cluster` tells them where they count


def run(args: argparse.Namespace) -> int:
    """Do as `args` say: 0, or 1 if a picture failed."""
    if _wants_to_choose(args):
        return _show_presets(args)
    with Pipes(args) as pipes:
        args.pipes = pipes
        code = _run(args)
        if not code:
            pipes.give()
    return code


def _run(args: argparse.Namespace) -> int:
    styles = styles_of(args)
    check_styles(styles.fixed, args.model)
    for mask in (*filter(None, [args.mask]), *styles.masks):
        if not os.path.exists(mask):  # noqa: PTH110
            raise ImageError(f"{mask}: no such file; expected the path of a picture")
    manifest = None if args.manifest is None else Manifest(args.manifest, facts_of(args, styles))
    return report(plan(args, styles, manifest), lambda: _here(args, styles), styles, manifest, args)


@contextmanager
def _here(args: argparse.Namespace, styles: ChosenStyles) -> Iterator[Compute]:
    """What does jobs in this process."""
    from ..batch import stylize_files

    with make_stylizer(args.model, args.device, args.dtype, args.runtime) as stylizer:
        sizes = {"style_size": args.style_size, "max_pixels": args.max_pixels}
        style_of, regions = styles.encoded(lambda name: stylizer.as_style(name, **sizes))

        def record_of(job: Job) -> dict[str, Any]:
            return complete_record(record_of_run(args), stylizer, styles.of(job))

        more = {"regions": regions, "record_of": None if args.no_record else record_of, **options_of(args)}

        def compute(jobs: Sequence[Job], ended: Ended, progress: Progress) -> Generator[Outcome[Job], None, None]:
            return stylize_files(stylizer, jobs, style_of, progress=progress, ended=ended, **more)

        yield compute


def _wants_to_choose(args: argparse.Namespace) -> bool:
    """Whether a picture alone is named, and nothing that only a result in some style has a use for."""
    named = (args.style, args.region, args.random_style, args.mask, args.manifest, args.output)
    (first, *rest) = args.pictures
    return not any(named) and not rest and Path(first).is_file() and Path(first).suffix.lower() != ".safetensors"


def _show_presets(args: argparse.Namespace) -> int:
    """The picture in all presets, on one sheet with their names, and what to type next."""
    (job,) = plan_jobs(args.pictures, None, style_name="presets", format=args.format, overwrite=args.overwrite)
    if job.problem or job.target is None:
        raise ImageError(f"{job.source}: {job.problem}")
    asked = parse_arguments(["grid", str(job.source), "-o", str(job.target)])
    for name in vars(asked).keys() & vars(args).keys() - {"command", "pictures", "output", "usage_error"}:
        setattr(asked, name, getattr(args, name))
    code = grid.run(asked)
    told = f"no style was named, so the sheet shows the presets; next: adainkit {job.source} PRESET"
    print(f"adainkit: {told}", file=sys.stderr)
    return code


def record_of_run(args: argparse.Namespace) -> dict[str, Any]:
    """What every result says of how it was made: names of files without their folders, which are nobody's business."""
    from .. import __version__

    options = {"style_size": args.style_size, **options_of(args)}
    left_out = ("mask", "tile", "format", "quality", "overwrite", "strip", "max_pixels", *_FIT)
    return {
        "adainkit": __version__,
        "mask": args.mask and Path(args.mask).name,
        "model": Path(args.model).name,
        "digest": "",
        "precision": "",
        "style": {},
        "regions": [[Path(mask).name, Path(style).name] for mask, style in args.region or ()],
        **{name: value for name, value in options.items() if name not in left_out},
        **{name: options[name] for name in _FIT if options[name] is not None},
    }


def styles_of(args: argparse.Namespace, random: Callable[[str, int, int], RandomStyles] = RandomStyles) -> ChosenStyles:
    """The styles that `args` name; wrong combinations are a usage error."""
    given = {"--style": args.style, "--region": args.region, "--random-style": args.random_style is not None}
    if len(names := [name for name, value in given.items() if value]) > 1:
        args.usage_error(f"{' and '.join(names)} exclude each other")
    if names and not os.path.exists(args.pictures[-1]) and not Path(args.pictures[-1]).suffix:  # noqa: PTH110
        args.usage_error(f"{args.pictures[-1]}: no such file; if it is meant as a STYLE, it excludes {names[0]}")
    if args.random_style is not None:
        return ChosenStyles({}, random=random(args.random_style, args.seed, args.styles_per_image))
    if args.seed or args.styles_per_image > 1:
        args.usage_error("--seed and --styles-per-image go with --random-style DIR")
    if args.region:
        return ChosenStyles({}, args.region)
    shares: list[tuple[str, float]] = args.style or []
    if not shares:
        if len(args.pictures) < 2:
            args.usage_error("a style is missing: CONTENT... STYLE, --style STYLE, or --random-style DIR")
        shares = [(args.pictures.pop(), 1.0)]
        if names := [name for name in args.pictures if name in presets() and not os.path.exists(name)]:  # noqa: PTH110
            mixed = " ".join(f"--style {name}" for name in (*names, shares[0][0]))
            args.usage_error(f"{names[0]} is a preset, and the last word alone is the STYLE; {mixed} mixes them")
        if Path(folder := shares[0][0]).is_dir():
            args.usage_error(
                f"{folder} is a folder, and the last word is the STYLE: --random-style {folder} gives each picture one "
                f"of its pictures, --style {folder} gives all of them their mean"
            )
    if not any(weight for _, weight in shares):
        args.usage_error("at least one --style needs a weight above 0")
    blend: dict[str, float] = {}
    for name, weight in shares:
        of_folder = _pictures_of(name)
        for each in of_folder:
            blend[each] = blend.get(each, 0.0) + weight / len(of_folder)
    return ChosenStyles(blend)


def _pictures_of(style: str) -> list[str]:
    """The pictures of a folder that is given as a style, or the style itself."""
    if not Path(style).is_dir():
        return [style]
    try:
        return [str(Path(style) / name) for name in find_pictures(style)]
    except ValueError as error:
        raise StyleError(str(error)) from error


def plan(args: argparse.Namespace, styles: ChosenStyles, manifest: Manifest | None) -> list[Job]:
    """The jobs that `args` name."""
    more: dict[str, Any] = {}
    if styles.random is not None:
        more["styles_of"] = styles.random.of
    if manifest is not None:
        more["is_done"] = manifest.is_done
    if args.output is not None and (why := obstacle(args.output)):  # once, and not for every picture
        raise ImageError(f"-o {args.output}: cannot be written, {why}; choose another -o")
    try:
        return plan_jobs(
            args.pictures,
            args.output,
            style_name=styles.name,
            format=args.format,
            overwrite=args.overwrite,
            protected=[*styles.inputs, *filter(None, (args.mask, args.manifest))],
            **more,
        )
    except ValueError as error:
        args.usage_error(args.pipes.told(error))
        raise  # it has not come so far


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    """The options that `stylize_files` takes."""
    names = "alpha preserve_color color_strength mask scale detail tile format quality overwrite strip max_pixels"
    return {name: getattr(args, name) for name in [*names.split(), *_FIT]}


def facts_of(args: argparse.Namespace, styles: ChosenStyles) -> dict[str, Any]:
    """What the manifest holds of every picture, and by which it knows whether a run goes on."""
    options = {name: value for name, value in vars(args).items() if name not in _NO_OPTIONS}
    if options["max_size"] is None:
        del options["max_size"]  # manifests from before it was there go on
    files = {name: _digest(name) for name in (*styles.fixed, *styles.masks, *filter(None, [args.mask]))}
    published = models().get(args.model)
    if published is None or published.available:  # else this run fetches it
        files[args.model] = _digest(args.model if published is None else published.path)
    if styles.random is None:
        return {"style": styles.fixed, "options": options, "seed": None, "files": files}
    options["random_style"] = styles.random.facts
    files[styles.random.where] = styles.random.digest
    return {"options": options, "seed": styles.random.seed, "files": files}


def _digest(path: str | Path) -> str | None:
    """None for what is no file: a preset, or a name whose error is told later."""
    try:
        return file_digest(Path(path))[:16]
    except (OSError, ValueError):
        return None


def _row(outcome: Outcome[Any], styles: ChosenStyles) -> dict[str, Any]:
    job, error = outcome.job, outcome.error
    return {
        "source": job.source,
        "target": job.target,
        "style": styles.of(job),
        "seconds": outcome.seconds,
        "error": None if error is None else one_line(error),
    }


def report(
    jobs: Sequence[Any],
    computing: Callable[[], AbstractContextManager[Compute]],
    styles: ChosenStyles,
    manifest: Manifest | None,
    args: argparse.Namespace,
) -> int:
    """Do the jobs that no earlier run has done: a line for every picture as it is done; 1 if any failed."""
    left = [job for job in jobs if not job.done]
    if len(left) < len(jobs):
        told = f"{len(jobs) - len(left)} of {len(jobs)} pictures were done before, as {args.manifest} says"
        print(f"adainkit: {told}", file=sys.stderr)

    def ended(outcome: Outcome[Any]) -> None:
        if manifest is not None:
            manifest.add(**_row(outcome, styles))

    if all(job.problem for job in left):  # nothing to do: no need to load a model
        computing = lambda: nullcontext(_nothing)  # noqa: E731
    with computing() as compute:
        return _told(left, lambda progress: compute(left, ended, progress), styles, manifest, args)


def _nothing(jobs: Sequence[Job], ended: Ended, progress: Progress) -> Generator[Outcome[Job], None, None]:
    return run_jobs(jobs, _never, _never, _never, ended=ended)


def _told(
    jobs: Sequence[Any],
    outcomes: Callable[[Progress], Generator[Outcome[Any], None, None]],
    styles: ChosenStyles,
    manifest: Manifest | None,
    args: argparse.Namespace,
) -> int:
    """The jobs under a bar on a terminal."""
    from tqdm import tqdm

    done = failed = 0
    with Meter(len(jobs), "pictures" if len(jobs) > 1 else "") as meter:

        def progress(stage: str, now: int, total: int) -> None:
            part = now / total if stage == "stylize" else (now / total + (stage == "decode")) / 2  # else two passes
            meter.at(min(done + part, len(jobs)))  # the one before may be on its way to the disk

        found = outcomes(progress)  # what no picture can be made with is told here: before there is a manifest
        with manifest or nullcontext(), closing(found):
            for outcome in found:
                with tqdm.external_write_mode(file=sys.stderr):
                    _tell(outcome, styles, args)
                failed += outcome.error is not None
                done += 1
                meter.at(done, max(len(jobs), done))  # a shard is several pictures
    if done > 1:
        told = f"{done - failed} of {done} pictures done" + f", {failed} failed" * bool(failed)
        print(f"adainkit: {told}", file=sys.stderr)
    return 1 if failed else 0


def _tell(outcome: Outcome[Any], styles: ChosenStyles, args: argparse.Namespace) -> None:
    job, error, named = outcome.job, outcome.error, args.pipes.told
    if error is not None:
        complain(error, args.debug, named)
    if args.json:
        target = None if error or job.target is None else str(job.target)
        row = {"input": named(job.source), "output": target, "style": styles.of(job)}
        told = None if error is None else named(one_line(error))
        print(json.dumps({**row, "seconds": round(outcome.seconds, 3), "error": told}), flush=True)
    elif error is None:
        told, stream = f"{job.source} -> {job.target}", sys.stderr if args.pipes.piped else sys.stdout
        print(f"{named(told)}  ({outcome.seconds:.1f} s)", file=stream, flush=True)


def _never(*_: object) -> None:
    """No job without a problem comes here."""

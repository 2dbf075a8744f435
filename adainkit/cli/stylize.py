"""`adainkit stylize`: pictures and folders in one style, a blend, or random ones; resumable by a manifest."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import obstacle
from ..batch.finding import find_pictures
from ..batch.jobs import Job, default_name, plan_jobs
from ..batch.manifest import Manifest
from ..batch.pipeline import Outcome, run_jobs
from ..batch.random_styles import RandomStyles, once_each
from ..errors import ImageError, StyleError
from ..store.fetch import file_digest
from ..store.weights import models
from .console import complain, make_stylizer, one_line
from .pipes import Pipes
from .progress import Meter

if TYPE_CHECKING:
    from ..errors import Progress
    from ..style import Style
    from ..stylizer import Regions, Stylizer

__all__ = ["run"]

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
_NO_OPTIONS |= {"device", "tile", "max_pixels", "strip", "no_record"}


@dataclass(frozen=True)
class _Styles:
    """The styles of a run: one blend for all pictures, or one for each region, or random ones."""

    blend: dict[str, float]
    regions: Sequence[tuple[str, str]] = ()
    random: RandomStyles | None = None

    @property
    def fixed(self) -> dict[str, float]:
        """The styles that all pictures get, and their weights."""
        return self.blend or {style: 1.0 for _, style in self.regions}

    @property
    def name(self) -> str:
        """The part of a result's file name that says which styles it has."""
        return default_name(self.fixed if self.random is None else [self.random.folder.resolve().name])

    @property
    def inputs(self) -> list[str]:
        """What is read for them and must not be replaced."""
        styles = list(self.fixed) if self.random is None else self.random.paths
        return styles + self.masks

    @property
    def masks(self) -> list[str]:
        """The masks of the regions."""
        return [mask for mask, _ in self.regions]

    def of(self, job: Job) -> dict[str, float]:
        """The styles of one job, and their weights."""
        if self.random is None:
            return self.fixed
        return {job.style: 1.0} if job.style else {}

    def encoded(self, encode: Callable[[str], Style]) -> tuple[Callable[[Job], Style | None], Regions | None]:
        """What gives the style of a job, and what all have as `regions`. All but random ones are encoded now, so that
        their errors come first."""
        from ..style import Style

        encode = once_each(encode)
        if self.random is not None:
            return (lambda job: encode(job.style)), None
        if self.regions:
            return (lambda job: None), [(mask, encode(style)) for mask, style in self.regions]
        blend = Style.blend([(encode(name), weight) for name, weight in self.blend.items()])
        return (lambda job: blend), None


def run(args: argparse.Namespace) -> int:
    """Do as `args` say: 0, or 1 if a picture failed."""
    with Pipes(args) as pipes:
        args.pipes = pipes
        code = _run(args)
        if not code:
            pipes.give()
    return code


def _run(args: argparse.Namespace) -> int:
    styles = _styles(args)
    manifest = None if args.manifest is None else Manifest(args.manifest, _facts(args, styles))
    jobs = _plan(args, styles, manifest)
    left = [job for job in jobs if not job.done]
    if len(left) < len(jobs):
        told = f"{len(jobs) - len(left)} of {len(jobs)} pictures were done before, as {args.manifest} says"
        print(f"adainkit: {told}", file=sys.stderr)

    def ended(outcome: Outcome[Job]) -> None:
        if manifest is not None:
            manifest.add(**_row(outcome, styles))

    if all(job.problem for job in left):  # nothing to do: no need to load a model
        return _report(left, lambda _: run_jobs(left, _never, _never, _never, ended=ended), styles, manifest, args)
    from ..batch import stylize_files

    with make_stylizer(args.model, args.device, args.dtype) as stylizer:
        sizes = {"style_size": args.style_size, "max_pixels": args.max_pixels}
        style_of, regions = styles.encoded(lambda name: stylizer.as_style(name, **sizes))
        record_of = None if args.no_record else lambda job: _record(styles.of(job), stylizer, args)
        more = {"regions": regions, "ended": ended, "record_of": record_of, **_options(args)}

        def outcomes(progress: Progress) -> Generator[Outcome[Job], None, None]:
            return stylize_files(stylizer, left, style_of, progress=progress, **more)

        return _report(left, outcomes, styles, manifest, args)


def _record(shares: dict[str, float], stylizer: Stylizer, args: argparse.Namespace) -> dict[str, Any]:
    """What a result says of how it was made: names of files without their folders, which are nobody's business."""
    from .. import __version__

    options = {"style_size": args.style_size, **_options(args)}
    left_out = ("mask", "tile", "format", "quality", "overwrite", "strip", "max_pixels", "max_size")
    names = {"mask": args.mask and Path(args.mask).name, "model": Path(args.model).name}
    return {
        "adainkit": __version__,
        **names,
        "digest": stylizer.digest[:16],
        "precision": stylizer.precision,
        "style": {Path(name).name: weight for name, weight in shares.items()},
        "regions": [[Path(mask).name, Path(style).name] for mask, style in args.region or ()],
        **{name: value for name, value in options.items() if name not in left_out},
    }


def _styles(args: argparse.Namespace) -> _Styles:
    given = {"--style": args.style, "--region": args.region, "--random-style": args.random_style is not None}
    if len(names := [name for name, value in given.items() if value]) > 1:
        args.usage_error(f"{' and '.join(names)} exclude each other")
    if names and not os.path.exists(args.pictures[-1]) and not Path(args.pictures[-1]).suffix:  # noqa: PTH110
        args.usage_error(f"{args.pictures[-1]}: no such file; if it is meant as a STYLE, it excludes {names[0]}")
    if args.random_style is not None:
        return _Styles({}, random=RandomStyles(args.random_style, args.seed, args.styles_per_image))
    if args.seed or args.styles_per_image > 1:
        args.usage_error("--seed and --styles-per-image go with --random-style DIR")
    if args.region:
        return _Styles({}, args.region)
    shares: list[tuple[str, float]] = args.style or []
    if not shares:
        if len(args.pictures) < 2:
            args.usage_error("a style is missing: CONTENT... STYLE, --style STYLE, or --random-style DIR")
        shares = [(args.pictures.pop(), 1.0)]
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
    return _Styles(blend)


def _pictures_of(style: str) -> list[str]:
    """The pictures of a folder that is given as a style, or the style itself."""
    if not Path(style).is_dir():
        return [style]
    try:
        return [str(Path(style) / name) for name in find_pictures(style)]
    except ValueError as error:
        raise StyleError(str(error)) from error


def _plan(args: argparse.Namespace, styles: _Styles, manifest: Manifest | None) -> list[Job]:
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


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """The options that `stylize_files` takes."""
    names = (
        "alpha preserve_color color_strength mask scale detail tile format quality overwrite strip max_pixels max_size"
    )
    return {name: getattr(args, name) for name in names.split()}


def _facts(args: argparse.Namespace, styles: _Styles) -> dict[str, Any]:
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
    files[str(styles.random.folder)] = styles.random.digest
    return {"options": options, "seed": styles.random.seed, "files": files}


def _digest(path: str | Path) -> str | None:
    """None for what is no file: a preset, or a name whose error is told later."""
    try:
        return file_digest(Path(path))[:16]
    except (OSError, ValueError):
        return None


def _row(outcome: Outcome[Job], styles: _Styles) -> dict[str, Any]:
    job, error = outcome.job, outcome.error
    return {
        "source": job.source,
        "target": job.target,
        "style": styles.of(job),
        "seconds": outcome.seconds,
        "error": None if error is None else one_line(error),
    }


def _report(
    jobs: Sequence[Job],
    outcomes: Callable[[Progress], Generator[Outcome[Job], None, None]],
    styles: _Styles,
    manifest: Manifest | None,
    args: argparse.Namespace,
) -> int:
    """Do the jobs: a line for every picture as it is done, under a bar on a terminal; 1 if any failed."""
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
                meter.at(done)
    if len(jobs) > 1:
        told = f"{len(jobs) - failed} of {len(jobs)} pictures done" + f", {failed} failed" * bool(failed)
        print(f"adainkit: {told}", file=sys.stderr)
    return 1 if failed else 0


def _tell(outcome: Outcome[Job], styles: _Styles, args: argparse.Namespace) -> None:
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

"""The `adainkit` command: files, text or JSON out. Exit codes: 0, 1 (something failed), 2 (usage), 130 (Ctrl-C)."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import parse_arguments
from .errors import AdaINKitError
from .jobs import Job, Outcome, default_name, plan_jobs, run_jobs

if TYPE_CHECKING:
    from .doctor import Finding
    from .progress import Progress
    from .stylizer import Stylizer

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's own); the exit code. `SystemExit` for usage and --help."""
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        with nullcontext() if args.command == "train" else _console(args.debug):  # training has a log of its own
            code = _COMMANDS[args.command](args)
            sys.stdout.flush()
            return code
    except AdaINKitError as error:
        _complain(error, args.debug)
    except BrokenPipeError:  # the reader, `head` say, has had enough: no words about it, now or at the exit
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("adainkit: interrupted", file=sys.stderr)
        return 130
    return 1


def _stylize(args: argparse.Namespace) -> int:
    styles: list[tuple[str, float]] = args.style or [(style, 1.0) for _, style in args.region or []]
    if args.style and args.region:
        args.usage_error("--style and --region exclude each other: each region names its style")
    if not styles:
        if len(args.pictures) < 2:
            args.usage_error("a style is missing: CONTENT... STYLE, or --style STYLE")
        styles = [(args.pictures.pop(), 1.0)]
    if not any(weight for _, weight in styles):
        args.usage_error("at least one --style needs a weight above 0")
    masks = [args.mask, *(mask for mask, _ in args.region or [])]
    try:
        jobs = plan_jobs(
            args.pictures,
            args.output,
            style_name=default_name(name for name, _ in styles),
            format=args.format,
            overwrite=args.overwrite,
            protected=[name for name, _ in styles] + [m for m in masks if m],
        )
    except ValueError as error:
        args.usage_error(str(error))
    if all(job.problem for job in jobs):  # nothing to do: no need to load a model
        return _report(jobs, lambda *_: None, args)
    from .style import Style

    with _stylizer(args.model, args.device, args.dtype) as stylizer:
        sizes = {"style_size": args.style_size, "max_pixels": args.max_pixels}
        found = [(stylizer.as_style(name, **sizes), weight) for name, weight in styles]
        regions = [(mask, style) for mask, (style, _) in zip(masks[1:], found, strict=True)] if args.region else None
        style = None if regions else Style.blend(found)

        def work(source: Path, target: Path, progress: Progress | None = None) -> None:
            stylizer.stylize_file(
                source,
                target,
                style,
                alpha=args.alpha,
                preserve_color=args.preserve_color,
                color_strength=args.color_strength,
                mask=args.mask,
                regions=regions,
                scale=args.scale,
                detail=args.detail,
                tile=args.tile,
                format=args.format,
                quality=args.quality,
                overwrite=args.overwrite,
                max_pixels=args.max_pixels,
                progress=progress,
            )

        return _report(jobs, work, args)


def _report(jobs: Sequence[Job], work: Callable[[Path, Path, Progress], object], args: argparse.Namespace) -> int:
    """Do the jobs: a line for every picture as it is done, under a bar on a terminal; 1 if any failed."""
    from tqdm import tqdm

    done = failed = 0
    form = "{percentage:3.0f}%|{bar}| {n:.1f}/{total} pictures [{elapsed}<{remaining}]"
    with tqdm(total=len(jobs), bar_format=form, leave=False, disable=None, file=sys.stderr) as bar:

        def progress(stage: str, now: int, total: int) -> None:
            part = now / total if stage == "stylize" else (now / total + (stage == "decode")) / 2  # else two passes
            bar.update(done + part - bar.n)

        for outcome in run_jobs(jobs, lambda source, target: work(source, target, progress)):
            with tqdm.external_write_mode(file=sys.stderr):
                _tell(outcome, args)
            failed += outcome.error is not None
            done += 1
            bar.update(done - bar.n)
    if len(jobs) > 1:
        told = f"{len(jobs) - failed} of {len(jobs)} pictures done" + f", {failed} failed" * bool(failed)
        print(f"adainkit: {told}", file=sys.stderr)
    return 1 if failed else 0


def _tell(outcome: Outcome, args: argparse.Namespace) -> None:
    job, error = outcome.job, outcome.error
    if error is not None:
        _complain(error, args.debug)
    if args.json:
        target = None if error or job.target is None else str(job.target)
        row = {"input": str(job.source), "output": target, "seconds": round(outcome.seconds, 3)}
        print(json.dumps({**row, "error": _line(error) if error else None}), flush=True)
    elif error is None:
        print(f"{job.source} -> {job.target}  ({outcome.seconds:.1f} s)", flush=True)


def _styles(args: argparse.Namespace) -> int:
    from .style import styles
    from .weights import load_model, models

    if args.model in models():
        found = styles(args.model)
    else:
        model = load_model(args.model)
        found = styles(model.config.name, digest=model.digest)
    if args.json:
        print(json.dumps([vars(preset) for preset in found.values()], indent=2))
    elif not found:
        print(f"the model {args.model!r} has no presets; any picture is a style", file=sys.stderr)
    else:
        _print_table([(preset.name, preset.description) for preset in found.values()])
    return 0


def _models(args: argparse.Namespace) -> int:
    from .weights import models

    found = models().values()
    if args.json:
        facts = ("name", "available", "size", "license", "description", "homepage", "path")
        print(json.dumps([{fact: getattr(w, fact) for fact in facts} for w in found], indent=2, default=str))
    else:
        here = {w.name: f"here, {w.size / 1e6:.1f} MB" if w.size else "not here" for w in found}
        _print_table([(w.name, here[w.name], w.license, w.description) for w in found])
    return 0


def _download(args: argparse.Namespace) -> int:
    from .weights import download

    print(download(args.name, source=args.source, verify=not args.no_verify))
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from .doctor import examine

    return _report_findings(examine(), args)


def _report_findings(found: Iterable[Finding], args: argparse.Namespace) -> int:
    findings = []
    for finding in found:
        findings.append(finding)
        if not args.json:
            print(f"{finding.status:8}{finding.name:18}{finding.value}", flush=True)
            if finding.remedy:
                print(f"{'':26}-> {finding.remedy}")
    broken = sum(f.status == "broken" for f in findings)
    if args.json:
        print(json.dumps({"healthy": not broken, "findings": [vars(f) for f in findings]}, indent=2))
    else:
        print(f"\n{broken} broken: see the arrows above" if broken else "\nall that is needed works")
    return 1 if broken else 0


def _gimp(args: argparse.Namespace) -> int:
    from . import gimp_install

    directory = Path(args.dir).expanduser().absolute() if args.dir else None
    if args.action == "doctor":
        return _report_findings(gimp_install.examine(directory), args)
    if args.action == "uninstall":
        folders, lines = gimp_install.uninstall(directory), []
        done = "removed"
    else:
        installed = gimp_install.install(directory)
        folders, lines, done = [i.folder for i in installed], gimp_install.advice(installed), "installed"
    if args.json:
        print(json.dumps({done: [str(folder) for folder in folders]}))
    else:
        print(*(f"{done}: {folder}" for folder in folders), *lines, sep="\n")
        if not folders:
            print("the plug-in is in none of GIMP's folders")
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .demo import run_demo
    from .style import styles

    started = time.perf_counter()
    with _stylizer("lite", "auto", "auto") as stylizer:
        written = run_demo(stylizer, list(styles("lite")), args.output)
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps({"outputs": [str(path) for path in written], "seconds": round(seconds, 3)}))
    else:
        print(f"{len(written)} pictures in {seconds:.1f} s; look at:", *written, sep="\n  ")
    return 0


def _train(args: argparse.Namespace) -> int:
    try:
        from training.train import main as train
    except ModuleNotFoundError as error:
        what = error.name or "a package"
        if what.partition(".")[0] == "training":
            raise AdaINKitError("the package `training` is missing beside adainkit; reinstall adainkit") from error
        raise AdaINKitError(f'training needs {what}; run pip install "adainkit[train]"') from error
    return int(train(args.rest))


def _stylizer(model: str, device: str, dtype: str) -> Stylizer:
    from .style import StyleCache
    from .stylizer import Stylizer
    from .weights import cache_dir

    return Stylizer(model, device=device, dtype=dtype, cache=StyleCache(folder=cache_dir() / "styles"))


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _complain(error: BaseException, debug: bool) -> None:
    print(f"adainkit: error: {_line(error)}", file=sys.stderr)
    if debug:
        traceback.print_exception(error, file=sys.stderr)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _console(debug: bool) -> Iterator[None]:
    """The library's log on stderr, warnings and worse (with --debug everything), and no name that cannot be printed."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("adainkit: %(levelname)s: %(message)s"))
    log = logging.getLogger("adainkit")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if debug else logging.WARNING)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "stylize": _stylize,
    "styles": _styles,
    "models": _models,
    "download": _download,
    "doctor": _doctor,
    "demo": _demo,
    "gimp": _gimp,
    "train": _train,
}

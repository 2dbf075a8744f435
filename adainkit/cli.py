"""The `adainkit` command: files, text or JSON out. Exit codes: 0, 1 (something failed), 2 (usage),
130 (Ctrl-C), 143 (SIGTERM)."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

from .arguments import parse_arguments
from .commands import gimp, grid, model3d, stylize
from .commands.console import complain, make_stylizer, report_findings
from .errors import AdaINKitError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's own); the exit code. `SystemExit` for usage and --help."""
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        # training has a log and a handler of SIGTERM of its own
        with nullcontext() if args.command == "train" else _console(args.debug), _stopping(args.command != "train"):
            code = _COMMANDS[args.command](args)
            sys.stdout.flush()
            return code
    except AdaINKitError as error:
        complain(error, args.debug)
    except BrokenPipeError:  # the reader, `head` say, has had enough: no words about it, now or at the exit
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        terminated = isinstance(stop, _Terminated)
        print(f"adainkit: {'terminated' if terminated else 'interrupted'}", file=sys.stderr)
        return 143 if terminated else 130
    return 1


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

    return report_findings(examine(), args.json)


def _comfyui(args: argparse.Namespace) -> int:
    from . import comfyui_install

    change = getattr(comfyui_install, args.action)(args.path)
    if args.json:
        print(json.dumps(vars(change), default=str))
        return 0
    before = f" (was {change.before})" if change.action == "upgraded" else ""
    print(f"{change.action} adainkit {change.version}{before}: {change.files} files in {change.folder}")
    if change.kept:
        print("left, since they are not the pack's:", *change.kept, sep="\n  ")
    if change.action != "uninstalled":
        needed = change.folder / "requirements.txt"
        print(f"next: run ComfyUI's own Python once with `-m pip install -r {needed}`, then restart ComfyUI")
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .demo import run_demo
    from .style import styles

    started = time.perf_counter()
    with make_stylizer("lite", "auto", "auto") as stylizer:
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


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


class _Terminated(KeyboardInterrupt):
    """SIGTERM, on the way out like Ctrl-C."""


@contextmanager
def _stopping(wanted: bool) -> Iterator[None]:
    """SIGTERM raises inside, so that what has begun is cleared away: no half-written file stays behind."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
        raise _Terminated

    main = threading.current_thread() is threading.main_thread()  # Python lets no other one set a handler
    if not (wanted and main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL):
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
    "stylize": stylize.run,
    "grid": grid.run,
    "model3d": model3d.run,
    "styles": _styles,
    "models": _models,
    "download": _download,
    "doctor": _doctor,
    "demo": _demo,
    "gimp": gimp.run,
    "comfyui": _comfyui,
    "train": _train,
}

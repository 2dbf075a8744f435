"""The `adainkit` command: files, text or JSON out. Exit codes: 0, 1 (something failed), 2 (usage),
130 (Ctrl-C), 143 (SIGTERM)."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from ..engine.pages import keep_pages
from ..errors import AdaINKitError
from . import cluster, editors, export, film, grid, info, model3d, serve, stylize
from .arguments import UsageError, parse_arguments
from .console import complain, make_stylizer, one_line, print_failure, report_findings

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's own); the exit code. `SystemExit` for usage and --help."""
    if argv is None:  # the process is ours
        keep_pages()
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    try:
        args = parse_arguments(arguments)
        own = args.command in ("train", "serve", "app")  # these handle SIGTERM themselves, and training has a log, too
        with nullcontext() if args.command == "train" else _console(args.debug), _stopping(not own):
            code = _COMMANDS[args.command](args)
            sys.stdout.flush()
            return code
    except UsageError as error:
        print(error, file=sys.stderr)
        if as_json:
            print_failure(error.message)
        raise SystemExit(2) from None
    except AdaINKitError as error:
        complain(error, args.debug)
        if as_json:
            print_failure(one_line(error))
    except BrokenPipeError:  # the reader, `head` say, has had enough: no words about it, now or at the exit
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        terminated = isinstance(stop, _Terminated)
        print(f"adainkit: {'terminated' if terminated else 'interrupted'}", file=sys.stderr)
        return 143 if terminated else 130
    return 1


def _styles(args: argparse.Namespace) -> int:
    from ..preset_list import styles
    from ..store.weights import load_model, models

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
    from ..store.weights import models

    found = models().values()
    if args.json:
        facts = ("name", "available", "size", "license", "description", "homepage", "path")
        print(json.dumps([{fact: getattr(w, fact) for fact in facts} for w in found], indent=2, default=str))
    else:
        here = {w.name: f"here, {w.size / 1e6:.1f} MB" if w.size else "not here" for w in found}
        _print_table([(w.name, here[w.name], w.license, w.description) for w in found])
    return 0


def _download(args: argparse.Namespace) -> int:
    from ..store.weights import download

    print(download(args.name, source=args.source, verify=not args.no_verify))
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from .doctor import examine

    return report_findings(examine(), args.json)


def _comfyui(args: argparse.Namespace) -> int:
    from ..install import comfyui as comfyui_install

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
    from ..preset_list import styles
    from .demo import run_demo

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
        train = _our_training().main
    except ModuleNotFoundError as error:
        what = error.name or "a package"
        raise AdaINKitError(f'training needs {what}; run pip install "adainkit[train]"') from error
    return int(train(args.rest, program="adainkit train"))


def _our_training() -> Any:
    """`training.train`, the one beside this package, whatever else is called `training` in the current folder."""
    parent = Path(__file__).resolve().parents[2]
    if not (parent / "training" / "train.py").is_file():
        raise AdaINKitError("the package `training` is missing beside adainkit; reinstall adainkit")
    for name in [name for name in sys.modules if name.partition(".")[0] == "training"]:
        if not str(getattr(sys.modules[name], "__file__", "")).startswith(str(parent)):
            del sys.modules[name]
    sys.path.insert(0, str(parent))  # for processes that training starts, too
    importlib.invalidate_caches()
    return importlib.import_module("training.train")


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
        with warnings.catch_warnings():
            warnings.filterwarnings("always", module=r"PIL\.")
            warnings.showwarning = _teller(warnings.showwarning)
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _teller(before: Callable[..., None]) -> Callable[..., None]:
    """Tells Pillow's warnings in the log, once for each picture and with its name; all others as `before`."""
    told: set[tuple[str, str]] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any, **more: Any) -> None:
        reading = sys.modules.get("adainkit.images.reading")
        name = getattr(reading, "name_of_thread", str)()
        if not name or "PIL" not in filename:
            before(message, category, filename, *rest, **more)
        elif (name, str(message)) not in told:
            told.add((name, str(message)))
            logging.getLogger("adainkit").warning("%s: %s", name, " ".join(str(message).split()))

    return show


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "stylize": stylize.run,
    "cluster": cluster.run,
    "grid": grid.run,
    "film": film.run,
    "info": info.run,
    "model3d": model3d.run,
    "export": export.run,
    "styles": _styles,
    "models": _models,
    "download": _download,
    "doctor": _doctor,
    "demo": _demo,
    "gimp": editors.run,
    "krita": editors.run,
    "comfyui": _comfyui,
    "serve": serve.run,
    "app": serve.run,
    "train": _train,
}

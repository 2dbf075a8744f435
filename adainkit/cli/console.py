"""What the commands share: the model that the options name, and errors as one line, findings."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..install.finding import Finding
    from ..stylizer import Stylizer

__all__ = ["check_styles", "complain", "make_stylizer", "one_line", "print_failure", "report_findings"]

_FLAGS = {
    "overwrite=True": "--overwrite",
    "max_pixels": "--max-pixels",
    "max_size": "--max-size",
    "max_frames": "--max-frames",
}


def check_styles(names: Iterable[str], model: str) -> None:
    """`StyleError` for a name that is no style: at once, since what is to come takes seconds.

    Presets of a model that is a file are known when it is loaded, and told then.
    """
    from ..preset_list import check_style, styles
    from ..store.weights import models

    if model in models():
        presets = styles(model)
        for name in names:
            check_style(name, presets, model)


def make_stylizer(model: str, device: str, dtype: str, runtime: str = "auto") -> Stylizer:
    """A Stylizer that keeps its styles on disk."""
    from ..store.style_cache import StyleCache
    from ..store.weights import cache_dir
    from ..stylizer import Stylizer

    cache = StyleCache(folder=cache_dir() / "styles")
    return Stylizer(model, device=device, dtype=dtype, cache=cache, runtime=runtime)


def complain(error: BaseException, debug: bool, named: Callable[[str], str] = str) -> None:
    """One line on stderr, with names as `named` gives them, and, to debug, where it comes from."""
    print(f"adainkit: error: {named(one_line(error))}", file=sys.stderr)
    if debug:
        traceback.print_exception(error, file=sys.stderr)


def one_line(error: BaseException) -> str:
    """The message, or what there is instead, without line breaks; arguments by the names that they have here."""
    text = " ".join(str(error).split()) or type(error).__name__
    for argument, flag in _FLAGS.items():
        text = text.replace(argument, flag)
    return text


def print_failure(message: str) -> None:
    """The one JSON document of a command that failed as a whole; its names are also those of a row of `stylize`."""
    print(json.dumps({"input": None, "output": None, "error": message}), flush=True)


def report_findings(found: Iterable[Finding], as_json: bool) -> int:
    """Print findings as they come, or all as JSON; 1 if any is broken."""
    findings = []
    for finding in found:
        findings.append(finding)
        if not as_json:
            print(f"{finding.status:8}{finding.name:18}{finding.value}", flush=True)
            if finding.remedy:
                print(f"{'':26}-> {finding.remedy}")
    broken = sum(f.status == "broken" for f in findings)
    if as_json:
        print(json.dumps({"healthy": not broken, "findings": [vars(f) for f in findings]}, indent=2))
    else:
        print(f"\n{broken} broken: see the arrows above" if broken else "\nall that is needed works")
    return 1 if broken else 0

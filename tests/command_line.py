"""The command in this process, and pictures for it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adainkit.cli import main

Run = Callable[..., SimpleNamespace]


def runner(capsys: pytest.CaptureFixture[str], *before: object, after: tuple[object, ...] = ()) -> Run:
    """`run(...)`: `adainkit` with these words and those given `before` and `after` them; `code`, `out`, `err`, and
    `rows`, the lines of --json."""

    def run(*argv: object) -> SimpleNamespace:
        try:
            code: Any = main([*map(str, (*before, *argv, *after))])
        except SystemExit as stop:
            code = stop.code or 0
        found = capsys.readouterr()
        assert "Traceback" not in found.err or "--debug" in argv
        rows = [json.loads(line) for line in found.out.splitlines()] if "--json" in argv and "stylize" in before else []
        return SimpleNamespace(code=code, out=found.out, err=found.err, rows=rows)

    return run


def noise(path: str | Path, seed: int, size: tuple[int, int] = (51, 38)) -> Path:
    """A file of large soft spots, `size` wide and high, in folders that are made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8))
    small.resize(size, Image.Resampling.BICUBIC).save(path)
    return Path(path)


def files_below(folder: str | Path) -> set[str]:
    """Their paths below it."""
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}

"""Which presets there are: names and descriptions, read from the head of a file of theirs. Needs no torch."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from .errors import StyleError
from .formats import PICTURES

__all__ = ["STYLE_VERSIONS", "Preset", "check_style", "check_version", "is_file", "presets_file", "styles"]

STYLE_VERSIONS = ("1", "2")
"""The versions of style files: "1" holds means and deviations alone, as files of presets do, "2" more tensors."""
_MOST_NAMES = 1000  # of a folder that are looked at for one that is close
_LONGEST = 100_000_000  # bytes, the bound of safetensors itself


@dataclass(frozen=True)
class Preset:
    """A named style of the package: what it looks like, and the public-domain picture its statistics come from."""

    name: str
    description: str
    source: str


def presets_file(model: str) -> Path:
    """The place of a model's presets, whether there are any or not."""
    return Path(__file__).parent / "presets" / f"{model}.safetensors"


def styles(model: str = "lite", *, digest: str | None = None) -> dict[str, Preset]:
    """The presets of a model by name; empty for a model that has none, or whose encoder is not the one of `digest`.

    >>> styles("a model without presets")
    {}
    """
    file = presets_file(model)
    if not file.is_file():
        return {}
    facts = _head(file)
    if digest not in (None, facts.get("encoder_sha256")):
        return {}
    rows = json.loads(facts.get("presets", "[]"))
    return {row["name"]: Preset(row["name"], row["description"], row["source"]) for row in rows}


def check_style(name: str | os.PathLike[str], presets: Collection[str], model: str) -> None:
    """`StyleError` for what is neither an existing file nor one of the `presets` of `model`, with the nearest ones, and
    the nearest files where it looks like the name of one."""
    if is_file(name) or str(name) in presets:
        return
    close = difflib.get_close_matches(str(name), [*presets, *_beside(Path(name))], n=3)
    if close:
        there = f"did you mean {' or '.join(map(repr, close))}?"
    elif presets:
        there = f"the presets are: {', '.join(presets)}"
    else:
        there = f"there are no presets for this {model!r} model"
    raise StyleError(f"{os.fspath(name)!r} is neither an existing file nor a preset; {there}")


def _beside(path: Path) -> list[str]:
    """Files that may have been meant by a name like that of a picture."""
    if path.suffix.lower() not in PICTURES | {".safetensors"}:
        return []
    try:
        with os.scandir(path.parent) as found:
            return [str(path.with_name(each.name)) for each in islice(found, _MOST_NAMES)]
    except (OSError, ValueError):
        return []


def is_file(name: str | os.PathLike[str]) -> bool:
    """`Path.is_file`, which raises for a name that is too long for a file: that is none."""
    return os.path.isfile(name)  # noqa: PTH113


def check_version(path: str | os.PathLike[str], facts: Mapping[str, str]) -> None:
    """`StyleError` for the facts of a style file that a newer adainkit wrote."""
    if (version := facts.get("format_version", STYLE_VERSIONS[0])) not in STYLE_VERSIONS:
        raise StyleError(f"{path}: format {version}, expected {' or '.join(STYLE_VERSIONS)}; update adainkit")


def _head(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors file: eight bytes of length, then as much JSON."""
    try:
        with path.open("rb") as file:
            length = min(int.from_bytes(file.read(8), "little"), _LONGEST)
            facts = dict(json.loads(file.read(length)).get("__metadata__") or {})
    except (OSError, ValueError, AttributeError) as error:
        raise StyleError(f"{path}: cannot be read as a style ({error}); reinstall adainkit") from error
    check_version(path, facts)
    return facts

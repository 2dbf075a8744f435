"""Which picture goes into which file: what a command line names becomes a list of jobs, before anything is computed.

Knows paths and nothing else: no torch, no pixels.
"""

# os.path, not Path: its tests never raise, whatever the name and the permissions of the folders.
# ruff: noqa: PTH100, PTH110, PTH112, PTH116

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..atomic import obstacle
from ..errors import ImageError
from ..formats import FORMATS, PICTURES
from .finding import Found, find

__all__ = [
    "Job",
    "default_name",
    "identity",
    "may_replace",
    "named_after",
    "next_name",
    "plan_jobs",
    "same_file",
    "split_weight",
    "with_format",
]

_SAME = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif", "heif": "heic"}


@dataclass(frozen=True)
class Job:
    """One picture to be made. `problem` says why it cannot be, else it is empty; `target` is None if it is unknown.

    `style`: what `styles_of` chose for it. `done`: an earlier run has made it.
    """

    source: Path
    target: Path | None
    problem: str = ""
    style: str = ""
    done: bool = False


def split_weight(text: str) -> tuple[str, float]:
    """A style and its share in a blend. A weight follows the last colon if it is a number; a file's name is a name.

    >>> split_weight("painting.jpg:0.7"), split_weight(r"C:\\x.jpg"), split_weight(r"C:\\x.jpg:2")
    (('painting.jpg', 0.7), ('C:\\\\x.jpg', 1.0), ('C:\\\\x.jpg', 2.0))
    """
    match = re.fullmatch(r"(.+):([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", text, re.IGNORECASE | re.DOTALL)
    if match is None or os.path.exists(text):
        return text, 1.0
    weight = float(match[2])
    if weight < 0 or not math.isfinite(weight):
        raise ValueError(f"the weight of {match[1]!r} must be a finite number from 0, got {match[2]}")
    return match[1], weight


def default_name(styles: Iterable[str]) -> str:
    """A file name's part for a style or a blend of several.

    >>> default_name(["art/the wave.jpg", "mosaic"])
    'the-wave+mosaic'
    """
    known = ("safetensors", *(s[1:] for s in PICTURES))
    stems = (re.sub(rf"\.({'|'.join(known)})$", "", re.split(r"[/\\]", s)[-1], flags=re.IGNORECASE) for s in styles)
    return re.sub(r"[^\w.+-]+", "-", "+".join(stems)).strip("-.")[:60] or "stylized"


def plan_jobs(
    contents: Sequence[str],
    output: str | None,
    *,
    style_name: str,
    format: str | None = None,
    overwrite: bool = False,
    protected: Iterable[str] = (),
    styles_of: Callable[[str], Sequence[str]] = lambda inner: ("",),
    is_done: Callable[[Path, Path], bool] = lambda source, target: False,
    is_ours: Callable[[Path], bool] = lambda target: False,
) -> list[Job]:
    """The jobs for files, patterns and folders, in the order in which they were named; folders by name, recursively.

    A folder's tree is kept below `output`. A GIF becomes a PNG, animated if it is, but for an `output` or `format` of
    GIF. Without `output` a result lies beside its content (a folder's beside the folder), `style_name` in its name,
    under a number where the name is taken. Nothing that exists is a target but for `overwrite`, and no content nor any
    of the `protected` files, there or not, ever is. What `is_ours` is an unfinished run's and
    may be replaced. `ValueError` for an impossible `output`.
    """
    found = find(contents, output)
    folder = output is None or _is_folder(output, several=len(found) > 1 or any(f.root for f in found))
    if output is not None and not folder:
        extension = Path(output).suffix[1:].lower()
        if format and _kind(extension) != _kind(format):
            raise ValueError(f"-o {output} and --format {format} contradict each other; give one of them")
        if extension not in FORMATS:
            raise ValueError(f"-o {output}: the extension must be one of {', '.join(FORMATS)}")
    inputs = [*map(Path, protected), *(each.source for each in found)]
    taken: dict[object, str] = {identity(path): "read here" for path in inputs}
    jobs: list[Job] = []
    for each in found:
        if each.problem:
            jobs.append(Job(each.source, None, each.problem))
            continue
        if output is None:
            plain = _beside(each, style_name, format)
        else:
            plain = Path(output) / with_format(each.inner, format) if folder else Path(output)
        chosen = styles_of(each.inner.as_posix())
        for style, target in zip(chosen, named_after(plain, chosen), strict=True):
            while output is None and not overwrite and not is_done(each.source, target):
                if not os.path.lexists(target) and identity(target) not in taken:
                    break
                target = next_name(target)
            done = is_done(each.source, target)
            problem = _problem(target, taken, overwrite or done or is_ours(target))
            if not problem:
                taken[identity(target)] = f"made of {each.source}"
            jobs.append(Job(each.source, target, problem, style, done and not problem))
    return jobs


def same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two names are those of one file, there or not."""
    return identity(Path(one)) == identity(Path(other))


def may_replace(target: object, overwrite: bool | None, inputs: Iterable[object], *, stacklevel: int = 3) -> bool:
    """`overwrite` as True or False: None, for one release more, replaces with a `FutureWarning`.

    `ImageError` where `target` is one of the `inputs`, a file that is read, unless `overwrite` is True; what is no path
    does not count. `stacklevel`: of the warning, 3 for the caller of the caller.
    """
    if not overwrite and isinstance(target, (str, os.PathLike)):
        paths = [each for each in inputs if isinstance(each, (str, os.PathLike))]
        if any(os.path.exists(each) and same_file(each, target) for each in paths):
            raise ImageError(
                f"{os.fspath(target)}: would replace a picture that is read here; choose another name, or pass "
                "overwrite=True"
            )
        if overwrite is None and os.path.lexists(target):
            told = "exists already and is replaced; the next release refuses that: pass overwrite=True, or another name"
            warnings.warn(f"{os.fspath(target)}: {told}", FutureWarning, stacklevel=stacklevel)
    return overwrite is not False


def _is_folder(output: str, *, several: bool) -> bool:
    """Whether `-o` means a folder: it is one, ends like one or has no extension, or several pictures are to come."""
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if output.endswith(separators) or os.path.isdir(output):
        return True
    suffix = Path(output).suffix
    if several and (suffix.lower() in PICTURES or os.path.exists(output)):
        raise ValueError(f"several pictures do not fit into one file: -o {output} must be a folder")
    return several or not suffix


def _beside(each: Found, style_name: str, format: str | None) -> Path:
    if each.root is None:
        named = each.source.with_name(f"{each.source.stem}-{style_name}{each.source.suffix}")
        return with_format(named, format)
    root = Path(each.root)
    if root.name in ("", ".."):  # it says what it is called where it is, and not here
        root = Path(os.path.abspath(root))
    return root.parent / f"{root.name or 'pictures'}-{style_name}" / with_format(each.inner, format)


def named_after(target: Path, styles: Sequence[str]) -> list[Path]:
    """The target itself for one style; for several, one with each style's name in it, all different."""
    if len(styles) == 1:
        return [target]
    names: list[Path] = []
    for style in styles:
        name = target.with_name(f"{target.stem}-{default_name([style])}{target.suffix}")
        while name in names:
            name = next_name(name)
        names.append(name)
    return names


def with_format(path: Path, format: str | None) -> Path:
    """The name of a result in a format, by default the content's own; a GIF becomes a PNG."""
    if format:
        same = _kind(path.suffix[1:]) == _kind(format)
        return path if same else path.with_suffix(f".{format}")
    kept = path.suffix[1:].lower() in FORMATS and path.suffix.lower() != ".gif"  # whose 256 colors are few for strokes
    return path if kept else path.with_suffix(".png")


def next_name(path: Path) -> Path:
    """The name that comes after it: a.png, a-2.png, a-3.png."""
    match = re.fullmatch(r"(.*)-(\d{1,6})", path.stem)
    stem, number = (match[1], int(match[2]) + 1) if match else (path.stem, 2)
    return path.with_name(f"{stem}-{number}{path.suffix}")


def _problem(target: Path, taken: dict[object, str], overwrite: bool) -> str:
    if (owner := taken.get(identity(target))) is not None:
        return f"its result {target} would replace what is {owner}; choose another -o"
    if os.path.isdir(target):
        return f"its result {target} would replace a folder; choose another -o"
    if os.path.lexists(target) and not overwrite:
        return f"{target} exists already; --overwrite replaces it, another -o keeps it"
    if why := obstacle(target):
        return f"its result {target} cannot be written: {why}; choose another -o"
    return ""


def identity(path: Path) -> object:
    """A value that two names of one file share, through links and on file systems that ignore case."""
    try:
        found = os.stat(path)
        return found.st_dev, found.st_ino
    except OSError:
        return os.path.normcase(os.path.realpath(path))


def _kind(extension: str) -> str:
    return _SAME.get(extension.lower(), extension.lower())

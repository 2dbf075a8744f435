"""A blind choice: results side by side without names, for eyes, and what the eyes chose.

Draw sheets of the pictures that have the same name in every folder:

    python -m training.blind draw --content DIR --style DIR --result ours=DIR --result theirs=DIR --out SHEETS

Whoever has no part in the work looks at each of SHEETS/01.png, 02.png ... and writes a line for it, the best first, as
`07: B A C`; lines that do not begin with a number and a colon are remarks. What the letters are is in SHEETS.key.json,
beside the folder:

    python -m training.blind count SHEETS.key.json ANSWERS [ANSWERS ...]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase

from PIL import Image

from adainkit.atomic import temporary_beside, write_atomically
from adainkit.images.sheet import Cell, draw_sheet, thumbnail

from .data import find_pictures, open_picture

__all__ = ["BlindError", "Key", "count", "draw", "main", "places"]

_SKEW = 0.03  # by how much a result's shape may differ: networks round sides
_WIDTH = 2  # digits of a sheet's number, at least

Key = dict[str, list[str]]
"""By sheet, "01" and so on: the names of its results in the order of their letters."""


class BlindError(ValueError):
    """Folders without common pictures, or answers that fit no sheet; the message says what to do."""


def draw(
    content: Path, style: Path, results: Mapping[str, Path], out: Path, sheets: int = 20, side: int = 320, seed: int = 0
) -> Key:
    """Write `out`/01.png and so on, and their key beside the folder: each a photograph and its painting above, the
    results below, in an order of its own. Pairs and orders are drawn by `seed`; a content's shorter side is scaled down
    to `side` pixels, and every result to the content's size. `BlindError` if fewer pictures than `sheets` have the same
    name in all folders, if `out` is not empty, or if a result has another shape than its content."""
    out = out.resolve()
    if not 1 < len(results) <= len(ascii_uppercase):
        raise BlindError(f"a choice needs 2 to {len(ascii_uppercase)} results, got {len(results)}: give --result again")
    if out.is_dir() and any(out.iterdir()):
        raise BlindError(f"{out}: is not empty, and sheets of two choices would be mixed; give another --out")
    folders = [_by_name(folder) for folder in (content, style, *results.values())]
    common = sorted(set.intersection(*map(set, folders)))
    if not 0 < sheets <= len(common):
        raise BlindError(f"{len(common)} pictures have the same name in all folders; --sheets {sheets} does not go")
    drawn, key = random.Random(seed), Key()
    out.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(sorted(drawn.sample(common, sheets)), 1):
        photograph, painting, *pictures = (_opened(folder[name], side) for folder in folders)
        order = drawn.sample(list(results), len(results))
        shown = dict(zip(results, pictures, strict=True))
        for each, picture in shown.items():
            if abs(picture.width / picture.height * photograph.height / photograph.width - 1) > _SKEW:
                raise BlindError(f"{name} of {each}: has another shape than the photograph; give results of one shape")
        cells = [
            Cell(shown[each].resize(photograph.size, Image.Resampling.LANCZOS), letter)
            for each, letter in zip(order, ascii_uppercase, strict=False)
        ]
        above = [Cell(photograph, "photograph"), Cell(thumbnail(painting, max(photograph.size)), "painting")]
        wide = len(cells) if len(cells) <= 3 else -(-len(cells) // 2)
        rows = [above, *(cells[first : first + wide] for first in range(0, len(cells), wide))]
        sheet = f"{number:0{_WIDTH}d}"
        key[sheet] = order
        with temporary_beside(out / f"{sheet}.png") as temporary:
            draw_sheet(rows).save(temporary)
    write_atomically(out.with_name(f"{out.name}.key.json"), json.dumps(key, indent=1).encode())
    return key


def places(key: Key, answers: str) -> list[list[str]]:
    """Of every sheet that the answers speak of, the names of its results, the best first. `BlindError` for a sheet that
    is none or is ranked twice, and for other letters than its own."""
    found: dict[str, list[str]] = {}
    for line in answers.splitlines():
        match = re.match(r"\W*(\d+)\s*:(.*)", line)
        if match is None:
            continue
        sheet, letters = match[1].zfill(_WIDTH), re.sub(r"[\s,;>.]+", " ", match[2]).upper().split()
        names = dict(zip(ascii_uppercase, key.get(sheet, ()), strict=False))
        if sorted(letters) != sorted(names) or sheet in found:
            raise BlindError(f"{line!r}: expected a sheet of the key, once, and each of its letters, the best first")
        found[sheet] = [names[letter] for letter in letters]
    return list(found.values())


def count(ranked: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: how often each result was first and last, its mean place, and how often it was before
    others."""
    ranks, before = defaultdict[str, list[int]](list), defaultdict[tuple[str, str], int](int)
    for order in ranked:
        for place, name in enumerate(order, 1):
            ranks[name].append(place)
            for other in order[place:]:
                before[name, other] += 1
    if not ranks:
        raise BlindError("no line of the answers ranks a sheet; expected lines like 07: B A C")
    names = sorted(ranks, key=lambda name: sum(ranks[name]) / len(ranks[name]))
    rows = [["", "mean place", "first", "last", *(f"before {name}" for name in names)], ["---"] * (4 + len(names))]
    for name in names:
        own = ranks[name]
        rows.append([name, f"{sum(own) / len(own):.2f}", str(own.count(1)), str(own.count(len(names)))])
        rows[-1] += ["" if other == name else str(before[name, other]) for other in names]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in find_pictures(folder):
        if path.stem in found:
            raise BlindError(f"{path} and {found[path.stem]} have one name; take one of them away")
        found[path.stem] = path
    return found


def _opened(path: Path, side: int) -> Image.Image:
    picture = open_picture(path, side)
    if picture is None:
        raise BlindError(f"{path}: cannot be read; replace it or take it away")
    return picture


def _named(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(f"expected NAME=DIR, got {text!r}")
    return name, Path(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    parser = argparse.ArgumentParser(prog="training.blind", description=(__doc__ or "").split("\n\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    drawing = verbs.add_parser("draw", help="write sheets without names")
    drawing.add_argument("--content", type=Path, required=True, metavar="DIR", help="photographs")
    drawing.add_argument("--style", type=Path, required=True, metavar="DIR", help="paintings, named as the photographs")
    drawing.add_argument(
        "--result", type=_named, action="append", required=True, metavar="NAME=DIR", help="results, named likewise"
    )
    drawing.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the sheets go")
    drawing.add_argument("--sheets", type=int, default=20, metavar="N", help="how many (default: 20)")
    drawing.add_argument("--side", type=int, default=320, metavar="PX", help="a content's shorter side (default: 320)")
    drawing.add_argument("--seed", type=int, default=0, metavar="N", help="of pairs and orders (default: 0)")
    counting = verbs.add_parser("count", help="what was chosen")
    counting.add_argument("key", type=Path, metavar="KEY", help="what draw wrote beside its folder")
    counting.add_argument("answers", type=Path, nargs="+", metavar="FILE", help="lines like 07: B A C")
    args = parser.parse_args(argv)
    try:
        if args.verb == "draw":
            if len(dict(args.result)) < len(args.result):
                raise BlindError("two results have one name; give each --result its own")
            draw(args.content, args.style, dict(args.result), args.out, args.sheets, args.side, args.seed)
        else:
            key = json.loads(args.key.read_text(encoding="utf-8"))
            found = [places(key, path.read_text(encoding="utf-8-sig")) for path in args.answers]
            print(count([order for each in found for order in each]))
            for path, each in zip(args.answers, found, strict=True):
                print(f"{path}: {len(each)} of {len(key)} sheets")
    except (BlindError, OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        print(f"training.blind: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The house: no room imports one below it in the table of CONTRIBUTING, and functions and classes have a limit."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "adainkit"
LINES, METHODS = 60, 12
REASON = "It has many methods, since "


def rooms() -> dict[str, int]:
    """The rooms and modules of CONTRIBUTING's table, each with the number of its row."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("| room | what is in it |\n| --- | --- |\n")[1].split("\n\n")[0]
    rows = [re.findall(r"`(\w+)(?:/|\.py)`", row.split("|")[1]) for row in table.splitlines()]
    return {room: number for number, row in enumerate(rows) for room in row}


def imports_of(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """The line and the room of each import, in functions too, but for those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = [*base, *(node.module or "").split(".")] if node.module else base
            names = [[*full, alias.name] for alias in node.names]
        else:
            names = [alias.name.split(".") for alias in node.names] if isinstance(node, ast.Import) else []
        yield from ((node.lineno, name[1]) for name in names if name[0] == "adainkit" and len(name) > 1)
        yield from imports_of(node, package)


def test_the_table_of_the_rooms_is_whole() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" and not path.stem.startswith("__")}
    assert set(rooms()) == there | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_no_room_imports_one_below_it() -> None:
    rank, seen, upward = rooms(), 0, []
    for path in sorted(PACKAGE.glob("*/**/*.py")) + [p for p in PACKAGE.glob("*.py") if p.stem in rank]:
        inner = path.relative_to(PACKAGE).with_suffix("").parts
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, room in imports_of(tree, ["adainkit", *inner[:-1]]):
            seen += 1
            if rank.get(room, -1) > rank[inner[0]]:  # __version__ and the like are no room
                upward.append(f"{path.relative_to(ROOT)}:{line} imports {room}")
    assert seen > 300
    assert upward == []


@pytest.mark.parametrize("folder", ["adainkit", "training"])
def test_functions_are_short_and_a_large_class_says_why(folder: str) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}: {getattr(node, 'name', '')}"
            if isinstance(node, kinds) and (lines := (node.end_lineno or 0) - node.lineno + 1) > LINES:
                found.append(f"{where} has {lines} lines")
            if isinstance(node, ast.ClassDef):
                count = sum(isinstance(each, kinds) for each in node.body)
                if count > METHODS and REASON not in " ".join((ast.get_docstring(node) or "").split()):
                    found.append(f"{where} has {count} methods, and its docstring does not say: {REASON}...")
    assert found == []

"""Old paths of modules: each works, warns, and is used nowhere in the repository."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from adainkit.moved import MOVED

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_path_gives_the_names_of_the_new_one_and_warns(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"adainkit.{old}", raising=False)
    with pytest.warns(DeprecationWarning, match=rf"adainkit\.{old} has moved to adainkit\.") as seen:
        module = importlib.import_module(f"adainkit.{old}")
    assert seen[-1].filename == importlib.__file__ or "importlib" not in seen[-1].filename
    for home in MOVED[old]:
        now = importlib.import_module(f"adainkit.{home}")
        for name in now.__all__:
            assert getattr(module, name) is getattr(now, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


def test_from_an_old_path_names_are_imported_as_ever() -> None:
    code = (
        "from adainkit.jobs import Job, find; import adainkit.controls; adainkit.controls.CONTROLS; print(Job.__name__)"
    )
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "Job\n"
    assert done.stderr.count("DeprecationWarning") == 2
    assert "<string>:1: DeprecationWarning: adainkit.jobs has moved to adainkit.batch.jobs and" in done.stderr


def test_nothing_here_uses_an_old_path() -> None:
    old = {f"adainkit.{name}" for name in MOVED}
    found = []
    for path in ROOT.rglob("*.py"):
        if path == Path(__file__) or any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.ImportFrom) and path.is_relative_to(ROOT / "adainkit"):
                package = ["adainkit", *path.relative_to(ROOT / "adainkit").parts[:-1]]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
                names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            found += [f"{path}:{node.lineno}: {name}" for name in names if name in old]
    assert found == []


def test_a_name_that_has_left_its_room_is_found_from_there() -> None:
    images = importlib.import_module("adainkit.images")
    with pytest.warns(DeprecationWarning, match=r"premix has moved to adainkit\.look\.color"):
        assert images.premix is importlib.import_module("adainkit.look.color").premix

"""The handbook: its reference is whole, its links lead somewhere, and its Chinese says what its English says."""

import argparse
import importlib
import re
import sys
import types
from pathlib import Path

import pytest
from pages import DOCS, ROOT, blocks, headings

import adainkit
from adainkit import session
from adainkit.cli import arguments

ZH = DOCS / "zh"
REFERENCE = {"api.md", "formats.md"}  # in English alone
# Not held to a Chinese page yet: their English still changes, or comes with its feature. A page leaves this list when
# it is translated.
NOT_YET: set[str] = set()
ENGLISH = sorted(path.name for path in DOCS.glob("*.md"))
PAIRS = [(DOCS / name, ZH / name) for name in ENGLISH if name not in REFERENCE | NOT_YET]
PAIRS.append((ROOT / "README.md", ROOT / "README.zh.md"))


@pytest.fixture(scope="module")
def site() -> types.ModuleType:
    pytest.importorskip("yaml")
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module("make_site")
    finally:
        sys.path.remove(str(DOCS))


# ---- the reference


@pytest.mark.parametrize("name", [*adainkit.__all__, *(f"session.{name}" for name in session.__all__)])
def test_every_public_name_is_in_the_reference(name: str):
    if name == "session.LIMITS":  # the one `Limits` by default
        return
    assert re.search(rf"^::: adainkit\.{re.escape(name)}$", (DOCS / "api.md").read_text(encoding="utf-8"), re.M)


def test_the_reference_names_nothing_else():
    for name in re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.M):
        home, _, last = name.rpartition(".")
        assert last in importlib.import_module(home).__all__, name


def test_page_of_the_command_has_every_option(site: types.ModuleType):
    page = site.command_page()
    parser, _ = arguments._parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
        assert section, name
        for action in command._actions if name != "train" else []:
            for flag in action.option_strings:
                assert f"`{flag}" in section[1], f"{name} {flag}"


def test_examples_of_docstrings_become_blocks():
    pytest.importorskip("griffe")
    sys.path.insert(0, str(DOCS))
    try:
        with_fences = importlib.import_module("doctest_fences").with_fences
    finally:
        sys.path.remove(str(DOCS))
    assert with_fences("A.\n\n>>> 1 + 1\n2\n\nB.") == "A.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nB."
    assert with_fences("no example") == "no example"


# ---- links


def test_links_lead_somewhere(site: types.ModuleType):
    broken = []
    for path in [ROOT / "README.md", ROOT / "README.zh.md", *DOCS.rglob("*.md")]:
        for link in site.links(path.read_text(encoding="utf-8")):
            to = link["to"]
            if "://" in to or to.startswith("mailto:"):
                continue
            there, fragment = site.place(path, to)
            if Path(there).name in NOT_YET and not (ROOT / there).exists():
                continue  # it comes with its feature
            if not (ROOT / there).exists() or (fragment and fragment[1:] not in anchors(ROOT / there)):
                broken.append(f"{path.relative_to(ROOT)}: {to}")
    assert broken == []


def anchors(path: Path) -> set[str]:
    """The names of a page's headings, as Markdown programs make them."""
    found = set()
    for heading in headings(path.read_text(encoding="utf-8")):
        words = re.sub(r"[^\w\s-]", "", heading.lstrip("#").strip().lower())
        found.add(re.sub(r"[\s-]+", "-", words))
    return found


def test_links_to_other_folders_become_pages_of_the_site(site: types.ModuleType):
    text = site.for_site(DOCS / "gimp.md", "en")
    assert "(protocol.md)" in text
    assert "../" not in "".join(link["to"] for link in site.links(text))
    chinese = site.for_site(ZH / "index.md", "zh")
    assert '<a href="../en/api/">' in chinese
    assert "](styles.jpg)" in chinese


def test_navigation_has_pages_that_nobody_named(site: types.ModuleType):
    nav = ["index.md", {"How to": ["a.md", "gone.md"]}, {"Tutorials": ["gone.md"]}]
    made = site.nav_of(nav, {"index.md", "a.md", "new.md"}, {"How to": "指南"})
    assert made == ["index.md", {"指南": ["a.md", "new.md"]}]


# ---- two languages


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=[pair[0].name for pair in PAIRS])
def test_chinese_page_is_that_of_the_english_one(english: Path, chinese: Path):
    assert chinese.is_file(), f"{chinese.relative_to(ROOT)} is missing"
    en, zh = (path.read_text(encoding="utf-8") for path in (english, chinese))
    assert [re.match("#+", h)[0] for h in headings(zh)] == [re.match("#+", h)[0] for h in headings(en)]
    code = [[(block.kind, block.code, block.why) for block in blocks(text)] for text in (en, zh)]
    assert code[1] == code[0]
    rows = [re.findall(r"^\|", text, re.M) for text in (en, zh)]
    assert len(rows[1]) == len(rows[0]), "a row of a table is missing"
    pictures = [[Path(p).name for p in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)] for text in (en, zh)]
    assert pictures[1] == pictures[0]


def test_no_chinese_page_is_left_over():
    assert {path.name for path in ZH.glob("*.md")} - NOT_YET == {zh.name for _, zh in PAIRS[:-1]}

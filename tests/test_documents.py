"""Every block of code of README and handbook: run, or, where it says why not, checked as far as it can be."""

import contextlib
import io
import re
import runpy
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest
from pages import DOCS, ROOT, Block, blocks, commands, make_files

from adainkit.cli import main
from adainkit.cli.arguments import parse_arguments

PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md")])
# The words of all others are parsed: they touch more than the current folder, or take long.
RUN = {"demo", "doctor", "film", "grid", "info", "model3d", "models", "styles", "stylize"}
PLACEHOLDER = re.compile(r"[A-Z]{2,}(/|$)")  # for the reader to fill in: RUN/model.safetensors
REASONS = ("needs", "trains", "a part of")
PYTHON, SHELL, NO_CODE = {"python", "py"}, {"bash", "sh", "shell", "console"}, {"text", "json", "yaml", "", "mermaid"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    make_files(folder)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = tmp_path / "here"
    shutil.copytree(files, here)
    monkeypatch.chdir(here)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        where = f"{page.name}:{block.line}"
        try:
            if block.kind in PYTHON:
                run_python(block, names, where)
            elif block.kind in SHELL:
                for line in commands(block.code):
                    run_shell(line, block, monkeypatch)
            else:
                assert block.kind in NO_CODE, f"a language that no test knows: {block.kind}"
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error


def run_python(block: Block, names: dict[str, object], where: str) -> None:
    """Run a block in the namespace of its page; compile one that is not run."""
    code = compile(block.code, where, "exec")
    if not block.why:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, names)


def run_shell(line: str, block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what is adainkit's, and check the words of everything else."""
    for part in re.split(r" (?:&&|\|) ", line):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            monkeypatch.setenv(*words.pop(0).split("=", 1))
        alone = part == line and not {"<", ">"} & set(words)
        if words[:1] == ["adainkit"]:
            run_command(words[1:], run=alone and not block.why)
        elif words[:2] in (["python", "-m"], ["python3", "-m"]) and words[2] != "pip":
            check_module(words[2], words[3:])
        elif words[:2] == ["pip", "install"] or words[1:4] == ["-m", "pip", "install"]:
            check_extras(" ".join(words))
        elif words[:1] == ["cat"]:
            assert all(Path(name).is_file() for name in words[1:]), part
        elif words[:1] == ["make"]:
            check_targets(words[1:])
        elif words[:1] == ["python"] and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), f"{words[1]} is not there"
        else:
            assert block.why, f"{words[0]!r} is not run here: say why before the block, <!-- not run: ... -->"


def run_command(words: list[str], *, run: bool) -> None:
    """An `adainkit` command: run, if all that it names is here, else parsed."""
    if words[:1] == ["train"]:
        check_module("training.train", words[1:])
        return
    parse_arguments(words)
    first = words[0] if re.fullmatch(r"[a-z]\w+", words[0]) else "stylize"  # `adainkit photo.jpg ukiyo-e`
    if not run or first not in RUN or any(map(PLACEHOLDER.match, words)):
        return
    if "-o" in words and "--manifest" not in words:
        clear(Path(words[words.index("-o") + 1]))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    assert code == 0, f"adainkit {' '.join(words)} ended with {code}: {err.getvalue()}{out.getvalue()}"


def clear(target: Path) -> None:
    """Take away what an earlier example of the page wrote."""
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def check_module(module: str, words: list[str]) -> None:
    """Every flag stands in the help of a program of this project."""
    assert module.partition(".")[0] in {"adainkit", "benchmarks", "training"}, module
    first = [word for word in words if not word.startswith("-")][:1]
    known = help_of(module)
    if first and first[0] in {"normalise", "draw", "count"}:
        known += help_of(module, first[0])
    for flag in re.findall(r"(?<!\S)\[?(--[a-z0-9-]+)", " ".join(words)):
        assert flag in re.findall(r"--[a-z0-9-]+", known), f"{module} knows no {flag}"


@cache
def help_of(module: str, *before: str) -> str:
    """What `--help` says, words that were parted at a hyphen made whole."""
    out, argv = io.StringIO(), sys.argv
    sys.argv = [module, *before, "--help"]
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = argv
    return re.sub(r"-\n\s+", "-", out.getvalue())


def check_extras(line: str) -> None:
    """The extras of adainkit are declared."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extras in re.findall(r"(?:\.|adainkit)\[([\w,]+)\]", line):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", pyproject, re.M), f"no extra {extra}"


def check_targets(words: list[str]) -> None:
    """The targets of the Makefile are there."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        if "=" not in word:
            assert re.search(rf"^{re.escape(word)}:", makefile, re.M), f"make knows no {word}"


def test_reasons_are_reasons():
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            assert not block.why or block.why.startswith(REASONS), f"{page.name}:{block.line}: {block.why}"

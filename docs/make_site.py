"""Build the handbook: python docs/make_site.py [OUT] (default: build/handbook), from docs/*.md and docs/zh/*.md.

OUT gets `en/`, `zh/` and an `index.html` that leads to one of them. Every warning of Zensical's is an error, as is a
link to a file that is not there. The pages are copied first, with links that fit the site: so docs/ can be read where
it is, and pages of other folders (`BORROWED`) can be pages of the site.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from command_page import page as command_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BORROWED = {
    "gimp_plugin/PROTOCOL.md": "protocol.md",
    "training/MODEL_CARD.md": "model-card.md",
    "training/EXPERIMENTS.md": "experiments.md",
}
LANGUAGES = {"en": "docs", "zh": "docs/zh"}
CHINESE = {"Tutorials": "教程", "How to": "指南", "Explanation": "原理", "Reference": "参考（英文）"}
PICTURES = (".jpg", ".png", ".webp", ".gif", ".svg")
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<to>[^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|^(?:(?: {4}|\t)[^\n]*\n?)+|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def pages(language: str) -> dict[str, Path]:
    """The pages of a language's tree by their names in the site."""
    found = {path.name: path for path in sorted((ROOT / LANGUAGES[language]).glob("*.md"))}
    if language == "en":
        found |= {name: ROOT / path for path, name in BORROWED.items()}
    return found


def links(text: str) -> Iterator[re.Match[str]]:
    """The links of a page, those in code left out."""
    code = [found.span() for found in _CODE.finditer(text)]
    for link in _LINK.finditer(text):
        if not any(start <= link.start() and link.end() <= end for start, end in code):
            yield link


def place(path: Path, to: str) -> tuple[str, str]:
    """Where a link of the file `path` leads, as a path below the project, and its `#fragment`."""
    there, sign, fragment = to.partition("#")
    here = path.relative_to(ROOT).as_posix()
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), there)) if there else here, sign + fragment


def for_site(path: Path, language: str) -> str:
    """The text of a page with the links of the site. Files that are no page of it are named without a link."""
    text, done, parts = path.read_text(encoding="utf-8"), 0, []
    own = {page.relative_to(ROOT).as_posix(): name for name, page in pages(language).items()}
    english = {page.relative_to(ROOT).as_posix(): name for name, page in pages("en").items()}
    for link in links(text):
        to = link["to"]
        if "://" not in to and not to.startswith(("#", "mailto:")):
            there, fragment = place(path, to)
            if there.endswith(PICTURES):
                new = f"{link['picture']}[{link['text']}]({posixpath.basename(there)})"
            elif there in own:
                new = f"[{link['text']}]({own[there]}{fragment})"
            elif there in english:  # from Chinese to what there is in English alone
                up = "../" if path.name == "index.md" else "../../"
                new = f'<a href="{up}en/{english[there].removesuffix(".md")}/{fragment}">{link["text"]}</a>'
            else:
                new = link["text"] if "`" in link["text"] else f"{link['text']} (`{there}`)"
            parts += [text[done : link.start()], new]
            done = link.end()
    return "".join(parts) + text[done:]


def nav_of(nav: list[Any], there: set[str], titles: dict[str, str]) -> list[Any]:
    """The pages of `nav` that are there, in its order, and what it does not name at the end of its "How to"."""
    named: set[str] = set()
    made: list[Any] = []
    for entry in nav:
        title, names = next(iter(entry.items())) if isinstance(entry, dict) else ("", [entry])
        found = [name for name in names if name in there]
        named |= set(found)
        made += [{title: found}] if title else found
    for entry in made:
        if "How to" in entry:
            entry["How to"] += sorted(there - named)
    return [
        {titles.get(next(iter(entry)), next(iter(entry))): next(iter(entry.values()))}
        if isinstance(entry, dict)
        else entry
        for entry in made
        if not isinstance(entry, dict) or next(iter(entry.values()))
    ]


def stage(language: str, out: Path) -> Path:
    """Copy a language's pages and pictures below `out`, beside the configuration; the path of that."""
    work = out / "work" / language
    work.mkdir(parents=True)
    found = pages(language)
    for name, path in found.items():
        text = for_site(path, language)
        (work / name).write_text(text, encoding="utf-8")
        for link in links(path.read_text(encoding="utf-8")):
            there, _ = place(path, link["to"])
            if there.endswith(PICTURES) and "://" not in link["to"]:
                if not (ROOT / there).is_file():
                    raise SystemExit(f"{path.relative_to(ROOT)} shows {there}, which is not there")
                shutil.copy(ROOT / there, work / posixpath.basename(there))
    if language == "en":
        (work / "cli.md").write_text(command_page(), encoding="utf-8")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    titles = CHINESE if language == "zh" else {}
    config |= {"docs_dir": f"work/{language}", "site_dir": language}  # within the folder of the configuration
    config["nav"] = nav_of(config["nav"], {path.name for path in work.glob("*.md")}, titles)
    config["theme"]["language"] = language
    python = config["plugins"][1]["mkdocstrings"]["handlers"]["python"]
    python["paths"] = [str(ROOT)]
    python["options"]["extensions"] = [str(ROOT / path) for path in python["options"]["extensions"]]
    target = out / f"{language}.yml"
    target.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return target


def main() -> int:
    """Build every language's site; 1 if there was a warning."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "handbook").resolve()
    for name in (*LANGUAGES, "work"):
        shutil.rmtree(out / name, ignore_errors=True)
    program = Path(sys.executable).with_name("zensical")
    for language in LANGUAGES:
        config = stage(language, out)
        done = subprocess.run(
            [program, "build", "--strict", "--clean", "--config-file", config.name],
            cwd=config.parent,
            capture_output=True,
            text=True,
        )
        if done.returncode or not (out / language / "index.html").is_file():
            said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)  # its colors
            print(said.partition("Traceback")[0], file=sys.stderr)
            print(f"the handbook's {language} tree has warnings, see above", file=sys.stderr)
            return 1
        config.unlink()
    (out / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>adainkit</title><script>'
        'location.replace(navigator.language.startsWith("zh") ? "zh/" : "en/")'
        '</script><a href="en/">English</a> <a href="zh/">中文</a>\n',
        encoding="utf-8",
    )
    shutil.rmtree(out / "work")
    print(out / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())

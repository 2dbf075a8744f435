"""The handbook's page of the command, made from what argparse knows: python docs/command_page.py prints it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from adainkit.cli import arguments

HEAD = """# The command

What `adainkit COMMAND --help` says, on one page.

Exit codes: 0, done; 1, something failed; 2, wrong usage; 130, Ctrl-C; 143, SIGTERM. With `--json` the result
on standard output is JSON, and what is said to people goes to standard error.
"""
TRAIN = "`adainkit train` takes the options of `python -m training.train`; `adainkit train --help` lists them."


def page() -> str:
    """The text of the page."""
    parser, _ = arguments._parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    told = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    rows = [f"| [`{name}`](#{name}) | {told[name]} |" for name in commands.choices]
    parts = [HEAD, "\n".join(["| command | what it does |", "| --- | --- |", *rows])]
    for name, command in commands.choices.items():
        parts += [f"## {name}", *(_section(name, command) if name != "train" else [TRAIN])]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    yield command.description or ""
    usage = command.usage or command.format_usage().removeprefix("usage: ")
    yield "```text\n" + "\n".join(line.strip() for line in usage.strip().splitlines()) + "\n```"
    rows = [_row(action) for action in command._actions if action.help != argparse.SUPPRESS]
    yield "\n".join(["| argument | |", "| --- | --- |", *rows])
    examples = (command.epilog or "").partition(":\n")[2]
    yield "Examples:\n\n```bash\n" + "\n".join(line.strip() for line in examples.splitlines()) + "\n```"


def _row(action: argparse.Action) -> str:
    names = action.option_strings or [str(action.metavar or action.dest)]
    value = ""
    if action.option_strings and action.nargs != 0:
        shown = action.metavar or ",".join(map(str, action.choices or [])) or action.dest.upper()
        value = f" {shown}" if isinstance(shown, str) else " " + " ".join(shown)
        if action.choices and not action.metavar:
            value = f" {{{shown}}}"
    help_text = (action.help or "") % {"default": action.default, "prog": "adainkit"} if action.help else ""
    if not action.option_strings and action.choices:
        names = [" \\| ".join(map(str, action.choices))]
    return f"| {', '.join(f'`{name}{value}`' for name in names)} | {_cell(help_text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(page(), end="")

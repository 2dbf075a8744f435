"""`adainkit gimp | krita install | uninstall | doctor`: the filter in an editor."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from .console import report_findings

__all__ = ["run"]

_NAMES = {"gimp": "GIMP", "krita": "Krita"}


def run(args: argparse.Namespace) -> int:
    """Do as `args.action` says, in the editor `args.command`: 0, or 1 if the doctor finds something broken."""
    installer = importlib.import_module(f"..install.{args.command}", __package__)
    directory = Path(args.dir).expanduser().absolute() if args.dir else None
    if args.action == "doctor":
        return report_findings(installer.examine(directory), args.json)
    if args.action == "install":
        installed = installer.install(directory)
        folders, done, lines = [i.folder for i in installed], "installed", installer.advice(installed)
    else:
        folders, done = installer.uninstall(directory), "removed"
        lines = [f"{folder} stays: it holds other files" for folder in folders if folder.exists()]
    if args.json:
        print(json.dumps({done: [str(folder) for folder in folders]}))
    elif folders:
        print(*(f"{done}: {folder}" for folder in folders), *lines, sep="\n")
    else:
        print(f"the plug-in is in none of {_NAMES[args.command]}'s folders")
    return 0

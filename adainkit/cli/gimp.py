"""`adainkit gimp install | uninstall | doctor`: the filter in GIMP 3."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .console import report_findings

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Do as `args.action` says: 0, or 1 if the doctor finds something broken."""
    from ..install import gimp as gimp_install

    directory = Path(args.dir).expanduser().absolute() if args.dir else None
    if args.action == "doctor":
        return report_findings(gimp_install.examine(directory), args.json)
    if args.action == "install":
        installed = gimp_install.install(directory)
        folders, done, lines = [i.folder for i in installed], "installed", gimp_install.advice(installed)
    else:
        folders, done = gimp_install.uninstall(directory), "removed"
        lines = [f"{folder} stays: it holds other files" for folder in folders if folder.exists()]
    if args.json:
        print(json.dumps({done: [str(folder) for folder in folders]}))
    elif folders:
        print(*(f"{done}: {folder}" for folder in folders), *lines, sep="\n")
    else:
        print("the plug-in is in none of GIMP's folders")
    return 0

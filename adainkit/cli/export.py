"""`adainkit export`: a model as files for other programs."""

from __future__ import annotations

import argparse
import json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("model", metavar="MODEL", help="a name of `adainkit models`, or a file")
    parser.add_argument("--to", choices=("onnx", "openvino", "tensorrt"), required=True, help="for which programs")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder, made if it is missing")
    parser.add_argument("--overwrite", action="store_true", help="replace files of an export that are in DIR")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Export, check, and tell what was written."""
    from ..runtimes.exported import may_export

    may_export(args.to, args.output, args.overwrite)  # before torch is imported
    from ..runtimes.export import export_model
    from ..store.weights import load_model

    written = export_model(load_model(args.model), args.to, args.output, overwrite=True)
    if args.json:
        print(json.dumps({"outputs": [str(path) for path in written]}))
    else:
        print("checked against torch at three sizes; written:", *written, sep="\n  ")
    return 0

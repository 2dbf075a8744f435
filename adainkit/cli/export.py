"""`adainkit export`: a model as files for other programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import AdaINKitError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("model", metavar="MODEL", help="a name of `adainkit models`, or a file")
    parser.add_argument(
        "--to", choices=("onnx", "openvino", "tensorrt", "browser"), required=True, help="for which programs"
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder, made if it is missing")
    parser.add_argument("--overwrite", action="store_true", help="replace files of an export that are in DIR")
    parser.add_argument(
        "--onnxruntime-web",
        metavar="PACKAGE",
        help="--to browser: the npm package, as a folder or a .tgz (default: npm fetches it)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Export, check, and tell what was written."""
    written = _page(args) if args.to == "browser" else _graphs(args)
    if args.json:
        print(json.dumps({"outputs": [str(path) for path in written]}))
    elif args.to == "browser":
        size = sum(path.stat().st_size for path in written) / 1e6
        print(f"checked against the model; written: {len(written)} files, {size:.0f} MB; serve {args.output} by https")
    else:
        print("checked against torch at three sizes; written:", *written, sep="\n  ")
    return 0


def _page(args: argparse.Namespace) -> list[Path]:
    from ..runtimes.browser_page import export_page

    return export_page(args.model, args.output, package=args.onnxruntime_web, overwrite=args.overwrite)


def _graphs(args: argparse.Namespace) -> list[Path]:
    if args.onnxruntime_web is not None:
        raise AdaINKitError(f"--onnxruntime-web is for --to browser, not for --to {args.to}; leave it out")
    from ..runtimes.exported import may_export

    may_export(args.to, args.output, args.overwrite)  # before torch is imported
    from ..runtimes.export import export_model
    from ..store.weights import load_model

    return export_model(load_model(args.model), args.to, args.output, overwrite=True)

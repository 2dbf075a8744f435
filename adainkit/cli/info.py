"""`adainkit info`: what a picture file is, and the settings that a result was made with."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..errors import AdaINKitError
from .console import complain

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Print what is known of each file; 1 if one is no picture."""
    from ..images import describe

    found: list[dict[str, Any]] = []
    failed = False
    for path in args.pictures:
        try:
            found.append(describe(path))
        except AdaINKitError as error:
            failed = True
            complain(error, args.debug)
    if args.json:
        print(json.dumps(found, indent=2))
    for facts in [] if args.json else found:
        many = f", {facts['frames']} frames" if (facts["frames"] or 1) > 1 else ""
        print(f"{facts['file']}: {facts['format']}, {facts['width']} x {facts['height']}{many}", flush=True)
        if facts["kept"]:
            print(f"  has: {', '.join(facts['kept'])}")
        for name, value in (facts["record"] or {}).items():
            if value in (None, [], {}):  # no mask, no regions; --json has them
                continue
            print(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
        if facts["record"] is None:
            print("  no settings of adainkit in it")
    return 1 if failed else 0

"""`adainkit serve` and `adainkit app`: the service, and its page."""

from __future__ import annotations

import argparse
import logging
from dataclasses import fields

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Serve until stopped: 0; `AdaINKitError` for what keeps it from starting."""
    from ..serve.run import open_app
    from ..serve.run import run as serve
    from ..serve.settings import Settings

    given = {f.name: value for f in fields(Settings) if (value := getattr(args, f.name, None)) is not None}
    settings = Settings.from_environment(**given)
    logging.getLogger("adainkit.serve").setLevel(logging.DEBUG if args.debug else logging.INFO)
    if args.command == "app":
        open_app(settings, told=lambda address: print(f"the page: {address}\nCtrl-C ends it", flush=True))
    else:
        serve(settings, lambda address: print(f"adainkit serves {address} - Ctrl-C ends it", flush=True))
    return 0

"""The command: `python -m adainkit.worker --state FILE`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from ..engine.pages import keep_pages

__all__ = ["main"]

log = logging.getLogger("adainkit.worker")
_LOCK_SECONDS = 10.0
"""How long a worker that was told to stop may take until its successor gives up."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until idle. 0 also where another worker serves this state file already; 1 if the file cannot be written."""
    args = _parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    state: Path = args.state.absolute()
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{state}.lock", timeout=_LOCK_SECONDS):
            keep_pages()
            from ..session import Session  # loads torch: not where another worker is there already
            from .engine import Engine
            from .server import Server

            session = Session(args.device, runtime=args.runtime)
            server = Server(Engine(session), state, args.idle, session.turns)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: server.stop())
            server.serve()
        server.finish()  # without the lock: a successor may start meanwhile
    except Timeout:
        log.info("another worker serves %s", state)
    except OSError as error:
        log.error("%s: the worker cannot be reached without its state file (%s)", state, error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m adainkit.worker", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, metavar="FILE", help="where port and token are written")
    parser.add_argument("--idle", type=float, default=900.0, metavar="SECONDS", help="end after so long without a call")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, mps")
    parser.add_argument("--runtime", default="auto", help="auto (default), torch, openvino, onnxruntime, tensorrt")
    return parser


if __name__ == "__main__":
    sys.exit(main())

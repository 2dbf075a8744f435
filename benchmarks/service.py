"""The service under load, on loopback: `python -m benchmarks.service`. Linux, since it reads /proc.

A round paints the same pictures by the network alone, in this process, and by the service, in a process of its own, for
several callers at once: from a JPEG to a JPEG, over HTTP. Then previews: their times. Then many small pictures
(`--requests 10000`): how long they take, and the service's resident memory as they go by.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import requests
import torch

from adainkit import Style, Stylizer

from .cases import sample_picture
from .report import environment, table
from .timing import ratios, spread

__all__ = ["main"]

LOOK = {"styles": [{"name": "iris"}], "controls": {"alpha": 0.8}}
_sessions = threading.local()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print tables; 0 when all went well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=1024, help="of the pictures, in pixels")
    parser.add_argument("--pictures", type=int, default=8, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--previews", type=int, default=1000, help="requests of the second part")
    parser.add_argument("--preview-side", type=int, default=512)
    parser.add_argument("--requests", type=int, default=0, help="of the third part")
    parser.add_argument("--request-side", type=int, default=96, help="of its pictures, in pixels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU, for both")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    facts = environment(torch.device("cpu"), "wall")
    print(table(["where", "what"], [[name, str(value)] for name, value in facts.items()]), end="\n\n")
    with served(args.threads) as (url, pid):
        if args.rounds:
            print(throughput(url, pid, args), end="\n\n")
        if args.previews:
            print(previews(url, pid, args), end="\n\n")
        if args.requests:
            print(many(url, pid, args))
    return 0


@contextmanager
def served(threads: int) -> Iterator[tuple[str, int]]:
    """A service in a process of its own: its address and its id."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "ADAINKIT_OFFLINE": "1"}
    command = [sys.executable, "-m", "adainkit", "serve", "--port", "0", "--rate", "1e9", "--burst", "1000000000"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+?(?=/)", process.stdout.readline())
        assert found is not None
        while requests.get(f"{found[0]}/readyz", timeout=60).status_code != 200:
            time.sleep(0.1)
        try:
            yield found[0], process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def throughput(url: str, pid: int, args: argparse.Namespace) -> str:
    """Pictures a second of both, by the clock and by their processors' time."""
    picture = sample_picture(args.side, args.side)
    sent = io.BytesIO()
    picture.save(sent, "JPEG", quality=92)
    stylizer, style = Stylizer(), Style.preset("iris")

    def bare() -> None:
        for _ in range(args.pictures):
            stylizer.stylize(picture, style)

    def serve(_: int) -> None:
        answer = _session().post(f"{url}/v1/stylize", data={"style": "iris"}, files={"picture": sent.getvalue()})
        answer.raise_for_status()

    def service() -> None:
        with ThreadPoolExecutor(args.callers) as callers:
            list(callers.map(serve, range(args.pictures)))

    wall: dict[str, list[float]] = {"network alone": [], "service": []}
    cpu: dict[str, list[float]] = {"network alone": [], "service": []}
    works: dict[str, tuple[Callable[[], None], Callable[[], float]]] = {
        "network alone": (bare, time.process_time),
        "service": (service, lambda: cpu_seconds(pid)),
    }
    for number in range(-1, args.rounds):
        for name in sorted(works, reverse=bool(number % 2)):
            work, clock = works[name]
            began, spent = time.perf_counter(), clock()
            work()
            if number >= 0:
                wall[name].append((time.perf_counter() - began) / args.pictures)
                cpu[name].append((clock() - spent) / args.pictures)
    rows = [[name, f"{spread(wall[name]):.3f}", f"{spread(cpu[name]):.3f}"] for name in works]
    shares = [spread(ratios(found["network alone"], found["service"])) for found in (wall, cpu)]
    rows.append(["service's throughput to the network's", *(f"{100 * share.median:.0f} %" for share in shares)])
    title = f"{args.side} x {args.side}, JPEG to JPEG, {args.callers} callers, {args.threads} threads"
    return table([title, "seconds", "CPU seconds"], rows)


def previews(url: str, pid: int, args: argparse.Namespace) -> str:
    """How long previews take, and the memory after each quarter of them."""
    sent = io.BytesIO()
    sample_picture(args.preview_side, args.preview_side).save(sent, "JPEG", quality=92)
    held = requests.post(f"{url}/v1/pictures", files={"picture": sent.getvalue()}, timeout=60).json()["id"]

    def one(number: int) -> float:
        asked = {**LOOK, "size": args.preview_side, "controls": {"alpha": number % 100 / 100}}
        began = time.perf_counter()
        _session().post(f"{url}/v1/pictures/{held}/preview", json=asked).raise_for_status()
        return time.perf_counter() - began

    for number in range(20):
        one(number)
    took, spent, memory = [], cpu_seconds(pid), [resident(pid)]
    for quarter in range(4):
        took += [one(number) for number in range(quarter, args.previews, 4)]
        memory.append(resident(pid))
    found = quantiles(took, n=100)
    rows = [
        ["median", f"{1000 * found[49]:.0f} ms"],
        ["99th percentile", f"{1000 * found[98]:.0f} ms"],
        ["CPU time", f"{1000 * (cpu_seconds(pid) - spent) / len(took):.0f} ms"],
        ["resident memory, before and after each quarter", " ".join(f"{each / 1e6:.0f}" for each in memory) + " MB"],
    ]
    return table([f"{len(took)} previews of {args.preview_side} x {args.preview_side}, one caller", ""], rows)


def many(url: str, pid: int, args: argparse.Namespace) -> str:
    """How long requests take, from each caller one after the other, and the memory after each tenth of them."""
    sent = io.BytesIO()
    sample_picture(args.request_side, args.request_side).save(sent, "JPEG", quality=92)
    asked = requests.Request("POST", f"{url}/v1/stylize", {}, {"picture": sent.getvalue()}, {"style": "iris"}).prepare()
    connected = threading.local()

    def one(_: int) -> float:
        if not hasattr(connected, "own"):
            connected.own = HTTPConnection(urlsplit(url).netloc)
        began = time.perf_counter()
        connected.own.request("POST", "/v1/stylize", asked.body, dict(asked.headers))  # less work than Session.post
        answer = connected.own.getresponse()
        if answer.status != 200 or not answer.read():
            raise SystemExit(f"{answer.status}: {answer.read()!r}")
        return time.perf_counter() - began

    with ThreadPoolExecutor(args.callers) as callers:
        list(callers.map(one, range(200)))
        began, spent, took, memory = time.perf_counter(), cpu_seconds(pid), list[float](), [resident(pid)]
        for _ in range(10):
            took += callers.map(one, range(args.requests // 10))
            memory.append(resident(pid))
    seconds, found = time.perf_counter() - began, quantiles(took, n=100)
    rows = [
        ["requests a second", f"{len(took) / seconds:.1f}"],
        ["median", f"{1000 * found[49]:.0f} ms"],
        ["99th percentile", f"{1000 * found[98]:.0f} ms"],
        ["CPU time of the service", f"{1000 * (cpu_seconds(pid) - spent) / len(took):.1f} ms"],
        ["resident memory, before and after each tenth", " ".join(f"{each / 1e6:.0f}" for each in memory) + " MB"],
    ]
    title = f"{len(took)} pictures of {args.request_side} x {args.request_side}, {args.callers} callers"
    return table([title, ""], rows)


def cpu_seconds(pid: int) -> float:
    """What a process has computed on all of its threads."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _session() -> requests.Session:
    if not hasattr(_sessions, "own"):
        _sessions.own = requests.Session()
    found: requests.Session = _sessions.own
    return found


if __name__ == "__main__":
    sys.exit(main())

"""A Ray cluster on this machine: what survives kills at random, and how fast it is beside the plain command.

    python -m benchmarks.cluster kills --runs 20
    python -m benchmarks.cluster speed --actors 1 2 4

Nodes are groups of processes of this machine, so actors beyond its cores gain nothing here. Needs POSIX.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from command_line import noise  # noqa: E402
from ray_cluster import LocalCluster, lines_of, local_cluster, start  # noqa: E402

from .report import table, write_json  # noqa: E402

_KINDS = ("worker", "node", "driver")


def main() -> int:
    """Run what is asked for, and print a table."""
    parser = argparse.ArgumentParser("python -m benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("kills", "speed"))
    parser.add_argument("--runs", type=int, default=20, help="of kills (default: 20)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--size", type=int, default=0, help="of a picture's sides (default: 96, of speed 224)")
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3, help="of speed, interleaved")
    parser.add_argument("--json")
    args = parser.parse_args()
    os.environ["ADAINKIT_RUNTIME"] = "torch"  # as on a cluster: see adainkit/cli/cluster.py
    with tempfile.TemporaryDirectory(prefix="adainkit-cluster-") as name:
        folder = Path(name)
        side = args.size or (96 if args.what == "kills" else 224)
        make_tree(folder, args.pictures, side)
        found = (
            kills(folder, args.first, args.runs) if args.what == "kills" else speed(folder, args.actors, args.rounds)
        )
    rows = [[str(value) for value in row.values()] for row in found]
    print(table(list(found[0]), rows))
    if args.json:
        write_json(args.json, {args.what: found})
    return 0 if all(row.get("same", True) for row in found) else 1


def make_tree(folder: Path, count: int, side: int) -> None:
    """`in/` with pictures in classes, one of them broken, and `art/` with four styles."""
    for number in range(count - 1):
        noise(folder / f"in/class{number % 3}/{number:04}.png", number, (side, side))
    (folder / "in/class0/broken.jpg").write_bytes(b"no picture at all")
    for number in range(4):
        noise(folder / f"art/{number}.png", 1000 + number, (96, 96))


def command(name: str, out: str, *more: object) -> list[object]:
    """`adainkit stylize` or `cluster` for the tree."""
    words = ["in", "--random-style", "art", "-o", f"{out}/", "--manifest", f"{out}.jsonl", "--device", "cpu"]
    return [name, *words, *more]


def one_machine(folder: Path) -> None:
    """The tree as the plain command makes it, `plain/`."""
    if start(command("stylize", "plain"), folder, folder / "plain.log").wait() != 1:  # one picture is broken
        raise SystemExit((folder / "plain.log").read_text())


def kills(folder: Path, first: int, runs: int) -> list[dict[str, Any]]:
    """A row for each run: what was killed, and whether tree and manifest are those of one machine."""
    one_machine(folder)
    found = []
    with local_cluster(2) as cluster:
        for seed in range(first, first + runs):
            started = time.monotonic()
            killed = run_with_kills(folder, cluster, seed)
            problems = compare(folder, f"run{seed}")
            seconds = round(time.monotonic() - started, 1)
            found.append({"run": seed, "killed": " ".join(killed), "same": not problems, "seconds": seconds})
            print(found[-1], *(problem[:200] for problem in problems[:9]), file=sys.stderr, flush=True)
            shutil.rmtree(folder / f"run{seed}")
    return found


def run_with_kills(folder: Path, cluster: LocalCluster, seed: int) -> list[str]:
    """One run to its end, with one to three kills at random moments; what was killed, in order."""
    choice, out = random.Random(seed), f"run{seed}"
    manifest, log = folder / f"{out}.jsonl", folder / f"{out}.log"
    words = command("cluster", out, "--address", cluster.address, "--actors", 2, "--window", 4)
    plan = [_KINDS[seed % 3], *choice.choices(_KINDS, k=choice.randint(0, 2))]
    total = sum(1 for path in (folder / "in").rglob("*") if path.is_file())
    moments = sorted(choice.randrange(total * 4 // 5) for _ in plan)  # in lines of the manifest
    killed: list[str] = []
    driver, deadline = start(words, folder, log), time.monotonic() + 600
    while True:
        if (code := driver.poll()) is not None:
            if code == 1 and b"pictures done" in log.read_bytes():  # with the broken one
                return killed
            raise SystemExit(f"{out}: exit code {code}\n{log.read_text()[-3000:]}")
        if time.monotonic() > deadline:
            driver.kill()
            raise SystemExit(f"{out}: hangs after {killed}\n{log.read_text()[-3000:]}")
        if plan and lines_of(manifest) >= moments[0] and cluster.workers():
            kind = plan.pop(0)
            moments.pop(0)
            time.sleep(choice.random() / 2)  # anywhere within a picture
            if kind == "worker":
                cluster.kill_worker(choice)
            elif kind == "node":
                cluster.kill_node(choice.randrange(len(cluster.nodes)))
                cluster.add_node()
            else:
                driver.kill()
                driver.wait()
                driver = start(words, folder, log)
            killed.append(kind)
        time.sleep(0.02)


def compare(folder: Path, out: str) -> list[str]:
    """What differs from one machine's tree and manifest: missing, other, left over, or told twice."""
    plain, made = _files(folder / "plain"), _files(folder / out)
    problems = [f"missing {name}" for name in plain.keys() - made.keys()]
    problems += [f"left over {name}" for name in made.keys() - plain.keys()]
    problems += [f"other bytes in {name}" for name in plain.keys() & made.keys() if plain[name] != made[name]]
    if (folder / f"{out}.jsonl.begun").exists():
        problems.append("the list of what was begun is still there")
    then, now = _told(folder / "plain.jsonl", "plain"), _told(folder / f"{out}.jsonl", out)
    problems += [
        f"told {count} times: {row}" for row, count in now.items() if count > 1 and json.loads(row)["error"] is None
    ]
    problems += [f"not told: {row}" for row in then.keys() - now.keys()]
    problems += [f"told without reason: {row}" for row in now.keys() - then.keys()]
    return problems


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _told(manifest: Path, out: str) -> Counter[str]:
    """The lines of a manifest, without their times and the name of the folder of results."""
    rows = [json.loads(line.replace(f'"{out}/', '"out/')) for line in manifest.read_text().splitlines()]
    return Counter(json.dumps({name: value for name, value in row.items() if name != "seconds"}) for row in rows)


def speed(folder: Path, actors: list[int], rounds: int) -> list[dict[str, Any]]:
    """A row for each number of actors: pictures a second from the first to the last line of the manifest, in rounds of
    all, beside the plain command with one thread."""
    found: dict[str, list[float]] = {}
    with local_cluster(max(actors)) as cluster:
        for number in range(rounds):
            cases = {"plain command": command("stylize", "plain", "--overwrite")}
            for count in actors:
                name = f"{count} actors" if count > 1 else "1 actor"
                more = ("--overwrite", "--address", cluster.address, "--actors", count)
                cases[name] = command("cluster", f"by{count}", *more)
            for name, words in cases.items():
                manifest = folder / str(words[words.index("--manifest") + 1])
                manifest.unlink(missing_ok=True)
                found.setdefault(name, []).append(_rate(words, folder, manifest))
                print(f"round {number}: {name}: {found[name][-1]:.2f} pictures/s", file=sys.stderr, flush=True)
    base = found["plain command"]
    return [
        {
            "what": name,
            "pictures/s": round(statistics.median(rates), 2),
            "spread": f"{min(rates):.2f} to {max(rates):.2f}",
            "to plain": round(statistics.median(r / b for r, b in zip(rates, base, strict=True)), 2),
        }
        for name, rates in found.items()
    ]


def _rate(words: list[object], folder: Path, manifest: Path) -> float:
    """Without the start and the end of processes, which a long run does not notice."""
    log = folder / "speed.log"
    driver = start(words, folder, log)
    first = last = 0.0
    before = begin = 0
    while driver.poll() is None:
        count, now = lines_of(manifest), time.monotonic()
        if count != before:
            if before == 0 or begin == 0:
                first, begin = now, count
            last, before = now, count
        time.sleep(0.002)
    if driver.returncode != 1:
        raise SystemExit(log.read_text()[-3000:])
    return (before - begin) / (last - first)


if __name__ == "__main__":
    sys.exit(main())

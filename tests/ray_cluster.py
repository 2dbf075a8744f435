"""A real Ray cluster of several nodes on this machine, each a group of processes, for tests and benchmarks.

From the main thread only: Ray sets signal handlers. Small everything: 100 MB of objects and one core a node.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SMALL: dict[str, Any] = {"object_store_memory": 100 << 20, "include_dashboard": False}


class LocalCluster:
    """A head without cores and `count` nodes of one core each; all of its processes end with `close`."""

    def __init__(self, count: int) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # the nodes, and the workers of them, have this environment
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        os.environ["OMP_NUM_THREADS"] = "1"
        os.environ.setdefault("RAY_gcs_server_request_timeout_seconds", "240")  # of a machine with other work
        from ray.cluster_utils import Cluster

        _be_patient()
        self._before = processes()
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL, **_ports()})
        self.address: str = self.cluster.address
        self.nodes: list[Any] = []
        for _ in range(count):
            self.add_node()

    def add_node(self) -> None:
        """One node more."""
        self.nodes.append(self.cluster.add_node(num_cpus=1, **SMALL, **_ports()))

    def kill_node(self, index: int) -> None:
        """As if its plug were pulled."""
        self.cluster.remove_node(self.nodes.pop(index), allow_graceful=False)

    def workers(self) -> list[int]:
        """The processes of actors."""
        return sorted(pid for pid, line in processes().items() if "ray::Actor" in line and pid not in self._before)

    def kill_worker(self, choice: random.Random) -> bool:
        """Kill an actor's process; False where there is none."""
        pids = self.workers()
        if pids:
            with suppress(ProcessLookupError):
                os.kill(choice.choice(pids), signal.SIGKILL)
        return bool(pids)

    def close(self) -> None:
        """End all of it, and see that nothing is left."""
        self.cluster.shutdown()
        deadline = time.monotonic() + 20
        while (left := processes().keys() - self._before.keys()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid in left:  # they are this cluster's: none of them was there before it
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _ports() -> dict[str, int]:
    """Ports that are free now. A raylet that must learn them from its agents dies after 15 seconds without."""
    names = ("metrics_agent_port", "runtime_env_agent_port", "dashboard_agent_listen_port", "metrics_export_port")
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("", 0))
        return {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}


def _be_patient() -> None:
    """Nodes may take four minutes to start, instead of Ray's fixed 30 seconds: the machine may have other work."""
    from ray._private import services

    get_node = services.get_node
    if get_node.__name__ == "patient":
        return

    def patient(*arguments: Any, **more: Any) -> Any:
        deadline = time.monotonic() + 240
        while True:
            try:
                return get_node(*arguments, **more)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    services.get_node = patient


@contextmanager
def local_cluster(count: int) -> Iterator[LocalCluster]:
    """A `LocalCluster` that is closed at the end."""
    cluster = LocalCluster(count)
    try:
        yield cluster
    finally:
        cluster.close()


def processes() -> dict[int, str]:
    """Ray's own processes of this session's descendants, by their numbers."""
    found, parents, lines = {}, {}, {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                text = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
                lines[int(entry.name)] = Path(entry.path, "cmdline").read_text(errors="replace").replace("\0", " ")
    mine = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    for pid in mine - {os.getpid()}:
        line = lines.get(pid, "")
        if "ray::" in line or "/ray/" in line:
            found[pid] = line
    return found


def start(arguments: Sequence[object], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """`adainkit` with these words, in a process of its own."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "adainkit", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=stream,
            stderr=stream,
        )


def lines_of(file: Path) -> int:
    """How many lines it has; none where it is not there."""
    with suppress(FileNotFoundError):
        return file.read_bytes().count(b"\n")
    return 0

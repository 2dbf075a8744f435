"""How much memory the system can still give, and the container if this runs in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

__all__ = ["available_memory"]

_UNKNOWN = 4 << 30  # what is taken for available where nothing tells
_NO_LIMIT = 1 << 60  # version 1 writes "no limit" as the largest multiple of a page


_FRESH = 0.2  # seconds: to ask takes a millisecond, and a small picture is painted in thirty
_last = (float("-inf"), 0)  # when the system was asked, and what it said


def available_memory(root: str | Path = "/") -> int:
    """Bytes that may still be allocated: the least that the system and every control group around this process leave.

    Of a group's memory, file pages that were not used lately do not count as used: the kernel gives them back before it
    refuses anything, and in a container that has copied files they fill all the rest. Groups of version 1 and 2, nested
    ones too. `root` is where the file systems are mounted. What the system said 0.2 seconds ago still counts.
    """
    global _last
    if root != "/":
        return _asked(Path(root))
    if monotonic() - _last[0] > _FRESH:
        _last = (monotonic(), _asked(Path(root)))
    return _last[1]


def _asked(base: Path) -> int:
    found = []
    with suppress(OSError, StopIteration, ValueError, IndexError):
        lines = (base / "proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024)
    for folder, limits, used, inactive in _groups(base):
        with suppress(OSError, ValueError):
            limit = min((value for name in limits if (value := _number(folder / name)) is not None), default=_NO_LIMIT)
            if limit < _NO_LIMIT:
                working = int((folder / used).read_text()) - _statistic(folder / "memory.stat", inactive)
                found.append(limit - max(0, working))
    return max(0, min(found, default=_UNKNOWN))


def _groups(base: Path) -> Iterator[tuple[Path, tuple[str, ...], str, str]]:
    """The groups that this process is in, from the innermost outwards: folder, files of limits and of use, and the name
    of the unused file pages in its statistics."""
    mounted = base / "sys/fs/cgroup"
    paths = {"": "/", "memory": "/"}  # by controller; what a container sees of itself is often the root
    with suppress(OSError):
        for line in (base / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = (*line.split(":", 2), "", "")[:3]
            if controllers == "" or "memory" in controllers.split(","):
                paths["memory" if controllers else ""] = path
    for path in _upwards(paths[""]):
        yield mounted / path, ("memory.max", "memory.high"), "memory.current", "inactive_file"
    for path in _upwards(paths["memory"]):
        names = ("memory.limit_in_bytes",)
        yield mounted / "memory" / path, names, "memory.usage_in_bytes", "total_inactive_file"


def _upwards(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part and part != ".."]
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def _number(file: Path) -> int | None:
    """None where there is no such file, or no limit."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _statistic(file: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0

"""What memory is available: the system's, a container's, and what its file cache holds."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from adainkit.engine.available import available_memory
from adainkit.engine.pages import keep_pages

GIB = 1 << 30


def system(root: Path, available: int, groups: str = "0::/\n", **files: dict[str, str]) -> Path:
    """A system's files below `root`; of `files`, folders with __ for /."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {available // 1024} kB\n")
    (root / "proc/self/cgroup").write_text(groups)
    for name, texts in files.items():
        folder = root / "sys/fs/cgroup" / name.replace("__", "/").strip("/_")
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            (folder / file.replace("_", ".", 1)).write_text(text)
    return root


def group(limit: int | str, current: int, inactive: int) -> dict[str, str]:
    stat = f"anon {current - inactive}\nfile {inactive}\ninactive_file {inactive}\n"
    return {"memory_max": f"{limit}\n", "memory_current": f"{current}\n", "memory_stat": stat}


def old(limit: int, usage: int, inactive: int) -> dict[str, str]:
    return {
        "memory_limit_in_bytes": f"{limit}\n",
        "memory_usage_in_bytes": f"{usage}\n",
        "memory_stat": f"inactive_file 1\ntotal_inactive_file {inactive}\n",
    }


def test_without_groups_it_is_the_systems(tmp_path: Path) -> None:
    assert available_memory(system(tmp_path, 3 * GIB)) == 3 * GIB


def test_where_nothing_tells_it_is_a_guess(tmp_path: Path) -> None:
    assert available_memory(tmp_path) == 4 * GIB


def test_a_full_file_cache_is_free(tmp_path: Path) -> None:
    root = system(tmp_path, 30 * GIB, _=group(8 * GIB, 8 * GIB, 7 * GIB))
    assert available_memory(root) == 7 * GIB


@pytest.mark.parametrize("limit", ["max", 64 * GIB])
def test_the_systems_memory_bounds_a_group(tmp_path: Path, limit: int | str) -> None:
    assert available_memory(system(tmp_path, 2 * GIB, _=group(limit, GIB, 0))) == 2 * GIB


def test_the_narrowest_of_nested_groups_counts(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        30 * GIB,
        "0::/outer/inner\n",
        outer=group(4 * GIB, 3 * GIB, GIB),
        outer__inner=group("max", 3 * GIB, GIB),
        other=group(GIB, GIB, 0),
    )
    assert available_memory(root) == 2 * GIB


def test_a_soft_limit_counts(tmp_path: Path) -> None:
    files = {**group("max", GIB, 0), "memory_high": f"{3 * GIB}\n"}
    assert available_memory(system(tmp_path, 30 * GIB, _=files)) == 2 * GIB


@pytest.mark.parametrize("path", ["/", "/docker/abc", "/not/there"])
def test_version_one(tmp_path: Path, path: str) -> None:
    no_limit = 9223372036854771712
    root = system(
        tmp_path,
        30 * GIB,
        f"5:cpu:/x\n4:memory:{path}\n",
        memory=old(6 * GIB if path != "/docker/abc" else no_limit, 6 * GIB, 5 * GIB),
        memory__docker__abc=old(6 * GIB, 6 * GIB, 5 * GIB),
    )
    assert available_memory(root) == 5 * GIB


def test_more_used_than_allowed_is_nothing(tmp_path: Path) -> None:
    assert available_memory(system(tmp_path, GIB, _=group(GIB, 2 * GIB, 0))) == 0


def test_this_machine_has_some() -> None:
    assert available_memory() > 1 << 20


_FAULTS = """
import resource, sys, threading
from adainkit.engine.pages import keep_pages
kept = keep_pages() if sys.argv[1] == "keep" else None
import numpy as np
from adainkit import Style, Stylizer
def work():
    picture, style = np.zeros((800, 900, 3), np.uint8), Style.preset("ember")
    for number in range(7):
        if number == 4:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        stylizer.stylize(picture, style)
    print(kept, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 3)
stylizer = Stylizer(device="cpu", dtype="float32", runtime="torch")
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_is_kept_is_no_new_page() -> None:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}

    def told(word: str) -> tuple[str, int]:
        command = [sys.executable, "-c", _FAULTS, word]
        done = subprocess.run(command, env=plain, check=True, capture_output=True, text=True)
        kept, faults = done.stdout.split()
        return kept, int(faults)

    (kept, few), (_, many) = told("keep"), told("no")
    assert kept == "True"
    assert many > 1000
    assert few < 0.3 * many


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_environment_says_of_memory_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "glibc.malloc.arena_max=2" if name.startswith("GLIBC") else "2")
    monkeypatch.setattr("adainkit.engine.pages.ctypes", None)
    assert not keep_pages()


class _Library:
    """A C library that takes no `forbidden` options."""

    def __init__(self, *forbidden: tuple[int, int]) -> None:
        self.forbidden = forbidden
        self.set: dict[int, int] = {}

    def gnu_get_libc_version(self) -> bytes:
        return b"2.31"

    def mallopt(self, option: int, value: int) -> int:
        allowed = (option, value) not in self.forbidden
        if allowed:
            self.set[option] = value
        return int(allowed)


def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)


def test_an_older_c_library_keeps_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    library = _Library((-3, 33 << 20))
    _plain(monkeypatch)
    monkeypatch.setattr("adainkit.engine.pages.ctypes.CDLL", lambda name: library)
    assert keep_pages()
    assert library.set == {-3: 32 << 20, -1: 256 << 20, -8: 1}


def test_a_system_without_a_c_library_of_its_own_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def windows(name: str | None) -> None:
        raise TypeError("argument of type 'NoneType' is not iterable")  # of ctypes.CDLL there

    _plain(monkeypatch)
    monkeypatch.setattr("adainkit.engine.pages.ctypes.CDLL", windows)
    assert not keep_pages()

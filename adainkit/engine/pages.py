"""Keeping memory that was freed, for processes that do nothing but paint. Needs no torch."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

__all__ = ["keep_pages"]

_KEPT = ((-1, 256 << 20), (-8, 1))  # of malloc.h: M_TRIM_THRESHOLD, M_ARENA_MAX
_MAPPED = ((-3, 33 << 20), (-3, 32 << 20))  # M_MMAP_THRESHOLD; of older glibc no more than 32 MiB


def keep_pages() -> bool:
    """From now on this process keeps up to 256 MiB of the memory that is freed, in one pool for all threads, where its
    C library is glibc; whether it does. To be called before torch is loaded: threads that are there have their pools.

    glibc gives memory back to the system at once and asks it for new pages each time: of a picture of 1024 px on a CPU
    torch spends a third of the time on that. Blocks above 32 MiB, which tiles have none of, are given back as before. A
    library leaves this to its user. An environment that has a word in it (`MALLOC_...`, `GLIBC_TUNABLES`) has the last.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    with suppress(OSError, AttributeError, TypeError):  # Windows has no library without a name
        library = ctypes.CDLL(None)
        if hasattr(library, "gnu_get_libc_version"):
            done = [library.mallopt(option, value) for option, value in _KEPT]
            return all(done) and any(library.mallopt(option, value) for option, value in _MAPPED)
    return False

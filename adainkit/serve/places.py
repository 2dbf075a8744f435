"""Places of callers: who holds how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["counted_in"]


@contextmanager
def counted_in(places: Counter[str], caller: str) -> Iterator[None]:
    """One more of the caller's within the block. A caller without any is not in the counter."""
    places[caller] += 1
    try:
        yield
    finally:
        places[caller] -= 1
        if not places[caller]:
            del places[caller]

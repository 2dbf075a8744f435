"""Names inside an archive: no two are the same, on systems too that do not tell A from a."""

from __future__ import annotations

from pathlib import PurePosixPath

__all__ = ["Names"]


class Names:
    """The names that are taken. As many steps as there are names, however many of them are alike."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def new(self, path: PurePosixPath) -> PurePosixPath:
        """The path, or, where it is taken, one like it with a number: `sea-2.png`."""
        key, found = str(path).lower(), path
        number = self._next.get(key, 2)
        while str(found).lower() in self._taken:
            found = path.with_name(f"{path.stem}-{number}{path.suffix}")
            number += 1
        self._next[key] = number
        self._taken.add(str(found).lower())
        return found

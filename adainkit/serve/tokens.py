"""Tokens: who may call. Several, each with a name, from a file that is read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import threading
from pathlib import Path

from .settings import Settings, SettingsError

__all__ = ["SHORTEST", "Tokens"]

SHORTEST = 16
"""Characters of a token: fewer could be tried out."""


class Tokens:
    """The tokens of the settings. Taking a line out of the file takes the token back, without a restart."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.tokens
        self._fixed = {_digest(settings.token): "token"} if settings.token else {}
        if settings.token and len(settings.token) < SHORTEST:
            raise SettingsError(f"a token must have {SHORTEST} characters or more; make one: openssl rand -hex 32")
        self._lock = threading.Lock()
        self._state: object = None
        self._listed: dict[bytes, str] = {}
        self.needed = settings.protected
        if self._path is not None:
            self._listed = _read(self._path)  # a file that cannot be read is an error at the start
            self._state = _state(self._path)

    def name_of(self, token: str) -> str | None:
        """The name under which a token is listed, or None. It takes as long for every token."""
        given, found = _digest(token), None
        for digest, name in (*self._fixed.items(), *self._current().items()):
            if hmac.compare_digest(digest, given):
                found = name
        return found

    def _current(self) -> dict[bytes, str]:
        if self._path is None:
            return {}
        with self._lock:
            state = _state(self._path)
            if state != self._state:
                try:
                    self._listed = _read(self._path)
                except SettingsError:  # half-written, or gone: nobody is let in by what it no longer says
                    self._listed = {}
                self._state = state
            return self._listed


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _state(path: Path) -> object:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _read(path: Path) -> dict[bytes, str]:
    """`NAME TOKEN` a line; empty lines and those that begin with # are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: the tokens cannot be read ({error}); write NAME TOKEN lines") from error
    found: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or len(words[1]) < SHORTEST:
            raise SettingsError(
                f"{path}, line {number}: expected a name and a token of {SHORTEST} characters or more; "
                "make one: openssl rand -hex 32"
            )
        found[_digest(words[1])] = words[0]
    return found

"""A verified download: resumed, retried, spread over mirrors, and renamed into place only when it is right.

Knows nothing of models: bytes of a known sha256, from HTTP to a file. The pinned sum makes a resume safe across servers
and days: whatever was put together, it is the file or it is thrown away.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from ..errors import DownloadError, Progress

if TYPE_CHECKING:
    import requests  # 0.2 s to import: a cached model never needs it

__all__ = ["fetch", "file_digest", "locked", "storage_error"]

_Report = Callable[[int, int], None]

ATTEMPTS = 5  # rounds over all urls that bring less than ADVANCE
ADVANCE = 1 << 20  # bytes: a line that drops every few megabytes still gets there
BACKOFF = 1.0  # seconds before the second round; doubles, +-50 % so that many machines don't return together
LONGEST_WAIT = 30.0  # seconds: a server's Retry-After is honored up to here
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two reads
UNKNOWN_SIZE_LIMIT = 1 << 30  # bytes: a server that never stops must not fill the disk
CHUNK = 1 << 16  # bytes: what a dropped connection loses at most

log = logging.getLogger("adainkit")


class _Failure(Exception):
    """One url failed once; `retry`: asking it again can help; `wait`: seconds that the server asked for."""

    def __init__(self, message: str, *, retry: bool = True, wait: float = 0.0) -> None:
        super().__init__(message)
        self.retry, self.wait = retry, wait


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str | None,
    size: int | None = None,
    progress: Progress | None = None,
    remedy: str = "",
) -> Path:
    """Fetch one file to `target` from the first of `urls` that has it, and return `target`.

    The bytes grow in `<target>.part`, which a later call resumes; `target` appears by an atomic rename once size and
    sha256 fit. Proxies and certificates come from the environment as `requests` reads them.

    Args:
        urls: the same file in several places, in the order of preference.
        target: the file to make, in an existing folder; the caller holds its lock (`locked`).
        sha256: hex digest; None checks nothing (and trusts no earlier `.part`).
        size: bytes, where it is known.
        progress: called with ("download <file name>", bytes done, bytes in all or 0); raising `Cancelled`
            in it stops and keeps the `.part`. None: a bar on a terminal, else the "adainkit" logger.
        remedy: what the user can do when no url has the file, for the message.

    Raises:
        DownloadError: no url gave the right file (the message says why, for each), or it can't be stored.
    """
    part = target.with_name(target.name + ".part")
    try:
        if sha256 is None:
            part.unlink(missing_ok=True)
        with _reporter(target.name, progress) as report:
            reasons = _try_all(urls, part, sha256, size, report)
        if reasons is not None:
            told = "; ".join(f"{_shown(url)}: {reason}" for url, reason in reasons.items())
            raise DownloadError(
                f"cannot download {target.name} ({told}). Try again later (what arrived is kept) or set "
                f"ADAINKIT_MIRROR to a server that has the file. {remedy}".rstrip()
            )
        part.replace(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)  # a full disk helps nobody, not even the next try
        raise storage_error(target, error) from error
    return target


def _try_all(
    urls: Sequence[str], part: Path, sha256: str | None, size: int | None, report: _Report
) -> dict[str, str] | None:
    """Go round the urls until `part` is the file, then None; else why each url failed at last."""
    import requests

    reasons: dict[str, str] = {}
    alive, attempt, furthest = list(dict.fromkeys(urls)), 0, 0
    with requests.Session() as session:
        while alive and attempt < ATTEMPTS:
            attempt, wait = attempt + 1, 0.0
            for url in tuple(alive):
                try:
                    resumed = _transfer(session, url, part, size, report)
                    _check(part, sha256, size, resumed=resumed)
                    return None
                except _Failure as failure:
                    reasons[url], wait = str(failure), max(wait, failure.wait)
                    if not failure.retry:
                        alive.remove(url)
                log.info("download of %s from %s: %s", part.stem, _shown(url), reasons[url])
            if _length(part) >= furthest + ADVANCE:
                attempt, furthest = 1, _length(part)
            if alive and attempt < ATTEMPTS:
                backoff = BACKOFF * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)
                time.sleep(max(backoff, min(wait, LONGEST_WAIT)))
    return reasons


def _transfer(session: requests.Session, url: str, part: Path, size: int | None, report: _Report) -> bool:
    """Bring `part` as far as `url` does; whether it stands on earlier bytes. `_Failure` when cut short."""
    import requests

    offset = _length(part)
    if offset and offset == size:
        return True
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if _answer(response, offset, part) == "complete":
                return True
            resumed = response.status_code == 206 and offset > 0
            _receive(response, part, offset if resumed else 0, size, report)
            return resumed
    except requests.RequestException as error:
        if isinstance(error, requests.TooManyRedirects):
            raise _Failure("the server redirects in circles", retry=False) from error
        if isinstance(error, ValueError):  # InvalidURL, MissingSchema, InvalidSchema
            raise _Failure(f"not a usable address ({type(error).__name__})", retry=False) from error
        if isinstance(error, requests.Timeout) or "timed out" in str(error):  # the latter: within a body
            raise _Failure("the server stalled") from error
        raise _Failure(f"the connection failed ({type(error).__name__})") from error


def _answer(response: requests.Response, offset: int, part: Path) -> Literal["body", "complete"]:
    """Judge status and headers; `_Failure` unless the file's bytes follow, or none are missing."""
    status, headers = response.status_code, response.headers
    span = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", "").strip())
    if status == 416 and offset:
        if span and span[2] == str(offset):
            return "complete"
        part.unlink()
        raise _Failure("it has fewer bytes than were here already; starting afresh")
    if status == 206 and (not span or span[1] != str(offset)):
        part.unlink(missing_ok=True)
        got = headers.get("Content-Range")
        raise _Failure(f"asked for bytes from {offset}, got {got!r}", retry=offset > 0)
    if status in (408, 425, 429) or status >= 500:
        after = headers.get("Retry-After", "")
        raise _Failure(f"HTTP {status}", wait=float(after) if after.isdecimal() else 0.0)
    if status not in (200, 206):
        raise _Failure(f"HTTP {status}", retry=False)
    if headers.get("Content-Type", "").startswith("text/html"):
        raise _Failure("an HTML page came in place of the file (a login, a proxy, an error?)", retry=False)
    return "body"


def _receive(response: requests.Response, part: Path, offset: int, size: int | None, report: _Report) -> None:
    """Append the body to `part` from `offset` on, never beyond the size."""
    promised = "" if "Content-Encoding" in response.headers else response.headers.get("Content-Length", "")
    expected = offset + int(promised) if promised.isdecimal() else 0
    limit, done = size or UNKNOWN_SIZE_LIMIT, offset
    with part.open("ab" if offset else "wb") as file:
        report(done, size or expected)
        for chunk in response.iter_content(CHUNK):
            done += len(chunk)
            if done > limit:
                break
            file.write(chunk)
            report(done, size or expected)
        else:
            file.flush()
            os.fsync(file.fileno())
    if done > limit:
        part.unlink()
        raise _Failure(f"sent more than the expected {limit} bytes", retry=False)
    if done < expected and done != size:
        raise _Failure(f"the connection ended after {done} of {expected} bytes")


def _check(part: Path, sha256: str | None, size: int | None, *, resumed: bool) -> None:
    """`_Failure` unless `part` is the file. Too few bytes stay, to be resumed; wrong ones go.

    Wrong bytes that were put together from several answers deserve a fresh try, others are the server's own.
    """
    if size is not None and (length := _length(part)) < size:
        raise _Failure(f"the file ended after {length} of {size} bytes")
    if sha256 is not None and (found := file_digest(part)) != sha256:
        part.unlink()
        raise _Failure(f"wrong bytes: expected sha256 {sha256}, got {found}", retry=resumed)


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, hex."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def storage_error(target: Path, error: OSError) -> DownloadError:
    """The `DownloadError` for a file that the disk does not take, with the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        told, remedy = "the disk is full", "Free some space, or set ADAINKIT_HOME to a folder on another disk"
    else:
        told, remedy = error.strerror or str(error), "Set ADAINKIT_HOME to a folder that can be written"
    return DownloadError(f"cannot store {target}: {told}. {remedy}")


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Make the folder of `target` and hold `<target>.lock` in it: processes that want one file fetch it once.

    The empty lock file stays: taking it away would let a waiting and a new process both go on. `DownloadError` where
    the folder can't be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(target.name + ".lock"))
        try:
            lock.acquire(timeout=1)
        except Timeout:
            log.info("waiting for another process that fetches %s", target.name)
            lock.acquire()
    except OSError as error:
        raise storage_error(target, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _reporter(name: str, progress: Progress | None) -> Iterator[_Report]:
    """Report (done, total) to the caller's function, else to a bar on a terminal, else to the log at every tenth."""
    if progress is not None:
        yield lambda done, total: progress(f"download {name}", done, total)
    elif sys.stderr is not None and sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1024) as bar:

            def move(done: int, total: int) -> None:
                bar.total = total or None
                bar.update(done - bar.n)

            yield move
    else:
        told = set[int]()

        def tell(done: int, total: int) -> None:
            if total and (tenths := 10 * done // total) not in told:
                told.add(tenths)
                log.info("download of %s: %d of %d bytes", name, done, total)

        yield tell


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _shown(url: str) -> str:
    """A url for messages: without a user name and password of a private mirror, and without its query."""
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"

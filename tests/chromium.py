"""A real Chromium, driven by Playwright; tests are skipped where one of the two is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.browser import CHROMIUM

__all__ = ["launched", "playing"]

_ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@contextmanager
def playing() -> Iterator[Any]:
    """Playwright, which can be begun once at a time."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this computer")
    with sync_api.sync_playwright() as playwright:
        yield playwright


@contextmanager
def launched(playwright: Any, *arguments: str) -> Iterator[Any]:
    """A browser, with a camera that is none, and more `arguments`."""
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_ARGUMENTS, *arguments])
    try:
        yield chromium
    finally:
        chromium.close()

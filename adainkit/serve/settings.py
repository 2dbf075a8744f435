"""Every setting of the service, described once: flags of `adainkit serve`, environment variables and limits."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import AdaINKitError

__all__ = ["PREFIX", "Settings", "SettingsError", "is_loopback", "platform_of", "value_of"]

PREFIX = "ADAINKIT_SERVE_"
"""Of the environment variables: `ADAINKIT_SERVE_PORT` is `port`."""


class SettingsError(AdaINKitError):
    """The service cannot be run with these settings."""


def _set(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


# What `_set` calls is `field`:
# ruff: noqa: RUF009


@dataclass(frozen=True)
class Settings:
    """What the service is run with. Sizes are bytes, times seconds. `SettingsError` for what is out of its range."""

    host: str = _set("127.0.0.1", "address to listen on; any but loopback needs a token")
    port: int = _set(8765, "port to listen on; 0 takes a free one")
    model: str = _set("lite", "the model: a name of `adainkit models`, or a file")
    device: str = _set("auto", "auto, cpu, cuda, cuda:1, mps")
    platform: str = _set("auto", "sagemaker or vertex: their contracts alone; none; auto looks at the environment")
    tokens: Path | None = _set(None, "file of tokens, `NAME TOKEN` a line; read again when it changes")
    token: str = _set("", "one token; better by the environment than by a flag, which other users see")
    origins: tuple[str, ...] = _set((), "origins of other pages that may call, as https://shop.example, with commas")
    hosts: tuple[str, ...] = _set((), "names under which the service is called, with commas; others are refused")
    proxies: tuple[str, ...] = _set(
        (), "addresses of proxies whose X-Forwarded-For is believed, with commas; without it, those of this computer"
    )
    metadata: bool = _set(False, "keep EXIF, XMP and texts of pictures unless a request says otherwise")
    bytes: int = _set(64 << 20, "the largest body of a request")
    pixels: int = _set(1 << 26, "the largest picture, in pixels")
    files: int = _set(500, "the most pictures of a job")
    unpacked: int = _set(2 << 30, "the most bytes that a job's pictures have when they are unpacked")
    frames: int = _set(3000, "the most frames of a film")
    styles: int = _set(8, "the most styles that are mixed")
    preview: int = _set(1024, "the longest side of a preview")
    seconds: float = _set(120.0, "the longest time that a request may take; jobs may take longer")
    upload: float = _set(300.0, "the longest time that the body of a request may take to come")
    waiting: int = _set(32, "the most requests in the queue; further ones get 429 and Retry-After")
    waiting_each: int = _set(16, "the most of them that are one caller's")
    batch: int = _set(0, "pictures of one size and look that are computed at once; 0: 8 on CUDA, else 1")
    patience: float = _set(0.004, "how long the first of them waits for others that are on their way")
    jobs: int = _set(16, "the most jobs that are not done yet")
    jobs_each: int = _set(4, "the most of them that are one caller's")
    live: int = _set(4, "the most cameras at once")
    live_each: int = _set(2, "the most of them that are one caller's")
    rate: float = _set(20.0, "requests a second of one caller, in the mean")
    burst: int = _set(120, "how many of them may come at once")
    keep: float = _set(900.0, "how long uploaded pictures and results of jobs are kept after their last use")
    held: int = _set(512 << 20, "what previews keep in memory")
    stored: int = _set(4 << 30, "what uploads and results may take on disk")
    saved: int = _set(256, "how many saved styles one caller may have")
    grace: float = _set(25.0, "how long requests may go on after SIGTERM")
    folder: Path | None = _set(None, "where uploads are kept while they are needed; default: a temporary folder")

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            least = 0 if each.name in ("port", "grace", "batch") else 1 if isinstance(value, int) else 1e-3
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not value >= least:
                raise SettingsError(f"{each.name} must be {least:g} or more, got {value!r}")
        if self.port > 65535:
            raise SettingsError(f"port must be 65535 or less, got {self.port}")
        if self.platform not in ("auto", "none", "sagemaker", "vertex"):
            raise SettingsError(f"platform must be auto, none, sagemaker or vertex, got {self.platform!r}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **given: Any) -> Settings:
        """The settings that are `given`, else those of the environment, else the defaults."""
        found = {}
        for each in fields(cls):
            text = environment.get(PREFIX + each.name.upper())
            if text is not None:
                try:
                    found[each.name] = value_of(each.name, text)
                except ValueError as error:
                    raise SettingsError(f"{PREFIX}{each.name.upper()}: {error}") from error
        return cls(**{**found, **given})

    @property
    def protected(self) -> bool:
        """Whether callers need a token."""
        return bool(self.token or self.tokens)


def value_of(name: str, text: str) -> Any:
    """The value of a setting from its text; `ValueError` where that is none."""
    default: Any = next(each.default for each in fields(Settings) if each.name == name)
    if isinstance(default, bool):
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
        if text.lower() not in words:
            raise ValueError(f"expected yes or no, got {text!r}")
        return words[text.lower()]
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if name in ("tokens", "folder"):
        return Path(text) if text else None
    return type(default)(text)


def platform_of(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """sagemaker, vertex or none: what a setting says, or what the environment looks like."""
    if name != "auto":
        return name
    if "AIP_HTTP_PORT" in environment:
        return "vertex"
    return "sagemaker" if "SAGEMAKER_BIND_TO_PORT" in environment else "none"


def is_loopback(host: str) -> bool:
    """Whether an address, or a name for it, is reached from this computer alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

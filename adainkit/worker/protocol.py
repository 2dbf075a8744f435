"""The worker's side of the protocol: what a request may say, checked before a byte of pixels is taken."""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AdaINKitError, ImageError, ModelError, OutOfMemoryError, StyleError, WeightsError
from ..look.controls import CONTROLS
from ..session import LIMITS

__all__ = ["HEADER_BYTES", "PAYLOAD_BYTES", "PROTOCOL", "Pixels", "Refusal", "Request", "code_of", "parse", "reply"]

PROTOCOL = 1
HEADER_BYTES = 1 << 16
"""The longest header line, its newline counted: paths and options need a few hundred bytes."""
PAYLOAD_BYTES = 16 * LIMITS.pixels
"""All pictures of a request together: the largest picture as float32 RGBA."""
_TYPES: dict[str, np.dtype[Any]] = {"u8": np.dtype("u1"), "u16": np.dtype("<u2"), "f32": np.dtype("<f4")}
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (ImageError, "image"),
    (StyleError, "style"),
    (WeightsError, "weights"),
    (ModelError, "model"),
    (OutOfMemoryError, "memory"),
    (MemoryError, "memory"),
    (AdaINKitError, "failed"),
)


class Refusal(Exception):
    """A request that is not done: `code` for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Pixels:
    """The shape of a picture in the payload: rows from the top, samples of a pixel side by side, no padding."""

    width: int
    height: int
    channels: int
    type: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of its array in NumPy: rows, columns, samples."""
        return self.height, self.width, self.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of one sample."""
        return _TYPES[self.type]

    @property
    def bytes(self) -> int:
        """How many bytes of the payload it takes."""
        return self.width * self.height * self.channels * self.dtype.itemsize


@dataclass(frozen=True)
class Request:
    """A checked header. `styles`: (name of a preset, path of a file, or shape of a picture of the payload; weight)."""

    do: str
    picture: Pixels | None = None
    styles: tuple[tuple[str | Path | Pixels, float], ...] = ()
    mask: Pixels | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str = "lite"
    size: int = 256

    @property
    def payload(self) -> list[Pixels]:
        """The pictures that follow the header, in their order: content, styles, mask."""
        pictures = [self.picture, *(s for s, _ in self.styles if isinstance(s, Pixels)), self.mask]
        return [p for p in pictures if p is not None]


def parse(line: bytes, token: str) -> Request:
    """A header line -> the request. `Refusal` for anything that is not one, the token first of all."""
    try:
        header = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal("malformed", "the header is not a line of JSON in UTF-8") from error
    if not isinstance(header, dict):
        raise _malformed("the header must be an object", header)
    given = header.get("token")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        raise Refusal("token", "the token is not this worker's; read the state file again")
    do = header.get("do")
    if do in ("hello", "stop"):  # these two are the same in every version of the protocol
        return Request(do)
    if header.get("protocol") != PROTOCOL:
        told = f"this worker speaks protocol {PROTOCOL}, the request protocol {header.get('protocol')!r}"
        raise Refusal("protocol", f"{told}; run `adainkit gimp install` (or krita install) and restart the editor")
    if do not in ("stylize", "preview"):
        raise _malformed("do must be hello, stylize, preview or stop", do)
    request = Request(
        do,
        _pixels(header.get("picture"), "picture"),
        _styles(header.get("styles")),
        None if header.get("mask") is None else _pixels(header["mask"], "mask"),
        _options(header.get("options", {})),
        _text(header.get("model", "lite"), "model"),
        _whole(header.get("size", 256), "size", LIMITS.preview_side),
    )
    if request.mask is not None and (request.mask.channels, request.mask.type) != (1, "u8"):
        raise _malformed("mask must have 1 channel of type u8", header["mask"])
    total = sum(p.bytes for p in request.payload)
    if total > PAYLOAD_BYTES:
        raise Refusal("too-large", f"the pictures have {total} bytes, at most {PAYLOAD_BYTES} are taken; send less")
    return request


def reply(message: Mapping[str, Any]) -> bytes:
    """One line of an answer."""
    return json.dumps(message).encode() + b"\n"


def code_of(error: BaseException) -> str:
    """The code that a failed job is answered with; "internal" is a fault of the worker itself."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), "internal")


def _malformed(what: str, got: object) -> Refusal:
    return Refusal("malformed", f"{what}, got {json.dumps(got)[:100]}")


def _pixels(found: object, name: str) -> Pixels:
    if not isinstance(found, dict):
        raise _malformed(f"{name} must be an object with width, height, channels and type", found)
    width, height = (_whole(found.get(side), f"{name}: {side}", LIMITS.pixels) for side in ("width", "height"))
    if width * height > LIMITS.pixels:
        told = f"{name}: {width} x {height} pixels; at most {LIMITS.pixels} are taken"
        raise Refusal("too-large", f"{told}: select a part or scale the picture down")
    channels, kind = _whole(found.get("channels"), f"{name}: channels", 4), found.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _malformed(f"{name}: type must be u8, u16 or f32", kind)
    return Pixels(width, height, channels, kind)


def _styles(found: object) -> tuple[tuple[str | Path | Pixels, float], ...]:
    if not isinstance(found, list) or not 1 <= len(found) <= LIMITS.styles:
        raise _malformed(f"styles must be a list of 1 to {LIMITS.styles} objects", found)
    styles: list[tuple[str | Path | Pixels, float]] = []
    for each in found:
        kinds = set(each) & {"preset", "file", "picture"} if isinstance(each, dict) else set()
        if len(kinds) != 1:
            raise _malformed("a style must have one of preset, file, picture", each)
        kind = kinds.pop()
        style: str | Path | Pixels = _pixels(each[kind], "style") if kind == "picture" else _text(each[kind], kind)
        if kind == "file":
            style = Path(each[kind])
            if not style.is_absolute():
                raise _malformed("the path of a style file must be absolute", each[kind])
        weight = each.get("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= 1e6:
            raise _malformed("the weight of a style must be a number from 0", weight)
        styles.append((style, float(weight)))
    if not any(weight for _, weight in styles):
        raise _malformed("one of the styles must have a weight above 0", found)
    return tuple(styles)


def _options(found: object) -> dict[str, Any]:
    """Only their names and kinds: ranges are the core's, and so are the messages about them."""
    if not isinstance(found, dict) or set(found) - set(CONTROLS):
        raise _malformed(f"options must be an object of {', '.join(sorted(CONTROLS))}", found)
    for name, value in found.items():
        control = CONTROLS[name]
        if control.kind == "pixels":
            _whole(1 if value is None else value, f"options: {name}", LIMITS.pixels)
            continue
        right = isinstance(value, str) if control.kind == "choice" else _is_number(value)
        right = right or (control.by_level and isinstance(value, list) and all(map(_is_number, value)))
        if not right:
            raise _malformed(f"options: {name} has a wrong type", value)
    return found


def _is_number(value: object) -> bool:
    """Whether it is one that a float can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and _fits(value)


def _fits(value: float) -> bool:
    try:
        return not math.isnan(value)
    except OverflowError:  # a whole number with hundreds of digits
        return False


def _text(found: object, name: str) -> str:
    if not isinstance(found, str) or not found or "\0" in found:
        raise _malformed(f"{name} must be a text that is not empty", found)
    return found


def _whole(found: object, name: str, most: int) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= most:
        raise _malformed(f"{name} must be a whole number from 1 to {most}", found)
    return found

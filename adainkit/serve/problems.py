"""What went wrong, as every caller gets it: `{"error": what, "remedy": what to do}` and a status."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ..errors import AdaINKitError, Cancelled, ImageError, OutOfMemoryError, StyleError, WeightsError
from ..session import Busy

__all__ = ["PROBLEMS", "Problem", "Refusal", "add_handlers", "problem", "told"]

log = logging.getLogger("adainkit.serve")
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (Busy, 429),
    (ImageError, 422),
    (StyleError, 422),
    (WeightsError, 422),
    (OutOfMemoryError, 507),
    (MemoryError, 507),
    (Cancelled, 503),
    (AdaINKitError, 422),
)
_REMEDIES = {
    404: "look at /v1/openapi.json for what there is",
    405: "look at /v1/openapi.json for the methods of this address",
    429: "try again after the seconds of Retry-After",
    503: "try again later",
    504: "send a smaller picture",
    507: "send a smaller picture",
}


class Problem(BaseModel):
    """An error: what is wrong, and what to do about it."""

    error: str = Field(examples=["picture: not a picture that Pillow can read"])
    remedy: str = Field(examples=["expected JPEG, PNG, WebP, AVIF, TIFF, ..."])


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words}
    for status, words in {
        400: "The request is not well formed.",
        401: "The token is missing or not valid.",
        403: "The host or the origin is not one of this service.",
        404: "There is no such thing, or it is another caller's.",
        409: "It is not done yet.",
        413: "The request is too large.",
        422: "The pictures, styles or numbers cannot be used.",
        429: "The queue is full, or the caller asks too often: Retry-After says when to try again.",
        503: "The service is stopping: Retry-After says when to try again.",
        504: "The request took too long: it would again.",
        507: "The memory or the disk is full.",
    }.items()
}


class Refusal(HTTPException):
    """A request that is not done, with the remedy. It is an HTTPException, since FastAPI makes a 400 of any other error
    that comes while a body is read."""

    def __init__(self, status: int, error: str, remedy: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(status, error, headers)
        self.remedy = remedy or _REMEDIES.get(status, "change the request")


def problem(status: int, error: str, remedy: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer for an error."""
    more = {"Retry-After": "1"} if status in (429, 503) else {}
    body = {"error": error, "remedy": remedy or _REMEDIES.get(status, "change the request")}
    return JSONResponse(body, status, {**more, **(headers or {})})


def parted(error: BaseException, folder: Path | None = None) -> tuple[str, str]:
    """What an error of adainkit's says, and its remedy, which stands behind a semicolon. Of files in the service's
    `folder` the name alone is told."""
    text = " ".join(str(error).split()) or type(error).__name__
    if folder is not None:
        text = re.sub(re.escape(str(folder)) + r"[/\\](?:[^/\\\s]+[/\\])?", "", text)
    what, _, remedy = text.partition("; ")
    return what, remedy


def told(error: BaseException, folder: Path | None = None) -> tuple[str, str]:
    """What any error says that is meant for callers, and its remedy."""
    return (str(error.detail), error.remedy) if isinstance(error, Refusal) else parted(error, folder)


def add_handlers(app: FastAPI) -> None:
    """Every error in the one form, and none without it."""

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        remedy = error.remedy if isinstance(error, Refusal) else ""
        return problem(error.status_code, str(error.detail), remedy, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = []
        for each in error.errors():
            place = ".".join(str(part) for part in each["loc"] if part != "body")
            found.append(f"{place}: {each['msg']}" if place else each["msg"])
        return problem(422, "; ".join(found)[:1000], "see /v1/controls and /v1/openapi.json for what is expected")

    @app.exception_handler(AdaINKitError)
    @app.exception_handler(MemoryError)
    async def _ours(request: Request, error: Exception) -> JSONResponse:
        status = next(number for kind, number in _STATUS if isinstance(error, kind))
        return problem(status, *parted(error, request.app.state.service.folder))

    @app.exception_handler(Exception)
    async def _fault(_: Request, error: Exception) -> JSONResponse:
        log.error("a fault of adainkit", exc_info=error)
        return problem(500, "a fault of adainkit", "please report it with the service's log")

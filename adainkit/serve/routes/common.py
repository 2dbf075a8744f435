"""What the routes share: who calls, the service, fields that several forms have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Form, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from ...formats import FORMATS
from ..films import FILMS
from ..jobs import Job
from ..problems import PROBLEMS, Refusal
from ..service import Service

__all__ = ["Caller", "Format", "Here", "Model", "Quality", "caller_of", "service_of"]


async def service_of(request: Request) -> Service:  # async: FastAPI would send a plain function to a thread
    """The service of the app."""
    found: Service = request.app.state.service
    return found


async def caller_of(request: Request) -> str:
    """The name of the caller's token."""
    return str(request.scope.get("state", {}).get("caller", ""))


Here = Annotated[Service, Depends(service_of)]
Caller = Annotated[str, Depends(caller_of)]
Model = Annotated[str, Form(max_length=100, description="A name of /v1/models; the service's own by default.")]
_FORMATS = f"{', '.join(FORMATS)}; by default as the picture, else PNG. Of films: {', '.join(FILMS)}."
Format = Annotated[str, Form(description=f"Of the result: {_FORMATS}", max_length=8)]
Quality = Annotated[
    int | None, Form(ge=1, le=100, description="Of JPEG, WebP, AVIF, HEIC and JPEG XL; of films, whose own is 90.")
]


def checked_format(text: str, among: Sequence[str] = FORMATS) -> str | None:
    """The format that a field asks for, in small letters; None for none. `Refusal` for one that is not written."""
    name = text.lower().lstrip(".")
    if name and name not in among:
        raise Refusal(422, f"format: {text[:20]!r} is not written", f"expected one of {', '.join(among)}")
    return name or None


Answers: TypeAlias = dict[int | str, dict[str, Any]]


def answers(*problems: int, media: tuple[str, ...] = (), words: str = "The picture.") -> Answers:
    """What OpenAPI says of a route's answers: its media types, and the problems that it may tell."""
    found: Answers = {number: PROBLEMS[number] for number in problems}
    if media:
        found[200] = {"description": words, "content": {kind: {} for kind in media}}
    return found


def accepted(job: Job) -> JSONResponse:
    """The answer for a job that has begun."""
    return JSONResponse(job.told(), 202, {"Location": f"/v1/jobs/{job.id}"})


Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


def shared_weights(weights: list[float], count: int) -> list[Any]:
    """A weight for each style: 1 where none are given. `Refusal` for another number of them."""
    if weights and len(weights) != count:
        raise Refusal(422, f"{len(weights)} weights for {count} styles", "give none, or one for each style")
    return weights or [1.0] * count

"""What there is: models, styles, controls, health, metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from ...store.weights import models
from ..fields import described
from ..films import can_paint_films
from ..painting import can_write
from ..problems import PROBLEMS, Problem, problem
from .common import Here

__all__ = ["router"]

router = APIRouter()


class ModelFacts(BaseModel):
    """A model that requests may name."""

    name: str
    description: str
    license: str
    default: bool


class ControlFacts(BaseModel, extra="allow"):
    """A control, with its range or its choices."""

    name: str
    kind: str
    default: Any
    help: str


class Abilities(BaseModel):
    """What requests may ask for."""

    controls: list[ControlFacts]
    films: bool
    live: bool
    formats: list[str]
    limits: dict[str, int]


@router.get("/healthz", tags=["health"], summary="Whether the process answers")
async def healthz() -> dict[str, str]:
    """Needs no token and does no work."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    tags=["health"],
    summary="Whether it takes work",
    responses={503: {"model": Problem}},
    response_model=None,
)
async def readyz(service: Here) -> dict[str, str] | JSONResponse:
    """503 while the model is loaded, while the queue is full, and while the service stops. Needs no token."""
    if service.failed:
        return problem(503, service.failed)
    if not service.ready or service.desk.draining:
        return problem(503, "the service is stopping" if service.desk.draining else "the model is not loaded yet")
    if service.desk.taken >= service.settings.waiting:
        return problem(503, "the queue is full")
    return {"status": "ready"}


@router.get(
    "/metrics", tags=["health"], summary="Counters for Prometheus", response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, 401: PROBLEMS[401]},
)  # fmt: skip
async def metrics(service: Here) -> Response:
    """Requests, the queue, seconds by stage, megapixels."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models", tags=["what there is"], summary="The models that are on this computer")
async def list_models(service: Here) -> list[ModelFacts]:
    """Requests name one as `model`."""
    own = service.settings.model
    found = [
        ModelFacts(name=w.name, description=w.description, license=w.license, default=w.name == own)
        for w in models().values()
        if w.available
    ]
    if own not in models():
        found.insert(0, ModelFacts(name="", description="the model of this service", license="", default=True))
    return found


@router.get("/v1/controls", tags=["what there is"], summary="How a picture may be stylized")
async def list_controls(service: Here) -> Abilities:
    """Each control with its kind (number, choice, pixels), its range or choices, its default and a word of help; and
    what else this service does."""
    limits = {name: getattr(service.settings, name) for name in ("bytes", "pixels", "preview", "frames", "styles")}
    return Abilities(
        controls=[ControlFacts(**facts) for facts in described()],
        films=can_paint_films(),
        live=True,
        formats=[name for name in ("png", "jpeg", "webp", "avif", "tiff") if can_write(name)],
        limits=limits,
    )

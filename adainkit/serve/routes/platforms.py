"""The contracts of SageMaker and Vertex AI: the addresses that these platforms call, and nothing else beside them.

The platform decides who may call; a service that serves one has no /v1 and no page.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from ...formats import KINDS
from ..fields import ControlsJSON, Share, options_of
from ..painting import MEDIA, Order, paint_file
from ..problems import Refusal, problem
from ..service import Service
from ..settings import SettingsError, platform_of
from ..strict import Strict, check_fields
from .common import Here, checked_format

__all__ = ["Contract", "contract_of"]

M = TypeVar("M", bound=BaseModel)
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
"""The one header in which a caller of SageMaker may say something of its own."""
_ATTRIBUTES = ("style", "format", "quality", "size")  # besides the controls


@dataclass(frozen=True)
class Contract:
    """What a platform calls."""

    router: APIRouter
    addresses: set[str]


def contract_of(name: str, environment: Mapping[str, str] = os.environ) -> Contract | None:
    """The routes of a platform; None for none."""
    platform = platform_of(name, environment)
    if platform == "none":
        return None
    health, predict = "/ping", "/invocations"
    if platform == "vertex":
        health = environment.get("AIP_HEALTH_ROUTE", "/health")
        predict = environment.get("AIP_PREDICT_ROUTE", "/predict")
    if not (health.startswith("/") and predict.startswith("/")):
        raise SettingsError("AIP_HEALTH_ROUTE and AIP_PREDICT_ROUTE must begin with /")
    router = APIRouter(tags=[platform])
    router.add_api_route(health, _health, methods=["GET"], summary="200 when ready")
    answer = _predict if platform == "vertex" else _invoke
    router.add_api_route(predict, answer, methods=["POST"], summary="Stylize", response_model=None)
    return Contract(router, {health, predict})


async def _health(service: Here) -> Response:
    """200 with no body when ready, 503 before. A full queue is no illness: the platform would restart the process."""
    if service.ready and not service.desk.draining:
        return Response()
    return problem(503, service.failed or "the model is not loaded yet")


def _decoded(value: Any) -> Any:
    """Base64 as it stands, or under the key b64."""
    if isinstance(value, dict) and set(value) == {"b64"}:
        value = value["b64"]
    if not isinstance(value, str):
        raise ValueError("expected base64, or {\"b64\": base64}")  # fmt: skip
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


Base64 = Annotated[bytes, BeforeValidator(_decoded)]


class Instance(Strict):
    """One picture and its look. What it leaves out is taken from `parameters`."""

    image: Base64
    style: Annotated[str, Field(max_length=100)] = ""
    styles: Annotated[list[Share], Field(max_length=32, default_factory=list)]
    style_image: Base64 | None = None
    mask: Base64 | None = None
    controls: ControlsJSON = Field(default_factory=ControlsJSON)
    format: Annotated[str, Field(max_length=8)] = ""
    quality: Annotated[int | None, Field(ge=1, le=100)] = None
    size: Annotated[int, Field(ge=0, le=1 << 16)] = 0


class Batch(Strict):
    """The body of Vertex AI's requests."""

    instances: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=64)]
    parameters: dict[str, Any] | None = None
    signature_name: Literal["serving_default"] | None = None


async def _predict(request: Request, service: Here) -> JSONResponse:
    """`{"instances": [{"image": base64, "style": name, ...}], "parameters": {...}}` to `{"predictions": [...]}`, in the
    same order."""
    batch = _valid(Batch, await _json(request))
    instances = [_valid(Instance, {**(batch.parameters or {}), **each}) for each in batch.instances]
    predictions = []
    with service.desk.place(""):
        for each in instances:
            data, kind = await service.attended(request, _painted(service, each))
            predictions.append({"image": {"b64": base64.b64encode(data).decode()}, "format": kind.lower()})
    return JSONResponse({"predictions": predictions})


async def _invoke(request: Request, service: Here) -> Response:
    """A picture as the body, its look in the custom attributes (`style=iris; alpha=0.8; format=png`), or one instance
    as JSON; the picture in the format of `Accept`."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        given = await _json(request)
        if not isinstance(given, dict):
            raise Refusal(422, "expected a JSON object", 'send {"image": base64, "style": name}')
        if "instances" in given:
            return await _predict(request, service)
        instance = _valid(Instance, given)
    else:
        words = _attributes(request.headers.get(ATTRIBUTES, ""))
        names = set(ControlsJSON.model_fields)
        check_fields(words, [*_ATTRIBUTES, *ControlsJSON.model_fields])
        facts: dict[str, Any] = {name: value for name, value in words.items() if name not in names}
        controls = {name: _number(value) for name, value in words.items() if name in names}
        facts["image"] = base64.b64encode(await request.body()).decode()
        instance = _valid(Instance, {**facts, "controls": controls})
    if not instance.format:
        accepted = request.headers.get("accept", "").split(",")[0].split(";")[0].strip().lower()
        endings = {media: ending for ending, name in reversed(KINDS.items()) if (media := MEDIA[name])}
        instance.format = endings.get(accepted, "")
    with service.desk.place(""):
        data, found = await service.attended(request, _painted(service, instance))
    return Response(data, media_type=MEDIA[found])


async def _painted(service: Service, instance: Instance) -> tuple[bytes, str]:
    """The bytes of the result, and Pillow's name of their format."""
    with service.scratch() as folder:

        def written(name: str, data: bytes) -> Path:
            path = folder / name
            path.write_bytes(data)
            return path

        names = [(share.name, share.weight) for share in instance.styles]
        if instance.style:
            names.append((instance.style, 1.0))
        source = await service.aside("decode", partial(written, "picture", instance.image))
        files = [] if instance.style_image is None else [(written("style", instance.style_image), 1.0)]
        order = Order(
            "",
            service.settings.model,
            names,
            files,
            options_of(instance.controls.model_dump()),
            None if instance.mask is None else written("mask", instance.mask),
            checked_format(instance.format),
            instance.quality,
            service.settings.metadata,
            instance.size or None,
        ).checked(service)
        target = await paint_file(service, source, order, folder)
        return target.read_bytes(), KINDS[target.suffix[1:]]


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is not JSON", 'send {"instances": [{"image": base64, "style": name}]}') from error


def _valid(kind: type[M], given: Any) -> M:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise Refusal(
            422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300], "see docs/service.md"
        ) from error


def _attributes(text: str) -> dict[str, str]:
    """`a=b; c=d` as a mapping, read as the parameters of a media type."""
    message = Message()
    message["content-type"] = f"x/x; {text}"
    return {name: value for name, value in message.get_params([])[1:] if name}


def _number(text: str) -> Any:
    parts = text.split("|")
    try:
        return float(text) if len(parts) == 1 else [float(part) for part in parts]
    except ValueError:
        return text

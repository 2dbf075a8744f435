"""A picture in, the stylized picture out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask

from ...formats import FORMATS, KINDS
from ..desk import Lane
from ..fields import controls_form
from ..jobs import Job
from ..painting import MEDIA, Order, paint_file
from ..problems import Refusal
from ..service import Service
from .common import Caller, Format, Here, Model, Quality, Weight, accepted, answers, checked_format, shared_weights

__all__ = ["order_form", "router"]

router = APIRouter(prefix="/v1", tags=["stylize"])


async def order_form(
    style: Annotated[list[str], Form(max_length=32, description="Names of /v1/styles.", examples=[["iris"]])] = [],  # noqa: B006
    style_file: Annotated[list[UploadFile], File(description="Paintings or saved styles.")] = [],  # noqa: B006
    weight: Annotated[list[Weight], Form(max_length=64, description="One for each style: names, then files.")] = [],  # noqa: B006
    mask: Annotated[UploadFile | None, File(description="Gray: white is stylized, black stays.")] = None,
    options: Annotated[dict[str, Any], Depends(controls_form)] = {},  # noqa: B006
    model: Model = "",
    format: Format = "",
    quality: Quality = None,
    metadata: Annotated[bool | None, Form(description="Keep EXIF, XMP and texts, which else are left out.")] = None,
    size: Annotated[int, Form(ge=0, le=1 << 16, description="The longest side of the result; 0: as it is.")] = 0,
) -> dict[str, Any]:
    """The fields that `stylize` and `jobs` have in common."""
    return locals()


OrderForm = Annotated[dict[str, Any], Depends(order_form)]


async def order_of(
    service: Service, caller: str, given: dict[str, Any], folder: Path, formats: Sequence[str] = FORMATS
) -> Order:
    """The checked order of a form, its files in the folder."""
    uploads: Sequence[UploadFile] = given["style_file"]
    if len(given["style"]) + len(uploads) > service.settings.styles:
        raise Refusal(422, f"more than {service.settings.styles} styles are not mixed", "name fewer styles")
    weights = shared_weights(given["weight"], len(given["style"]) + len(uploads))
    shares = weights[len(given["style"]) :]
    files = [
        (await service.taken(upload.file, folder / f"style-{number}"), share)
        for number, (upload, share) in enumerate(zip(uploads, shares, strict=True), 1)
    ]
    mask: UploadFile | None = given["mask"]
    keeping = given["metadata"]
    return Order(
        caller,
        service.model(given["model"]),
        [*zip(given["style"], weights, strict=False)],
        files,
        given["options"],
        None if mask is None else await service.taken(mask.file, folder / "mask"),
        checked_format(given["format"], formats),
        given["quality"],
        service.settings.metadata if keeping is None else keeping,
        given["size"] or None,
    ).checked(service)


class _Painted(FileResponse):
    """In pieces that are rarely more than one: each is read in another thread."""

    chunk_size = 1 << 20


@router.post(
    "/stylize",
    summary="Stylize a picture",
    response_class=FileResponse,
    response_model=None,
    responses={
        **answers(400, 401, 404, 413, 422, 429, 503, 504, 507, media=("image/jpeg", "image/png", "image/webp")),
        202: {"description": "The job, where JSON is accepted.", "content": {"application/json": {}}},
    },
)
async def stylize(
    request: Request,
    service: Here,
    caller: Caller,
    given: OrderForm,
    picture: Annotated[UploadFile | None, File(description="The picture.")] = None,
    picture_id: Annotated[str, Form(max_length=100, description="One of /v1/pictures instead.")] = "",
) -> FileResponse | JSONResponse:
    """The stylized picture in the asked format. With `Accept: application/json` a job: see /v1/jobs."""
    as_job = _wants_json(request)
    if as_job:
        service.jobs.check_room(caller)
    with service.scratch(kept=True) as folder:
        with service.desk.place(caller):
            source = await _source(service, caller, picture, picture_id, folder, copy=as_job)
            order = await order_of(service, caller, given, folder)
            if not as_job:
                target = await service.attended(request, paint_file(service, source, order, folder))
                return _answer(target, folder)

        async def work(job: Job) -> Path:
            loop = asyncio.get_running_loop()

            def tell(stage: str, done: int, total: int) -> None:
                loop.call_soon_threadsafe(lambda: job.change(state="running", progress=fraction(stage, done, total)))

            return await paint_file(service, source, order, folder, Lane.JOB, tell)

        name = (picture.filename if picture else "") or "picture"
        return accepted(service.jobs.begin(caller, folder, [Path(name).name[:100]], work))


def _answer(target: Path, folder: Path) -> FileResponse:
    """The picture; then its folder goes."""
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    kind, facts = MEDIA[KINDS[target.suffix[1:]]], target.stat()
    return _Painted(target, media_type=kind, filename=target.name, background=gone, stat_result=facts)


async def _source(
    service: Service, caller: str, picture: UploadFile | None, picture_id: str, folder: Path, copy: bool
) -> Path:
    """The picture's file: the one that was sent, or the one of an id (copied where it must not go away)."""
    if (picture is None) == (not picture_id):
        raise Refusal(422, "one picture is expected", "send it as `picture`, or name one as `picture_id`")
    if picture is not None:
        return await service.taken(picture.file, folder / "picture")
    held = service.pictures.get(caller, picture_id)
    if not copy:
        return held.path
    with open(held.path, "rb") as stream:
        return await service.taken(stream, folder / "picture")


def _wants_json(request: Request) -> bool:
    return request.headers.get("accept", "").split(",")[0].split(";")[0].strip().lower() == "application/json"


def fraction(stage: str, done: int, total: int) -> float:
    """How far a picture is, of a stage's steps: the encoder takes about 2 parts in 5 of its time."""
    start, share = {"encode": (0.0, 0.4), "decode": (0.4, 0.6)}.get(stage, (0.0, 1.0))
    return start + share * done / max(total, 1)

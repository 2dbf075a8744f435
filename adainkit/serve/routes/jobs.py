"""Jobs: many pictures, archives and films, with progress."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from ...formats import FORMATS, KINDS
from ..films import FILMS, film_name, paint_film
from ..painting import MEDIA
from ..problems import Refusal
from ..series import Series, paint_series
from ..unpack import unpack
from .common import Caller, Here, accepted, answers
from .stylize import OrderForm, order_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class PictureOfJob(BaseModel, extra="allow"):
    """One picture of a job."""

    name: str
    error: str | None = None
    remedy: str | None = None


class JobFacts(BaseModel):
    """What became of a job."""

    id: str
    state: str
    """waiting, running, done, failed or stopped"""
    progress: float
    pictures: list[PictureOfJob]
    events: str
    result: str | None = None
    error: str | None = None
    remedy: str | None = None


@router.post(
    "",
    status_code=202,
    summary="Paint pictures, an archive or a film while nobody waits",
    response_model=None,
    responses={202: {"model": JobFacts}, **answers(400, 401, 404, 413, 422, 429, 503, 507)},
)
async def add_job(
    service: Here,
    caller: Caller,
    given: OrderForm,
    picture: Annotated[list[UploadFile], File(description="Pictures.")] = [],  # noqa: B006
    archive: Annotated[UploadFile | None, File(description="A ZIP of pictures.")] = None,
    film: Annotated[UploadFile | None, File(description="MP4, MOV, MKV, WebM or AVI.")] = None,
    kind: Annotated[str, Form(max_length=20, description="Not needed: what is sent says it.")] = "",
) -> JSONResponse:
    """The job. Its result is a ZIP, for one picture the picture, for a film the film."""
    service.jobs.check_room(caller)
    if bool(picture) + (archive is not None) + (film is not None) != 1:
        raise Refusal(422, "either pictures, or an archive, or a film is expected", "send one of them")
    with service.scratch(kept=True) as folder:
        order = await order_of(service, caller, given, folder, FORMATS if film is None else [*FILMS])
        if order.size is not None:
            raise Refusal(422, "a job keeps the sizes of its pictures", "leave `size` out")
        if film is not None:
            name = film_name(film.file, film.filename or "")
            source = await service.taken(film.file, folder / name)
            names = [Path(film.filename or name).name[:100]]
            return accepted(
                service.jobs.begin(caller, folder, names, lambda job: paint_film(service, job, source, order))
            )
        series = Series(service, order, folder)
        if archive is not None:
            await service.aside("decode", unpack, archive.file, series)
        else:
            for upload in picture:
                await run_in_threadpool(series.add, upload.filename or "picture", upload.file)
        return accepted(service.jobs.begin(caller, folder, series.names, lambda job: paint_series(job, series)))


@router.get("/{id}", summary="What became of a job", responses=answers(401, 404))
async def get_job(service: Here, caller: Caller, id: str) -> JobFacts:
    """Its state, its progress from 0 to 1, and the pictures that failed."""
    return JobFacts(**service.jobs.get(caller, id).told())


@router.get(
    "/{id}/events",
    summary="Progress as it comes",
    response_class=StreamingResponse,
    responses=answers(401, 404, media=("text/event-stream",), words="Server-sent events: each is the job as JSON."),
)
async def events(service: Here, caller: Caller, id: str) -> StreamingResponse:
    """Ends with the job."""
    job = service.jobs.get(caller, id)

    async def stream() -> AsyncIterator[str]:
        async for facts in job.events():
            yield f"data: {json.dumps(facts)}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get(
    "/{id}/result",
    summary="What a job made",
    response_class=FileResponse,
    responses=answers(401, 404, 409, media=("application/zip", "image/png", "video/mp4"), words="The result."),
)
async def result(service: Here, caller: Caller, id: str) -> FileResponse:
    """The file, for as long as it is kept."""
    job = service.jobs.get(caller, id)
    if job.result is None:
        raise Refusal(409, f"the job is {job.state}, not done", job.remedy or "wait for its end")
    job.change()
    return FileResponse(job.result, media_type=_media(job.result), filename=job.result.name)


@router.delete("/{id}", status_code=204, summary="Stop a job, and forget it", responses=answers(401, 404))
async def remove(service: Here, caller: Caller, id: str) -> None:
    """What is at work stops within a tile."""
    await service.jobs.remove(service.jobs.get(caller, id))


def _media(path: Path) -> str:
    suffix = path.suffix[1:]
    if suffix in FILMS:
        return FILMS[suffix]
    return MEDIA[KINDS[suffix]] if suffix in KINDS else "application/zip"

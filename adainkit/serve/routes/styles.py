"""Styles: presets, and pictures that become saved styles of the caller's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from ...errors import Progress
from ...images import open_image
from ...look.previews import bounded, reduced
from ..desk import Lane
from ..example import example
from ..problems import Refusal
from ..service import Service
from ..shelf import THUMBNAIL, Saved, as_jpeg, is_saved_style, style_of_file, thumbnail_of
from .common import Caller, Here, Model, answers

__all__ = ["router"]

router = APIRouter(prefix="/v1/styles", tags=["styles"])
Named = Annotated[str, Query(max_length=100, description="A name of /v1/models.")]


class StyleFacts(BaseModel):
    """A style that requests may name."""

    name: str = Field(examples=["iris"])
    label: str = Field(examples=["Iris"])
    description: str = Field(examples=["soft brush strokes in blue and green"])
    kind: str = Field(examples=["preset"], description="preset, or saved: the caller's own")
    thumbnail: str = Field(examples=["/v1/styles/iris/thumbnail"])
    file: str | None = Field(None, description="Where a saved style is to be had, a few kilobytes of .safetensors")


def _facts(name: str, label: str, kind: str, description: str = "") -> StyleFacts:
    file = f"/v1/styles/{name}/file" if kind == "saved" else None
    address = f"/v1/styles/{name}/thumbnail"
    return StyleFacts(name=name, label=label, description=description, kind=kind, thumbnail=address, file=file)


@router.get("", summary="The styles that may be named")
async def list_styles(service: Here, caller: Caller, model: Named = "") -> list[StyleFacts]:
    """The caller's own first, then the presets of the model."""
    chosen = service.model(model)
    own = service.shelf.of_caller(caller).items()
    found = [_facts(name, saved.label, "saved") for name, saved in own if saved.model == chosen]
    presets = service.shelf.presets(chosen).values()
    return found + [_facts(p.name, p.name.replace("-", " ").capitalize(), "preset", p.description) for p in presets]


@router.post(
    "",
    status_code=201,
    summary="Make a style of a painting",
    responses=answers(400, 401, 413, 422, 429, 503, 504, 507),
)
async def add_style(
    request: Request,
    service: Here,
    caller: Caller,
    picture: Annotated[UploadFile, File(description="A painting, or a saved style (.safetensors).")],
    label: Annotated[str, Form(max_length=100, description="What it is called.")] = "",
    name: Annotated[str, Form(max_length=100, description="Another word for `label`.")] = "",
    style_size: Annotated[int, Form(ge=0, le=4096, description="The shorter side that is looked at; 0: all.")] = 512,
    model: Model = "",
) -> StyleFacts:
    """The style is kept in the service's memory and is the caller's own; fetch its file to keep it for good."""
    chosen = service.model(model)
    text = " ".join((label or name or Path(picture.filename or "").stem).split())[:100] or "style"
    with service.desk.place(caller), service.scratch() as folder:
        path = await service.taken(picture.file, folder / "picture")

        async def work() -> Saved:
            limit = service.settings.pixels
            style = await service.desk.compute(
                lambda _: style_of_file(
                    service.stylizer(chosen), path, style_size=style_size or None, max_pixels=limit
                ),
                Lane.WHOLE,
            )
            if is_saved_style(path):
                shown = await _painted_example(service, style, chosen)
            else:
                shown = await service.aside("encode", thumbnail_of, path, limit)
            return Saved(style, text, shown, chosen)

        saved = await service.attended(request, work())
    return _facts(service.shelf.add(caller, saved), text, "saved")


@router.get(
    "/{name}/thumbnail",
    summary="What a style looks like",
    response_class=Response,
    responses=answers(401, 404, 422, media=("image/jpeg",)),
)
async def thumbnail(service: Here, caller: Caller, name: str, model: Named = "") -> Response:
    """A small JPEG: of a preset, a landscape in its style; of a saved style, the painting."""
    chosen = service.model(model)
    if name not in service.shelf.presets(chosen):
        return Response(service.shelf.find(caller, name).thumbnail, media_type="image/jpeg")
    data = service.shelf.thumbnail(name, chosen)
    if data is None:
        style = service.shelf.style(caller, name, chosen)
        data = await _painted_example(service, style, chosen)
        service.shelf.keep_thumbnail(name, chosen, data)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get(
    "/{name}/file",
    summary="A saved style as a file",
    response_class=Response,
    responses=answers(401, 404, media=("application/octet-stream",), words="A .safetensors file."),
)
async def file(service: Here, caller: Caller, name: str) -> Response:
    """A few kilobytes of .safetensors, which every part of adainkit takes as a style."""
    style = service.shelf.find(caller, name).style
    with service.scratch() as folder:
        data = (await run_in_threadpool(style.save, folder / "style.safetensors")).read_bytes()
    headers = {"Content-Disposition": f'attachment; filename="{name}.safetensors"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.delete("/{name}", status_code=204, summary="Forget a saved style", responses=answers(401, 404))
async def remove(service: Here, caller: Caller, name: str) -> None:
    """Presets stay."""
    if name in service.shelf.presets(service.settings.model):
        raise Refusal(404, f"{name[:100]!r} is a preset, which stays", "name a saved style")
    service.shelf.remove(caller, name)


async def _painted_example(service: Service, style: object, model: str) -> bytes:
    def compute(progress: Progress) -> bytes:
        picture = open_image(example())
        small = reduced(picture, bounded(picture, THUMBNAIL))
        shown = service.stylizer(model).stylize(small, style, progress=progress)  # type: ignore[arg-type]
        return as_jpeg(shown)

    return await service.desk.compute(compute, Lane.SHORT)

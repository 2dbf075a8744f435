"""Pictures that are sent once and previewed often."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Query, Request, Response, UploadFile
from PIL import Image
from pydantic import BaseModel, Field

from ...images import Picture, close_image
from ..fields import ControlsJSON, Share, options_of
from ..painting import Order, preview
from ..pictures import Held
from ..shelf import as_jpeg
from ..strict import Strict
from .common import Caller, Here, answers

__all__ = ["router"]

router = APIRouter(prefix="/v1/pictures", tags=["previews"])


class PictureFacts(BaseModel):
    """A picture that is kept for a while."""

    id: str
    width: int
    height: int


class PreviewOrder(Strict):
    """What a preview is to show."""

    styles: Annotated[list[Share], Field(min_length=1, max_length=32)]
    controls: ControlsJSON = Field(default_factory=ControlsJSON)
    size: Annotated[int, Field(ge=16, le=4096, description="The longest side.")] = 512
    mask: Annotated[str | None, Field(max_length=100, description="Id of a gray picture: white is painted.")] = None
    model: Annotated[str, Field(max_length=100)] = ""
    format: Literal["jpeg", "png"] = "jpeg"


@router.post(
    "", status_code=201, summary="Send a picture once", responses=answers(400, 401, 413, 422, 429, 503, 504, 507)
)
async def add_picture(
    request: Request,
    service: Here,
    caller: Caller,
    picture: Annotated[UploadFile, File(description="A photograph, or a mask.")],
) -> PictureFacts:
    """Its id is the caller's own, and good until the picture was not used for a while."""
    settings = service.settings
    with service.desk.place(caller), service.scratch() as folder:
        path = await service.taken(picture.file, folder / "picture")
        kept = service.aside("decode", service.pictures.add, caller, path, settings.preview, settings.pixels)
        name, held = await service.attended(request, kept)
    return PictureFacts(id=name, width=held.size[0], height=held.size[1])


@router.post(
    "/{id}/preview",
    summary="What it would look like, at once",
    response_class=Response,
    responses=answers(400, 401, 404, 413, 422, 429, 503, 504, media=("image/jpeg", "image/png"), words="The preview."),
)
async def show(request: Request, service: Here, caller: Caller, id: str, order: PreviewOrder) -> Response:
    """The picture is encoded once for a size; another style, mix, alpha or mask is then a pass of the decoder."""
    held = service.pictures.get(caller, id)
    mask: Held | None = None if order.mask is None else service.pictures.get(caller, order.mask)
    names = [(share.name, share.weight) for share in order.styles]
    options = options_of(order.controls.model_dump())
    asked = Order(caller, service.model(order.model), names, options=options, size=order.size).checked(service)
    with service.desk.place(caller):
        shown: Any = await service.attended(request, preview(service, held, asked, mask))
    if order.format == "png":
        data = await service.aside("encode", _png, shown)
    else:
        data = await service.aside("encode", as_jpeg, shown)
    return Response(data, media_type=f"image/{order.format}")


@router.get(
    "/{id}/thumbnail",
    summary="The picture itself, as a JPEG",
    response_class=Response,
    responses=answers(401, 404, media=("image/jpeg",)),
)
async def thumbnail(
    service: Here, caller: Caller, id: str, size: Annotated[int, Query(ge=16, le=4096)] = 1024
) -> Response:
    """For kinds that a browser cannot show; no larger than previews are."""
    small = service.pictures.get(caller, id).small
    data = await service.aside("encode", _shown, small, size)
    return Response(data, media_type="image/jpeg")


@router.delete("/{id}", status_code=204, summary="Forget a picture", responses=answers(401, 404))
async def remove(service: Here, caller: Caller, id: str) -> None:
    """At once, from memory and disk."""
    service.pictures.remove(caller, id)


def _shown(picture: Picture, size: int) -> bytes:
    found = close_image(picture.rgb, picture)
    assert isinstance(found, Image.Image)  # a file gives one
    return as_jpeg(found, size)


def _png(picture: Any) -> bytes:
    import io

    stream = io.BytesIO()
    picture.info = {}
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()

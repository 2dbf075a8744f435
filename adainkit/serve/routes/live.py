"""The camera, live: frames in, painted frames out, over a WebSocket."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import AdaINKitError, Progress
from ...images import open_image
from ...look.previews import bounded, reduced
from ..desk import Lane
from ..fields import ControlsJSON, Share, options_of
from ..painting import Order
from ..problems import Refusal, told
from ..service import Service
from ..shelf import as_jpeg

__all__ = ["router"]

router = APIRouter()
_FIRST_SECONDS = 10.0
_FRAME_BYTES = 1 << 20
_FRAME_PIXELS = 1 << 21
_SIDE = 640


class Look(BaseModel):
    """What frames are to look like from now on. The first message has the token, where one is needed."""

    model_config = ConfigDict(extra="forbid")
    token: Annotated[str, Field(max_length=1000)] = ""
    styles: Annotated[list[Share], Field(min_length=1, max_length=32)]
    controls: ControlsJSON = Field(default_factory=ControlsJSON)
    size: Annotated[int, Field(ge=16, le=4096)] = _SIDE
    model: Annotated[str, Field(max_length=100)] = ""


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """A text message of JSON (`Look`), then JPEG frames; a painted JPEG for each, but for those that come while one is
    in work: of these the last is taken. Errors are `{error, remedy}` as text."""
    service: Service = socket.app.state.service
    await socket.accept()
    try:
        await _Camera(socket, service).serve()
    except asyncio.TimeoutError:
        await _refuse(socket, Refusal(408, f"no look came within {_FIRST_SECONDS:g} s"))
    except (WebSocketDisconnect, RuntimeError):
        pass  # gone, perhaps while it was answered
    except (Refusal, AdaINKitError) as error:
        await _refuse(socket, error)


class _Camera:
    """One connection: a reader that keeps the newest frame, and a painter that takes it."""

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self.socket, self.service = socket, service
        self.caller: str | None = None
        self.order: Order | None = None
        self.frame: bytes | None = None
        self.came = asyncio.Event()

    async def serve(self) -> None:
        """Until the caller leaves. `Refusal` for what ends the connection."""
        first = await asyncio.wait_for(self.socket.receive(), _FIRST_SECONDS)
        await self._take(first)  # strangers take no place
        service = self.service
        if service.live >= service.settings.live or service.desk.draining:
            raise Refusal(429, f"{service.live} cameras are connected already", "try again later")
        service.live += 1
        tasks = {asyncio.create_task(self._read()), asyncio.create_task(self._paint())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            service.live -= 1

    async def _read(self) -> None:
        while True:
            await self._take(await self.socket.receive())

    async def _take(self, message: Any) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        text, data = message.get("text"), message.get("bytes")
        if text is not None:
            self.order = self._look(text)
        elif self.order is None:
            raise Refusal(400, "a look comes first, as JSON", 'send {"styles": [{"name": ...}], "controls": {...}}')
        elif len(data or b"") > _FRAME_BYTES:
            raise Refusal(413, f"a frame has at most {_FRAME_BYTES} bytes", "send smaller frames")
        else:
            self.frame = data
            self.came.set()

    def _look(self, text: str) -> Order:
        try:
            look = Look.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise Refusal(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300]) from error
        if self.caller is None:
            name = self.service.tokens.name_of(look.token) if self.service.tokens.needed else ""
            if name is None:
                raise Refusal(401, "the token is missing or not valid", "send it as `token` in the first message")
            self.caller = name
        names = [(share.name, share.weight) for share in look.styles]
        options = options_of(look.controls.model_dump())
        model = self.service.model(look.model)
        return Order(self.caller, model, names, options=options, size=min(look.size, _SIDE)).checked(self.service)

    async def _paint(self) -> None:
        while True:
            await self.came.wait()
            self.came.clear()
            frame, order = self.frame, self.order
            if frame is None or order is None:
                continue
            shown = await self.service.desk.compute(partial(self._painted, frame, order), Lane.SHORT)
            await self.socket.send_bytes(shown)

    def _painted(self, frame: bytes, order: Order, progress: Progress) -> bytes:
        picture = open_image(frame, max_pixels=_FRAME_PIXELS)
        small = reduced(picture, bounded(picture, order.size or _SIDE))
        options = {name: value for name, value in order.options.items() if name != "style_size"}
        style = order.style(self.service, _FRAME_PIXELS)
        shown = self.service.stylizer(order.model).stylize(small, style, progress=progress, **options)
        assert isinstance(shown, Image.Image)  # a file gives one
        return as_jpeg(shown, quality=80)


async def _refuse(socket: WebSocket, error: Exception) -> None:
    what, remedy = told(error)
    try:
        await socket.send_text(json.dumps({"error": what, "remedy": remedy}))
        await socket.close(1008)
    except RuntimeError:
        pass  # gone already

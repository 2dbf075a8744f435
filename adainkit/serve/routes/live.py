"""The camera, live: frames in, painted frames out, over a WebSocket."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from PIL import Image
from pydantic import Field, ValidationError

from ...errors import AdaINKitError, Progress
from ...images import open_image
from ...look.previews import bounded, reduced
from ..desk import Lane
from ..door import address_of
from ..fields import ControlsJSON, Share, options_of
from ..painting import Order
from ..places import counted_in
from ..problems import Refusal, told
from ..service import Service
from ..shelf import as_jpeg
from ..strict import Strict

__all__ = ["router"]

router = APIRouter()
_FIRST_SECONDS = 10.0
_IDLE_SECONDS = 60.0  # without a frame: its place is for others
_FRAME_BYTES = 1 << 20
_FRAME_PIXELS = 1 << 21
_SIDE = 640


class Look(Strict):
    """What frames are to look like from now on. The first message has the token, where one is needed."""

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
    camera = _Camera(socket, service)
    try:
        await camera.serve()
    except asyncio.TimeoutError:
        what = "look" if camera.order is None else "frame"
        seconds = _FIRST_SECONDS if camera.order is None else _IDLE_SECONDS
        await _refuse(socket, Refusal(408, f"no {what} came within {seconds:g} s", "connect again"))
    except (WebSocketDisconnect, RuntimeError):
        pass  # gone, perhaps while it was answered
    except (Refusal, AdaINKitError) as error:
        await _refuse(socket, error)


class _Camera:
    """One connection: a reader that keeps the newest frame, and a painter that takes it."""

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self.socket, self.service = socket, service
        self.address = address_of(socket.scope)
        self.token = ""
        self.caller: str | None = None
        self.order: Order | None = None
        self.frame: bytes | None = None
        self.came = asyncio.Event()

    async def serve(self) -> None:
        """Until the caller leaves. `Refusal` for what ends the connection."""
        first = await asyncio.wait_for(self.socket.receive(), _FIRST_SECONDS)
        await self._take(first)  # strangers take no place
        with self._place():
            tasks = {asyncio.create_task(self._read()), asyncio.create_task(self._paint())}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _place(self) -> AbstractContextManager[None]:
        """One of the places for cameras. `Refusal` where there is none, for anybody or for this caller."""
        live, limits, caller = self.service.live, self.service.settings, self.caller or self.address
        if live.total() >= limits.live or self.service.desk.draining:
            raise Refusal(429, f"{live.total()} cameras are connected already", "try again later")
        if live[caller] >= limits.live_each:
            raise Refusal(429, f"{live[caller]} cameras of this caller are connected already", "switch one of them off")
        return counted_in(live, caller)

    async def _read(self) -> None:
        frame_came = time.monotonic()
        while True:
            left = frame_came + _IDLE_SECONDS - time.monotonic()
            message = await asyncio.wait_for(self.socket.receive(), max(0.0, left))
            await self._take(message)
            if message.get("bytes"):
                frame_came = time.monotonic()

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
            self.service.door.check(self.token, self.caller or "")
            self.frame = data
            self.came.set()

    def _look(self, text: str) -> Order:
        try:
            look = Look.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise Refusal(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300]) from error
        if self.caller is None:
            self.caller, self.token = self.service.door.admit(look.token, self.address), look.token
        else:
            self.service.door.check(self.token, self.caller)
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

"""The guard at the door: whom it lets in, how much they may bring, and what every answer carries.

Pure ASGI, so that uploads stream through it and a caller that leaves is seen.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .door import Door, address_of
from .metrics import Metrics
from .places import counted_in
from .problems import Refusal, problem
from .settings import Settings, is_loopback

__all__ = ["CSP", "Guard"]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
_STALL_SECONDS = 30.0
"""How long a caller may send nothing while its request is not whole."""
_OPEN = {"/", "/favicon.ico", "/healthz", "/readyz"}


class Guard:
    """Middleware: host and origin, token, rate and size of every request; the name of the caller goes on in the scope's
    state. WebSockets show their token in their first message."""

    def __init__(self, app: ASGIApp, settings: Settings, door: Door, metrics: Metrics, opened: set[str]) -> None:
        self.app, self.settings, self.door, self.metrics = app, settings, door, metrics
        self.opened = _OPEN | opened
        self.probed = {"/healthz", "/readyz"} | opened  # by machines, under whatever name they have for this one
        self._bodies: Counter[str] = Counter()  # requests that bring something, until their answer, by caller
        names = settings.hosts or (("localhost", "127.0.0.1", "::1") if is_loopback(settings.host) else ())
        self.hosts = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if scope["path"] not in self.probed:
                self._check_place(headers)
            if scope["type"] == "websocket":
                self.door.knock(address_of(scope))
            else:
                caller = scope.setdefault("state", {})["caller"] = self._caller(headers, scope)
                self._check_length(headers)
                place = self._place(scope, caller or address_of(scope))
        except Refusal as refused:
            await self._refuse(refused, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        with place:
            await self.app(scope, self._counted(receive), self._answering(scope, send))

    def _check_place(self, headers: Headers) -> None:
        """No page of another origin, and no name that somebody else's DNS points here, speaks for a user."""
        host = _host(headers.get("host", ""))
        if self.hosts and host not in self.hosts:
            raise Refusal(403, f"this service is not called {host[:100]!r}", "call it by a name of its setting `hosts`")
        origin = headers.get("origin")
        if origin is None or origin in self.settings.origins:
            return
        if _split(origin).netloc.lower() != headers.get("host", "").lower():
            raise Refusal(403, f"pages of {origin[:100]!r} may not call", "add the origin to the setting `origins`")

    def _caller(self, headers: Headers, scope: Scope) -> str:
        """The caller's name; none for what needs no token."""
        path = scope["path"]
        if path in self.opened or path.startswith("/page/"):
            return ""
        kind, _, token = headers.get("authorization", "").partition(" ")
        return self.door.admit(token.strip() if kind.lower() == "bearer" else "", address_of(scope))

    def _place(self, scope: Scope, caller: str) -> AbstractContextManager[None]:
        """A place, within the block, for a request that brings something: however slowly it comes, one caller leaves
        places for the others. `Refusal` where there is none."""
        if scope["method"] != "POST":
            return nullcontext()
        limits = self.settings
        if self._bodies.total() >= 2 * limits.waiting or self._bodies[caller] >= 2 * limits.waiting_each:
            raise Refusal(429, "too many requests are waiting", headers={"Retry-After": "1"})
        return counted_in(self._bodies, caller)

    def _check_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise Refusal(400, "Content-Length is not a number")
        if int(length) > self.settings.bytes:
            raise self._too_large()

    def _too_large(self) -> Refusal:
        return Refusal(
            413, f"the request has more than {self.settings.bytes} bytes", "send less at once, or a smaller picture",
            {"Connection": "close"},
        )  # fmt: skip

    def _counted(self, receive: Receive) -> Receive:
        """`receive`, which counts, since a chunked body says nothing of its length, and does not wait for ever: neither
        for the next piece nor for the whole."""
        seen, whole, until = 0, False, time.monotonic() + self.settings.upload

        async def counting() -> Message:
            nonlocal seen, whole
            patience = min(_STALL_SECONDS, until - time.monotonic())
            try:
                message = await (receive() if whole else asyncio.wait_for(receive(), max(0.0, patience)))
            except asyncio.TimeoutError as error:
                what = f"nothing came for {_STALL_SECONDS:g} s"
                if patience < _STALL_SECONDS:
                    what = f"the body was not whole after {self.settings.upload:g} s"
                raise Refusal(408, what, "send the request again") from error
            whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > self.settings.bytes:
                raise self._too_large()
            return message

        return counting

    def _answering(self, scope: Scope, send: Send) -> Send:
        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/page/"):
                    headers.setdefault("Cache-Control", "no-store")
                self.metrics.answered(scope, message["status"])
            await send(message)

        return answering

    async def _refuse(self, refused: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": str(refused.detail)[:100]})
            return
        answer: Any = problem(refused.status_code, str(refused.detail), refused.remedy, dict(refused.headers or {}))
        await answer(scope, receive, self._answering(scope, send))


def _host(header: str) -> str:
    """The name in a Host header, in small letters, without its port."""
    return _split(f"//{header}").hostname or ""


def _split(address: str) -> SplitResult:
    """The parts of an address; none of them for what is no address."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")

"""The guard at the door: whom it lets in, how much they may bring, and what every answer carries.

Pure ASGI, so that uploads stream through it and a caller that leaves is seen.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics
from .problems import Refusal, problem
from .rates import Rates
from .settings import Settings, is_loopback
from .tokens import Tokens

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

    def __init__(self, app: ASGIApp, settings: Settings, tokens: Tokens, metrics: Metrics, opened: set[str]) -> None:
        self.app, self.settings, self.tokens, self.metrics = app, settings, tokens, metrics
        self.opened = _OPEN | opened
        self.probed = {"/healthz", "/readyz"} | opened  # by machines, under whatever name they have for this one
        self.rates = Rates(settings.rate, settings.burst)
        self.failures = Rates(10 / 60, 10)  # wrong tokens of one address: ten at once, ten a minute
        self._bodies = 0  # requests that bring something, from their first byte to their answer
        self.hosts = settings.hosts or (("localhost", "127.0.0.1", "::1") if is_loopback(settings.host) else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if scope["path"] not in self.probed:
                self._check_place(headers, scope)
            if scope["type"] == "http":
                scope.setdefault("state", {})["caller"] = self._caller(headers, scope)
                self._check_length(headers)
                if scope["method"] == "POST" and self._bodies >= 2 * self.settings.waiting:
                    raise Refusal(429, "too many requests are waiting", headers={"Retry-After": "1"})
        except Refusal as refused:
            await self._refuse(refused, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            self._bodies += scope["method"] == "POST"
            try:
                await self.app(scope, self._counted(receive), self._answering(scope, send))
            finally:
                self._bodies -= scope["method"] == "POST"

    def _check_place(self, headers: Headers, scope: Scope) -> None:
        """No page of another origin, and no name that somebody else's DNS points here, speaks for a user."""
        host = _host(headers.get("host", ""))
        if self.hosts and host not in self.hosts:
            raise Refusal(403, f"this service is not called {host[:100]!r}", "call it by a name of its setting `hosts`")
        origin = headers.get("origin")
        if origin is None or origin in self.settings.origins:
            return
        if urlsplit(origin).netloc != headers.get("host", ""):
            raise Refusal(403, f"pages of {origin[:100]!r} may not call", "add the origin to the setting `origins`")

    def _caller(self, headers: Headers, scope: Scope) -> str:
        """The caller's name: that of its token, or its address where none is needed."""
        address = str((scope.get("client") or ("",))[0])
        path = scope["path"]
        if path in self.opened or path.startswith("/page/"):
            return ""
        if not self.tokens.needed:
            self._check_rate(self.rates, address)
            return ""
        if self.failures.spent(address):
            self._check_rate(self.failures, address)
        kind, _, token = headers.get("authorization", "").partition(" ")
        name = self.tokens.name_of(token.strip()) if kind.lower() == "bearer" else None
        if name is None:
            self.failures.wait(address)
            raise Refusal(
                401, "the token is missing or not valid", "send it as `Authorization: Bearer TOKEN`",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        self._check_rate(self.rates, name)
        return name

    def _check_rate(self, rates: Rates, caller: str) -> None:
        if seconds := rates.wait(caller):
            raise Refusal(429, "too many requests", headers={"Retry-After": str(math.ceil(seconds))})

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
        """`receive`, which counts, since a chunked body says nothing of its length, and does not wait for ever."""
        seen, whole = 0, False

        async def counting() -> Message:
            nonlocal seen, whole
            try:
                message = await (receive() if whole else asyncio.wait_for(receive(), _STALL_SECONDS))
            except asyncio.TimeoutError as error:
                raise Refusal(408, f"nothing came for {_STALL_SECONDS:g} s", "send the request again") from error
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
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""

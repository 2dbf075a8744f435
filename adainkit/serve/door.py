"""The door: who comes in, by token, and how often one caller and one address may knock. Requests and cameras alike."""

from __future__ import annotations

import math

from starlette.types import Scope

from .problems import Refusal
from .rates import Rates
from .settings import Settings
from .tokens import Tokens

__all__ = ["Door", "address_of"]


class Door:
    """A valid token is let in whatever else came from its address, which a proxy's may be: wrong ones alone are counted
    by it."""

    def __init__(self, settings: Settings) -> None:
        self.tokens = Tokens(settings)
        self.rates = Rates(settings.rate, settings.burst)
        self.failures = Rates(10 / 60, 10)  # wrong tokens of one address: ten at once, ten a minute

    def knock(self, address: str) -> None:
        """Count a connection whose token is not known yet. `Refusal` for too many of them."""
        _check(self.rates, address)

    def admit(self, token: str, address: str) -> str:
        """The caller's name: that of its token, none where none is needed. `Refusal` for a wrong token, and for one who
        asks too often."""
        if not self.tokens.needed:
            _check(self.rates, address)
            return ""
        name = self.tokens.name_of(token)
        if name is None:
            _check(self.failures, address)
            raise _unknown()
        _check(self.rates, name)
        return name

    def check(self, token: str, caller: str) -> None:
        """`Refusal` where a token that was good when its caller came in is none any more."""
        if self.tokens.needed and self.tokens.name_of(token) != caller:
            raise _unknown()


def address_of(scope: Scope) -> str:
    """Where a request or WebSocket comes from: what a trusted proxy says, else the other end of the connection."""
    return str((scope.get("client") or ("",))[0])


def _check(rates: Rates, caller: str) -> None:
    if seconds := rates.wait(caller):
        raise Refusal(429, "too many requests", headers={"Retry-After": str(math.ceil(seconds))})


def _unknown() -> Refusal:
    return Refusal(
        401, "the token is missing or not valid", "send it as `Authorization: Bearer TOKEN`; a camera, as `token`",
        {"WWW-Authenticate": "Bearer"},
    )  # fmt: skip

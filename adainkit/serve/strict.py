"""No field is passed over in silence: one that nobody knows is refused, with those that are near to it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from .problems import Refusal

__all__ = ["Strict", "check_fields", "check_form", "tell_of_strictness"]


def check_fields(given: Iterable[str], known: Iterable[str]) -> None:
    """`Refusal` for a field that is not known."""
    if found := _unknown(given, [*known]):
        raise Refusal(422, *found)


def _unknown(given: Iterable[str], known: list[str]) -> tuple[str, str] | None:
    """What is wrong with the first name that is not known, and what was perhaps meant."""
    for name in given:
        if name not in known:
            near = get_close_matches(name.lower(), known, 3)
            remedy = f"near to it: {', '.join(near)}" if near else f"there are {', '.join(known)}"
            return f"no field is called {name[:100]!r}", remedy
    return None


class Strict(BaseModel):
    """A body of JSON, or a part of one."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, given: Any) -> Any:
        if isinstance(given, dict) and (found := _unknown(map(str, given), [*cls.model_fields])):
            raise PydanticCustomError("unknown_field", "{words}", {"words": f"{found[0]} ({found[1]})"})
        return given


async def check_form(request: Request) -> None:
    """A dependency of routes: `Refusal` for a form with a field that their description in OpenAPI does not have."""
    described = request.app.openapi()
    action = described["paths"][request.scope["route"].path].get(request.method.lower(), {})
    for kind, content in action.get("requestBody", {}).get("content", {}).items():
        if kind != "application/json":
            form = described["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
            check_fields(await request.form(), form["properties"])


def tell_of_strictness(app: FastAPI) -> None:
    """Say in OpenAPI that forms have no other fields: FastAPI leaves out what `check_form` refuses."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            for name, schema in plain().get("components", {}).get("schemas", {}).items():
                if name.startswith("Body_"):
                    schema["additionalProperties"] = False
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]

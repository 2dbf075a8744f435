"""The fields of requests that are made from `CONTROLS`: form fields, JSON, and their description for the page."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import Form
from pydantic import Field, create_model

from ..look.controls import CONTROLS, Control
from .strict import Strict

__all__ = ["ControlsJSON", "controls_form", "described", "options_of"]

_LARGEST_STYLE = 4096  # the shorter side of a style, where a request may choose it


def described() -> list[dict[str, Any]]:
    """Each control as the page shows it."""
    return [_described(control) for control in CONTROLS.values()]


def _described(control: Control) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": control.name, "kind": control.kind, "default": control.default}
    if control.kind == "number":
        facts |= {"low": control.low, "high": control.high, "by_level": control.by_level, "ends": control.ends}
    elif control.kind == "choice":
        facts["choices"] = control.choices
    else:
        facts |= {"low": 0, "high": _LARGEST_STYLE}
    return {**facts, "help": control.tip}


def options_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `Stylizer.stylize` takes, of fields whose value is not None: a list of one alpha is a number, no style size
    is None."""
    options = {name: value for name, value in values.items() if value is not None}
    alpha = options.get("alpha")
    if isinstance(alpha, (list, tuple)):
        options["alpha"] = alpha[0] if len(alpha) == 1 else list(alpha)
        if not alpha:
            del options["alpha"]
    if options.get("style_size") == 0:
        options["style_size"] = None
    return options


def _bounds(control: Control) -> dict[str, Any]:
    if control.kind == "number":
        return {"ge": control.low, "le": control.high, "allow_inf_nan": False}
    return {"ge": 0, "le": _LARGEST_STYLE} if control.kind == "pixels" else {}


def _number(control: Control) -> Any:
    return int if control.kind == "pixels" else float


def _json_field(control: Control) -> tuple[Any, Any]:
    if control.kind == "choice":
        kind: Any = Literal[control.choices]
    else:
        kind = Annotated[_number(control), Field(**_bounds(control))]
        if control.by_level:
            kind = kind | Annotated[list[kind], Field(min_length=1, max_length=16)]
    return kind, Field(default=control.default, description=control.tip, examples=[control.default])


_FIELDS: dict[str, Any] = {control.name: _json_field(control) for control in CONTROLS.values()}
ControlsJSON: Any = create_model("Controls", __base__=Strict, __doc__="How the picture is stylized.", **_FIELDS)
"""The controls as a JSON object."""


def _form_parameter(control: Control) -> inspect.Parameter:
    facts: dict[str, Any] = {"description": control.tip, "examples": [control.default]}
    kind: Any
    if control.kind == "choice":
        kind = Annotated[Literal[control.choices], Form(**facts)]
        default: Any = control.default
    elif control.by_level:
        number = Annotated[float, Field(**_bounds(control))]
        facts["description"] += " Several times: one for each AdaIN level, the finest first."
        kind, default = Annotated[list[number], Form(max_length=16, **facts)], [control.default]
    else:
        kind = Annotated[_number(control), Form(**_bounds(control), **facts)]
        default = control.default
    return inspect.Parameter(control.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _make_form() -> Callable[..., Awaitable[dict[str, Any]]]:
    async def controls(**values: Any) -> dict[str, Any]:  # a plain function would take a thread
        return options_of(values)

    controls.__signature__ = inspect.Signature([_form_parameter(c) for c in CONTROLS.values()])  # type: ignore[attr-defined]
    return controls


controls_form = _make_form()
"""A dependency of FastAPI: the controls as form fields, to the options of `Stylizer.stylize`."""


class Share(Strict):
    """A style and its weight in the mix."""

    name: Annotated[str, Field(max_length=100, description="A name of /v1/styles.", examples=["iris"])]
    weight: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 1.0

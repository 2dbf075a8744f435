"""A generated client against the service's own description: whatever it sends, the answer is one that is described."""

import threading
from collections import Counter
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service import picture, serving

from adainkit.serve import Settings

schemathesis = pytest.importorskip("schemathesis")

EACH = 100  # requests to each route
PICTURES = [picture((40, 30)), picture((33, 47), "JPEG"), picture((20, 20), "WEBP"), b"", b"\x89PNG\r\n\x1a\n", b"no"]


@pytest.mark.slow
def test_no_generated_request_finds_a_fault() -> None:
    """Some thousands of requests to all routes, half of them with pictures and names that there are."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    wanted = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    seen: Counter[int] = Counter()
    limits: dict[str, Any] = {"rate": 1e6, "burst": 10**6, "pixels": 1 << 16, "preview": 64, "jobs": 1000}
    with serving(Settings(platform="none", jobs_each=1000, **limits)) as url:
        schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json")
        held = requests.post(f"{url}/v1/pictures", files={"picture": PICTURES[0]}).json()["id"]
        saved = requests.post(f"{url}/v1/styles", files={"picture": PICTURES[1]}).json()["name"]
        job = requests.post(f"{url}/v1/jobs", files={"picture": PICTURES[0]}, data={"style": "iris"}).json()["id"]
        for operation in [found.ok() for found in schema.get_all_operations()]:
            known = [job] if "/jobs" in operation.path else [held, "iris", saved]
            _checked(operation, url, known, wanted, seen)
    assert seen.total() > 1000
    assert not {status for status in seen if status >= 500} - {503, 504, 507}
    assert {200, 201, 202, 404, 422} <= set(seen)
    assert threading.active_count() < 50


def _checked(operation: Any, url: str, known: list[str], wanted: list[Any], seen: Counter[int]) -> None:
    @settings(
        max_examples=EACH, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(), real=st.booleans(), data=st.data())
    def check(case: Any, real: bool, data: Any) -> None:
        if real:
            _with_real_things(case, data, known)
            if case.method.upper() == "DELETE":
                return  # what the others need
        answer = case.call(base_url=url, timeout=60)
        seen[answer.status_code] += 1
        if answer.status_code not in (400, 503):  # the server's own words for what is no HTTP, and a full queue
            case.validate_response(answer, checks=wanted)

    check()


def _with_real_things(case: Any, data: Any, known: list[str]) -> None:
    for name in case.path_parameters or {}:
        case.path_parameters[name] = data.draw(st.sampled_from(known))
    if isinstance(case.body, dict):
        if "picture" in case.body or "/stylize" in case.path:
            sent = data.draw(st.sampled_from(PICTURES))
            case.body["picture"] = [sent] if "/jobs" in case.path else sent
            case.body.pop("picture_id", None)
        for name in {"style_file", "mask", "archive", "film"} & set(case.body):
            case.body.pop(name)
        if "/preview" in case.path:
            case.body["styles"] = [{"name": data.draw(st.sampled_from(["iris", "ember", "x"]))}]
            case.body.pop("mask", None)
            case.body.pop("model", None)
        elif "/styles" not in case.path and "/pictures" not in case.path:
            case.body |= {
                "style": ["iris"],
                "weight": [],
                "model": "",
                "format": data.draw(st.sampled_from(["", "png"])),
            }
            if data.draw(st.booleans()):  # without the controls, most of which are out of their ranges
                case.body = {name: case.body[name] for name in ("picture", "style") if name in case.body}

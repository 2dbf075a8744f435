"""The service under load and under attack: who comes in, how many wait, what becomes of those who leave, its end."""

import asyncio
import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import requests
from PIL import Image
from service import (
    ALICE,
    BOB,
    LOOK,
    Endless,
    bearer,
    called,
    endless,
    finished,
    opened,
    picture,
    problem,
    queue_of,
    serving,
    soon,
)
from websockets.sync.client import connect

from adainkit import Style
from adainkit.errors import Cancelled, Progress, WeightsError
from adainkit.serve import Settings
from adainkit.serve import run as serve_run
from adainkit.serve.desk import Desk, Lane
from adainkit.serve.rates import Rates
from adainkit.serve.settings import SettingsError
from adainkit.serve.tokens import Tokens
from adainkit.session import Busy
from adainkit.stylizer import Stylizer

__all__ = ["endless"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(platform="none")) as address:
        yield address


def test_who_leaves_frees_the_desk_within_a_tile_and_takes_nothing_along(endless: Callable[[], Endless]) -> None:
    with serving(Settings(platform="none")) as url:
        work = endless()
        caller = called(url)
        assert work.begun.wait(20)
        assert queue_of(url) == 1
        caller.close()
        assert work.stopped.wait(5)
        assert soon(lambda: queue_of(url) == 0)
        work.go_on.set()
        opened(requests.post(f"{url}/v1/stylize", data={"style": "iris"}, files={"picture": picture()}))


def test_the_queue_has_an_end_and_previews_pass_what_takes_long(endless: Callable[[], Endless]) -> None:
    with serving(Settings(platform="none", waiting=3, waiting_each=2)) as url:
        sent = requests.post(f"{url}/v1/pictures", files={"picture": picture()}).json()["id"]
        opened(requests.post(f"{url}/v1/pictures/{sent}/preview", json=LOOK))
        work = endless()
        first = called(url)
        assert work.begun.wait(20)
        opened(requests.post(f"{url}/v1/pictures/{sent}/preview", json=LOOK))  # which nobody holds up
        second = called(url)
        assert soon(lambda: queue_of(url) == 2)
        answer = requests.post(f"{url}/v1/stylize", data={"style": "iris"}, files={"picture": picture()})
        assert problem(answer)[0] == 429
        assert int(answer.headers["Retry-After"]) >= 1
        for each in (first, second):
            each.close()
        assert soon(lambda: queue_of(url) == 0)


def test_a_request_has_a_time_and_a_job_an_end(endless: Callable[[], Endless]) -> None:
    with serving(Settings(platform="none", seconds=1.0, jobs_each=1)) as url:
        work = endless()
        asked: dict[str, Any] = {"data": {"style": "iris"}, "files": {"picture": picture()}}
        status, told = problem(requests.post(f"{url}/v1/stylize", **asked))
        assert status == 504
        assert "/v1/jobs" in told
        assert work.stopped.wait(5)
        work.stopped.clear()
        work.begun.clear()
        job = requests.post(f"{url}/v1/jobs", **asked)
        assert work.begun.wait(20)
        assert problem(requests.post(f"{url}/v1/jobs", **asked))[0] == 429
        assert problem(requests.get(url + job.json()["events"].replace("events", "result")))[0] == 409
        assert requests.delete(url + job.headers["Location"]).status_code == 204
        assert work.stopped.wait(5)
        assert problem(requests.get(url + job.headers["Location"]))[0] == 404


def test_nobody_comes_in_without_a_token_and_one_that_is_taken_back_is_none(tmp_path: Path) -> None:
    listed = tmp_path / "tokens"
    listed.write_text(f"# who may call\nalice {ALICE}\nbob {BOB}\n")
    with serving(Settings(platform="none", tokens=listed)) as url:
        assert requests.get(f"{url}/healthz").status_code == requests.get(url).status_code == 200
        for headers in ({}, bearer("c" * 32), {"Authorization": f"Basic {ALICE}"}, bearer("")):
            answer = requests.get(f"{url}/v1/styles", headers=headers)
            assert problem(answer)[0] == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert problem(requests.get(f"{url}/metrics"))[0] == 401
        alice, bob = bearer(ALICE), bearer(BOB)
        sent = requests.post(f"{url}/v1/pictures", files={"picture": picture()}, headers=alice).json()["id"]
        saved = requests.post(f"{url}/v1/styles", files={"picture": picture()}, headers=alice).json()
        address = f"{url}/v1/pictures/{sent}/preview"
        opened(requests.post(address, json=LOOK, headers=alice))
        assert problem(requests.post(address, json=LOOK, headers=bob))[0] == 404
        assert problem(requests.get(url + saved["file"], headers=bob))[0] == 404
        own = {"styles": [{"name": saved["name"]}]}
        his = requests.post(f"{url}/v1/pictures", files={"picture": picture()}, headers=bob).json()["id"]
        answer = requests.post(f"{url}/v1/pictures/{his}/preview", json=own, headers=bob)
        assert "no style is called" in problem(answer)[1]
        with connect(url.replace("http", "ws") + "/v1/live") as camera:
            camera.send(json.dumps({**LOOK, "token": "c" * 32}))
            assert "token" in json.loads(camera.recv(timeout=20))["error"]
        with connect(url.replace("http", "ws") + "/v1/live") as camera:
            camera.send(json.dumps({**LOOK, "token": BOB, "size": 32}))
            camera.send(picture(format="JPEG"))
            assert isinstance(camera.recv(timeout=30), bytes)
        listed.write_text(f"bob {BOB}\n")
        assert problem(requests.get(f"{url}/v1/styles", headers=alice))[0] == 401
        assert requests.get(f"{url}/v1/styles", headers=bob).status_code == 200
        tries = [requests.get(f"{url}/v1/styles", headers=bearer(f"{n:032d}")).status_code for n in range(12)]
        assert tries[-1] == 429  # whoever guesses has to wait


def test_tokens_are_listed_by_name_and_must_be_long(tmp_path: Path) -> None:
    listed = tmp_path / "tokens"
    listed.write_text("alice short\n")
    with pytest.raises(SettingsError, match="line 1: expected a name and a token of 16"):
        Tokens(Settings(tokens=listed))
    with pytest.raises(SettingsError, match="cannot be read"):
        Tokens(Settings(tokens=tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="16 characters"):
        Tokens(Settings(token="short"))
    listed.write_text(f"alice {ALICE}\n")
    tokens = Tokens(Settings(tokens=listed, token=BOB))
    assert (tokens.name_of(ALICE), tokens.name_of(BOB), tokens.name_of("")) == ("alice", "token", None)
    listed.unlink()
    assert (tokens.name_of(ALICE), tokens.name_of(BOB)) == (None, "token")


def test_a_caller_may_ask_so_often_and_no_more() -> None:
    now = 0.0
    rates = Rates(2.0, 3, clock=lambda: now)
    assert [rates.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert rates.wait("b") == 0
    now = 0.5
    assert [rates.wait("a"), rates.wait("a")] == [0, 0.5]
    with serving(Settings(platform="none", rate=0.01, burst=3), ready="/healthz") as url:
        answers = [requests.get(f"{url}/v1/styles") for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 100


def test_pages_of_another_origin_may_call_where_the_settings_say_so() -> None:
    shop = {"Origin": "https://shop.example"}
    with serving(Settings(platform="none", origins=("https://shop.example",)), ready="/healthz") as url:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        assert requests.options(f"{url}/v1/stylize", headers={**shop, **asked}).status_code == 200
        answer = requests.get(f"{url}/v1/styles", headers=shop)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert requests.get(f"{url}/v1/styles", headers={"Origin": "https://evil.example"}).status_code == 403


def test_strangers_are_not_let_in_by_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="anybody could call; give --tokens"):
        serve_run.for_platform(Settings(host="0.0.0.0"))
    serve_run.for_platform(Settings(host="0.0.0.0", token=ALICE))
    serve_run.for_platform(Settings(host="::1"))
    with pytest.raises(SettingsError, match="ADAINKIT_SERVE_PORT: "):
        Settings.from_environment({"ADAINKIT_SERVE_PORT": "x"})
    found = Settings.from_environment({"ADAINKIT_SERVE_HOSTS": "a, b", "ADAINKIT_SERVE_METADATA": "yes"}, port=1)
    assert (found.hosts, found.metadata, found.port) == (("a", "b"), True, 1)
    with pytest.raises(SettingsError, match="waiting must be 1 or more"):
        Settings(waiting=0)
    with pytest.raises(SettingsError, match="port must be 65535 or less"):
        Settings(port=70000)
    with pytest.raises(WeightsError, match="'nope' is neither an existing file"):
        serve_run.run(Settings(model="nope", platform="none", port=0), lambda _: pytest.fail("it listens"))


def test_a_model_that_cannot_be_used_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    with serving(Settings(platform="none", model=str(broken)), ready="/healthz") as url:
        assert soon(lambda: "broken.safetensors" in requests.get(f"{url}/readyz").json()["error"])
    assert "cannot be used" in caplog.text


def test_the_desk_does_short_work_between_the_steps_of_long_work() -> None:
    order: list[str] = []

    async def go() -> None:
        desk = Desk(waiting=2, each=2)
        begun = threading.Event()

        def long(progress: Progress) -> str:
            begun.set()
            for step in range(200):
                time.sleep(0.005)
                progress("decode", step, 200)
                if "short" in order:
                    break
            order.append("long")
            return "long"

        task = asyncio.create_task(desk.compute(long, Lane.JOB))
        await asyncio.to_thread(begun.wait)
        await desk.compute(lambda _: order.append("short"), Lane.SHORT)
        assert await task == "long"
        assert order == ["short", "long"]
        with pytest.raises(ZeroDivisionError):
            await desk.compute(lambda _: 1 / 0, Lane.SHORT)
        with desk.place("a"), desk.place("a"), pytest.raises(Busy), desk.place("b"):
            pass
        order.clear()
        waits = asyncio.create_task(desk.compute(long, Lane.JOB))
        await asyncio.sleep(0.02)
        await asyncio.to_thread(desk.close)
        with pytest.raises((Cancelled, asyncio.CancelledError)):
            await waits
        with pytest.raises(Cancelled):
            await desk.compute(long, Lane.JOB)

    asyncio.run(go())


def test_sagemaker_calls_it_as_it_calls_any_model() -> None:
    with serving(Settings(platform="sagemaker"), ready="/ping") as url:
        health = requests.get(f"{url}/ping")
        assert (health.status_code, health.content) == (200, b"")
        sent = {"Content-Type": "image/png", "Accept": "image/webp"}
        sent["X-Amzn-SageMaker-Custom-Attributes"] = "style=iris; alpha=0.5; size=48"
        shown = opened(requests.post(f"{url}/invocations", data=picture(), headers=sent))
        assert (shown.format, shown.size) == ("WEBP", (48, 32))
        instance = {"image": base64.b64encode(picture()).decode(), "styles": [{"name": "iris"}]}
        assert opened(requests.post(f"{url}/invocations", json=instance)).format == "PNG"
        assert problem(requests.post(f"{url}/invocations", json=[1]))[0] == 422
        assert problem(requests.post(f"{url}/invocations", data=b"no", headers=sent))[0] == 422
        sent["X-Amzn-SageMaker-Custom-Attributes"] = "style=iris; detial=0.5"
        told = problem(requests.post(f"{url}/invocations", data=picture(), headers=sent))
        assert told == (422, "no field is called 'detial'; near to it: detail")
        assert problem(requests.get(f"{url}/v1/styles"))[0] == 404  # the platform's addresses alone


def test_vertex_gets_its_predictions_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "HTTP_PORT": "8080",
        "HEALTH_ROUTE": "/alive",
        "PREDICT_ROUTE": "/v1/endpoints/1:predict",
    }.items():
        monkeypatch.setenv(f"AIP_{name}", value)
    assert serve_run.for_platform(Settings()).port == 8080
    with serving(Settings(), ready="/alive") as url:
        sizes = [(40, 30), (60, 20)]
        instances = [{"image": {"b64": base64.b64encode(picture(size)).decode()}} for size in sizes]
        body = {"instances": instances, "parameters": {"style": "iris", "controls": {"alpha": 0.5}, "format": "jpeg"}}
        told = requests.post(f"{url}/v1/endpoints/1:predict", json=body).json()["predictions"]
        shown = [Image.open(io.BytesIO(base64.b64decode(each["image"]["b64"]))) for each in told]
        assert [each.size for each in shown] == sizes
        assert problem(requests.post(f"{url}/v1/endpoints/1:predict", json={"instances": []}))[0] == 422
        assert problem(requests.post(f"{url}/v1/endpoints/1:predict", data=b"["))[0] == 400
        for wrong in ({"parameter": {}}, {"parameters": {"styel": "iris"}}):
            status, words = problem(requests.post(f"{url}/v1/endpoints/1:predict", json={**body, **wrong}))
            assert (status, "near to it: " in words) == (422, True)


def test_sigterm_lets_requests_end_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "ADAINKIT_SERVE_FOLDER": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "adainkit", "serve", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = re.search(r"http://\S+?(?=/)", process.stdout.readline())[0]
        assert soon(lambda: requests.get(f"{url}/readyz").status_code == 200, 60)
        answers: list[requests.Response] = []
        asked = {"data": {"style": "iris"}, "files": {"picture": picture((900, 700))}}
        caller = threading.Thread(target=lambda: answers.append(requests.post(f"{url}/v1/stylize", **asked)))
        caller.start()
        assert soon(lambda: queue_of(url) == 1)
        process.send_signal(signal.SIGTERM)
        caller.join(60)
        told = process.communicate(timeout=60)[1]
    assert opened(answers[0]).size == (900, 700)
    assert process.returncode in (0, 143, -signal.SIGTERM), told
    assert [*tmp_path.iterdir()] == []


def test_the_app_opens_a_page_for_its_user_alone(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\nprintf %s "$1" > "$0.seen"\n')
    browser.chmod(0o755)
    environment = {**os.environ, "BROWSER": str(browser), "OMP_NUM_THREADS": "1", "ADAINKIT_SERVE_HOSTS": "a.example"}
    command = [sys.executable, "-m", "adainkit", "app"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.readline().split()[-1]
        seen = Path(f"{browser}.seen")
        assert soon(lambda: seen.exists() and seen.read_text())
        given = seen.read_text()  # which every user of the computer sees
        page = Path(url2pathname(urlsplit(given).path))
        assert given.startswith("file:")
        assert f"url={printed}" in page.read_text()
        assert page.stat().st_mode & 0o077 == page.parent.stat().st_mode & 0o077 == 0
        url, _, token = printed.partition("/#token=")
        assert soon(lambda: requests.get(f"{url}/healthz").ok)
        assert requests.get(url).ok
        assert requests.get(f"{url}/v1/styles").status_code == 401
        assert requests.get(f"{url}/v1/styles", headers=bearer(token)).ok
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130)
    assert not page.parent.exists()


def test_films_are_taken_by_their_content_where_films_are_painted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(data: bytes, **more: Any) -> requests.Response:
        fields = {"style": "iris", "quality": 70, **more}
        return requests.post(f"{url}/v1/jobs", data=fields, files={"film": ("a.mp4", data)})

    monkeypatch.setattr("adainkit.serve.films.can_paint_films", lambda: False)
    assert 'pip install "adainkit[film]"' in problem(asked(b"\0\0\0\x18ftypisom" + bytes(50)))[1]
    monkeypatch.setattr("adainkit.serve.films.can_paint_films", lambda: True)
    for trap in (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n", b""):
        assert "this is no film" in problem(asked(trap))[1]

    def stylize_film(stylizer: Stylizer, source: Path, target: Path, style: Style, **options: Any) -> Path:
        assert options["max_frames"] == Settings().frames
        assert options["alpha"] == 1.0
        assert options["strip"] is True
        assert options["quality"] == 70
        options["progress"]("stylize", 1, 2)
        target.write_bytes(source.read_bytes() + style.name.encode())
        return target

    monkeypatch.setattr(Stylizer, "stylize_film", stylize_film, raising=False)
    film = b"\0\0\0\x18ftypisom" + bytes(50)
    told = finished(url, asked(film).json())
    result = requests.get(url + told["result"])
    assert (result.content, result.headers["Content-Type"]) == (film + b"iris", "video/mp4")
    told = finished(url, asked(film, format="webm").json())
    assert requests.get(url + told["result"]).headers["Content-Type"] == "video/webm"
    assert "format: 'png' is not written; expected one of mp4" in problem(asked(film, format="png"))[1]

"""Who comes in at the service's door, how often, and how much of it one caller may take."""

import json
import socket
import time
from pathlib import Path

import pytest
import requests
from service import ALICE, BOB, LOOK, bearer, picture, problem, serving
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from adainkit.serve import Settings


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"alice {ALICE}\nbob {BOB}\n")
    return path


def word_of(url: str, token: str) -> str:
    """The error that a camera is told, or what it is painted."""
    with connect(url.replace("http", "ws") + "/v1/live") as camera:
        camera.send(json.dumps({**LOOK, "token": token, "size": 32}))
        camera.send(picture((32, 32), "JPEG"))
        told = camera.recv(timeout=30)
    return json.loads(told)["error"] if isinstance(told, str) else "painted"


def test_cameras_and_requests_guess_from_one_purse_and_a_valid_token_is_let_in_all_the_same(listed: Path) -> None:
    with serving(Settings(platform="none", tokens=listed)) as url:
        told = [word_of(url, f"{number:032d}") for number in range(12)]
        assert "not valid" in told[0]
        assert told[-1] == "too many requests"
        assert problem(requests.get(f"{url}/v1/styles", headers=bearer("c" * 32)))[0] == 429
        assert requests.get(f"{url}/v1/styles", headers=bearer(ALICE)).status_code == 200  # behind the same proxy
        assert word_of(url, BOB) == "painted"


def test_who_comes_through_a_proxy_is_told_apart_by_the_address_that_it_gives(listed: Path) -> None:
    def tries(url: str, address: str) -> list[int]:
        headers = {**bearer("c" * 32), "X-Forwarded-For": address}
        return [requests.get(f"{url}/v1/styles", headers=headers).status_code for _ in range(11)]

    with serving(Settings(platform="none", tokens=listed, proxies=("127.0.0.1",)), ready="/healthz") as url:
        assert tries(url, "192.0.2.1")[-1] == 429
        assert tries(url, "192.0.2.2")[0] == 401
    with serving(Settings(platform="none", tokens=listed, proxies=("192.0.2.9",)), ready="/healthz") as url:
        assert tries(url, "192.0.2.1")[-1] == 429
        assert tries(url, "192.0.2.2")[0] == 429  # nobody believes it


def test_a_camera_whose_token_is_taken_back_is_painted_no_more(listed: Path) -> None:
    service = serving(Settings(platform="none", tokens=listed))
    with service as url, connect(url.replace("http", "ws") + "/v1/live") as camera:
        camera.send(json.dumps({**LOOK, "token": ALICE, "size": 32}))
        camera.send(picture((32, 32), "JPEG"))
        assert isinstance(camera.recv(timeout=30), bytes)
        listed.write_text(f"bob {BOB}\n")
        camera.send(picture((32, 32), "JPEG"))
        assert "not valid" in json.loads(camera.recv(timeout=30))["error"]


def test_connections_of_cameras_are_counted_before_their_token_is_known() -> None:
    with serving(Settings(platform="none", rate=0.01, burst=3), ready="/healthz") as url:
        address = url.replace("http", "ws") + "/v1/live"
        for _ in range(3):
            with connect(address):
                pass
        with pytest.raises(WebSocketException, match="403"), connect(address):
            pass


def test_a_camera_that_sends_nothing_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adainkit.serve.routes.live._IDLE_SECONDS", 0.4)
    with serving(Settings(platform="none", live=2, live_each=1)) as url:
        address = url.replace("http", "ws") + "/v1/live"
        with connect(address) as first, connect(address) as second:
            first.send(json.dumps(LOOK))
            time.sleep(0.1)
            second.send(json.dumps(LOOK))
            assert "of this caller" in json.loads(second.recv(timeout=10))["error"]
            assert "no frame came" in json.loads(first.recv(timeout=10))["error"]
        assert word_of(url, "") == "painted"


def slow_body(url: str, token: str = "") -> socket.socket:
    """A request whose body does not come."""
    host, port = url.removeprefix("http://").split(":")
    caller = socket.create_connection((host, int(port)), timeout=10)
    head = f"POST /v1/pictures HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 999\r\n"
    caller.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
    return caller


def test_slow_bodies_of_one_caller_leave_places_for_the_others(listed: Path) -> None:
    with serving(Settings(platform="none", tokens=listed, waiting=2, waiting_each=1)) as url:
        held = [slow_body(url, ALICE) for _ in range(4)]
        time.sleep(0.3)
        sent = {"files": {"picture": picture()}}
        assert problem(requests.post(f"{url}/v1/pictures", headers=bearer(ALICE), **sent))[0] == 429
        assert requests.post(f"{url}/v1/pictures", headers=bearer(BOB), **sent).status_code == 201
        for each in held:
            each.close()


def test_a_body_that_comes_drop_by_drop_has_an_end() -> None:
    with serving(Settings(platform="none", upload=0.5), ready="/healthz") as url:
        with slow_body(url) as caller:
            caller.settimeout(0.1)
            answer, deadline = b"", time.monotonic() + 10
            while not answer and time.monotonic() < deadline:
                caller.sendall(b"x")
                try:
                    answer = caller.recv(12)
                except TimeoutError:
                    continue
        assert answer == b"HTTP/1.1 408"


def test_names_and_origins_are_compared_as_names_are() -> None:
    with serving(Settings(platform="none", hosts=("Paint.Example",)), ready="/healthz") as url:
        own = {"Host": "paint.example:1"}
        assert requests.get(f"{url}/v1/styles", headers=own).status_code == 200
        assert requests.get(f"{url}/v1/styles", headers={**own, "Origin": "http://Paint.Example:1"}).status_code == 200
        assert problem(requests.get(f"{url}/v1/styles", headers={**own, "Origin": "http://["}))[0] == 403

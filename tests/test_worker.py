"""The worker: its protocol as gimp_plugin/PROTOCOL.md has it, its queue, and its end."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worker_client import ROOT, Echo, connect, exchange, header, load_link, read_answer, serving, wait_for

import adainkit
from adainkit.errors import Cancelled, OutOfMemoryError
from adainkit.images import MAX_PIXELS
from adainkit.session import Session
from adainkit.worker import connection
from adainkit.worker import server as server_module
from adainkit.worker.engine import Engine
from adainkit.worker.protocol import HEADER_BYTES, PAYLOAD_BYTES, PROTOCOL, Pixels, Refusal, parse
from adainkit.worker.server import Server

link = load_link()
TOKEN = "t"


@pytest.fixture
def work() -> Echo:
    return Echo()


@pytest.fixture
def server(work: Echo, tmp_path: Path) -> Iterator[Server]:
    with serving(work, tmp_path) as found:
        yield found


# ---- what a header may say


def refusal(**fields: Any) -> str:
    found = {"protocol": PROTOCOL, "token": TOKEN, "do": "stylize", "styles": [{"preset": "any"}]}
    found |= {"picture": {"width": 4, "height": 2, "channels": 3, "type": "u8"}, **fields}
    line = json.dumps({name: value for name, value in found.items() if value is not ...}).encode()
    with pytest.raises(Refusal) as caught:
        parse(line, TOKEN)
    return caught.value.code


def test_the_token_comes_first():
    assert refusal(token="other", protocol=7, do="nonsense") == "token"
    assert refusal(token=...) == "token"
    assert refusal(token=17) == "token"
    assert refusal(token="\ud800") == "token"


def test_hello_and_stop_are_the_same_in_every_protocol():
    for do in ("hello", "stop"):
        assert parse(json.dumps({"token": TOKEN, "do": do, "protocol": 99}).encode(), TOKEN).do == do
    assert refusal(protocol=99) == "protocol"
    assert refusal(protocol=...) == "protocol"


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "dance"},
        {"do": ...},
        {"picture": ...},
        {"picture": {"width": 4, "height": 2, "channels": 5, "type": "u8"}},
        {"picture": {"width": 4, "height": 2, "channels": 3, "type": "f64"}},
        {"picture": {"width": 0, "height": 2, "channels": 3, "type": "u8"}},
        {"picture": {"width": True, "height": 2, "channels": 3, "type": "u8"}},
        {"picture": {"width": 4.0, "height": 2, "channels": 3, "type": "u8"}},
        {"styles": ...},
        {"styles": []},
        {"styles": [{"preset": "any"}] * 9},
        {"styles": [{"preset": "any", "file": "/x"}]},
        {"styles": [{"preset": ""}]},
        {"styles": [{"file": "relative.png"}]},
        {"styles": [{"preset": "any", "weight": -1}]},
        {"styles": [{"preset": "any", "weight": float("nan")}]},
        {"styles": [{"preset": "any", "weight": 0}]},
        {"mask": {"width": 4, "height": 2, "channels": 3, "type": "u8"}},
        {"options": []},
        {"options": {"tile": 1}},
        {"options": {"alpha": "much"}},
        {"options": {"alpha": [1, "much"]}},
        {"options": {"preserve_color": 1}},
        {"options": {"scale": None}},
        {"options": {"alpha": 10**400}},
        {"options": {"alpha": [1, 10**400]}},
        {"options": {"detail": float("nan")}},
        {"options": {"style_size": 0}},
        {"options": {"style_size": 100.5}},
        {"options": {"style_size": float("nan")}},
        {"options": {"style_size": float("inf")}},
        {"options": {"style_size": True}},
        {"model": ""},
        {"model": "a\0b"},
        {"size": 0},
        {"size": 1025},
    ],
)
def test_a_header_that_says_something_else_is_malformed(fields: dict[str, Any]):
    assert refusal(**fields) == "malformed"


@pytest.mark.parametrize("line", [b"", b"[]", b"nonsense", b"\xff\xfe", b"[" * 5000, b'{"token": "t"'])
def test_what_is_no_object_is_malformed(line: bytes):
    with pytest.raises(Refusal) as caught:
        parse(line, TOKEN)
    assert caught.value.code == "malformed"


def test_sizes_are_bounded_before_anything_is_read():
    big = {"width": MAX_PIXELS, "height": 2, "channels": 1, "type": "u8"}
    assert refusal(picture=big) == "too-large"
    full = {"width": MAX_PIXELS, "height": 1, "channels": 4, "type": "f32"}
    assert Pixels(**full).bytes == PAYLOAD_BYTES
    assert refusal(picture=full, styles=[{"picture": full}]) == "too-large"


def test_the_payload_follows_from_the_header():
    sizes = {"channels": 4, "type": "f32"}
    fields = {"token": TOKEN, "protocol": PROTOCOL, "do": "preview", "picture": {"width": 3, "height": 2, **sizes}}
    fields["styles"] = [{"preset": "any"}, {"picture": {"width": 5, "height": 1, **sizes}, "weight": 2}]
    fields["mask"] = {"width": 7, "height": 7, "channels": 1, "type": "u8"}
    found = parse(json.dumps(fields).encode(), TOKEN)
    assert [p.bytes for p in found.payload] == [3 * 2 * 16, 5 * 16, 49]


# ---- the conversation


def test_pixels_come_back_after_ready_and_progress(server: Server, work: Echo):
    work.pause = 0.06
    lines = exchange(server, header(server) + bytes(range(24)))
    kinds = [next(iter(line)) for line in lines]
    assert kinds == ["ready", "progress", "progress", "result"]
    told = [line["progress"] for line in lines[1:3]]
    assert told == sorted(told)
    assert 0 < told[0] <= 1
    assert lines[-1]["result"] == {"width": 4, "height": 2, "channels": 3, "type": "u8"}
    assert lines[-1]["pixels"] == bytes(range(24))


@pytest.mark.parametrize(("kind", "dtype"), [("u8", "u1"), ("u16", "<u2"), ("f32", "<f4")])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_type_comes_back_as_it_is(server: Server, kind: str, dtype: str, channels: int):
    pixels = np.random.default_rng(0).integers(0, 200, (2, 4, channels)).astype(dtype)
    shape = {"width": 4, "height": 2, "channels": channels, "type": kind}
    answer = exchange(server, header(server, picture=shape) + pixels.tobytes())[-1]
    assert answer["result"] == {**shape, "channels": 3}
    assert answer["pixels"] == pixels[:, :, :3].tobytes()


def test_hello_tells_who_is_there(server: Server):
    (line,) = exchange(server, header(server, do="hello"))
    assert line == {"ok": True, "version": adainkit.__version__, "protocol": PROTOCOL, "pid": os.getpid()}


def test_a_wrong_token_a_long_header_and_garbage_are_answered_and_survived(server: Server):
    assert [line["error"] for line in exchange(server, header(server, token="0" * 64))] == ["token"]
    assert [line["error"] for line in exchange(server, b"x" * (HEADER_BYTES + 100))] == ["too-large"]
    assert [line["error"] for line in exchange(server, b"GET / HTTP/1.1\r\n\r\n")] == ["malformed"]
    assert exchange(server, header(server) + bytes(24))[-1]["bytes"] == 24


def test_a_header_at_the_bound_is_taken(server: Server):
    line = header(server)
    padding = b" " * (HEADER_BYTES - len(line))
    assert "result" in exchange(server, line[:-1] + padding + b"\n" + bytes(24))[-1]


def test_slow_callers_are_let_go(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "_HEADER_SECONDS", 0.2)
    monkeypatch.setattr(connection, "_STALL_SECONDS", 0.2)
    assert [line["error"] for line in exchange(server, b"{")] == ["timeout"]
    lines = exchange(server, header(server) + bytes(10))
    assert [line.get("error") for line in lines] == [None, "timeout"]


def test_a_header_that_drips_is_given_up_in_time(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "_HEADER_SECONDS", 0.3)
    with connect(server) as stream:
        began = time.monotonic()
        with suppress(OSError):  # what arrives after the end is reset
            while time.monotonic() - began < 3 and not select([stream], [], [], 0.002)[0]:
                stream.sendall(b" ")
    assert time.monotonic() - began < 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_that_is_sent_ends_the_worker(server: Server, data: st.DataObject):
    """Raw bytes, headers with wrong values, cut ones and ones with wrong payloads; then a right request is served."""
    value: st.SearchStrategy[Any] = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
    fields = ("protocol", "token", "do", "styles", "picture", "mask", "options", "model", "size")
    wrong = st.dictionaries(st.sampled_from(fields), value, min_size=1, max_size=3)
    sent = data.draw(
        st.one_of(
            st.binary(max_size=300),
            wrong.map(lambda changes: header(server, **changes) + bytes(24)),
            st.integers(0, len(header(server)) + 23).map(lambda end: (header(server) + bytes(24))[:end]),
            st.binary(max_size=60).map(lambda more: header(server) + more),
        )
    )
    with connect(server) as stream:
        stream.sendall(sent)
        if data.draw(st.booleans()):
            stream.shutdown(socket.SHUT_WR)
            for line in read_answer(stream):
                assert line.keys() & {"ok", "ready", "error", "progress", "result", "waiting"}
    if b'"stop"' not in sent:
        assert "result" in exchange(server, header(server) + bytes(24))[-1]


# ---- one at a time


def test_jobs_wait_for_each_other_and_are_told(server: Server, work: Echo):
    work.pause = 0.15
    answers: list[list[dict[str, Any]]] = []
    callers = [
        threading.Thread(target=lambda: answers.append(exchange(server, header(server) + bytes(24)))) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert work.most == 1
    assert ["result" in lines[-1] for lines in answers] == [True] * 4
    assert any("waiting" in line for lines in answers for line in lines)


def test_the_queue_has_an_end(server: Server, work: Echo, monkeypatch: pytest.MonkeyPatch):
    server.turns.waiting = 1
    work.pause = 0.5
    waiting = [connect(server) for _ in range(2)]
    try:
        for number, stream in enumerate(waiting):
            stream.sendall(header(server) + bytes(24))
            wait_for(lambda number=number: server.turns.taken == number + 1)
        assert exchange(server, header(server))[-1]["error"] == "busy"
    finally:
        for stream in waiting:
            stream.close()


def test_so_has_the_number_of_callers(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_module, "_CALLERS", 2)
    callers = [connect(server) for _ in range(2)]
    for stream in callers:
        stream.sendall(header(server))  # and no pixels yet
    wait_for(lambda: server._known == 2)
    assert exchange(server, header(server, do="hello"))[-1]["error"] == "busy"
    for stream in callers:
        stream.close()
    wait_for(lambda: "ok" in exchange(server, header(server, do="hello"))[-1])


def test_silent_callers_keep_nobody_out(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_module, "_CALLERS", 4)
    silent = [connect(server) for _ in range(12)]
    started = time.monotonic()
    assert "ok" in exchange(server, header(server, do="hello"))[-1]
    assert time.monotonic() - started < 5
    wait_for(lambda: len(server._strangers) <= 4, 5)  # the others were let go
    for stream in silent:
        stream.close()
    wait_for(lambda: not server._strangers)


def test_who_leaves_while_waiting_leaves_the_queue(server: Server, work: Echo):
    work.pause = 0.3
    with connect(server) as first, connect(server) as second:
        first.sendall(header(server) + bytes(24))
        wait_for(lambda: server.turns.taken == 1)
        second.sendall(header(server))
        wait_for(lambda: server.turns.taken == 2)
        second.close()
        wait_for(lambda: server.turns.taken == 1, 2)
        assert "result" in read_answer(first)[-1]


def test_a_dropped_connection_stops_the_job_within_a_tile(server: Server, work: Echo):
    work.steps, work.pause = 200, 0.05
    with connect(server) as stream:
        stream.sendall(header(server) + bytes(24))
        stream.recv(100)
        wait_for(lambda: work.at_once == 1)
        left = time.monotonic()
    wait_for(lambda: work.ended)
    assert time.monotonic() - left < 0.5
    assert work.ended[0] < work.steps
    assert not work.done


def test_failures_of_a_job_have_their_codes(server: Server, work: Echo, monkeypatch: pytest.MonkeyPatch):
    for error, code, words in (
        (adainkit.StyleError("no such style"), "style", "no such style"),
        (adainkit.ImageError("bad picture"), "image", "bad picture"),
        (adainkit.WeightsError("run adainkit download vgg19"), "weights", "adainkit download vgg19"),
        (OutOfMemoryError("the picture does not fit"), "memory", "scale the picture down"),
        (MemoryError(), "memory", "select a smaller part"),
        (ZeroDivisionError("oh"), "internal", "ZeroDivisionError"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(work, "run", fail)
        last = exchange(server, header(server) + bytes(24))[-1]
        assert last["error"] == code
        assert words in last["message"]


# ---- state file and end


def test_the_state_file_is_private_and_goes_with_the_worker(work: Echo, tmp_path: Path):
    state = tmp_path / "worker-state.json"
    with serving(work, tmp_path) as server:
        found = json.loads(state.read_text())
        assert found["port"] == server.port
        assert found["token"] == server.token
        assert len(found["token"]) == 64
        if os.name == "posix":
            assert stat.S_IMODE(state.stat().st_mode) == 0o600
        assert sorted(path.name for path in tmp_path.iterdir()) == ["worker-state.json", "worker.json"]
    assert not state.exists()


def test_the_state_file_of_another_worker_is_left_alone(work: Echo, tmp_path: Path):
    state = tmp_path / "worker-state.json"
    with serving(work, tmp_path):
        state.write_text('{"token": "of another"}')
    assert state.exists()


def test_only_the_loopback_interface_is_listened_on(server: Server):
    assert server._listener.getsockname()[0] == "127.0.0.1"


def test_it_ends_when_nobody_calls(work: Echo, tmp_path: Path):
    server = Server(work, tmp_path / "state.json", idle=0.3)
    started = time.monotonic()
    server.serve()
    assert 0.3 <= time.monotonic() - started < 5


def test_callers_without_the_token_do_not_keep_it_up(work: Echo, tmp_path: Path):
    with serving(work, tmp_path, idle=0.6) as server, connect(server):  # one that says nothing
        began = time.monotonic()
        with suppress(OSError):  # nobody listens any more
            while time.monotonic() - began < 5:
                exchange(server, header(server, token="of another"))
                time.sleep(0.02)
        assert time.monotonic() - began < 4


def test_those_with_it_do(work: Echo, tmp_path: Path):
    with serving(work, tmp_path, idle=0.6) as server:
        for _ in range(8):
            assert exchange(server, header(server, do="hello"))[-1]["ok"]
            time.sleep(0.2)


def test_a_thread_that_cannot_be_started_costs_one_caller(server: Server, monkeypatch: pytest.MonkeyPatch):
    start = threading.Thread.start

    def fail(_: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", start)
        raise RuntimeError("can't start new thread")

    wait_for(lambda: server._warming.ident)
    monkeypatch.setattr(threading.Thread, "start", fail)
    with connect(server) as stream:
        assert stream.recv(10) == b""
    assert exchange(server, header(server, do="hello"))[-1]["ok"]


def test_a_job_that_runs_is_no_idleness_and_is_finished_after_stop(work: Echo, tmp_path: Path):
    work.pause = 0.5
    with serving(work, tmp_path, idle=0.3) as server, connect(server) as stream:
        stream.sendall(header(server) + bytes(24))
        wait_for(lambda: work.at_once)
        assert exchange(server, header(server, do="stop"))[-1]["ok"]
        assert not (tmp_path / "worker-state.json").exists()
        assert "result" in read_answer(stream)[-1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    started = []

    def call(*more: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "adainkit.worker", "--state", str(tmp_path / "state.json"), *more]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE))
        return started[-1]

    yield call
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_command_serves_ends_on_sigterm_and_one_file_has_one_worker(start: Callable[..., Any], tmp_path: Path):
    state = tmp_path / "state.json"
    first = start()
    wait_for(state.exists, 60)
    assert json.loads(state.read_text())["pid"] == first.pid
    second = start()  # waits for the first one's lock
    first.send_signal(signal.SIGTERM)
    _, told = first.communicate(timeout=30)
    assert first.returncode == 0, told
    assert b"serving" in told
    wait_for(lambda: state.exists() and json.loads(state.read_text())["pid"] == second.pid, 60)
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0


def test_a_state_file_that_cannot_be_written_is_said(start: Callable[..., Any], tmp_path: Path):
    (tmp_path / "state.json").mkdir()
    process = start()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"cannot be reached" in told


# ---- the real work


def request(**fields: Any) -> Any:
    found = {"protocol": PROTOCOL, "token": TOKEN, "do": "stylize", "styles": [{"preset": "calanque"}], **fields}
    return parse(json.dumps(found).encode(), TOKEN)


def described(pixels: np.ndarray) -> dict[str, Any]:
    kind = {"u1": "u8", "u2": "u16", "f4": "f32"}[pixels.dtype.str[1:]]
    return {"width": pixels.shape[1], "height": pixels.shape[0], "channels": pixels.shape[2], "type": kind}


def test_the_engine_gives_what_the_core_gives(photo: np.ndarray):
    engine, photo = Engine(Session("cpu")), np.ascontiguousarray(photo[:96, :128])
    painting = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    styles = [{"preset": "calanque", "weight": 0.25}, {"picture": described(painting), "weight": 0.75}]
    options = {"alpha": 0.8, "preserve_color": "luma", "color_strength": 0.5, "scale": 1.5, "detail": 0.2}
    mask = np.zeros((96, 128, 1), np.uint8)
    mask[20:60] = 255
    asked = request(picture=described(photo), styles=styles, options=options, mask=described(mask))
    steps = []
    got = engine.run(asked, [photo, painting, mask], lambda *step: steps.append(step))
    with adainkit.Stylizer("lite", device="cpu") as stylizer:
        mixed = adainkit.Style.blend([(stylizer.as_style("calanque"), 0.25), (stylizer.as_style(painting), 0.75)])
        expected = stylizer.stylize(photo, mixed, mask=mask[:, :, 0], **options)
    assert [step for step in steps if step[0] == "style"] == [("style", 1, 2), ("style", 2, 2)]
    assert any(step[0] != "style" for step in steps)
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<f4"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_engine_takes_every_kind_of_pixels(dtype: str, channels: int):
    rng = np.random.default_rng(0)
    highest = {"u1": 255, "<u2": 65535, "<f4": 1}[dtype]
    pixels = (rng.random((33, 47, channels)) * highest).astype(dtype)
    got = Engine(Session("cpu")).run(request(picture=described(pixels)), [pixels], lambda *_: None)
    assert got.shape == (33, 47, 4 if channels in (2, 4) else 3)
    assert got.dtype == pixels.dtype
    if channels in (2, 4):
        assert np.array_equal(got[:, :, 3], pixels[:, :, -1])


def test_floats_beyond_the_range_are_clipped_as_an_editor_shows_them():
    rng = np.random.default_rng(0)
    pixels = rng.random((32, 32, 3)).astype("<f4")
    wild = pixels.copy()
    wild[0, 0], wild[1, 1], wild[2, 2] = np.nan, 7, -3
    pixels[0, 0], pixels[1, 1], pixels[2, 2] = 0, 1, 0
    engine, asked = Engine(Session("cpu")), request(picture=described(pixels))
    results = [engine.run(asked, [each], lambda *_: None) for each in (wild, pixels)]
    assert np.array_equal(*results)


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<f4"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_preview_is_small_and_of_8_bits(dtype: str, channels: int):
    highest = {"u1": 255, "<u2": 65535, "<f4": 1}[dtype]
    pixels = (np.random.default_rng(0).random((120, 90, channels)) * highest).astype(dtype)
    got = Engine(Session("cpu")).run(
        request(picture=described(pixels), do="preview", size=40), [pixels], lambda *_: None
    )
    assert got.shape == (40, 30, 4 if channels == 4 else 3)
    assert got.dtype == np.uint8
    assert got[:, :, :3].std() > 5


def test_who_leaves_meanwhile_gets_no_preview(monkeypatch: pytest.MonkeyPatch):
    def leave(*_: object) -> None:
        raise Cancelled("the caller has left")

    monkeypatch.setattr(adainkit.Stylizer, "preview", lambda *_, **__: pytest.fail("it was drawn all the same"))
    pixels = np.zeros((32, 32, 3), np.uint8)
    asked = request(picture=described(pixels), styles=[{"picture": described(pixels)}], do="preview")
    with pytest.raises(Cancelled):
        Engine(Session("cpu")).run(asked, [pixels, pixels], leave)


def test_a_model_s_file_that_was_written_anew_is_read_anew(tmp_path: Path):
    engine, path = Engine(Session("cpu")), tmp_path / "own.safetensors"
    shutil.copy(ROOT / "adainkit" / "weights" / "lite.safetensors", path)
    first = engine.session.stylizer(str(path))
    assert engine.session.stylizer(str(path)) is first
    path.write_bytes(b"damaged")
    with pytest.raises(adainkit.AdaINKitError):
        engine.session.stylizer(str(path))


def test_weights_that_are_not_here_are_not_fetched_behind_the_editor_s_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ADAINKIT_OFFLINE")
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(
        adainkit.WeightsError, match="adainkit download vgg19"
    ):  # and no call for the network, which fails a test
        Engine(Session("cpu")).run(request(picture=described(pixels), model="vgg19"), [pixels], lambda *_: None)


def test_models_and_styles_stay_warm(monkeypatch: pytest.MonkeyPatch):
    engine, painting = Engine(Session("cpu")), np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    asked = request(picture=described(painting), styles=[{"picture": described(painting)}])
    engine.run(asked, [painting, painting], lambda *_: None)
    stylizer = engine.session.stylizer("lite")
    monkeypatch.setattr(adainkit.Stylizer, "_new_style", lambda *_: pytest.fail("the style was encoded again"))
    engine.run(asked, [painting, painting], lambda *_: None)
    assert engine.session.stylizer("lite") is stylizer

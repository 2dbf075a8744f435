"""The plug-in's side of the worker: it is found or started, and every failure has a message with its remedy."""

import ast
import json
import os
import signal
import socket
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from worker_client import PLUGIN, ROOT, Echo, load_link, serving, wait_for

from adainkit.errors import OutOfMemoryError

link = load_link()
PICTURE = {"width": 4, "height": 2, "channels": 3, "type": "u8"}
REQUEST = {"do": "stylize", "picture": PICTURE, "styles": [{"preset": "any"}]}
Configure = Callable[..., Any]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """`configure("code")`: a `Worker` whose command runs this Python code, with STATE, the path of its state file."""

    def call(code: str, **more: Any) -> Any:
        script = tmp_path / "worker.py"
        script.write_text(f"import sys\nSTATE = sys.argv[sys.argv.index('--state') + 1]\n{textwrap.dedent(code)}")
        command = [sys.executable, str(script)]
        (tmp_path / "worker.json").write_text(json.dumps({"command": command, **more}))
        return link.Worker(tmp_path)

    return call


def failure(worker: Any, **fields: Any) -> Any:
    with pytest.raises(link.Failure) as caught:
        worker.request({**REQUEST, **fields}, [bytes(24)])
    return caught.value


def test_the_modules_of_the_plug_in_need_nothing_but_the_standard_library_and_gi():
    allowed = {*sys.stdlib_module_names, "gi", *(path.stem for path in PLUGIN.glob("*.py"))} - {"adainkit"}
    for path in PLUGIN.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, path


def test_plug_in_and_worker_speak_one_protocol():
    from adainkit.worker import protocol

    assert link.PROTOCOL == protocol.PROTOCOL
    assert f"version {link.PROTOCOL}" in (PLUGIN.parent / "PROTOCOL.md").read_text()


def test_a_running_worker_is_found_and_its_progress_is_heard(tmp_path: Path):
    with serving(Echo(pause=0.06), tmp_path):
        worker, told, words = link.Worker(tmp_path), [], []
        answer = worker.request(REQUEST, [bytes(range(10)), bytes(range(10, 24))], told.append, words.append)
        assert answer.header["result"] == PICTURE
        assert answer.read(10) + answer.read(14) == bytes(range(24))
        assert told
        assert "Stylizing" in words


def test_many_editors_are_served(tmp_path: Path):
    with serving(Echo(pause=0.02), tmp_path):
        found = []

        def call(value: int) -> None:
            answer = link.Worker(tmp_path).request(REQUEST, [bytes([value] * 24)])
            found.append(answer.read(24) == bytes([value] * 24))

        callers = [threading.Thread(target=call, args=(value,)) for value in range(6)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(20)
        assert found == [True] * 6


@pytest.mark.parametrize(
    "state", [None, "nonsense", '{"port": "x"}', '{"port": 1, "token": "t"}', '{"port": 70000}', "[]"]
)
def test_a_worker_is_started_where_the_state_file_leads_nowhere(state: str | None, tmp_path: Path):
    environment = {"PYTHONPATH": str(ROOT), "ADAINKIT_HOME": str(tmp_path / "cache")}
    config = {"command": [sys.executable, "-m", "adainkit.worker", "--idle", "60"], "environment": environment}
    (tmp_path / "worker.json").write_text(json.dumps(config))
    if state is not None:
        (tmp_path / "worker-state.json").write_text(state)
    worker, words = link.Worker(tmp_path), []
    if state is not None:  # one real start is enough: the others only show that one is wanted
        worker.config["command"] = [str(tmp_path / "gone")]
        assert failure(worker).code == "interpreter"
        return
    try:
        assert worker.request({"do": "hello"}, waiting=words.append).header["protocol"] == link.PROTOCOL
        assert words == ["Starting AdaINKit"]
        process = json.loads(worker.state.read_text())["pid"]
        assert worker.request({"do": "hello"}, waiting=words.append).header["pid"] == process
    finally:
        worker.stop()
    wait_for(lambda: not worker.is_there())


def test_a_foreign_program_on_the_port_is_no_worker(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        (tmp_path / "worker-state.json").write_text(json.dumps({"port": other.getsockname()[1], "token": "t"}))
        (tmp_path / "worker.json").write_text(json.dumps({"command": [str(tmp_path / "gone")]}))

        def answer() -> None:
            stream, _ = other.accept()
            with stream:
                stream.recv(1000)
                stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert failure(link.Worker(tmp_path)).code == "interpreter"
        thread.join(10)


def test_a_silent_program_on_the_port_is_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "_HELLO_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as other:
        (tmp_path / "worker-state.json").write_text(json.dumps({"port": other.getsockname()[1], "token": "t"}))
        (tmp_path / "worker.json").write_text(json.dumps({"command": [str(tmp_path / "gone")]}))
        worker, codes = link.Worker(tmp_path), []
        thread = threading.Thread(target=lambda: codes.append(failure(worker).code), daemon=True)
        thread.start()
        thread.join(10)
        assert codes == ["interpreter"]


def test_only_the_first_line_must_come_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "_HELLO_SECONDS", 0.3)
    with serving(Echo(steps=1, pause=0.8), tmp_path):
        assert link.Worker(tmp_path).request(REQUEST, [bytes(24)]).read(24) == bytes(24)


@pytest.mark.parametrize("code", ["token", "protocol"])
def test_what_refused_us_is_let_go_before_another_is_started(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Started(Exception):
        pass

    def start(_: Any) -> None:
        raise Started

    with serving(Echo(), tmp_path):
        worker, opened = link.Worker(tmp_path), []
        if code == "token":
            state = json.loads(worker.state.read_text())
            worker.state.write_text(json.dumps({**state, "token": "of another"}))
        else:
            monkeypatch.setattr(link, "PROTOCOL", 99)
        open_ = worker._open
        monkeypatch.setattr(worker, "_open", lambda header: opened.append(open_(header)) or opened[-1])
        monkeypatch.setattr(worker, "stop", lambda: None)
        monkeypatch.setattr(worker, "_start", start)
        with pytest.raises(Started):
            worker.request(REQUEST, [bytes(24)])
        ((answer, line),) = opened
        assert line["error"] == code
        assert answer.stream.fileno() == -1


# ---- every failure has its message


@pytest.mark.parametrize("text", [None, "{", "{}", '{"command": "python"}', '{"command": [1]}'])
def test_without_a_configuration_it_says_how_to_install(text: str | None, tmp_path: Path):
    if text is not None:
        (tmp_path / "worker.json").write_text(text)
    with pytest.raises(link.Failure, match="adainkit gimp install") as caught:
        link.Worker(tmp_path)
    assert caught.value.code == "config"
    assert str(tmp_path) in str(caught.value)


def test_a_missing_interpreter_is_named(configure: Configure, tmp_path: Path):
    worker = configure("")
    worker.config["command"][0] = str(tmp_path / "venv" / "python")
    told = str(failure(worker))
    assert str(tmp_path / "venv" / "python") in told
    assert "adainkit gimp install" in told


@pytest.mark.parametrize("module", ["adainkit", "torch"])
def test_a_package_that_cannot_be_imported_comes_with_its_pip_line(configure: Configure, module: str):
    found = failure(configure(f"raise ModuleNotFoundError(\"No module named '{module}.x'\")"))
    assert found.code == "import"
    assert f"{sys.executable} cannot import {module}" in str(found)
    assert f"{sys.executable} -m pip install" in str(found)


def test_a_worker_that_fails_at_its_start_shows_the_end_of_its_log(configure: Configure):
    found = failure(configure("sys.exit('the disk is on fire')"))
    assert found.code == "start"
    assert "exit code 1" in str(found)
    assert "the disk is on fire" in str(found)
    assert "worker.log" in str(found)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_worker_that_is_killed_at_its_start_names_the_signal(configure: Configure):
    assert "SIGKILL" in str(failure(configure("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")))


def test_a_start_that_takes_too_long_shows_the_log(configure: Configure, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "START_SECONDS", 0.7)
    worker = configure("import time; print('loading', flush=True); time.sleep(3)")
    told = str(failure(worker))
    assert "did not answer within 0.7 s" in told
    assert "loading" in told


def test_who_finds_the_place_taken_waits_for_the_one_that_loads(configure: Configure, tmp_path: Path):
    """The command finds another worker twice, which then is gone; the third time it serves."""
    worker = configure(
        """
        import json, os, socket
        count = os.path.join(os.path.dirname(STATE), "count")
        open(count, "a").write("x")
        if len(open(count).read()) < 3:
            sys.exit(0)
        server = socket.create_server(("127.0.0.1", 0))
        open(STATE, "w").write(json.dumps({"port": server.getsockname()[1], "token": "t"}))
        for _ in range(2):
            stream, _ = server.accept()
            stream.recv(1000)
            stream.sendall(b'{"ok": true, "protocol": 1}\\n')
            stream.close()
        """
    )
    assert worker.request({"do": "hello"}).header["ok"]
    assert (tmp_path / "count").read_text() == "xxx"


def test_a_flatpak_that_may_not_start_programs_says_how_to_allow_it(configure: Configure):
    told = str(failure(configure("sys.exit('Portal call failed: org.freedesktop.DBus.Error.ServiceUnknown')")))
    assert "flatpak override --user --talk-name=org.freedesktop.Flatpak org.gimp.GIMP" in told


def test_a_worker_of_another_protocol_is_replaced_and_else_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "PROTOCOL", 99)
    with serving(Echo(), tmp_path):
        started = []
        worker = link.Worker(tmp_path)
        monkeypatch.setattr(worker, "stop", lambda: started.append("stop"))
        monkeypatch.setattr(worker, "_start", lambda tell: started.append("start"))
        found = failure(worker)
        assert started == ["stop", "start"]
        assert found.code == "protocol"
        assert "adainkit gimp install" in str(found)


@pytest.mark.parametrize(
    ("error", "code", "remedy"),
    [
        (OutOfMemoryError("it does not fit"), "memory", "scale the picture down"),
        (MemoryError(), "memory", "select a smaller part"),
        (RuntimeError("oh"), "internal", "report it"),
    ],
)
def test_what_the_worker_says_reaches_the_user(
    error: Exception, code: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise error

    work = Echo()
    monkeypatch.setattr(work, "run", fail)
    with serving(work, tmp_path):
        found = failure(link.Worker(tmp_path))
        assert found.code == code
        assert remedy in str(found)


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"styles": [{"preset": "calanqe"}]}, "style", "no preset is called 'calanqe'"),
        ({"styles": [{"preset": "PICTURE"}]}, "style", "no preset is called"),
        ({"styles": [{"file": "BROKEN"}]}, "image", "broken.png"),
        ({"styles": [{"file": "GONE"}]}, "style", "neither an existing file nor a preset"),
        ({"model": "vgg19", "styles": [{"preset": "calanque"}]}, "weights", "adainkit download vgg19"),
        ({"styles": [{"preset": "calanque"}], "options": {"alpha": 2}}, "style", "alpha must be from 0"),
    ],
)
def test_bad_styles_and_missing_weights_are_told_in_the_core_s_words(
    fields: dict[str, Any], code: str, words: str, tmp_path: Path
):
    from adainkit.session import Session
    from adainkit.worker.engine import Engine

    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "picture.png")
    paths = {"BROKEN": "broken.png", "GONE": "gone.png", "PICTURE": "picture.png"}
    text = json.dumps(fields)
    for name, path in paths.items():
        text = text.replace(name, str(tmp_path / path).replace("\\", "\\\\"))
    with serving(Engine(Session("cpu")), tmp_path):
        found = failure(link.Worker(tmp_path), **json.loads(text))
        assert found.code == code
        assert words in str(found)


DIES = """
import json, os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
open(STATE, "w").write(json.dumps({"port": server.getsockname()[1], "token": "t"}))
while True:
    stream, _ = server.accept()
    line = json.loads(stream.makefile("rb").readline())
    if line["do"] == "hello":
        stream.sendall(b'{"ok": true, "protocol": 1}\\n')
        stream.close()
        continue
    stream.sendall(b'{"ready": true}\\n')
    if WHEN == "result":
        stream.sendall(b'{"progress": 0.5}\\n{"result": {}, "bytes": 100}\\nhalf')
    os._exit(9)
"""


@pytest.mark.parametrize("when", ["payload", "result"])
def test_a_worker_that_dies_in_the_middle_is_said_and_the_next_call_starts_another(when: str, configure: Configure):
    worker = configure(f"WHEN = {when!r}\n{DIES}")
    for _ in range(2):
        with pytest.raises(link.Failure) as caught:
            worker.request(REQUEST, [bytes(24)]).read(100)
        assert caught.value.code == "died"
        assert "scale the picture down" in str(caught.value)
        assert "worker.log" in str(caught.value)


def test_foreign_variables_do_not_reach_the_worker(configure: Configure, monkeypatch: pytest.MonkeyPatch):
    for name in ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "GI_TYPELIB_PATH"):
        monkeypatch.setenv(name, "/opt/gimp")
    worker = configure(
        "import os; sys.exit(str(sorted(os.environ)) + os.environ['MINE'])", environment={"MINE": "kept"}
    )
    told = str(failure(worker))
    assert "kept" in told
    for name in ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "GI_TYPELIB_PATH"):
        assert name not in told


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_real_worker_that_is_killed_is_replaced_by_the_next_call(tmp_path: Path):
    environment = {"PYTHONPATH": str(ROOT), "ADAINKIT_HOME": str(tmp_path / "cache")}
    config = {"command": [sys.executable, "-m", "adainkit.worker", "--idle", "60"], "environment": environment}
    (tmp_path / "worker.json").write_text(json.dumps(config))
    worker = link.Worker(tmp_path)
    try:
        first = worker.request({"do": "hello"}).header["pid"]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not worker.is_there())
        request = {**REQUEST, "styles": [{"preset": "calanque"}]}
        answer = worker.request(request, [bytes(range(24))])
        assert len(answer.read(answer.header["bytes"])) == 24
    finally:
        worker.stop()
    wait_for(lambda: not worker.is_there())


def test_the_log_does_not_grow_for_ever(configure: Configure, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "_LOG_BYTES", 100)
    worker = configure("sys.exit('short')")
    worker.log.write_text("x" * 1000)
    assert "short" in str(failure(worker))
    assert worker.log.stat().st_size < 100


def test_it_compiles_for_the_oldest_python_that_gimp_brings():
    for path in PLUGIN.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))

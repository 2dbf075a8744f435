"""Finds, starts and talks to the worker: protocol 1 from an editor's side. Python's standard library only."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["CONFIG", "PROTOCOL", "Answer", "Editor", "Failure", "Worker", "for_preview", "read_json"]

PROTOCOL = 1
CONFIG = "worker.json"  # beside this file; the command that installs the plug-in writes it
STATE = "worker-state.json"
LOG = "worker.log"
START_SECONDS = 120.0  # a cold disk and an antivirus program that reads all of torch
_HELLO_SECONDS = 10.0  # until the first line: a port that a worker left behind may be anybody's by now
_SEND_SECONDS = 60.0
_LOG_BYTES = 1 << 20
# An editor's own libraries and settings of Python must not reach another Python.
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "GI_TYPELIB_PATH", "GIO_MODULE_DIR")


class Editor(NamedTuple):
    """Whose plug-in this is, for messages: the program, the command that installs it, its name as a Flatpak."""

    name: str = "GIMP"
    install: str = "adainkit gimp install"
    flatpak: str = "org.gimp.GIMP"


class Failure(Exception):
    """What went wrong and what to do about it, for the user to read; `code` as in PROTOCOL.md or of this module."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Worker:
    """The worker of a plug-in's folder, which holds its configuration, state file and log."""

    def __init__(self, folder, editor=Editor()):  # noqa: B008 (it cannot be changed)
        self.folder = Path(folder)
        self.editor = editor
        self.state = self.folder / STATE
        self.log = self.folder / LOG
        self.config = _read_config(self.folder / CONFIG, editor)
        self._answer = None
        self._canceled = False

    def request(self, header, pieces=(), progress=None, waiting=None):
        """Send a request and the bytes of its pictures; the `Answer`. The worker is started if there is none.

        `progress(fraction)` is called while the job runs, `waiting(text)` while it does not yet. `Failure` for
        everything that goes wrong, with the remedy.
        """
        tell = waiting or (lambda text: None)
        self._canceled = False
        for attempt in range(3):
            answer, line = self._open(header)
            if line is None or line.get("error") == "token":
                if answer:
                    answer.close()
                if attempt == 2:
                    break
                self._start(tell)
            elif line.get("error") == "protocol" and attempt == 0:
                answer.close()
                self.stop()  # of another release: what is installed now may speak our protocol
                self._start(tell)
            else:
                return self._go_on(answer, line, pieces, progress, tell)
        raise Failure("start", f"The AdaINKit worker ends as soon as it is called.{self._tail()}")

    def cancel(self):
        """End the request that another thread waits for: it fails at once with the code "canceled"."""
        self._canceled = True
        if self._answer:
            with suppress(OSError):  # it is over
                self._answer.stream.shutdown(socket.SHUT_RDWR)

    def is_there(self):
        """Whether a worker answers."""
        answer, line = self._open({"do": "hello"})
        if answer:
            answer.close()
        return bool(line and line.get("ok"))

    def stop(self):
        """Tell the worker, if there is one, to finish its jobs and end."""
        answer, _ = self._open({"do": "stop"})
        if answer:
            answer.close()

    def _open(self, header):
        """Connect and send the header: the answer and its first line, None and None if nobody is there."""
        state = read_json(self.state)
        if not isinstance(state, dict) or not isinstance(state.get("port"), int):
            return None, None
        answer = None
        try:
            stream = socket.create_connection(("127.0.0.1", state["port"]), _HELLO_SECONDS)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer = Answer(stream)
            line = json.dumps({"protocol": PROTOCOL, "token": state.get("token"), **header})
            stream.sendall(line.encode() + b"\n")
            first = answer.line()
            stream.settimeout(None)
            self._answer = answer
            return answer, first
        except (OSError, OverflowError, ValueError, Failure):  # a state file that was left behind
            if answer:
                answer.close()
            return None, None

    def _go_on(self, answer, line, pieces, progress, tell):
        try:
            while "result" not in line and "ok" not in line:
                if self._canceled:
                    raise self._died()
                if "error" in line:
                    raise _refused(line)
                if "waiting" in line:
                    tell("Waiting for another picture to be done")
                elif "ready" in line:
                    tell("Stylizing")
                    self._send(answer, pieces)
                elif progress and "progress" in line:
                    progress(line["progress"])
                line = answer.line()
        except BaseException as error:
            answer.close()
            if isinstance(error, (OSError, ValueError)) or getattr(error, "code", "") == "died":
                raise self._died() from error
            raise
        answer.header = line
        answer.died = self._died
        return answer

    def _send(self, answer, pieces):
        answer.stream.settimeout(_SEND_SECONDS)
        try:
            for piece in pieces:
                answer.stream.sendall(piece)
        except OSError:
            line = answer.line()  # a worker that has no room for the picture says so
            if "error" in line:
                raise _refused(line) from None
            raise
        answer.stream.settimeout(None)

    def _start(self, tell):
        tell("Starting AdaINKit")
        process, began = self._spawn()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._canceled:
                raise self._died()
            if self.is_there():
                return
            code = process.poll()
            if code:
                raise self._start_failure(code, began)
            if code == 0:  # another worker holds the place: one that still loads, or one that is about to end
                time.sleep(0.5)
                process, _ = self._spawn()
            time.sleep(0.05)
        raise Failure("start", f"The AdaINKit worker did not answer within {START_SECONDS:g} s.{self._tail(began)}")

    def _spawn(self):
        """A worker's process, which outlives this one, and where its part of the log begins."""
        command = [*self.config["command"], "--state", str(self.state)]
        own = self.config.get("environment") or {}
        environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN and not k.startswith("DYLD_")}
        if Path("/.flatpak-info").exists():  # the host's Python needs the host's libraries
            command = ["flatpak-spawn", "--host", *(f"--env={k}={v}" for k, v in own.items()), *command]
        details = {"start_new_session": True}
        if sys.platform == "win32":
            details = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            with open(self.log, "ab") as log:
                if log.tell() > _LOG_BYTES:
                    log.truncate(0)
                began = log.seek(0, os.SEEK_END)
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**environment, **own},
                    cwd=self.folder.absolute().anchor,  # Python looks there first: it must hold no "adainkit"
                    **details,
                )
        except OSError as error:
            raise self._no_interpreter(command[0], error) from error
        return process, began

    def _no_interpreter(self, program, error):
        if program == "flatpak-spawn":
            return self._no_flatpak()
        if error.filename == str(self.log):
            return Failure("start", f"{self.log} cannot be written ({error.strerror}). Run: {self.editor.install}")
        return Failure(
            "interpreter",
            f"The Python that AdaINKit was installed with cannot be started ({program}: {error.strerror}). "
            f"Run `{self.editor.install}` again where AdaINKit is installed now.",
        )

    def _no_flatpak(self):
        allow = f"flatpak override --user --talk-name=org.freedesktop.Flatpak {self.editor.flatpak}"
        return Failure("start", f"{self.editor.name} may not start programs outside its Flatpak. Allow it by: {allow}")

    def _start_failure(self, code, began):
        text = self._read_log(began)
        python = self.config["command"][0]
        missing = re.search(r"No module named '?([\w.]+)", text)
        if missing:
            what = missing[1].partition(".")[0]
            how = "adainkit" if what == "adainkit" else "--force-reinstall adainkit"
            return Failure(
                "import",
                f"{python} cannot import {what}. Run: {python} -m pip install {how} ; then: {self.editor.install}",
            )
        if "ServiceUnknown" in text or "org.freedesktop.Flatpak" in text:
            return self._no_flatpak()
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return Failure("start", f"The AdaINKit worker was ended by {name} while it started.{self._tail(began)}")
        return Failure("start", f"The AdaINKit worker could not start (exit code {code}).{self._tail(began)}")

    def _died(self):
        if self._canceled:
            return Failure("canceled", "Canceled.")
        return Failure(
            "died",
            "The AdaINKit worker ended in the middle of the work; the memory may have been full. Select a smaller "
            f"part, or scale the picture down, and try again: that starts it anew. Its log is {self.log}",
        )

    def _read_log(self, began=0):
        try:
            with open(self.log, "rb") as log:
                log.seek(max(began, self.log.stat().st_size - 8192))
                return log.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _tail(self, began=0):
        lines = [line for line in self._read_log(began).splitlines() if line.strip()]
        return f" The end of its log, {self.log}:\n" + "\n".join(lines[-4:]) if lines else f" Its log is {self.log}"


class Answer:
    """What comes back: `header`, the last line, then the bytes that it announces."""

    def __init__(self, stream):
        self.stream = stream
        self.header = {}
        self.died = lambda: Failure("died", "The AdaINKit worker ended in the middle of the work.")
        self._buffer = b""

    def line(self):
        """The next line. `Failure` "died" if none comes, `ValueError` if it is not of the protocol."""
        while b"\n" not in self._buffer:
            piece = self.stream.recv(1 << 16)
            if not piece or len(self._buffer) > 1 << 20:
                raise self.died()
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError("not of the protocol")
        return found

    def read(self, count):
        """The next `count` bytes. `Failure` "died" if they do not come."""
        found = bytearray(count)
        view = memoryview(found)
        start = min(count, len(self._buffer))
        found[:start] = self._buffer[:start]
        self._buffer = self._buffer[start:]
        try:
            while start < count:
                got = self.stream.recv_into(view[start:])
                if not got:
                    raise self.died()
                start += got
        except OSError as error:
            raise self.died() from error
        return bytes(found)

    def close(self):
        """Let go of the connection; a job that still runs is cancelled by it."""
        self.stream.close()


def _refused(line):
    return Failure(str(line["error"]), str(line.get("message", line["error"])))


def read_json(path):
    """What a file of JSON says, or None if it is missing or damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def for_preview(options, reduced):
    """The options with which a picture that was made `reduced` (0.5: half) times as large looks like the full result.

    As by `prepare_preview` in adainkit/look/previews.py, for the worker sees the small picture alone.
    """
    strokes = options.get("scale", 1.0) * reduced
    detail = options.get("detail", 0.0)
    return {**options, "scale": max(1.0, strokes), "detail": 1 - (1 - detail) * min(1.0, strokes)}


def _read_config(path, editor):
    config = read_json(path)
    command = config.get("command") if isinstance(config, dict) else None
    if not command or not isinstance(command, list) or not all(isinstance(part, str) for part in command):
        raise Failure(
            "config", f"AdaINKit is not set up: {path} is missing or damaged. Run in a terminal: {editor.install}"
        )
    return config

"""A real ComfyUI on the CPU and on loopback, in a folder of its own, for tests: start, queue a prompt, follow it, stop.

`COMFYUI_DIR` is a checkout of ComfyUI, `COMFYUI_PYTHON` a Python with what it needs; neither is written into.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PARTS = ("__init__.py", "pyproject.toml", "adainkit", "comfyui_nodes", "example_workflows", "locales")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass
class Run:
    """What a prompt did, as its history tells."""

    status: str  # "success", "error", "interrupted" or "rejected"
    seconds: float = 0.0
    cached: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str = ""  # type and message
    node: str = ""  # that failed
    latency: float = 0.0  # seconds from the request for an interrupt to its being told


class ComfyServer:
    """`name`: the pack's folder under custom_nodes. Files of `extra` are put below the base folder first."""

    def __init__(self, base: Path, name: str = "adainkit", extra: dict[str, Path] | None = None) -> None:
        self.base, self.name = base, name
        for folder in ("custom_nodes", "input", "models/adain"):
            (base / folder).mkdir(parents=True)
        pack = base / "custom_nodes" / name
        pack.mkdir()
        for part in PARTS:  # copies, as a clone is: what a server compiles must not land in the checkout
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, pack / part)
        for target, source in (extra or {}).items():
            (base / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, base / target)

    def __enter__(self) -> "ComfyServer":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        known = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ADAINKIT"))}
        dead = {name: "http://127.0.0.1:9" for p in _PROXIES for name in (p, p.upper())}  # a download fails and shows
        environment = {**known, **dead, "no_proxy": "127.0.0.1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1"}
        environment["ADAINKIT_RUNTIME"] = "torch"  # whose modules the probes count
        command = [os.environ["COMFYUI_PYTHON"], "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(self.port)]
        command += ["--base-directory", str(self.base), "--disable-auto-launch", "--disable-api-nodes"]
        command += ["--database-url", "sqlite:///:memory:"]
        self._log = (self.base / "server.log").open("wb")
        self.process = subprocess.Popen(
            command,
            cwd=os.environ["COMFYUI_DIR"],
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 300
        while True:
            try:
                self.get("/system_stats")
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise RuntimeError(f"ComfyUI did not start:\n{self.log()[-3000:]}") from None
                time.sleep(0.3)

    def __exit__(self, *_: object) -> None:
        for number, patience in ((signal.SIGINT, 10), (signal.SIGKILL, 10)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(patience)
                except subprocess.TimeoutExpired:
                    continue
        self._log.close()

    def get(self, path: str, body: Any = None) -> Any:
        """The answer as JSON, or as bytes if it is none; with a `body` the request is a POST."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with _OPEN(request, timeout=60) as answer:
            data = answer.read()
        try:
            return json.loads(data or b"null")
        except ValueError:
            return data

    def log(self) -> str:
        """All that the server has printed."""
        return (self.base / "server.log").read_text(errors="replace")

    def peak(self) -> float:
        """The most memory that the server ever had, in MiB, since the last `reset_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def reset_peak(self) -> None:
        """Let `peak` begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def run(self, prompt: dict[str, Any], interrupt_after: float | None = None) -> Run:
        """Queue a prompt and wait for its end; `interrupt_after` seconds of work, ask for an interrupt."""
        try:
            number = self.get("/prompt", {"prompt": prompt})["prompt_id"]
        except urllib.error.HTTPError as refused:
            return Run("rejected", error=refused.read().decode())
        asked = None
        while number not in (history := self.get(f"/history/{number}")):
            if interrupt_after is not None and asked is None and self.get("/queue")["queue_running"]:
                time.sleep(interrupt_after)
                asked = time.time()
                self.get("/interrupt", {})
            time.sleep(0.01 if asked else 0.05)
        record = history[number]
        told = dict(record["status"]["messages"])
        last = record["status"]["messages"][-1][1]
        run = Run(record["status"]["status_str"], (last["timestamp"] - told["execution_start"]["timestamp"]) / 1000)
        run.cached, run.outputs = told["execution_cached"]["nodes"], record["outputs"]
        if "execution_interrupted" in told:
            run.status, run.latency = "interrupted", last["timestamp"] / 1000 - (asked or 0)
        elif "execution_error" in told:
            run.error, run.node = f"{last['exception_type']}: {last['exception_message']}", last["node_id"]
        return run

    def picture(self, found: dict[str, str]) -> bytes:
        """The file of an image in a node's output."""
        return (self.base / found["type"] / found["subfolder"] / found["filename"]).read_bytes()

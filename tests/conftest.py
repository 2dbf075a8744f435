"""What every test has: a private cache, no network beyond this host, few threads, a device and a dtype."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Run, runner
from hypothesis import settings
from PIL import Image
from safetensors.torch import save_file

from adainkit.stylizer import Stylizer

THREADS = 1  # on small pictures a second thread mostly spins, and on a busy machine it burned five times the work
SHOWN = 25  # tests that --cpu-times lists
FAILED = Path(__file__).parent / "failed"
# Rounding grows with the length of a sum; these hold for the thousands of terms of a convolution.
TOLERANCE = {
    "float64": {"rtol": 1e-10, "atol": 1e-12},
    "float32": {"rtol": 1e-4, "atol": 1e-5},
    "bfloat16": {"rtol": 3e-2, "atol": 3e-2},
    "float16": {"rtol": 4e-3, "atol": 4e-3},
}
_TEACHER = {"0": (3, 3), "11": (3, 4), "12": (4, 4), "21": (4, 6), "22": (6, 6), "31": (6, 8)}
_TEACHER |= {"32": (8, 8), "33": (8, 8), "34": (8, 8), "41": (8, 10)}
_REPORT = pytest.StashKey[pytest.TestReport]()
_CPU = pytest.StashKey[dict[str, float]]()

settings.register_profile("adainkit", deadline=None, database=None)
settings.load_profile("adainkit")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("adainkit")
    group.addoption("--device", default="cpu", help="where tensor tests run: cpu (default), cuda, cuda:1, mps")
    group.addoption("--cpu-times", action="store_true", help="list the tests that took most CPU time, and its sum")
    group.addoption("--dtype", default="float32", choices=sorted(TOLERANCE), help="their type (float32)")


def pytest_configure(config: pytest.Config) -> None:
    threads = min(THREADS, os.cpu_count() or 1, torch.get_num_threads())
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for the processes that tests start
    os.environ["ADAINKIT_RUNTIME"] = "torch"  # for fixtures that live longer than a test, too: see `home`
    device = torch.device(config.getoption("--device"))
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise pytest.UsageError(f"--device {device}: {error}") from error


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[_REPORT] = report
    return report


@pytest.fixture
def device(pytestconfig: pytest.Config) -> torch.device:
    return torch.device(pytestconfig.getoption("--device"))


@pytest.fixture
def dtype(pytestconfig: pytest.Config) -> torch.dtype:
    return getattr(torch, pytestconfig.getoption("--dtype"))


@pytest.fixture
def tolerance(pytestconfig: pytest.Config) -> dict[str, float]:
    """`rtol` and `atol` for `torch.testing.assert_close` at the chosen dtype."""
    return dict(TOLERANCE[pytestconfig.getoption("--dtype")])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process, with its words and no others; modules whose command has more have their own."""
    return runner(capsys)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own ADAINKIT_HOME, offline, without proxies; tests of downloads unset ADAINKIT_OFFLINE."""
    for name in list(os.environ):
        if name.startswith("ADAINKIT_") or name.lower() in {
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "no_proxy",
        }:
            monkeypatch.delenv(name)
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ADAINKIT_HOME", str(path))
    monkeypatch.setenv("ADAINKIT_OFFLINE", "1")
    monkeypatch.setenv("ADAINKIT_RUNTIME", "torch")  # results bit for bit, whatever is installed; see test_runtimes.py
    return path


def is_local(address: object) -> bool:
    """Whether a socket address is on this host: a Unix path, or a loopback host name or number."""
    if not isinstance(address, tuple):
        return True
    host = address[0].decode() if isinstance(address[0], bytes) else address[0]
    return host in {None, "", "localhost", "::1"} or re.fullmatch(r"127\.\d+\.\d+\.\d+", host) is not None


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Fail the test that reaches for anything beyond this host, even where the code swallows the error."""
    attempts: list[object] = []

    def guard(real: Callable[..., Any], where: int) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not is_local(args[where]):
                attempts.append(args[where])
                raise OSError(f"the test suite may not reach {args[where]!r}")
            return real(*args, **kwargs)

        return guarded

    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", guard(socket.socket.connect, 1))
    monkeypatch.setattr(socket.socket, "connect_ex", guard(socket.socket.connect_ex, 1))
    monkeypatch.setattr(socket.socket, "sendto", guard(socket.socket.sendto, -1))
    checked = guard(lambda _address, *args, **kwargs: look_up(*args, **kwargs), 0)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **kw: checked((host,), host, *args, **kw))
    yield attempts
    if attempts:
        pytest.fail(f"the test reached for the network: {attempts}")


@pytest.fixture
def keep_picture(request: pytest.FixtureRequest) -> Iterator[Callable[[str, Any], None]]:
    """`keep_picture(name, picture)`: the image, array or tensor lands in tests/failed/ if the test fails."""
    pictures: dict[str, Any] = {}
    yield pictures.__setitem__
    report = request.node.stash.get(_REPORT, None)
    if report is None or not report.failed:
        return
    FAILED.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        stem = re.sub(r"[^\w.-]+", "-", f"{request.node.nodeid.rpartition('/')[2]}-{name}")
        as_pil(picture).save(FAILED / f"{stem}.png")


def as_pil(picture: Any) -> Image.Image:
    """A PIL image from one, from an (H, W) or (H, W, C) array, or from a (C, H, W) or (1, C, H, W) tensor."""
    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, torch.Tensor):
        picture = picture.detach().float().cpu().reshape(picture.shape[-3:]).permute(1, 2, 0).numpy()
    array = np.asarray(picture)
    if array.dtype == np.uint16:
        array = array / 65535
    if array.dtype != np.uint8:
        array = (np.nan_to_num(array).clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


@pytest.fixture(scope="session")
def _photos() -> dict[str, np.ndarray]:
    from skimage import data

    return {name: np.asarray(getattr(data, name)()) for name in ("chelsea", "astronaut", "coffee", "rocket")}


@pytest.fixture
def photos(_photos: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Real photographs by name, each uint8 (H, W, 3); they come with scikit-image's wheel."""
    return {name: photo.copy() for name, photo in _photos.items()}


@pytest.fixture
def photo(_photos: dict[str, np.ndarray]) -> np.ndarray:
    """One real photograph, uint8 (300, 451, 3)."""
    return _photos["chelsea"].copy()


@pytest.fixture(scope="module")
def stylizer(pytestconfig: pytest.Config) -> Stylizer:
    """The package's own model, float32."""
    return Stylizer("lite", device=pytestconfig.getoption("--device"), dtype="float32")


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A loss network of random weights in the layout of the slim one."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, (inputs, outputs) in _TEACHER.items():
        size = 1 if name == "0" else 3
        tensors[f"conv{name}.weight"] = torch.randn(outputs, inputs, size, size, generator=generator) / (inputs * size)
        tensors[f"conv{name}.bias"] = torch.randn(outputs, generator=generator) / 10
    save_file(tensors, tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of contents and one of styles: several sizes and modes, and a broken one in each."""
    rng = np.random.default_rng(0)
    for kind in ("content", "style"):
        folder = tmp_path / "data" / kind
        folder.mkdir(parents=True)
        for number in range(1, 13):
            size = (int(rng.integers(40, 90)), int(rng.integers(40, 90)))
            small = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
            mode = ("RGB", "L", "RGBA", "P")[number % 4]
            small.resize(size, Image.Resampling.BICUBIC).convert(mode).save(folder / f"{kind[0]}{number:03d}.png")
        (folder / f"{kind[0]}013.jpg").write_bytes(b"\xff\xd8 not a picture")
    return tmp_path / "data" / "content", tmp_path / "data" / "style"


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of training draw no curves at their end, which takes longer than they do: one test is about these."""
    monkeypatch.setattr("training.journal.draw_curves", lambda folder: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The CPU time of a test, its processes included: on a busy machine the clock says nothing."""
    before = _cpu_seconds()
    try:
        return (yield)
    finally:
        item.config.stash.setdefault(_CPU, {})[item.nodeid] = _cpu_seconds() - before


def _cpu_seconds() -> float:
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--cpu-times"):
        found = sorted(config.stash.get(_CPU, {}).items(), key=lambda row: -row[1])
        terminalreporter.section(f"CPU time: {sum(seconds for _, seconds in found):.0f} s")
        for name, seconds in found[:SHOWN]:
            terminalreporter.write_line(f"{seconds:8.2f}s {name}")

"""Downloads against a server that does everything wrong, the cache, the registry, and the way to a model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import requests  # noqa: F401 - here, so that a test may give up the right to read the environment's folder
import torch
from http_server import Server, serve
from test_classic import DECODER, ENCODER, classic_state

import adainkit
from adainkit.errors import Cancelled, DownloadError, WeightsError
from adainkit.net.classic import convert_classic
from adainkit.net.config import ModelConfig
from adainkit.net.model import AdaINModel
from adainkit.store import fetch as fetching
from adainkit.store import weights

PACKAGE = Path(adainkit.__file__).parent
DATA = random.Random(0).randbytes(400_000)
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAINKIT_OFFLINE", raising=False)
    monkeypatch.setattr(fetching, "BACKOFF", 0.01)
    monkeypatch.setattr(fetching, "TIMEOUT", (2.0, 0.4))


def get(server: Server, folder: Path, *, size: int | None = len(DATA), urls: tuple[str, ...] = ()) -> Path:
    return fetching.fetch(urls or [server.url("w.bin")], folder / "w.bin", sha256=SUM, size=size)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ---- one file from a bad server ----

GETS_THERE = [
    ["ok"],
    ["drop"],
    ["drop", "drop", "drop"],
    ["refuse"],
    ["stall"],
    ["mute"],
    ["range-ignored"],
    ["drop", "range-ignored"],
    ["drop", "wrong-range"],
    ["drop", 416],
    ["drop", "range-refused", "..."],
    ["drop", "wrong"],  # bytes of two files put together: thrown away, fetched afresh
    ["drop", "refuse", "drop", 503],
    [503, 502, 500],
    [429],
    [408],
    ["unsized"],
    ["claims-more"],
]


@pytest.mark.parametrize("size", [len(DATA), None], ids=["sized", "unsized"])
@pytest.mark.parametrize("steps", GETS_THERE, ids=lambda steps: "-".join(map(str, steps)))
def test_right_file_in_spite_of(steps: list[str | int], size: int | None, tmp_path: Path) -> None:
    with serve({"w.bin": DATA}, w_bin=steps) as server:
        assert get(server, tmp_path, size=size).read_bytes() == DATA
    assert names(tmp_path) == {"w.bin"}


# What the server does, what the message says, and what is left to be resumed.
FAILS = [
    (["wrong", "..."], "sha256", False),
    (["extra", "..."], "expected", False),
    (["html", "..."], "HTML", False),
    (["empty", "..."], "0 of 400000", None),
    (["redirect", "..."], "redirects", False),
    ([404, "..."], "HTTP 404", False),
    ([403, "..."], "HTTP 403", False),
    ([503, "..."], "HTTP 503", False),
    ([416, "..."], "HTTP 416", False),
    (["refuse", "..."], "connection failed", False),
    (["mute", "..."], "stalled", False),
    (["cut", "..."], "fewer bytes|of 400000 bytes", None),
    (["claims-less", "..."], "of 400000 bytes|sha256", None),
    (["wrong-range", "..."], "asked for bytes", False),
]


@pytest.mark.parametrize(("steps", "told", "part"), FAILS, ids=[str(row[0][0]) for row in FAILS])
def test_one_clear_error_and_no_file(
    steps: list[str | int], told: str, part: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "ATTEMPTS", 3)
    with serve({"w.bin": DATA}, w_bin=steps) as server:
        with pytest.raises(DownloadError, match=told) as caught:
            get(server, tmp_path)
        assert len(server.requests) <= (31 if steps[0] == "redirect" else 3)
    assert "cannot download w.bin" in str(caught.value)
    assert "ADAINKIT_MIRROR" in str(caught.value)
    assert names(tmp_path) <= {"w.bin.part"}
    if part is False:
        assert names(tmp_path) == set()
    with serve({"w.bin": DATA}) as server:  # whatever is left does no harm
        assert get(server, tmp_path).read_bytes() == DATA
    assert names(tmp_path) == {"w.bin"}


@pytest.mark.parametrize("steps", [["wrong", "..."], ["cut", "..."], ["claims-less", "..."], ["extra", "..."]])
def test_wrong_bytes_of_unknown_size_fail_by_their_sum(steps: list[str | int], tmp_path: Path) -> None:
    with (
        serve({"w.bin": DATA}, w_bin=steps) as server,
        pytest.raises(DownloadError, match=f"expected sha256 {SUM}"),
    ):
        get(server, tmp_path, size=None)
    assert names(tmp_path) == set()


def test_a_dropped_download_asks_for_the_rest_only(tmp_path: Path) -> None:
    with serve({"w.bin": DATA}, w_bin=["drop"]) as server:
        get(server, tmp_path)
        (first, second) = server.requests
    assert first == ("w.bin", "")
    start = int(second[1].removeprefix("bytes=").removesuffix("-"))
    assert len(DATA) // 2 - fetching.CHUNK <= start <= len(DATA) // 2


def test_a_later_call_resumes_what_an_earlier_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    with serve({"w.bin": DATA}, w_bin=["drop"]) as server:
        with pytest.raises(DownloadError):
            get(server, tmp_path)
        left = (tmp_path / "w.bin.part").stat().st_size
        assert left > 100_000
        assert get(server, tmp_path).read_bytes() == DATA
        assert server.requests[1] == ("w.bin", f"bytes={left}-")


@pytest.mark.parametrize("size", [len(DATA), None], ids=["sized", "unsized"])
@pytest.mark.parametrize("part", [DATA, b"x" * len(DATA), DATA + b"more", b"x" * 1000, b""], ids=len)
def test_whatever_part_lies_there(part: bytes, size: int | None, tmp_path: Path) -> None:
    (tmp_path / "w.bin.part").write_bytes(part)
    with serve({"w.bin": DATA}) as server:
        assert get(server, tmp_path, size=size).read_bytes() == DATA
        if part == DATA:
            assert len(server.requests) == (0 if size else 1)
    assert names(tmp_path) == {"w.bin"}


def test_a_line_that_always_drops_still_gets_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More drops than attempts: each brings ADVANCE bytes, so none counts."""
    monkeypatch.setattr(fetching, "ATTEMPTS", 2)
    monkeypatch.setattr(fetching, "ADVANCE", 5_000)
    monkeypatch.setattr(fetching, "CHUNK", 1_000)
    with serve({"w.bin": DATA}, w_bin=["drop"] * 5) as server:
        assert get(server, tmp_path).read_bytes() == DATA
        assert len(server.requests) == 6


def test_mirrors_are_tried_in_order_and_dead_ones_dropped(tmp_path: Path) -> None:
    with (
        serve({"w.bin": DATA}, w_bin=["wrong", "..."]) as bad,
        serve({}) as empty,
        serve({"w.bin": DATA}) as good,
    ):
        urls = ("nonsense://x/w.bin", "http://", empty.url("w.bin"), bad.url("w.bin"), good.url("w.bin"))
        assert get(good, tmp_path, urls=urls).read_bytes() == DATA
        assert [len(server.requests) for server in (empty, bad, good)] == [1, 1, 1]


def test_the_error_names_every_url_without_its_password(tmp_path: Path) -> None:
    with serve({}) as one, serve({"w.bin": DATA}, w_bin=["html", "..."]) as two:
        secret = one.url("w.bin?token=hush").replace("http://", "http://me:hidden@")
        with pytest.raises(DownloadError) as caught:
            get(one, tmp_path, urls=(secret, two.url("w.bin")))
    told = str(caught.value)
    assert one.url("w.bin") + ": HTTP 404" in told
    assert two.url("w.bin") + ": an HTML page" in told
    assert "hidden" not in told
    assert "hush" not in told


def test_retry_after_is_honored_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    failure = fetching._Failure("busy", wait=3600)

    def busy(*_: object) -> bool:
        raise failure

    monkeypatch.setattr(fetching, "_transfer", busy)
    with pytest.raises(DownloadError, match="busy"):
        fetching.fetch(["http://127.0.0.1/x"], tmp_path / "x", sha256=SUM)
    assert naps == [fetching.LONGEST_WAIT] * (fetching.ATTEMPTS - 1)


def test_back_off_grows_and_jitters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr(fetching, "BACKOFF", 1.0)
    with serve({"w.bin": DATA}, w_bin=[503, "..."]) as server:
        monkeypatch.setattr(fetching.time, "sleep", naps.append)
        with pytest.raises(DownloadError):
            get(server, tmp_path)
    assert len(naps) == fetching.ATTEMPTS - 1
    assert all(0.5 * 2**i <= nap <= 1.5 * 2**i for i, nap in enumerate(naps))
    assert len({nap / 2**i for i, nap in enumerate(naps)}) == len(naps)


def test_progress_tells_bytes_and_cancelling_keeps_the_part(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def stop_half_way(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))
        if done > total / 2:
            raise Cancelled

    url = {"sha256": SUM, "size": None}
    with serve({"w.bin": DATA}) as server:
        with pytest.raises(Cancelled):
            fetching.fetch([server.url("w.bin")], tmp_path / "w.bin", progress=stop_half_way, **url)
        assert names(tmp_path) == {"w.bin.part"}
        fetching.fetch([server.url("w.bin")], tmp_path / "w.bin", progress=lambda *x: told.append(x), **url)
        assert server.requests[1][1] != ""
    assert {stage for stage, _, _ in told} == {"download w.bin"}
    assert {total for _, _, total in told} == {len(DATA)}
    done = [bytes_ for _, bytes_, _ in told]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == len(DATA)


def test_without_a_terminal_progress_goes_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve({"w.bin": DATA}) as server, caplog.at_level(logging.INFO, "adainkit"):
        get(server, tmp_path)
    assert f"download of w.bin: {len(DATA)} of {len(DATA)} bytes" in caplog.messages
    assert len(caplog.messages) <= 11
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_a_bar_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve({"w.bin": DATA}, w_bin=["drop", "range-ignored"]) as server:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        get(server, tmp_path)
    assert "w.bin: 100%" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "w.bin.part").symlink_to("/dev/full")
    with serve({"w.bin": DATA}) as server, pytest.raises(DownloadError, match=r"disk is full.*ADAINKIT_HOME"):
        get(server, tmp_path)
    assert names(tmp_path) == set()


def test_a_server_without_end_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "UNKNOWN_SIZE_LIMIT", 100_000)
    with serve({"w.bin": DATA}, w_bin=["endless"]) as server:
        with pytest.raises(DownloadError, match="more than the expected 100000 bytes"):
            get(server, tmp_path, size=None)
        assert server.sent < 100 * len(DATA)  # what fits into the sockets' buffers
    assert names(tmp_path) == set()


def test_unverified_takes_any_bytes_but_no_earlier_part(tmp_path: Path) -> None:
    (tmp_path / "w.bin.part").write_bytes(b"of something else")
    with serve({"w.bin": DATA}) as server:
        assert fetching.fetch([server.url("w.bin")], tmp_path / "w.bin", sha256=None).read_bytes() == DATA


def test_proxies_are_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({"http://weights.invalid/w.bin": DATA}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        fetching.fetch(["http://weights.invalid/w.bin"], tmp_path / "w.bin", sha256=SUM)
        assert proxy.requests == [("http://weights.invalid/w.bin", "")]


# ---- the classic pair, from the server to a model ----


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random files of the classic names and shapes (28 MB)."""
    folder = tmp_path_factory.mktemp("classic")
    extra = {"32.weight": torch.zeros(8, 8, 3, 3)}  # the real file goes on to relu5_4
    torch.save(classic_state(ENCODER, 1) | extra, folder / "vgg_normalised.pth")
    torch.save(classic_state(DECODER, 2), folder / "decoder.pth")
    return folder


@contextmanager
def published(pair: Path, monkeypatch: pytest.MonkeyPatch, **script: list[str | int]) -> Iterator[Server]:
    """The pair on a server, and a registry that points there with the sums of these files."""
    files = {path.name: path.read_bytes() for path in pair.iterdir()}
    with serve(files, **script) as server:
        monkeypatch.setitem(weights.REGISTRY, "vgg19", pinned(files, server.url()))
        yield server


def pinned(files: dict[str, bytes], base: str) -> weights.Weights:
    vgg, decoder = (
        replace(
            source,
            urls=(base + source.file,),
            sha256=hashlib.sha256(files[source.file]).hexdigest(),
            size=source.size and len(files[source.file]),
        )
        for source in weights.REGISTRY["vgg19"].sources
    )
    return replace(weights.REGISTRY["vgg19"], sources=(vgg, decoder))


def test_download_makes_one_model_file(pair: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = set()
    with published(pair, monkeypatch, vgg_normalised_pth=["drop", 503], decoder_pth=["stall"]) as server:
        assert not weights.models()["vgg19"].available
        path = weights.download("vgg19", progress=lambda stage, done, total: stages.add(stage))
        asked = len(server.requests)
        assert weights.download("vgg19") == path
        assert weights.resolve("vgg19") == path
        assert len(server.requests) == asked == 5
    assert stages == {"download vgg_normalised.pth", "download decoder.pth"}
    assert path == home / "weights" / "vgg19.safetensors"
    assert names(path.parent) - {"vgg19.safetensors.lock"} == {"vgg19.safetensors"}
    assert weights.models()["vgg19"].size == path.stat().st_size < 29e6

    model = weights.load_model("vgg19")
    sums = {
        name: hashlib.sha256((pair / name).read_bytes()).hexdigest() for name in ("vgg_normalised.pth", "decoder.pth")
    }
    assert json.loads(model.metadata["sources_sha256"]) == sums
    assert model.metadata["license"] == "MIT"
    direct = convert_classic(pair / "vgg_normalised.pth", pair / "decoder.pth")
    assert model.digest == direct.digest
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), direct.parameters(), strict=True))

    assert weights.clear_cache("lite") == 0
    assert weights.clear_cache("vgg19") > 28e6
    assert not weights.models()["vgg19"].available
    assert weights.clear_cache() == 0


WORKER = """
import json, sys
from adainkit.store import fetch, weights
fetch.BACKOFF = 0.01
base, files = json.loads(sys.argv[1])
sources = tuple(weights.Source(name, (base + name,), sum_, None) for name, sum_ in files)
weights.REGISTRY["vgg19"] = weights.Weights("vgg19", "", "", "", "", sources)
print(weights.download("vgg19"))
"""


def test_five_processes_download_once(pair: Path, home: Path) -> None:
    files = {name: (pair / name).read_bytes() for name in ("vgg_normalised.pth", "decoder.pth")}
    with serve(files) as server:
        told = json.dumps([server.url(), [(name, hashlib.sha256(data).hexdigest()) for name, data in files.items()]])
        command = [sys.executable, "-c", WORKER, told]
        env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
        workers = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(5)]
        answers = {worker.communicate(timeout=120)[0].strip() for worker in workers}
        assert [worker.returncode for worker in workers] == [0] * 5
        assert answers == {str(home / "weights" / "vgg19.safetensors")}
        assert sorted(server.requests) == [("decoder.pth", ""), ("vgg_normalised.pth", "")]
    AdaINModel.load(home / "weights" / "vgg19.safetensors")


def test_files_at_hand_need_no_network(pair: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAINKIT_OFFLINE", "1")
    before = {path.name: path.stat() for path in pair.iterdir()}
    with pytest.raises(DownloadError, match=r"expected sha256 804ca283.*--no-verify"):
        weights.download("vgg19", source=pair)  # random files are not the published ones
    assert not weights.models()["vgg19"].available
    path = weights.download("vgg19", source=pair, verify=False)
    assert AdaINModel.load(path).config.name == "vgg19"
    assert {path.name: path.stat().st_size for path in pair.iterdir()} == {n: s.st_size for n, s in before.items()}
    with pytest.raises(DownloadError, match=r"has no vgg_normalised\.pth and no decoder\.pth.*https://.*--from DIR"):
        weights.download("vgg19", source=tmp_path)
    with pytest.raises(WeightsError, match="takes no folder"):
        weights.download("lite", source=pair)


def test_mirrors_of_the_environment_come_first(pair: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"a/b/{path.name}": path.read_bytes() for path in pair.iterdir()}
    with published(pair, monkeypatch) as own, serve({}) as empty, serve(files) as mirror:
        monkeypatch.setenv("ADAINKIT_MIRROR", f" {empty.url()} ,, {mirror.url('a/b')}")
        weights.download("vgg19")
        assert len(own.requests) == 0
        assert [path for path, _ in empty.requests] == ["vgg_normalised.pth", "decoder.pth"]
        assert [path for path, _ in mirror.requests] == ["a/b/vgg_normalised.pth", "a/b/decoder.pth"]


def test_what_is_whole_is_not_fetched_again(pair: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with published(pair, monkeypatch, decoder_pth=[404]) as server:
        with pytest.raises(DownloadError, match=r"decoder\.pth.*HTTP 404.*adainkit download vgg19 --from DIR"):
            weights.download("vgg19")
        weights.download("vgg19")
        assert [path for path, _ in server.requests] == ["vgg_normalised.pth", "decoder.pth", "decoder.pth"]


def test_files_that_are_no_weights_leave_no_trace(pair: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with published(pair, monkeypatch) as server:
        server.files["decoder.pth"] = b"no pickle at all"
        with pytest.raises(WeightsError, match=r"decoder\.pth"):
            weights.download("vgg19", verify=False)
    assert names(home / "weights") <= {"vgg19.safetensors.lock"}


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_forbids_downloads(value: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAINKIT_OFFLINE", value)
    with pytest.raises(DownloadError, match=r"ADAINKIT_OFFLINE.*https://github\.com.*--from DIR"):
        weights.resolve("vgg19")
    assert names(home) == set()


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off"])
def test_not_offline(value: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAINKIT_OFFLINE", value)
    with serve({}) as server:
        sources = (weights.Source("a.pth", (server.url("a.pth"),), SUM),)
        monkeypatch.setitem(weights.REGISTRY, "vgg19", replace(weights.REGISTRY["vgg19"], sources=sources))
        with pytest.raises(DownloadError, match="HTTP 404"):
            weights.download("vgg19")


# ---- the cache and the registry ----


@pytest.fixture
def plain_folder() -> Iterator[Path]:
    """A folder that another user may enter but not write; while the test runs, root is such a user."""
    if os.name != "posix":
        pytest.skip("permissions of POSIX")
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), os.geteuid() == 0
        (folder / "weights").mkdir()
        (folder / "weights" / "vgg19.safetensors").write_bytes(b"weights")
        for path in (folder / "weights", folder):
            path.chmod(0o555)
        if root:
            os.seteuid(65534)
        yield folder
        if root:
            os.seteuid(0)
        for path in (folder, folder / "weights"):
            path.chmod(0o755)


def test_a_read_only_cache_serves_what_it_has(plain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAINKIT_HOME", str(plain_folder))
    assert weights.download("vgg19") == plain_folder / "weights" / "vgg19.safetensors"
    assert names(plain_folder / "weights") == {"vgg19.safetensors"}
    with pytest.raises(WeightsError, match="cannot remove"):
        weights.clear_cache()


@pytest.mark.parametrize("below", ["", "weights"])
def test_a_read_only_cache_is_told(plain_folder: Path, below: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAINKIT_HOME", str(plain_folder / below / "new" if below else plain_folder))
    weights_ = replace(weights.REGISTRY["vgg19"], name="other")
    monkeypatch.setitem(weights.REGISTRY, "other", weights_)
    with pytest.raises(DownloadError, match=r"cannot store.*ADAINKIT_HOME"):
        weights.download("other")


def test_a_cache_that_is_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ADAINKIT_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"cannot store.*ADAINKIT_HOME"):
        weights.download("vgg19")
    assert weights.clear_cache() == 0


def test_cache_dir(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights.cache_dir() == home
    monkeypatch.setenv("ADAINKIT_HOME", "~/somewhere")
    assert weights.cache_dir() == Path.home() / "somewhere"
    monkeypatch.setenv("ADAINKIT_HOME", "")
    default = weights.cache_dir()
    assert default.is_absolute()
    assert "adainkit" in default.parts


def test_clear_cache_removes_ours_only(home: Path) -> None:
    folder = home / "weights"
    assert weights.clear_cache() == 0
    assert names(home) == set()
    folder.mkdir()
    ours = ["vgg19.safetensors", "vgg_normalised.pth", "decoder.pth.part", ".vgg19-x1y2.safetensors"]
    for name in [*ours, "mine.safetensors", "vgg19.safetensors.lock"]:
        (folder / name).write_bytes(b"12345")
    (home / "styles").mkdir()
    (home / "styles" / "0123.safetensors").write_bytes(b"1234567")
    assert weights.clear_cache("vgg19") == 5 * len(ours)
    assert names(folder) == {"mine.safetensors", "vgg19.safetensors.lock"}
    assert weights.clear_cache() == 7
    assert names(home / "styles") == set()


def test_models_tells_the_facts() -> None:
    found = weights.models()
    assert list(found) == ["lite", "vgg19"]
    for name, model in found.items():
        assert model.name == name
        assert model.description
        assert model.license == "MIT"
        assert model.size == (model.path.stat().st_size if model.available else None)
        for source in model.sources:
            assert len(bytes.fromhex(source.sha256)) == 32
            assert all(url.startswith("https://") and url.endswith(source.file) for url in source.urls)
        with pytest.raises(FrozenInstanceError):
            model.name = "other"  # type: ignore[misc]
    assert found["lite"].path.parent == PACKAGE / "weights"
    found.clear()
    assert weights.models()


def test_the_registry_needs_neither_torch_nor_requests() -> None:
    code = (
        "import sys, adainkit.store.weights as w; w.models();"
        "print(sorted({'torch', 'requests'} & set(sys.modules)), w.__file__)"
    )
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    answer = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert answer.startswith("[]")
    assert answer.strip().endswith("weights.py")


def test_the_old_path_is_the_module_and_not_the_data_folder_of_the_same_name() -> None:
    code = "import adainkit.weights as w; print(sorted(w.models()))"
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert "lite" in done.stdout


def test_a_model_file_can_be_given_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "REGISTRY", dict(weights.REGISTRY))
    file = tmp_path / "own.safetensors"
    entry = adainkit.register_model("mine", file, description="my own")
    assert adainkit.models()["mine"] is entry
    assert not entry.available
    with pytest.raises(WeightsError, match="the file of the model 'mine', is not there"):
        adainkit.Stylizer("mine", device="cpu")
    AdaINModel(ModelConfig("x", "conv4 tap", "rgb")).save(file)
    with adainkit.Stylizer("mine", device="cpu") as stylizer:
        assert stylizer.model.config.name == "x"
    assert adainkit.download("mine") == file
    assert adainkit.clear_cache("mine") == 0
    assert file.is_file()
    adainkit.register_model("mine", tmp_path / "other.safetensors")
    assert adainkit.models()["mine"].path.name == "other.safetensors"
    for name in ("lite", "vgg19", "", "a/b"):
        with pytest.raises(WeightsError, match="name"):
            adainkit.register_model(name, file)


def test_the_public_verbs_are_the_functions() -> None:
    """A submodule called like a verb would hide it as soon as somebody imports it."""
    for name in ("clear_cache", "download", "models"):
        assert getattr(adainkit, name) is getattr(weights, name)


def test_the_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    lite = weights.models()["lite"]
    if lite.available:
        assert weights.download("lite") == weights.resolve("lite") == lite.path
    monkeypatch.setattr(weights, "_PACKAGE", lite.path.parent / "nowhere")
    with pytest.raises(WeightsError, match="reinstall adainkit"):
        weights.download("lite")


def test_resolve_prefers_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg19").write_bytes(b"")
    assert weights.resolve("vgg19") == Path("vgg19")
    assert weights.resolve(tmp_path / "vgg19") == tmp_path / "vgg19"
    for unknown in ("vgg", "no/such.safetensors", tmp_path):
        with pytest.raises(WeightsError, match=r"neither an existing file nor the name of a model.*lite, vgg19"):
            weights.resolve(unknown)
    for call in (weights.download, weights.clear_cache):
        with pytest.raises(WeightsError, match=r"'vgg'.*lite, vgg19"):
            call("vgg")

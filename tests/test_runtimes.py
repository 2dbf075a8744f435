"""Runtimes beside torch: the same results within rounding, chosen by name or by what is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adainkit import AdaINKitError, AdaINModel, ModelConfig, Style, Stylizer
from adainkit.net.adain import AffineMap
from adainkit.runtimes import choice, coders, engines
from adainkit.runtimes.network import CompiledNetwork

pytest.importorskip("onnx")
ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(not choice.here(name), reason=f"{name} is not installed"))
    for name in ("openvino", "onnxruntime")
]
# Together these use every word of layers, levels that are not neighbors, and one that is alone.
CONFIGS = [
    ModelConfig(
        "three",
        "unshuffle conv6 res6 tap down8 tap pool conv10 tap",
        "canvas2 mod10 merge conv8 merge canvas3 mod6 strokes2 shuffle4 rgb",
        16,
        8,
    ),
    ModelConfig("one", "conv4 pool conv6 tap", "up conv4 conv4 rgb"),
    ModelConfig("smooth", "unshuffle down5 tap down6 res6 tap", "res6 merge smooth smooth conv4 rgb", gain_cap=4.0),
    ModelConfig("shuffles", "unshuffle tap", "conv4 shuffle4 conv3 rgb"),
]


def model_of(config: ModelConfig) -> AdaINModel:
    """A model with random weights, all of which count."""
    torch.manual_seed(3)
    model = AdaINModel(config).eval().requires_grad_(False)
    for tensor in model.decoder.parameters():
        tensor.add_(0.05 * torch.randn_like(tensor))
    return model


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Soft colors with some noise, uint8."""
    random = np.random.default_rng(seed)
    v, u = np.mgrid[:height, :width] / 16
    waves = [np.sin(u * a + v * b) for a, b in random.uniform(-1, 1, (3, 2))]
    return (127 + 90 * np.stack(waves, -1) + random.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_graph_gives_what_torch_gives(engine: str, config: ModelConfig) -> None:
    model = model_of(config)
    network = CompiledNetwork(model, engine)
    for batch, height, width in ((2, 32, 48), (1, 27, 41)):
        x = torch.rand(batch, 3, height, width)
        features = model.encode(x)
        for ours, theirs in zip(network.encode(x), features, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        by_channel = [AffineMap(*(torch.rand(1, place.channels) for _ in range(3))) for place in config.places]
        sides = coders.place_sides(config, [f.shape[2:] for f in features])
        by_cell = [  # which go on beyond the features
            AffineMap(torch.rand(1, place.channels), *(torch.rand(batch, place.channels, h + 1, w + 2) for _ in "gs"))
            for place, (h, w) in zip(config.places, sides, strict=True)
        ]
        for maps in (by_channel, by_cell):
            expected = model.decode(features, maps, (5, 300))
            torch.testing.assert_close(network.decode(features, maps, (5, 300)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stylizer_runs_in_it_with_tiles_regions_and_controls(engine: str) -> None:
    image, style = picture(90, 118), Style.preset("iris")
    mask = np.linspace(0, 1, 118, dtype=np.float32)[None].repeat(90, 0)
    cases = (
        {"style": style, "alpha": [0.2, 0.9, 1.0], "preserve_color": "luma"},
        {"style": None, "regions": [(mask, style), (1 - mask, Style.preset("ember"))], "scale": 1.5},
    )
    plain, other = (Stylizer(dtype="float32", device="cpu", cache=None, runtime=r) for r in ("torch", engine))
    assert (plain.runtime, other.runtime, other.precision) == ("torch", engine, "float32")
    for options in cases:
        expected, found = plain.stylize(image, **options), other.stylize(image, **options)
        assert abs(expected.astype(int) - found).max() <= 1
        assert abs(found.astype(int) - other.stylize(image, tile=24, **options)).max() <= 1
    own, theirs = other.encode_style(image), plain.encode_style(image)
    assert all(torch.equal(own.tensors[name], theirs.tensors[name]) for name in theirs.tensors)


@pytest.mark.skipif(not choice.here("openvino"), reason="openvino is not installed")
@pytest.mark.parametrize("precision", ["mixed", "bfloat16"])
def test_bfloat16_is_as_close_as_promised(precision: str) -> None:
    from skimage import data

    photo = data.astronaut()[:160:2, 120:280:2].astype(np.float32) / 255
    flat = np.full((64, 64, 3), (150, 180, 215), np.float32) / 255
    noisy = (flat + np.random.default_rng(1).normal(0, 2 / 255, flat.shape).astype(np.float32)).clip(0, 1)
    exact = Stylizer(dtype="float32", device="cpu", cache=None, runtime="torch")
    with Stylizer(dtype=precision, device="cpu", cache=None, runtime="openvino") as rounded:
        assert rounded.to("cpu").precision == precision
        assert rounded.runtime == "openvino"
        for image, most in ((photo, 0.6), (flat, 2), (noisy, 2)):
            assert 255 * abs(rounded.stylize(image, "iris") - exact.stylize(image, "iris")).mean() <= most


def test_auto_is_what_is_there_and_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAINKIT_RUNTIME")
    cpu, capped = torch.device("cpu"), ModelConfig("x", "conv4 pool conv6 tap", "up conv4 rgb", gain_cap=8.0)
    free = CONFIGS[1]
    monkeypatch.setattr(choice, "here", lambda name: name == "openvino")
    for fast, expected in ((True, "openvino"), (False, "torch")):
        monkeypatch.setattr(choice, "fast_bfloat16", lambda fast=fast: fast)
        assert choice.find_runtime("auto", cpu, "auto", capped)[0] == expected
    monkeypatch.setattr(choice, "fast_bfloat16", lambda: True)
    assert choice.find_runtime("auto", cpu, "auto", free)[0] == "torch"  # its results do not bear it
    assert choice.find_runtime("auto", cpu, "float32", capped)[0] == "torch"
    assert choice.find_runtime("auto", torch.device("meta"), "auto", capped)[0] == "torch"
    monkeypatch.setenv("ADAINKIT_RUNTIME", "torch")
    assert choice.find_runtime("auto", cpu, "auto", capped)[0] == "torch"
    assert choice.find_runtime("openvino", cpu, "float32", capped) == ("openvino", "float32")
    monkeypatch.setenv("ADAINKIT_RUNTIME", "openvino")
    assert choice.find_runtime("auto", cpu, torch.float16, capped)[0] == "torch"  # which it has not


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, config = torch.device("cpu"), CONFIGS[1]
    monkeypatch.setattr(choice, "here", lambda name: name == "onnxruntime")
    with pytest.raises(AdaINKitError, match=r'pip install "adainkit\[openvino\]"'):
        choice.find_runtime("openvino", cpu, "auto", config)
    with pytest.raises(AdaINKitError, match="runtime must be auto, torch, openvino, onnxruntime or tensorrt, got 'x'"):
        Stylizer(runtime="x")
    with pytest.raises(AdaINKitError, match="computes in float32, not in bfloat16"):
        choice.find_runtime("onnxruntime", cpu, torch.bfloat16, config)
    with pytest.raises(AdaINKitError, match="computes on the CPU, not on meta"):
        choice.find_runtime("onnxruntime", torch.device("meta"), "auto", config)


@pytest.mark.skipif(not choice.here("openvino"), reason="openvino is not installed")
def test_compiled_models_are_kept_and_several_threads_share_them(home: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    images = [picture(40 + 8 * i, 48, i) for i in range(4)]
    with Stylizer(dtype="float32", device="cpu", cache=None, runtime="openvino") as stylizer:
        one_by_one = [stylizer.stylize(image, "iris") for image in images]
        assert any((home / "openvino").iterdir())
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda image: stylizer.stylize(image, "iris"), images * 3))
    assert all(np.array_equal(a, b) for a, b in zip(one_by_one * 3, together, strict=True))


@pytest.mark.skipif(not choice.here("openvino"), reason="openvino is not installed")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("precision", ["float32", "mixed", "bfloat16"])
def test_a_size_that_comes_again_is_compiled_and_gives_the_same_bits(
    precision: coders.Precision, config: ModelConfig
) -> None:
    network = CompiledNetwork(model_of(config), "openvino", precision)
    pictures = [torch.rand(1, 3, *sides) for sides in ((32, 48), (27, 41), (40, 40), (33, 17))]
    first = [network.encode(x) for x in pictures]  # of any size
    maps = [AffineMap(*(torch.rand(1, place.channels) for _ in range(3))) for place in config.places]
    painted = [network.decode(features, maps) for features in first]
    for _ in range(2):  # of one size, the first ones of which are forgotten again
        for x, features, output in zip(pictures, first, painted, strict=True):
            again = network.encode(x)
            kept = [f.clone() for f in again]
            network.encode(1 - x)
            for old, new, copy in zip(features, again, kept, strict=True):
                assert new.dtype == network.kept
                assert torch.equal(new, copy)  # the next picture has memory of its own
                assert torch.equal(new, old)
            assert torch.equal(network.decode(features, maps), output)


@pytest.mark.skipif(not choice.here("openvino"), reason="openvino is not installed")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_engine_writes_nowhere_but_into_its_results(
    precision: coders.Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms: list[tuple[np.ndarray, slice]] = []

    def fenced(shape: tuple[int, ...], kind: Any) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        room = np.full(size + 2 * 4096, 0xA5, np.uint8)
        rooms.append((room, slice(4096, 4096 + size)))
        return room[rooms[-1][1]].view(kind).reshape(shape)

    plain = engines._Requests.run

    def run(self: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: fenced(x.shape, x.dtype) for name, x in inputs.items()}
        for name, x in inputs.items():
            given[name][...] = x
        outputs = plain(self, given)
        assert all(np.array_equal(given[name], x) for name, x in inputs.items())
        return outputs

    monkeypatch.setattr(engines, "_room", fenced)
    monkeypatch.setattr(engines._Requests, "run", run)
    for config in CONFIGS:
        network = CompiledNetwork(model_of(config), "openvino", precision)
        for sides in ((16, 16), (27, 41), (33, 90)) if config.name == "three" else ((29, 40),):
            for _ in range(2):  # of any size, of this one
                features = network.encode(torch.rand(2, 3, *sides))
                network.decode(
                    features, [AffineMap(*(torch.rand(2, p.channels) for _ in "cgs")) for p in config.places]
                )
    assert len(rooms) > 50
    for room, inside in rooms:
        room[inside] = 0xA5
        assert (room == 0xA5).all()


def test_a_large_size_makes_room_for_itself_sooner() -> None:
    made: list[str] = []
    by_size = engines._BySize(lambda shapes: made.append(shapes[0][0]) or shapes[0][0])  # type: ignore[arg-type, func-returns-value, return-value]

    def calls_until_made(name: str, size: int) -> int:
        for number in range(1, 100):
            if by_size.find(((name, (1,)),), size):
                return number
        return 0

    large = engines._BySize.LARGE
    assert [calls_until_made(*call) for call in (("a", large), ("b", large), ("c", large))] == [1, 1, 24]
    assert [calls_until_made(*call) for call in (("d", 8 * large), ("e", 8 * large))] == [1, 3]
    assert by_size.find((("d", (1,)),), 8 * large) == "d"
    assert made == ["a", "b", "c", "d", "e"]


_SIGNALS = """
import signal
import numpy as np
from adainkit import Stylizer
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
first, second = (Stylizer(runtime="openvino") for _ in range(2))
for stylizer in (first, second):
    stylizer.stylize(np.zeros((32, 32, 3), np.uint8), "ukiyo-e")
del first, stylizer
del second
signal.raise_signal(signal.SIGTERM)
print("alive", seen)
"""


@pytest.mark.skipif(not choice.here("openvino"), reason="openvino is not installed")
def test_a_signal_finds_its_stack_after_engines_are_gone(home: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _SIGNALS], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "alive [1]\n"), done.stderr


def test_an_engine_without_memory_says_so_in_python_s_words() -> None:
    for told, kind in (
        ("bad allocation", MemoryError),
        ("Failed to allocate memory", MemoryError),
        ("shape", RuntimeError),
    ):
        with pytest.raises(kind, match=told), engines._memory():
            raise RuntimeError(told)

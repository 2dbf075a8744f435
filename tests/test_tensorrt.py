"""TensorRT: what can be held without a GPU, and one test for those who have one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorrt_stand_in
import torch
from PIL import Image
from test_runtimes import CONFIGS, model_of, picture

from adainkit import AdaINKitError, Style, Stylizer
from adainkit.cli.doctor import examine
from adainkit.cli.entry import main
from adainkit.engine.two_pass import Executor
from adainkit.net.adain import AffineMap
from adainkit.net.config import LITE, VGG19, ModelConfig
from adainkit.net.demands import largest_per_pixel
from adainkit.runtimes import coders, export, tensorrt_engine
from adainkit.runtimes.choice import find_runtime
from adainkit.runtimes.engines import load_program
from adainkit.runtimes.network import CompiledNetwork, compiled
from adainkit.runtimes.tensorrt_engine import BATCH, SIDE, build_plan, plan_name, profiles

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GRAPHS = ("encoder", "maps", "decoder")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Any:
    return tensorrt_stand_in.install(monkeypatch)


def graph_of(config: ModelConfig, name: str, precision: coders.Precision = "float16") -> bytes:
    tensors = {key: t.numpy() for key, t in model_of(config).state_dict().items()}
    more = {} if name == "maps" else {"precision": precision}
    return bytes(getattr(coders, name)(config, tensors, **more).SerializeToString())


def maps_for(config: ModelConfig, batch: int = 1) -> list[AffineMap]:
    return [AffineMap(*(torch.rand(batch, place.channels) for _ in "cgs")) for place in config.places]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_the_graph_in_float16_gives_what_torch_gives(config: ModelConfig) -> None:
    model = model_of(config)
    encoder, decoder = (load_program("onnxruntime", graph_of(config, name), threads=1) for name in GRAPHS[::2])
    x, maps = torch.rand(2, 3, 59, 83), maps_for(config)
    features = model.encode(x)
    found = list(encoder({"picture": x.numpy()}).values())
    for ours, theirs in zip(found, features, strict=True):
        assert ours.dtype == np.float16
        torch.testing.assert_close(torch.from_numpy(ours).float(), theirs, rtol=4e-3, atol=4e-3)
    inputs = {f"level{i}": level for i, level in enumerate(found)}
    for i, own in enumerate(maps):
        inputs |= {f"{p}{i}": getattr(own, p)[:, :, None, None].numpy() for p in coders.parts_of(i, len(found))}
    if coders.moves(config):
        inputs["origin"] = np.array([5, 300])
    result = torch.from_numpy(decoder(inputs)["picture"])
    assert result.dtype == torch.float32
    assert 255 * (result - model.decode(features, maps, (5, 300))).abs().max() <= 1


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_convolution_is_in_float16_by_type(config: ModelConfig) -> None:
    for name in GRAPHS[::2]:
        model = onnx.load_from_string(graph_of(config, name))
        onnx.checker.check_model(model, full_check=True)
        kinds = {x.name: x.data_type for x in model.graph.initializer}
        found = [kinds[n.input[1]] for n in model.graph.node if n.op_type == "Conv"]
        if name == "decoder" and config.decoding[-2].name != "shuffle":
            assert found.pop() == onnx.TensorProto.FLOAT  # what makes the colors
        assert all(kind == onnx.TensorProto.FLOAT16 for kind in found)
        assert onnx.TensorProto.BFLOAT16 not in kinds.values()


@pytest.mark.parametrize("config", [*CONFIGS, LITE, VGG19], ids=lambda config: config.name)
def test_a_profile_reaches_from_the_smallest_picture_to_the_largest_window(config: ModelConfig) -> None:
    found = profiles(config)
    assert {name: found["encoder"]["picture"][i] for i, name in enumerate(("low", "best", "high"))} == {
        "low": (1, 3, config.min_size, config.min_size),
        "best": (1, 3, 1024, 1024),
        "high": (4, 3, 2048, 2048),
    }
    for shapes in (shapes for profile in found.values() for shapes in profile.values()):
        assert all(a <= b <= c for a, b, c in zip(*shapes, strict=True))
    for i, level in enumerate(config.levels):
        sides = [shape[2] for shape in found["decoder"][f"level{i}"]]
        assert sides == [-(-side // level.stride) for side in (config.min_size, 1024, 2048)]
    for i, place in enumerate(config.places):
        assert found["decoder"][f"gain{i}"][1] == (1, place.channels, 1, 1)
        assert found["decoder"][f"gain{i}"][2] == (4, place.channels, 2048 // place.stride, 2048 // place.stride)
    assert largest_per_pixel(config) * (SIDE + 2) ** 2 * BATCH < 2**31


def test_the_smallest_picture_is_within_the_profile() -> None:
    for config in CONFIGS:
        features = model_of(config).encode(torch.rand(1, 3, config.min_size, config.min_size))
        own = profiles(config)["decoder"]
        assert [own[f"level{i}"][0] for i in range(len(features))] == [tuple(f.shape) for f in features]


_NAME = """
from test_tensorrt import CONFIGS, graph_of
from adainkit.runtimes.tensorrt_engine import plan_name, profiles
print(plan_name(graph_of(CONFIGS[0], "decoder"), profiles(CONFIGS[0])["decoder"], {"gpu": "a", "tensorrt": "11"}))
"""


def test_a_plan_has_one_name_in_every_process_and_another_for_all_else() -> None:
    config = CONFIGS[0]
    graph, profile = graph_of(config, "decoder"), profiles(config)["decoder"]
    facts = {"tensorrt": "11", "gpu": "a"}
    name = plan_name(graph, profile, facts)
    others = [
        plan_name(graph_of(config, "decoder", "float32"), profile, facts),
        plan_name(graph, profile | {"level0": profile["level1"]}, facts),
        plan_name(graph, profile, facts | {"tensorrt": "11.1"}),
        plan_name(graph, profile, facts | {"gpu": "b"}),
    ]
    assert len({name, *others}) == 5
    assert re.fullmatch(r"[0-9a-f]{32}\.plan", name)
    here = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    more = {**os.environ, "PYTHONPATH": here, "PYTHONHASHSEED": "5"}
    done = subprocess.run([sys.executable, "-c", _NAME], capture_output=True, text=True, env=more, timeout=120)
    assert done.stdout.strip() == name, done.stderr


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_the_calls_bring_every_tensor_in_and_out(package: Any, config: ModelConfig, tmp_path: Path) -> None:
    model = model_of(config)
    compiled_network = CompiledNetwork(model, "tensorrt", "float16", cache=tmp_path)
    for batch, height, width in ((1, 27, 41), (BATCH + 3, 32, 24)):
        x = torch.rand(batch, 3, height, width)
        features, maps = model.encode(x), maps_for(config, batch)
        found = compiled_network.encode(x)
        assert [f.dtype for f in found] == [torch.float16] * len(features)
        for ours, theirs in zip(found, features, strict=True):
            torch.testing.assert_close(ours.float(), theirs, rtol=4e-3, atol=4e-3)
        result = compiled_network.decode(found, maps, (5, 300))
        assert 255 * (result - model.decode(features, maps, (5, 300))).abs().max() <= 2


def test_a_stylizer_runs_in_it_with_tiles_and_regions(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adainkit.stylizer.find_runtime", lambda *_: ("tensorrt", "float16"))
    image, mask = picture(90, 118), np.linspace(0, 1, 118, dtype=np.float32)[None].repeat(90, 0)
    regions = [(mask, Style.preset("iris")), (1 - mask, Style.preset("ember"))]
    plain = Stylizer(dtype="float32", device="cpu", cache=None, runtime="torch")
    with Stylizer(device="cpu", cache=None) as other:
        assert (other.runtime, other.precision) == ("tensorrt", "float16")
        for options in ({"style": Style.preset("iris")}, {"style": None, "regions": regions}):
            expected = plain.stylize(image, **options).astype(int)
            assert abs(expected - other.stylize(image, **options)).max() <= 2
            assert abs(expected - other.stylize(image, tile=24, **options)).max() <= 2
        own, theirs = other.encode_style(image), plain.encode_style(image)
        assert all(torch.equal(own.tensors[name], theirs.tensors[name]) for name in theirs.tensors)


def test_windows_beyond_the_profile_are_split(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_engine, "SIDE", 96)
    monkeypatch.setattr(tensorrt_engine, "BEST", 64)
    config = CONFIGS[1]
    model, x, maps = model_of(config), torch.rand(1, 3, 130, 170), maps_for(config)
    small = CompiledNetwork(model, "tensorrt", "float16")
    with pytest.raises(MemoryError, match="up to 96 pixels a side"):
        small.encode(x)
    results = []
    for each in (small, model):
        executor = Executor(each, CPU, torch.float32)
        features, _ = executor.encode(x)
        results.append(executor.decode(features, maps, 130, 170))
    assert 255 * (results[0] - results[1]).abs().max() <= 2


def test_plans_are_kept_and_what_does_not_load_is_built_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = tensorrt_stand_in.install(monkeypatch)
    model, folder = model_of(CONFIGS[1]), tmp_path / "new" / "tensorrt"

    def encoded() -> int:
        CompiledNetwork(model, "tensorrt", "float16", cache=folder).encode(torch.rand(1, 3, 32, 32))
        return int(package.Builder.built)

    assert [encoded(), encoded()] == [1, 1]
    (plan,) = folder.iterdir()  # and no temporary file
    whole = plan.read_bytes()
    plan.write_bytes(b"half of it")
    assert encoded() == 2
    assert f"{plan} does not load and is built again (no plan)" in caplog.text
    assert plan.read_bytes() == whole
    assert encoded() == 2
    monkeypatch.setattr(package, "__version__", "11.5.0.1")
    assert encoded() == 3
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setattr(tensorrt_engine, "write_atomically", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    monkeypatch.setattr(package, "__version__", "11.6.0.1")
    assert encoded() == 4


def test_what_tensorrt_refuses_is_told_in_its_words(package: Any) -> None:
    config = CONFIGS[1]
    with pytest.raises(AdaINKitError, match=r"cannot run this model \(no graph: .*; use runtime='torch'"):
        build_plan(package, b"nothing", {})
    with pytest.raises(AdaINKitError, match="level0 has no profile"):
        build_plan(package, graph_of(config, "decoder"), {})
    engine = compiled(CompiledNetwork(model_of(config), "tensorrt", "float16"), coders.encoder)
    with pytest.raises(RuntimeError, match=r"TensorRT refuses the shape \(1, 3, 2, 32\) of picture"):
        engine({"picture": np.zeros((1, 3, 2, 32), np.float32)})


def test_what_is_missing_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(AdaINKitError, match="'tensorrt' computes on an NVIDIA GPU, not on cpu; use device='cuda'"):
        Stylizer(device="cpu", runtime="tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(AdaINKitError, match=r'TensorRT is not installed: pip install "adainkit\[tensorrt\]"'):
        find_runtime("tensorrt", CUDA, "auto", LITE)
    tensorrt_stand_in.install(monkeypatch, "10.7.0")
    with pytest.raises(AdaINKitError, match=r"TensorRT 10\.13 or newer is needed, here is 10\.7\.0"):
        find_runtime("tensorrt", CUDA, "auto", LITE)
    tensorrt_stand_in.install(monkeypatch)
    with pytest.raises(AdaINKitError, match="'tensorrt' computes in float32 or float16, not in bfloat16"):
        find_runtime("tensorrt", CUDA, "bfloat16", LITE)
    assert find_runtime("tensorrt", CUDA, "auto", LITE) == ("tensorrt", "float16")
    assert find_runtime("tensorrt", torch.device("cuda:1"), torch.float32, LITE) == ("tensorrt", "float32")
    monkeypatch.delitem(sys.modules, "tensorrt")
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.11: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AdaINKitError, match=r"cannot be imported \(libnvinfer\.so\.11: cannot open.*: pip install"):
        find_runtime("tensorrt", CUDA, "auto", LITE)


def test_auto_never_takes_it_but_the_variable_may_name_it(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAINKIT_RUNTIME")
    assert find_runtime("auto", CUDA, "auto", LITE)[0] == "torch"
    monkeypatch.setenv("ADAINKIT_RUNTIME", "tensorrt")
    assert find_runtime("auto", CUDA, "auto", LITE) == ("tensorrt", "float16")
    assert find_runtime("auto", CUDA, "mixed", LITE)[0] == "torch"
    assert find_runtime("auto", CPU, "auto", LITE)[0] == "torch"


def test_the_command_and_the_doctor_know_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "find_device", lambda _: CPU)
    Image.fromarray(picture(40, 40)).save(tmp_path / "a.png")
    export_it = ["export", "lite", "--to", "tensorrt", "-o", str(tmp_path / "out")]
    paint_it = ["stylize", str(tmp_path / "a.png"), "iris", "--runtime", "tensorrt", "--device", "cpu"]
    wanted = {"export where an NVIDIA GPU is": export_it, "computes on an NVIDIA GPU, not on cpu": paint_it}
    for told, command in wanted.items():
        assert main(command) == 1
        assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    found = {finding.name: finding for finding in examine()}["tensorrt"]
    assert (found.status, "is not installed" in found.value, "not needed" in found.value) == ("ok", True, True)
    tensorrt_stand_in.install(monkeypatch)
    assert "11.4.0.106, for --runtime tensorrt" in {f.name: f for f in examine()}["tensorrt"].value


def test_an_export_has_plans_and_an_example_that_runs(
    package: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(export, "find_device", lambda _: CPU)
    monkeypatch.setattr(export, "find_runtime", lambda *_: ("tensorrt", "float16"))
    model = Stylizer(device="cpu", dtype="float32", cache=None, runtime="torch").model
    written = export.export_model(model, "tensorrt", tmp_path, overwrite=False)
    assert [path.name for path in written] == [f"{name}.plan" for name in GRAPHS] + ["model.json", "README.md"]
    facts = json.loads((tmp_path / "model.json").read_text())
    expected = {"tensorrt": "11.4.0.106", "gpu": "a GPU", "compute_capability": [9, 0], "precision": "float16"}
    assert facts.items() >= {**expected, "largest_side": 2048, "largest_batch": 4}.items()
    assert facts["largest_difference_from_torch"] <= 2 / 255
    for name, seed, size in (("content", 1, (75, 58)), ("style", 2, (64, 81))):
        Image.fromarray(picture(*size, seed)).save(tmp_path / f"{name}.png")
    code = re.search(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    exec(compile(code[1].replace('"cuda"', '"cpu"'), "README.md", "exec"), {})
    found = np.asarray(Image.open("result.png")).astype(int)
    plain = Stylizer(dtype="float32", device="cpu", cache=None, runtime="torch")
    assert abs(found - plain.stylize(picture(75, 58, 1), picture(64, 81, 2))).max() <= 2


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_tensorrt_for_rtx_which_builds_without_a_gpu_takes_every_graph(config: ModelConfig) -> None:
    """Not the package that we use, but its parser, its checks of types and profiles, and its names."""
    rtx = pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed (CONTRIBUTING.md)")
    for name, profile in profiles(config).items():
        for precision in ("float16", "float32"):
            assert len(build_plan(rtx, graph_of(config, name, precision), profile)) > 1000
    with pytest.raises(AdaINKitError, match="Failed to parse the ONNX model"):
        build_plan(rtx, b"nothing", {})
    with pytest.raises(AdaINKitError, match="level0 is missing dimensions in profile 0"):
        build_plan(rtx, graph_of(config, "decoder"), profiles(config)["encoder"])


def test_the_stand_in_has_no_names_of_its_own() -> None:
    names = [name for name in ("tensorrt_bindings", "tensorrt_rtx_bindings") if find_spec(name)]
    if not names:
        pytest.skip("neither TensorRT nor TensorRT for RTX is installed")
    real = import_module(names[0])
    for kind in (value for value in vars(tensorrt_stand_in).values() if isinstance(value, type)):
        if kind.__module__ == tensorrt_stand_in.__name__:
            own = [name for name in vars(kind) if not name.startswith("_") and name != "built"]
            assert [name for name in own if not hasattr(getattr(real, kind.__name__), name)] == []


@pytest.mark.cuda
def test_a_gpu_paints_what_torch_paints_and_keeps_its_plans(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("tensorrt")
    image, mask = picture(150, 218), np.linspace(0, 1, 218, dtype=np.float32)[None].repeat(150, 0)
    regions = [(mask, Style.preset("iris")), (1 - mask, Style.preset("ember"))]
    caplog.set_level("INFO")
    with Stylizer(device="cpu", dtype="float32", cache=None, runtime="torch") as plain:  # a GPU's has TF32
        expected = [plain.stylize(image, "iris"), plain.stylize(image, None, regions=regions)]
    times = []
    for _ in range(2):
        with Stylizer(device="cuda", cache=None, runtime="tensorrt") as stylizer:
            assert (stylizer.runtime, stylizer.precision) == ("tensorrt", "float16")
            found = [stylizer.stylize(image, "iris"), stylizer.stylize(image, None, regions=regions)]
            found_in_tiles = stylizer.stylize(image, "iris", tile=64)
            features = stylizer.executor().encode(torch.rand(1, 3, 64, 64))[0]
            assert all(f.is_cuda and f.dtype == torch.float16 for f in features)
        times.append(caplog.text.count("building an engine"))
        for ours, theirs in zip((*found, found_in_tiles), (*expected, expected[0]), strict=True):
            assert abs(ours.astype(int) - theirs).max() <= 2
    assert times == [2, 2]  # encoder and decoder, once
    assert len(list((home / "tensorrt").iterdir())) == 2
    with Stylizer(device="cuda", dtype="float32", cache=None, runtime="tensorrt") as exact:
        assert abs(exact.stylize(image, "iris").astype(int) - expected[0]).max() <= 1

"""The benchmarks: the rivals are what they are called, statistics are the naive formulas, a run leaves its report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from adainkit.net.adain import affine_map, moments
from adainkit.net.model import AdaINModel
from benchmarks import editor, precision, timing, training_speed
from benchmarks.__main__ import main
from benchmarks.cases import CANDIDATES, sample_picture, there
from benchmarks.networks import Classic, MicroAST, count_parameters, mean_std


@pytest.fixture(scope="module")
def pair() -> tuple[Classic, AdaINModel]:
    """The written-out pipeline and our `vgg19` of the same random weights, nothing vanishing on the way."""
    torch.manual_seed(0)
    network = Classic()
    training_speed.normalize(network, torch.rand(1, 3, 64, 64))
    return network, training_speed.own_objective(network).model


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 40), (45, 61)])
def test_the_classic_pipeline_is_our_vgg19(size: tuple[int, int], pair: tuple[Classic, AdaINModel]) -> None:
    network, model = pair
    content, style = torch.rand(1, 3, *size), torch.rand(1, 3, 48, 32) ** 2
    expected = network(content, *mean_std(network.encoder(style)))
    features, (painted,) = model.encode(content), model.encode(style)
    own, other = moments(features[0]), moments(painted)
    affine = affine_map(own.mean, own.std, other.mean, other.std)
    got = model.decode(features, [affine])
    assert got.shape == expected.shape
    assert (got - expected).abs().max() < 1e-4 * expected.std()


def test_the_published_weights_would_fit_the_classic_network() -> None:
    network = Classic()
    convolutions = (
        [i for i, m in enumerate(p) if isinstance(m, nn.Conv2d)] for p in (network.encoder, network.decoder)
    )
    assert list(convolutions) == [[0, 2, 5, 9, 12, 16, 19, 22, 25, 29], [1, 5, 8, 11, 14, 18, 21, 25, 28]]


def test_microast_has_the_published_number_of_parameters() -> None:
    def conv(into: int, out: int, kernel: int, groups: int = 1) -> int:
        return into // groups * out * kernel**2 + out

    def separable(into: int, out: int) -> int:
        return conv(into, into, 3, groups=into) + conv(into, out, 1)

    blocks = 4 * conv(64, 64, 3)
    encoder = conv(3, 16, 9) + separable(16, 32) + separable(32, 64) + blocks
    decoder = blocks + separable(64, 32) + separable(32, 16) + conv(16, 3, 9)
    assert count_parameters(MicroAST()) == 2 * encoder + decoder + 2 * conv(64, 64, 1) == 472_995
    x = torch.rand(1, 3, 24, 32)
    assert MicroAST()(x, torch.zeros(1, 64, 1, 1), torch.ones(1, 64, 1, 1)).shape == x.shape


def test_statistics_are_the_naive_formulas() -> None:
    values = [5.0, 1.0, 4.0, 2.5, 9.0]
    found = timing.spread(values)
    assert (found.low, found.median, found.high) == pytest.approx(np.percentile(values, [25, 50, 75]))
    assert timing.spread([3.0]) == timing.Spread(3.0, 3.0, 3.0)
    pixels, seconds = [100, 400, 1600], [1.0, 5.0, 15.0]
    x, y = np.log(pixels), np.log(seconds)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    assert timing.exponent(pixels, seconds) == pytest.approx(slope)
    assert timing.exponent([10, 1000], [1.0, 10.0]) == pytest.approx(log(10) / log(100))


def test_ratios_are_taken_round_by_round(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every round is ten times as slow as the one before: a ratio of medians would be right by chance only.
    assert timing.ratios([2.0, 20.0, 300.0], [1.0, 10.0, 100.0]) == [2.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="shorter"):
        timing.ratios([1.0, 2.0], [1.0])
    now, ran = [0.0], []

    def candidate(name: str, cost: float) -> Callable[[], None]:
        def call() -> None:
            ran.append(name)
            now[0] += cost

        return call

    monkeypatch.setitem(timing.CLOCKS, "wall", lambda: now[0])
    found = timing.interleave({"a": candidate("a", 1.0), "b": candidate("b", 3.0)}, rounds=8, warmup=1)
    assert found == {"a": [1.0] * 8, "b": [3.0] * 8}
    rounds = [ran[i : i + 2] for i in range(0, len(ran), 2)]
    assert len(rounds) == 9
    assert {tuple(r) for r in rounds} == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize("name", there())
def test_every_candidate_gives_the_picture_s_size(name: str) -> None:
    case = CANDIDATES[name](torch.device("cpu"))
    assert case.end_to_end(sample_picture(35, 50)).size == (50, 35)
    assert case.network(torch.rand(1, 3, 35, 50)).shape == (1, 3, 35, 50)


def test_a_run_prints_tables_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, names = tmp_path / "speed.json", ["lite", "microast", "microast-channels_last"]
    assert main(["--sizes", "32", "48x40", "--rounds", "2", "--no-memory", "--json", str(path), "--only", *names]) == 0
    printed = capsys.readouterr().out
    assert "times as fast as the fastest microast" in printed
    results = json.loads(path.read_text())
    assert {"torch", "cpu", "threads", "commit"} <= set(results["environment"])
    rows = results["inference"]["rows"]
    assert [(r["size"], r["part"], r["candidate"]) for r in rows] == [
        (size, part, name) for size in ("32x32", "48x40") for part in ("network", "end_to_end") for name in names
    ]
    lite, plain = rows[0], rows[1]
    each = np.array(plain["rounds"]) / np.array(lite["rounds"])
    assert lite["times_as_fast_as"]["microast"]["median"] == pytest.approx(np.median(each))
    assert set(results["inference"]["exponents"]) == {f"{n} {p}" for n in names for p in ("network", "end_to_end")}


@pytest.mark.slow
def test_memory_is_of_a_process_of_its_own() -> None:
    from benchmarks.memory import measure

    ballast = np.ones(2**30, np.uint8)  # what this process holds is not counted
    found = measure("microast", 64, 64, torch.device("cpu"), 1)
    assert 2**20 < found["before"] <= found["peak"] < ballast.nbytes
    with pytest.raises(RuntimeError, match="microast at 1 x 64 gave no result"):
        measure("microast", 64, 1, torch.device("cpu"), 1)


def test_both_training_loops_compute_the_same_loss(pair: tuple[Classic, AdaINModel]) -> None:
    network, _ = pair
    content, style = torch.rand(2, 3, 48, 48), torch.rand(2, 3, 48, 48) ** 2
    network.encoder.requires_grad_(False)

    def still(module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(module.parameters(), 0.0)

    expected = training_speed.plain_step(network, still(network.decoder), content, style)
    objective = training_speed.own_objective(network, bfloat16=False)
    model = objective.model
    got = training_speed.step(objective, still(model.decoder), content, style)
    assert got == pytest.approx(expected, rel=1e-4)
    gradients = [
        [m.weight.grad for m in part.modules() if isinstance(m, nn.Conv2d)] for part in (network.decoder, model.decoder)
    ]
    for a, b in zip(*gradients, strict=True):
        assert (a - b).abs().max() < 1e-3 * a.abs().max()
    half = training_speed.own_objective(network)
    assert training_speed.step(half, still(half.model.decoder), content, style) == pytest.approx(expected, rel=0.05)


def test_training_is_measured_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["training", "--batch", "1", "--crop", "32", "--rounds", "1"]) == 0
    assert "steps/s" in capsys.readouterr().out


def test_the_editor_benchmark_times_a_real_worker(capsys: pytest.CaptureFixture[str]) -> None:
    assert editor.main(["--width", "90", "--height", "60", "--rounds", "2"]) == 0
    found = capsys.readouterr().out
    assert [
        p for p in ("call", "job", "network", "not the network") if not re.search(rf"^\| {p} +\|", found, re.M)
    ] == []


def test_the_difference_of_precisions_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample_picture(40, 50).save(tmp_path / "a.png")
    path = tmp_path / "out.json"
    assert main(["precision", "--presets", "1", "--pictures", str(tmp_path), "--json", str(path)]) == 0
    assert "mean difference of 255" in capsys.readouterr().out
    rows = json.loads(path.read_text())["precision"]
    assert [(r["pictures"], r["alpha"], r["precision"], r["results"]) for r in rows] == [
        (group, alpha, kind, number)
        for group, number in (("photographs", 1), ("flat and noisy flat", 3))
        for alpha in (0.0, 1.0)
        for kind in precision.KINDS
    ]
    mixed, half = rows[len(precision.KINDS) : len(precision.KINDS) + 2]
    assert 0 < mixed["mean"] < half["mean"]
    assert mixed["mean"] < 0.3
    assert mixed["worst"] <= mixed["pixel"]


def test_a_device_that_is_not_here_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--device", "no-such-device"])
    assert caught.value.code == 2
    assert "argument --device: device 'no-such-device' cannot be used here" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_the_memory_of_stylizing_files_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "--quick"]) == 0
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| 320 x 200")]
    assert [[cell.strip() for cell in row[:2]] for row in rows] == [
        ["320 x 200 jpg", "default"],
        ["320 x 200 tif", "50M"],
    ]
    assert all(100 < float(row[3]) < 2000 for row in rows)


def test_films_are_measured_beside_the_network(tmp_path: Path) -> None:
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    from benchmarks import film

    found = film.run(4, 48, 64, 1, "cpu", "wall", memory=False)
    assert found["network to network"].median == 1
    assert found["film fps"].median > 0
    assert "and --steady" in film.show({**found, "memory": {4: 500, 16: 501}})


def test_microast_paints_with_the_files_of_its_repository(tmp_path: Path) -> None:
    from benchmarks.microast import Painter

    def layer(name: str, channels: int, width: int, kernel: int, groups: int = 1) -> dict[str, torch.Tensor]:
        weight = torch.randn(width, channels // groups, kernel, kernel, generator=random) * 0.1
        return {f"{name}.conv_layer.weight": weight, f"{name}.conv_layer.bias": torch.zeros(width)}

    random = torch.Generator().manual_seed(0)
    encoder, modulator, decoder = {}, {}, {}
    shapes = [(0, 3, 16, 9, 1), (2, 16, 32, 3, 16), (4, 32, 32, 1, 1), (6, 32, 64, 3, 32), (8, 64, 64, 1, 1)]
    for number, *shape in shapes:
        encoder |= layer(f"enc1.{number}", *shape)
    for name in ("enc1.10.conv1", "enc1.10.conv2", "enc2.0.conv1", "enc2.0.conv2"):
        encoder |= layer(name, 64, 64, 3)
    for name in ("weight1.0", "bias1.0", "weight2.0", "bias2.0"):
        modulator |= layer(name, 64, 64, 3, 64)
    for name in ("dec1.conv1", "dec1.conv2", "dec2.conv1", "dec2.conv2"):
        decoder |= layer(name, 64, 64, 3)
    for number, *shape in [(1, 64, 32, 3, 32), (3, 32, 32, 1), (6, 32, 16, 3, 16), (8, 16, 16, 1), (10, 16, 3, 9)]:
        decoder |= layer(f"dec3.{number}", *shape)
    parts = {"content_encoder": encoder, "style_encoder": encoder, "modulator": modulator, "decoder": decoder}
    for name, weights in parts.items():
        torch.save(weights, tmp_path / f"{name}_iter_160000.pth.tar")
    picture = np.random.default_rng(0).integers(0, 256, (37, 50, 3)).astype(np.uint8)
    painter = Painter(tmp_path, picture[::-1])
    assert painter.paint(picture).shape == picture.shape
    assert np.array_equal(painter.paint(picture), painter.paint(picture))

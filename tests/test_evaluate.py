"""The evaluation: its figures against written-out formulas, its pairs, and the files and the table it leaves."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from adainkit.errors import AdaINKitError, WeightsError
from training import metrics
from training.pairs import SMALLEST
from training.sheet import fit, save_sheet


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for torch.hub, so that no network of this machine takes part."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    return tmp_path / "hub" / "hub" / "checkpoints"


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def naive_frechet(x: np.ndarray, y: np.ndarray) -> float:
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    cross = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * cross)


@pytest.mark.parametrize(("n", "m", "d"), [(50, 40, 3), (40, 60, 12), (4, 7, 20), (2, 2, 5)])
def test_frechet_distance_is_the_written_out_formula(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)), rng.normal(0.3, 2, size=(m, d)) @ rng.normal(size=(d, d))
    assert metrics.frechet_distance(*map(torch.tensor, (x, y))) == pytest.approx(naive_frechet(x, y), rel=1e-6)
    assert metrics.frechet_distance(*map(torch.tensor, (x, x))) == pytest.approx(0, abs=1e-10)


def test_frechet_distance_is_the_fid_of_torchmetrics() -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    pictures = {real: noise(20, 3, 16, 16, seed=real) ** (1 + real) for real in (0, 1)}
    reference = fid.FrechetInceptionDistance(feature=network, normalize=True, input_img_size=(3, 16, 16))
    for real, batch in pictures.items():
        reference.update(batch, real=bool(real))
    with torch.no_grad():
        ours = metrics.frechet_distance(network(pictures[0]), network(pictures[1]))
    assert ours == pytest.approx(reference.compute().item(), rel=1e-3)


def test_one_sample_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="2 or more samples, got 1"):
        metrics.frechet_distance(noise(1, 4), noise(5, 4))


def test_color_distance_sees_means_and_covariances_and_no_places() -> None:
    gray, red = torch.full((1, 3, 9, 7), 0.5), torch.full((1, 3, 4, 5), 0.5)
    red[:, 0] = 0.8
    assert metrics.color_distance(gray, red) == pytest.approx(0.3, rel=1e-5)
    x, y = noise(1, 3, 20, 30), noise(1, 3, 25, 10, seed=1) ** 2
    pixels = [p[0].flatten(1).T.double().numpy() for p in (x, y)]
    assert metrics.color_distance(x, y) == pytest.approx(naive_frechet(*pixels) ** 0.5, rel=1e-5)
    assert metrics.color_distance(x, x.flip(2, 3)) == pytest.approx(0, abs=1e-6)
    twice = x + (x - x.mean((2, 3), keepdim=True))  # the same means, twice the deviations: these are the distance
    assert metrics.color_distance(twice, x) == pytest.approx(x.double().var((2, 3)).sum().item() ** 0.5, rel=1e-5)


def naive_grid(picture: np.ndarray) -> float:
    gray = picture @ [0.299, 0.587, 0.114]
    height, width = gray.shape[0] // 8 * 8, gray.shape[1] // 8 * 8
    power = np.abs(np.fft.fft2(gray[:height, :width] - gray.mean())) ** 2
    logs = []
    for period in (2, 4, 8):
        for row, column in ((height // period, 0), (0, width // period)):
            around = []
            for i in range(-4, 5):
                for j in range(-4, 5):
                    if abs(i) + abs(j) >= 3:
                        around.append(power[(row + i) % height, (column + j) % width])
            logs.append(math.log10(power[row, column] / (np.mean(around) + 1e-9) + 1e-3))
    return sum(logs) / 6


@pytest.mark.parametrize("size", [(SMALLEST, SMALLEST), (90, 131)])
def test_grid_energy_is_the_written_out_formula(photo: np.ndarray, size: tuple[int, int]) -> None:
    picture = photo[: size[0], : size[1]] / 255
    ours = metrics.grid_energy(torch.tensor(picture).permute(2, 0, 1)[None])
    assert ours == pytest.approx(naive_grid(picture), abs=1e-5)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_grid_energy_sees_exact_periods_only(period: int) -> None:
    content, x = noise(1, 3, 96, 104), torch.arange(104.0)
    plain = metrics.grid_energy(content)
    on, off = (metrics.grid_energy(content + 0.2 * torch.cos(2 * torch.pi * x / p)) for p in (period, period * 1.3))
    assert on > plain + 0.3
    assert off < plain + 0.05


def test_art_fid_inception_is_the_product() -> None:
    assert metrics.art_fid_inception(0.5, 9) == 15


def test_the_smallest_side_is_enough_for_every_network() -> None:
    alexnet = nn.Sequential(nn.Conv2d(3, 1, 11, 4, 2), nn.MaxPool2d(3, 2), nn.MaxPool2d(3, 2))  # what makes it smaller
    assert alexnet(noise(1, 3, 31, 31)).shape == (1, 1, 1, 1)
    with pytest.raises(RuntimeError):
        alexnet(noise(1, 3, 30, 30))
    assert SMALLEST // 8 - 4 > 0, "what is around the period of 8 px reaches the mean"
    assert SMALLEST >= 31


def test_missing_packages_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] in ("torchmetrics", "torch_fidelity")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("torchmetrics", "torch_fidelity"):
        monkeypatch.setitem(sys.modules, name, None)
    for load in (metrics.load_lpips, metrics.load_inception):
        with pytest.raises(AdaINKitError, match=r'torch\w+ is not installed; run pip install "adainkit\[train\]"'):
            load(torch.device("cpu"))


def test_a_network_that_cannot_be_had_is_named_with_its_place(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> nn.Module:
        raise OSError("no route\nto host")

    url = "https://example.invalid/net-1.pth"
    with pytest.raises(WeightsError, match="ADAINKIT_OFFLINE is set; run once with a network, or save https"):
        metrics._fetch(url, nn.Identity)
    monkeypatch.delenv("ADAINKIT_OFFLINE")
    with pytest.raises(WeightsError) as caught:
        metrics._fetch(url, make)
    told = f"net-1.pth could not be downloaded (OSError: no route to host); run once with a network, or save {url}"
    assert str(caught.value) == f"{told} as {hub / 'net-1.pth'}"
    hub.mkdir(parents=True)
    (hub / "net-1.pth").touch()
    with pytest.raises(WeightsError, match=r"net-1\.pth is damaged \(OSError"):
        metrics._fetch(url, make)
    monkeypatch.setenv("ADAINKIT_OFFLINE", "1")
    assert isinstance(metrics._fetch(url, nn.Identity), nn.Identity), "what is here needs no network"


def test_lpips_of_torchmetrics_takes_our_pictures(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchmetrics")
    models = pytest.importorskip("torchvision.models")
    hub.mkdir(parents=True)
    (hub / Path(models.AlexNet_Weights.DEFAULT.url).name).touch()
    alexnet = models.alexnet
    monkeypatch.setattr(models, "alexnet", lambda weights: alexnet(weights=None))
    lpips = metrics.load_lpips(torch.device("cpu"))
    x, y = noise(1, 3, SMALLEST, 50), noise(1, 3, SMALLEST, 50, seed=1)
    with torch.no_grad():
        assert lpips(x, x).item() == 0
        assert lpips(x, y).item() > 0


def test_inception_of_torchmetrics_takes_our_pictures(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchmetrics")
    extractor = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    hub.mkdir(parents=True)
    (hub / Path(extractor.URL_INCEPTION_V3).name).touch()
    monkeypatch.setattr(extractor, "load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr(extractor.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
    inception = metrics.load_inception(torch.device("cpu"))
    with torch.no_grad():
        assert inception(noise(1, 3, 50, SMALLEST)).shape == (1, 2048)


def test_a_sheet_keeps_shapes_and_has_its_labels(tmp_path: Path) -> None:
    cell = fit(torch.zeros(1, 3, 20, 40), 64)
    assert cell.shape == (1, 3, 64, 64)
    rows, columns = (np.flatnonzero((cell[0, 0] < 0.5).any(d).numpy()) for d in (1, 0))
    assert len(columns) == pytest.approx(2 * len(rows), abs=1)
    assert rows[0] + rows[-1] == pytest.approx(63, abs=1)
    columns = [torch.cat([cell, cell])] * 2
    save_sheet(tmp_path / "plain.png", columns)
    save_sheet(tmp_path / "labelled.png", columns, ["a", "a/path/far/too/long/for/a/cell\nalpha 1"])
    with Image.open(tmp_path / "plain.png") as plain, Image.open(tmp_path / "labelled.png") as labelled:
        assert plain.size == (128, 128)
        assert labelled.size == (128, 128 + 46)
        assert np.array_equal(np.asarray(labelled)[46:], np.asarray(plain))
        ink = (np.asarray(labelled)[:46].min(2) < 128).any(0)
        assert ink[:64].any()
        assert ink[64:].any()
        assert not ink[128 - 4 :].any(), "a long label stays in its cell"

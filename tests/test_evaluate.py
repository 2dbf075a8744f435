"""The evaluation: its figures against written-out formulas, its pairs, and the files and the table it leaves."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from adainkit.errors import AdaINKitError, ImageError, WeightsError
from adainkit.net.config import ModelConfig
from adainkit.net.model import AdaINModel
from adainkit.stylizer import Stylizer
from training import losses, metrics, report
from training.evaluate import main
from training.loss_network import LossNetwork
from training.pairs import SMALLEST, load_picture, pair_up
from training.sheet import fit, save_sheet


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for torch.hub, so that no network of this machine takes part."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    return tmp_path / "hub" / "hub" / "checkpoints"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Five contents and three styles of several sizes and modes, and a broken one in each."""
    rng = np.random.default_rng(0)
    for kind, amount in (("content", 5), ("style", 3)):
        (tmp_path / kind).mkdir()
        for number in range(1, amount + 1):
            size = (int(rng.integers(48, 80)), int(rng.integers(48, 80)))
            small = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize(size)
            small.convert(("RGB", "L", "RGBA")[number % 3]).save(tmp_path / kind / f"{kind[0]}{number}.png")
        (tmp_path / kind / f"{kind[0]}{amount + 1}.jpg").write_bytes(b"\xff\xd8 not a picture")
    return tmp_path / "content", tmp_path / "style"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(tmp_path / "one" / "model.safetensors")


def save_model(path: Path) -> Path:
    path.parent.mkdir()
    config = ModelConfig("tiny", "unshuffle conv8 tap down8 tap", "res8 merge shuffle4 rgb")
    return AdaINModel(config).save(path, {"license": "MIT"})


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


def test_the_command_needs_none_of_the_packages_of_training() -> None:
    blocked = "import sys; sys.modules |= dict.fromkeys(['yaml', 'torchmetrics', 'torch_fidelity', 'tensorboard'])"
    command = [sys.executable, "-c", f"{blocked}; from training.evaluate import main; main(['--help'])"]
    done = subprocess.run(command, cwd=Path(metrics.__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--held-out" in done.stdout


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


def test_pairs_depend_on_seed_and_names_alone() -> None:
    contents, styles = [Path(f"c{n}.png") for n in range(7)], [Path(f"s{n}.png") for n in range(3)]
    pairs = pair_up(contents, styles, None, 0)
    assert pairs == pair_up(contents[::-1], styles[::-1], None, 0)
    assert [(c.stem, s.stem) for c, s in pairs[:3]] == [("c1", "s1"), ("c6", "s2"), ("c3", "s0")]
    assert sorted(c for c, _ in pairs) == contents
    assert all({s for _, s in pairs[i : i + 3]} == set(styles) for i in (0, 3)), "all styles before any again"
    assert pairs[:4] == pair_up(contents, styles, 4, 0), "fewer pairs are the first of more"
    more = pair_up(contents, styles, 20, 0)
    assert len(more) == 20
    assert more[:7] == pairs
    assert pairs != pair_up(contents, styles, None, 1)


def test_pictures_are_made_smaller_and_never_larger(tmp_path: Path) -> None:
    picture = np.full((100, 151, 4), 200, np.uint8)
    picture[:50, :, 3], picture[:50, :, :3] = 0, 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    small, own = load_picture(tmp_path / "a.png", 50), load_picture(tmp_path / "a.png", 512)
    assert small.shape == (1, 3, 50, 76)
    assert own.shape == (1, 3, 100, 151)
    assert torch.allclose(own, torch.tensor(200 / 255)), "what is hidden under transparency does not count"
    Image.fromarray(picture[:39]).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"b\.png: is 151 x 39 px; the figures need 40 px"):
        load_picture(tmp_path / "b.png", 512)


def run(folders: tuple[Path, Path], out: Path, *more: object) -> int:
    base = ["--content", folders[0], "--style", folders[1], "--out", out, "--device", "cpu"]
    return main([str(a) for a in (*base, *more)])


def test_an_evaluation_writes_figures_a_table_and_a_sheet(
    folders, model: Path, teacher: Path, tmp_path: Path, capsys, caplog
) -> None:
    other, out = save_model(tmp_path / "two" / "model.safetensors"), tmp_path / "out" / "deep"
    models = ["--model", model, "--model", other]
    assert run(folders, out, *models, "--teacher", teacher, "--alphas", 1, 0, "--pairs", 6, "--size", 48) == 0
    found = json.loads((out / "figures.json").read_text())
    pairs = {(row["content"], row["style"]) for row in found["pairs"]}
    broken = {str(folders[0] / "c6.jpg"), str(folders[1] / "s4.jpg")}
    assert set(found["skipped"]) == broken
    assert all(path in caplog.text for path in broken)
    assert [(row["model"], row["alpha"]) for row in found["figures"]] == [
        ("one/model", 0),
        ("one/model", 1),
        ("two/model", 0),
        ("two/model", 1),
    ]
    assert found["settings"]["alphas"] == [0, 1]
    assert found["settings"]["seed"] == 0
    assert found["environment"]["threads"] == torch.get_num_threads()
    assert found["environment"]["torch"] == torch.__version__
    assert found["models"]["one/model"]["sha256"] != found["models"]["two/model"]["sha256"]
    assert set(found["missing"]) == {"lpips", "fid"}
    assert "lpips: left out:" in caplog.text

    row = next(r for r in found["pairs"] if r["model"] == "two/model" and r["alpha"] == 1)
    content, style = load_picture(folders[0] / row["content"], 48), load_picture(folders[1] / row["style"], 512)
    assert (row["height"], row["width"]) == content.shape[2:]
    assert min(content.shape[2:]) == 48
    result = Stylizer(other, device="cpu").stylize(content, style, style_size=None)
    network = LossNetwork(teacher)
    expected = {
        "ssim": losses.ssim(result, content),
        "content_loss": losses.content_loss(network(result)[-1], network(content)[-1]),
        "style_loss": losses.style_loss(network(result), network(style)),
        "color_distance": metrics.color_distance(result, style),
        "grid": metrics.grid_energy(result) - metrics.grid_energy(content),
    }
    assert {k: row[k] for k in expected} == pytest.approx({k: float(v) for k, v in expected.items()}, rel=1e-4)

    zero = [r for r in found["pairs"] if r["model"] == "one/model" and r["alpha"] == 0]
    summary = found["figures"][0]
    assert summary["pairs"] == len(zero) == len(found["pairs"]) / 4
    assert len(pairs) == len(zero) < 6
    for name in ("ssim", "psnr_alpha_0", "content_loss", "grid"):
        assert summary[name] == pytest.approx(np.mean([r[name] for r in zero])), name
    assert summary["images_per_second"] == pytest.approx(np.median([1 / r["seconds"] for r in zero]))
    megapixels = [r["width"] * r["height"] / 1e6 / r["seconds"] for r in zero]
    assert summary["megapixels_per_second"] == pytest.approx(np.median(megapixels))
    assert "psnr_alpha_0" not in found["figures"][1]

    with open(out / "figures.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["model"], float(r["alpha"])) for r in rows] == [(r["model"], r["alpha"]) for r in found["figures"]]
    assert float(rows[2]["ssim"]) == found["figures"][2]["ssim"]
    assert rows[2]["ssim_met"] == ("met" if found["figures"][2]["ssim"] > 0.85 else "not met")
    assert rows[1]["psnr_alpha_0"] == ""
    assert not {"lpips", "fid", "fid_met"} & set(rows[0])

    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width == 6 * (256 + 4) + 4
        assert sheet.height == min(8, len(zero)) * (256 + 4) + 4 + 44  # below two lines of text
    printed = capsys.readouterr().out
    assert printed.count("one/model") == 2 + 4
    assert "one/model: lpips < 0.3: not measured" in printed
    assert not list(out.glob(".*")), "a temporary file was left"


def test_lpips_and_fid_take_part_where_their_networks_are(
    folders, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, caplog
) -> None:
    seen: list[torch.Tensor] = []

    def inception(picture: torch.Tensor) -> torch.Tensor:
        seen.append(torch.nn.functional.adaptive_avg_pool2d(picture, 2).flatten(1))
        return seen[-1]

    monkeypatch.setattr(metrics, "load_lpips", lambda device: lambda x, y: (x - y).abs().mean())
    monkeypatch.setattr(metrics, "load_inception", lambda device: inception)
    assert run(folders, tmp_path / "out", "--model", model, "--alphas", 0.5, 1, "--pairs", 5) == 0
    found = json.loads((tmp_path / "out" / "figures.json").read_text())
    styles, results = torch.cat(seen[::3]).numpy(), torch.cat(seen[2::3]).numpy()
    last = found["figures"][-1]
    assert last["alpha"] == 1
    assert last["fid"] == pytest.approx(naive_frechet(results, styles), rel=1e-4)
    assert last["lpips"] == pytest.approx(np.mean([r["lpips"] for r in found["pairs"] if r["alpha"] == 1]))
    assert last["art_fid_inception"] == pytest.approx((1 + last["lpips"]) * (1 + last["fid"]))
    assert last["met"]["fid"] is True
    assert set(found["missing"]) == {"content_loss, style_loss"}
    assert "content_loss, style_loss: left out: give the loss network with --teacher FILE" in caplog.text
    assert "hold it only against models on the same pairs" in caplog.text
    assert "fid < 50: met at alpha 0.5 (" in capsys.readouterr().out


def test_fid_of_one_pair_is_left_out(folders, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "load_inception", lambda device: lambda picture: picture.mean((2, 3)))
    (folders[0] / "c6.jpg").unlink()
    (folders[1] / "s4.jpg").unlink()
    assert run(folders, tmp_path / "out", "--model", model, "--alphas", 1, "--pairs", 1) == 0
    assert "fid" not in json.loads((tmp_path / "out" / "figures.json").read_text())["figures"][0]


def test_held_out_pictures_and_embedded_models(folders, tmp_path: Path) -> None:
    (folders[1] / "s4.jpg").unlink()
    more = ["--model", "lite", "--held-out", 2, "--alphas", 1, "--size", SMALLEST]
    assert run(folders, tmp_path / "out", *more) == 0
    found = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert {row["content"] for row in found["pairs"]} == {"c2.png", "c4.png"}
    assert {row["style"] for row in found["pairs"]} == {"s2.png"}
    assert list(found["models"]) == ["lite"]


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        (["--alphas", "1.5"], "from 0 to 1, got '1.5'"),
        (["--alphas", "nan"], "from 0 to 1, got 'nan'"),
        (["--pairs", "0"], "of 1 or more, got '0'"),
        (["--size", "39"], "of 40 or more, got '39'"),
        (["--held-out", "x"], "of 1 or more, got 'x'"),
        (["--dtype", "int8"], "invalid choice"),
    ],
)
def test_wrong_usage_exits_with_2(folders, tmp_path: Path, argument: list[str], told: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        run(folders, tmp_path / "out", "--model", "lite", *argument)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_what_fails_exits_with_1_and_is_named(folders, model: Path, tmp_path: Path, caplog) -> None:
    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    for where, more, told in (
        (folders, ["--model", "no-such"], "neither an existing file nor the name of a model"),
        (folders, ["--model", model, "--model", model], "one is named twice"),
        (folders, ["--model", model, "--held-out", 50], "none of the 6 pictures"),
        (folders, ["--model", model, "--teacher", tmp_path / "gone"], "gone: cannot be read"),
        (folders, ["--model", model, "--device", "nowhere"], "cannot be used here"),
        ((empty, folders[1]), ["--model", model], "no pictures in this folder"),
    ):
        caplog.clear()
        assert run(where, out, *more) == 1
        assert told in caplog.text
    for path in folders[0].iterdir():
        path.write_bytes(b"broken")
    assert run(folders, out, "--model", model) == 1
    assert "no pair could be judged; the first reason" in caplog.text
    assert not out.exists(), "nothing is left of what failed"


def test_targets_are_told_by_alpha() -> None:
    rows = [
        {"model": "m", "alpha": alpha, "ssim": ssim, "met": {"ssim": report.is_met("ssim", ssim)}}
        for alpha, ssim in ((0.0, 0.9), (0.5, 0.851), (1.0, 0.85))
    ]
    lines = report.targets(rows).splitlines()
    assert lines[0] == "m: ssim > 0.85: met at alpha 0 (0.9), 0.5 (0.851); not met at alpha 1 (0.85)"
    assert lines[1] == "m: lpips < 0.3: not measured"
    assert [report.is_met("lpips", v) for v in (0.29, 0.3)] == [True, False]


def test_a_sheet_keeps_shapes_and_has_its_labels(tmp_path: Path) -> None:
    cell = fit(torch.zeros(1, 3, 20, 40), 64)
    assert cell.shape == (1, 3, 64, 64)
    rows, columns = (np.flatnonzero((cell[0, 0] < 0.5).any(d).numpy()) for d in (1, 0))
    assert len(columns) == 2 * len(rows) == 64
    assert rows[0] + rows[-1] == 63
    gray = torch.full((1, 3, 64, 64), 128 / 255)
    columns = [torch.cat([cell, gray]), torch.cat([gray, cell])]
    save_sheet(tmp_path / "plain.png", columns)
    save_sheet(tmp_path / "labelled.png", columns, ["a", "a/path/far/too/long/for/a/cell\nalpha 1"])
    with Image.open(tmp_path / "plain.png") as plain, Image.open(tmp_path / "labelled.png") as labelled:
        pixels = np.asarray(plain)
        assert pixels.shape == (64 * 2 + 4 * 3, 64 * 2 + 4 * 3, 3)
        for row, column, sample in ((0, 0, cell), (0, 1, gray), (1, 0, gray), (1, 1, cell)):
            top, left = 4 + row * 68, 4 + column * 68
            expected = (sample[0] * 255).round().byte().permute(1, 2, 0).numpy()
            assert np.array_equal(pixels[top : top + 64, left : left + 64], expected)
        head = labelled.height - plain.height
        assert np.array_equal(np.asarray(labelled)[head:], pixels)
        ink = (np.asarray(labelled)[:head].min(2) < 128).any(0)
        assert ink[4:68].any()
        assert ink[72:136].any()
        assert not ink[68:72].any(), "a long label stays in its column"

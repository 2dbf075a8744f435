"""The training package: losses, data, settings, runs that stop and go on, and the export."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from safetensors.torch import save_file
from skimage.metrics import structural_similarity
from small_training import TINY, trainer

from adainkit.errors import WeightsError
from adainkit.look.color import luma
from adainkit.net.adain import EPS
from adainkit.net.config import LITE, VGG19, ModelConfig
from adainkit.net.model import AdaINModel
from adainkit.style import Style, styles
from adainkit.stylizer import Stylizer
from training import checkpoints, export, losses
from training.config import ConfigError, Stage, TrainConfig, load_config
from training.data import Batches, find_pictures, manifest_hash, split
from training.loss_network import LossNetwork
from training.train import main
from training.views import pick_crop

pytestmark = pytest.mark.usefixtures("no_curves")


def test_style_loss_is_the_written_out_formula() -> None:
    rng = np.random.default_rng(1)
    a, b = [rng.normal(size=(2, c, 9, 7)) for c in (3, 5)], [rng.normal(1, 2, size=(2, c, 6, 8)) for c in (3, 5)]
    expected = 0.0
    for x, y in zip(a, b, strict=True):
        for i in range(2):
            mean = (x[i].mean((1, 2)) - y[i].mean((1, 2))) ** 2
            std = (np.sqrt(x[i].var((1, 2)) + EPS) - np.sqrt(y[i].var((1, 2)) + EPS)) ** 2
            expected += (mean.mean() + std.mean()) / (y[i] ** 2).mean() / 2 / 2
    features = [[torch.tensor(x) for x in side] for side in (a, b)]
    assert losses.style_loss(*features).item() == pytest.approx(expected, rel=1e-5)
    first, second = (losses.style_loss([x], [y]).item() for x, y in zip(*features, strict=True))
    assert losses.style_loss(*features, [3, 1]).item() == pytest.approx((3 * first + second) / 4, rel=1e-5)


def test_content_loss_is_relative_to_the_content() -> None:
    x = torch.rand(2, 4, 5, 6)
    assert losses.content_loss(x, x).item() == 0
    assert losses.content_loss(torch.zeros_like(x), x).item() == pytest.approx(1, rel=1e-5)
    assert losses.content_loss(x * 30, x * 10).item() == pytest.approx(4, rel=1e-4)


def test_content_loss_of_normalized_features_is_blind_to_contrast_and_plain_is_the_mean_square() -> None:
    x, y = torch.rand(2, 4, 5, 6), torch.rand(2, 4, 5, 6)
    scale, shift = torch.rand(2, 4, 1, 1) + 2, torch.rand(2, 4, 1, 1)
    assert losses.content_loss(x * scale + shift, x, "instance").item() == pytest.approx(0, abs=1e-5)
    assert losses.content_loss(x, y, "instance").item() > 1
    assert losses.content_loss(x, y, "plain").item() == pytest.approx(F.mse_loss(x, y).item(), rel=1e-5)


@pytest.mark.parametrize("loss", [losses.style_loss, losses.gram_loss])
def test_balanced_style_losses_are_at_most_one_and_do_not_depend_on_the_scale(loss) -> None:
    x, y = torch.rand(3, 4, 9, 7), torch.rand(3, 4, 6, 8)
    found = loss([x], [y], norm="balanced").item()
    assert 0 < found < 1
    assert loss([x * 50], [y * 50], norm="balanced").item() == pytest.approx(found, rel=1e-3)
    assert loss([x * 50], [y * 50], norm="plain").item() > 1000 * loss([x], [y], norm="plain").item()
    assert loss([x * 1e3], [y * 1e-3], norm="balanced").item() == pytest.approx(1, abs=1e-3)
    assert loss([x, x], [y, x], [0, 1], "balanced").item() == pytest.approx(0, abs=1e-6)


def test_plain_style_losses_are_the_papers() -> None:
    x, y = torch.rand(2, 4, 9, 7), torch.rand(2, 4, 6, 8)
    (a, s), (b, u) = ((f.mean((2, 3)), (f.var((2, 3), correction=0) + EPS).sqrt()) for f in (x, y))
    expected = F.mse_loss(a, b) + F.mse_loss(s, u)
    assert losses.style_loss([x], [y], norm="plain").item() == pytest.approx(expected.item(), rel=1e-4)
    g, h = (torch.einsum("bchw,bdhw->bcd", f, f) / f[0, 0].numel() for f in (x, y))
    assert losses.gram_loss([x], [y], norm="plain").item() == pytest.approx(F.mse_loss(g, h).item(), rel=1e-4)


def test_ssim_agrees_with_scikit_image(photo: np.ndarray) -> None:
    x = torch.tensor(photo).permute(2, 0, 1)[None].float() / 255
    y = (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    ours = losses.ssim(x, y).item()
    gray = [luma(t)[0, 0].double().numpy() for t in (x, y)]
    _, full = structural_similarity(
        *gray, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert ours == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-4)
    assert losses.ssim(x, x).item() == pytest.approx(1, abs=1e-5)


def test_total_variation_and_psnr_of_known_pictures() -> None:
    steps = torch.zeros(1, 3, 4, 4)
    steps[..., 2:] = 0.9
    assert losses.total_variation(steps).item() == pytest.approx(0.9 / 3)
    assert losses.psnr(steps, steps + 0.1).item() == pytest.approx(20, abs=1e-4)


def test_ripple_loss_hates_short_waves_on_flat_content_and_nothing_else() -> None:
    x = torch.arange(96.0)
    waves = {n: (0.5 + 0.05 * torch.sin(2 * torch.pi * x / n)).expand(1, 3, 96, 96) for n in (4, 16)}
    flat, busy = torch.full((1, 3, 96, 96), 0.5), torch.rand(1, 3, 96, 96)
    short, long = (losses.ripple_loss(waves[n], flat).item() for n in (4, 16))
    assert 8 < short / long < 16
    assert losses.ripple_loss(waves[4], busy).item() < 0.01 * short
    assert losses.ripple_loss(flat, flat).item() == 0
    noisy = flat + 0.01 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    strict, mild = (losses.ripple_loss(waves[4], noisy, smooth=s).item() for s in (0.05, 0.02))
    assert strict > 2 * mild, "what counts as smooth is a setting"
    alone, octaves = losses.ripple_loss(waves[16], flat).item(), losses.ripple_loss(waves[16], flat, 3).item()
    assert octaves > 3 * alone, "further octaves see longer waves"


def test_gram_loss_is_the_written_out_formula_and_sees_what_means_and_deviations_do_not() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 5, 9, 7)), rng.normal(1, 2, size=(2, 5, 6, 8))
    expected = 0.0
    for a, b in zip(x.reshape(2, 5, -1), y.reshape(2, 5, -1), strict=True):
        g, h = a @ a.T / 63, b @ b.T / 48
        expected += ((g - h) ** 2).sum() / (h**2).sum() / 2
    assert losses.gram_loss([torch.tensor(x)], [torch.tensor(y)]).item() == pytest.approx(expected, rel=1e-5)
    wave = torch.sin(torch.arange(64.0)).view(1, 1, 8, 8)
    together, against = torch.cat([wave, wave], 1), torch.cat([wave, -wave], 1)
    assert losses.style_loss([together], [against]).item() < 0.01
    assert losses.gram_loss([together], [against]).item() > 1


def test_color_loss_is_the_written_out_formula_and_blind_to_fine_detail() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 3, 8, 12)), rng.random((2, 3, 16, 8)) * 0.5
    expected = 0.0
    for a, b in zip(x, y, strict=True):
        a, b = (v.reshape(3, v.shape[1] // 4, 4, v.shape[2] // 4, 4).mean((2, 4)).reshape(3, -1) for v in (a, b))
        c, d = np.cov(a, bias=True), np.cov(b, bias=True)
        expected += ((a.mean(1) - b.mean(1)) ** 2).sum() / (np.trace(d) + 0.01) / 2
        expected += ((c - d) ** 2).sum() / ((d**2).sum() + 1e-4) / 2
    assert losses.color_loss(torch.tensor(x), torch.tensor(y)).item() == pytest.approx(expected, rel=1e-4)
    picture = torch.rand(1, 3, 16, 16)
    checks = torch.tensor([[0.2, -0.2], [-0.2, 0.2]]).repeat(8, 8)
    assert losses.color_loss(picture + checks, picture).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_grid_loss_sees_exact_periods_only(period: int) -> None:
    content = torch.rand(2, 3, 96, 104, generator=torch.Generator().manual_seed(0))
    x = torch.arange(104.0)
    on, off = (content + 0.02 * torch.cos(2 * torch.pi * x / p) for p in (period, period * 1.3))
    assert losses.grid_loss(content, content).item() == 0
    amplitude = 0.02**2 * (1 if period == 2 else 0.5)  # the mean square of a cosine, and of one at its peaks
    assert losses.grid_loss(on, content).item() == pytest.approx(amplitude, rel=1e-4)
    assert losses.grid_loss(on.mT, content.mT).item() == pytest.approx(amplitude, rel=1e-4)
    assert losses.grid_loss(off, content).item() < 0.1 * amplitude


def test_the_loss_network_is_vgg_shaped_and_refuses_other_files(teacher: Path, tmp_path: Path) -> None:
    found = LossNetwork(teacher)(torch.rand(2, 3, 40, 33))
    assert [tuple(f.shape) for f in found] == [(2, 4, 40, 33), (2, 6, 20, 16), (2, 8, 10, 8), (2, 10, 5, 4)]
    save_file({"conv0.weight": torch.zeros(3, 3, 1, 1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="has no conv0"):
        LossNetwork(tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="cannot be read"):
        LossNetwork(tmp_path / "missing.safetensors")


def test_every_twentieth_picture_and_its_relatives_are_held_out(tmp_path: Path) -> None:
    folder = tmp_path / "content"
    folder.mkdir()
    names = [f"c{n:04d}.jpg" for n in range(1, 42)]
    for name in names:
        (folder / name).touch()
    rows = "\n".join(f"content/{n},content,{'twins' if n in ('c0003.jpg', 'c0040.jpg') else n},x,y" for n in names)
    (tmp_path / "MANIFEST.csv").write_text("file,kind,source,licence,sha256\n" + rows)
    train, held = split(find_pictures(folder), 20)
    assert [p.name for p in held] == ["c0003.jpg", "c0020.jpg", "c0040.jpg"]
    assert len(train) == 38
    assert not set(train) & set(held)
    assert split(train, 0) == (train, [])


def test_pictures_of_a_folder_are_in_the_order_of_their_paths_and_none_is_hidden(tmp_path: Path) -> None:
    for name in ("b.png", "c.JPG", "a/z.webp", ".hidden.png", ".cache/y.png", "notes.txt", "photo.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_pictures(tmp_path) == [tmp_path / name for name in ("a/z.webp", "b.png", "c.JPG")]
    with pytest.raises(FileNotFoundError, match="is no folder"):
        find_pictures(tmp_path / "b.png")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures in this folder"):
        find_pictures(tmp_path)


def test_crops_lie_inside_and_follow_the_zoom() -> None:
    import random

    rng = random.Random(0)
    for _ in range(300):
        left, top, right, bottom = pick_crop((90, 60), 32, (1.0, 1.5), rng)
        assert 0 <= left < right <= 90
        assert 0 <= top < bottom <= 60
        assert right - left == bottom - top
        assert 32 <= right - left <= 48


def test_a_batch_depends_on_seed_and_step_alone_and_names_broken_files(pictures: tuple[Path, Path]) -> None:
    config = load_config(None, TINY)
    content, style = (find_pictures(folder) for folder in pictures)
    one, two = Batches(config, content, style), Batches(config, content, style)
    for step in range(5):
        _ = two[step]  # another order and other caches before
    broken = set()
    for step in reversed(range(8)):
        a, b = one[step], two[step]
        assert torch.equal(a.content, b.content)
        assert torch.equal(a.style, b.style)
        assert a.content.dtype == torch.uint8
        assert a.content.shape == ((3, 3, 32, 32) if step < 4 else (2, 3, 48, 48))
        broken |= set(a.broken)
    assert broken <= {str(pictures[0] / "c013.jpg"), str(pictures[1] / "s013.jpg")}
    assert broken
    assert not torch.equal(Batches(dataclasses.replace(config, seed=1), content, style)[0].content, one[0].content)


def test_the_manifest_hash_sees_names_and_contents(pictures: tuple[Path, Path]) -> None:
    files = find_pictures(pictures[0])
    before = manifest_hash(files)
    assert before == manifest_hash(files[::-1])
    files[0].write_bytes(files[0].read_bytes() + b"x")
    assert manifest_hash(files) != before


def test_settings_are_checked_and_written_out_in_full(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"stile_weight.*style_weight"):
        load_config(None, {"stile_weight": 3})
    with pytest.raises(ConfigError, match="neither a file nor a packaged configuration"):
        load_config("no such thing")
    with pytest.raises(ConfigError, match="stages"):
        load_config(None, {"stages": [{"steps": 0, "crop": 64, "batch": 1}]})
    config = load_config(None, TINY)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "config.yaml") == config
    packaged = sorted((Path(export.__file__).parent / "configs").glob("*.yaml"))
    assert [path.stem for path in packaged] == ["classic", "few-shot", "first-look", "guide", "lite", "strokes"]
    for path in packaged:
        text = path.read_text()
        assert all(f"\n{field.name}:" in text for field in dataclasses.fields(TrainConfig)), f"not whole: {path}"
        assert load_config(path.stem).to_yaml() in text
    assert load_config("lite").encoder == LITE.encoder
    assert load_config("classic").encoder == VGG19.encoder
    guide = load_config("guide")
    assert (guide.encoder_learning_rate, guide.learning_rate, guide.betas) == (1e-4, 1e-3, (0.9, 0.999))
    assert (guide.stages[0].batch, guide.stages[0].epochs) == (8, 100)


def test_the_rate_warms_up_stays_and_decays() -> None:
    config = TrainConfig(stages=(Stage(100, 32, 1),), warmup_steps=10, decay_share=0.5)
    assert config.rate_at(0) == pytest.approx(0.1)
    assert config.rate_at(20) == config.rate_at(49) == 1
    assert config.rate_at(75) == pytest.approx(0.5)
    assert 0 < config.rate_at(99) < 0.05
    cosine = dataclasses.replace(config, schedule="cosine")
    assert cosine.rate_at(49) == 1
    assert cosine.rate_at(75) == pytest.approx(0.5)
    assert 0 < cosine.rate_at(99) < config.rate_at(99)
    assert dataclasses.replace(config, schedule="inverse", inverse_decay=0.1).rate_at(50) == pytest.approx(1 / 6)
    constant = dataclasses.replace(config, decay_share=0.0)
    assert constant.rate_at(50) == constant.rate_at(99) == 1


def test_epochs_become_steps_and_a_run_can_be_shortened() -> None:
    config = TrainConfig(stages=(Stage(5, 32, 4), Stage(0, 64, 3, epochs=2.0)))
    assert config.resolve(100).stages == (Stage(5, 32, 4), Stage(67, 64, 3))
    assert config.resolve(100, processes=2).stages[1].steps == 34
    assert config.shorten(7).stages == (Stage(7, 64, 3),)
    for bad in ({"steps": 3, "epochs": 1.0, "crop": 32, "batch": 1}, {"crop": 32, "batch": 1}):
        with pytest.raises(ConfigError, match="either steps or epochs"):
            load_config(None, {"stages": [bad]})


def test_a_run_lowers_the_loss_and_ends_in_a_model_that_works(teacher: Path, pictures, tmp_path: Path) -> None:
    run = trainer(teacher, pictures, tmp_path / "run", stages=[{"steps": 60, "crop": 32, "batch": 4}], warmup_steps=5)
    first = run.train_step(run.batches[0])["loss"]
    run.step = 0
    run.run()
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    last = run.train_step(run.batches[0])["loss"]
    assert last < 0.8 * first
    assert rows[-1]["broken"] >= 1
    assert rows[-1]["validation_psnr_alpha_0"] > 5
    with Image.open(tmp_path / "run" / "sheets" / "000060.png") as sheet:
        assert sheet.size == (5 * 256 + 6 * 4, 8 * 256 + 9 * 4)  # and gaps
    model = AdaINModel.load(tmp_path / "run" / "model.safetensors")
    assert json.loads(model.metadata["recipe"])["decoder"] == TINY["decoder"]
    assert model.metadata["steps"] == "60"
    photo = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    assert Stylizer(tmp_path / "run" / "model.safetensors").stylize(photo, photo.copy()).shape == photo.shape


def test_a_stopped_run_goes_on_bit_for_bit(teacher: Path, pictures, tmp_path: Path) -> None:
    whole = trainer(teacher, pictures, tmp_path / "whole")
    whole.run()
    part = trainer(teacher, pictures, tmp_path / "part")
    for step in range(5):
        part.train_step(part.batches[step])
    part.checkpoint()
    rest = trainer(teacher, pictures, tmp_path / "part")
    rest.run()
    assert rest.step == whole.step == 8
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, rest.model.state_dict()[name]), name
        assert torch.equal(whole.average[name], rest.average[name]), name


def test_a_step_without_a_finite_loss_changes_nothing_and_twenty_stop_the_run(
    teacher: Path, pictures, tmp_path: Path
) -> None:
    run = trainer(teacher, pictures, tmp_path / "run", content_weight=float("inf"))
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    batch = run.batches[0]
    for _ in range(19):
        run.train_step(batch)
    assert run.skipped == 19
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    with pytest.raises(FloatingPointError, match="learning_rate"):
        run.train_step(batch)


def test_sigterm_saves_and_ends_cleanly(teacher: Path, pictures, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "training.train", "--teacher", teacher, "--out", out]
    command += ["--content", pictures[0], "--style", pictures[1]]
    for key, value in {**TINY, "stages": [{"steps": 100000, "crop": 32, "batch": 1}], "checkpoint_every": 5}.items():
        command += [f"--{key.replace('_', '-')}", json.dumps(value)]
    root = Path(export.__file__).parents[1]
    process = subprocess.Popen(
        [str(c) for c in command], cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 240
        while not list(out.glob("checkpoints/*.pt")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors.decode()
    assert b"the same command goes on from there" in errors
    assert torch.load(checkpoints.newest(out / "checkpoints"), weights_only=True)["step"] >= 5
    assert not list(out.rglob(".*")), "a temporary file was left"
    model = AdaINModel.load(out / "model.safetensors")
    assert int(model.metadata["steps"]) >= 5
    assert str(out / "model.safetensors") in errors.decode()


def test_the_command_names_what_is_wrong(teacher: Path, pictures, tmp_path: Path, caplog) -> None:
    base = ["--content", str(pictures[0]), "--style", str(pictures[1]), "--teacher", str(teacher)]
    assert main([*base, "--out", str(tmp_path / "run"), "--amp", "float8"]) == 1
    assert "amp: expected" in caplog.text
    assert main([*base[:-1], "missing", "--out", str(tmp_path / "run")]) == 1
    assert "missing: cannot be read" in caplog.text


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A package folder of the test's own, and the arguments of an export into it."""
    folder = tmp_path / "adainkit"
    monkeypatch.setattr(export, "HERE", tmp_path / "training")
    monkeypatch.setattr("adainkit.store.weights._PACKAGE", folder)
    monkeypatch.setattr("adainkit.preset_list.presets_file", lambda model: folder / "presets" / f"{model}.safetensors")
    (tmp_path / "training").mkdir()
    listing = tmp_path / "presets.yaml"
    listing.write_text('- {name: stripes, file: a.png, description: "red, with stripes"}\n')
    (tmp_path / "data" / "style").mkdir(parents=True)
    Image.fromarray(PAINTING).save(tmp_path / "data" / "style" / "a.png")
    row = 'style/a.png,style,x,"CC0 Stripes / Nobody 1900",0'
    (tmp_path / "data" / "MANIFEST.csv").write_text(f"file,kind,source,licence,sha256\n{row}\n")
    save_model(tmp_path / "run.safetensors", "lite")
    style = tmp_path / "data" / "style"
    return folder, [str(tmp_path / "run.safetensors"), "--style", str(style), "--presets", str(listing)]


def save_model(path: Path, name: str) -> None:
    config = load_config(None, TINY)
    model = AdaINModel(ModelConfig(name, config.encoder, config.decoder))
    model.save(path, {"steps": "8", "recipe": json.dumps({"seed": 0}), "license": "MIT"})


PAINTING = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)


def test_export_puts_weights_presets_and_card_in_place(package: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, arguments = package
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"this": {"content": 0.25, "style": 0.02}}))
    assert export.main([*arguments, "--judged", str(figures), "--notes", "Skies are rough."]) == 0
    shipped = AdaINModel.load(folder / "weights" / "lite.safetensors")
    assert styles("lite")["stripes"].description == "red, with stripes"
    style = Style.preset("stripes", "lite")
    assert style.digest == shipped.digest
    direct = Stylizer(shipped, device="cpu").encode_style(PAINTING, style_size=None)
    assert all(torch.equal(a, b) for a, b in zip(style.means, direct.means, strict=True))
    card = (tmp_path / "training" / "MODEL_CARD.md").read_text()
    for text in ("lite", "| this | 0.25 | 0.02 |", "CC0 Stripes / Nobody 1900", "Skies are rough.", "8 steps"):
        assert text in card, card


def test_the_card_tells_what_the_evaluation_found_of_this_very_file(
    package: tuple[Path, list[str]], tmp_path: Path, caplog
) -> None:
    _, arguments = package
    row = {"model": "x", "alpha": 0.5, "pairs": 3, "ssim": 0.9, "images_per_second": 12.0}
    row |= {"met": {"ssim": True, "images_per_second": False}}
    found = {"models": {"x": {"sha256": hashlib.sha256(Path(arguments[0]).read_bytes()).hexdigest()}}, "figures": [row]}
    found |= {"settings": {"size": 256}, "missing": {"fid": "no network"}}
    found |= {"environment": {"hardware": "x86_64", "threads": 2, "dtype": "float32"}}
    report = tmp_path / "figures.json"
    report.write_text(json.dumps(found))
    assert export.main([*arguments, "--evaluation", str(report)]) == 0
    card = (tmp_path / "training" / "MODEL_CARD.md").read_text()
    for text in (
        "| 0.5 | 0.9 | 12 |",
        "3 pairs",
        "ssim > 0.85: met at alpha 0.5",
        "since their networks were not available: fid.",
    ):
        assert text in card, card
    save_model(tmp_path / "run.safetensors", "lite")
    assert export.main([*arguments, "--evaluation", str(report)]) == 1
    assert "evaluate that file" in caplog.text


def test_a_failed_export_changes_nothing(package: tuple[Path, list[str]], tmp_path: Path, caplog) -> None:
    folder, arguments = package
    assert export.main(arguments) == 0
    before = {p: p.read_bytes() for p in [*folder.rglob("*.safetensors"), *(tmp_path / "training").iterdir()]}
    assert len(before) == 3
    save_model(tmp_path / "run.safetensors", "lite")  # other random weights
    listing = Path(arguments[-1])
    for text, told in (
        ("- {name: gone, file: gone.png, description: x}", "gone.png"),
        ("- {name: cut, file: a.png, description: red, with stripes}", "each preset has"),
    ):
        listing.write_text(text)
        assert export.main(arguments) == 1
        assert told in caplog.text
    save_model(tmp_path / "run.safetensors", "other")
    assert export.main(arguments) == 1
    assert "has a place for: lite" in caplog.text
    assert {p: p.read_bytes() for p in before} == before


def test_the_presets_of_the_package_are_listed_as_they_should_be() -> None:
    rows = yaml.safe_load((Path(export.__file__).parent / "presets.yaml").read_text())
    assert len(rows) >= 16
    assert all(set(row) == {"name", "file", "description"} and all(row.values()) for row in rows)
    assert {row["name"]: row["description"] for row in rows} == {p.name: p.description for p in styles("lite").values()}


def test_pictures_are_turned_upright_and_large_ones_shrunk_on_load(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "c1.jpg", exif=exif)
    batches = Batches(load_config(None, {**TINY, "content_zoom": [1, 2], "style_zoom": [1, 1.5]}), [], [])
    opened = batches._open(tmp_path / "c1.jpg")
    assert opened is not None
    assert opened.size == (144, 96)  # 300 x 200 upright, its shorter side 48 px times 2


def test_a_run_of_before_palettes_may_go_on_with_them(teacher: Path, pictures, tmp_path: Path) -> None:
    trainer(teacher, pictures, tmp_path / "run", palette=False).checkpoint()
    with pytest.raises(ConfigError, match=r"palette was False.*--allow-changes"):
        trainer(teacher, pictures, tmp_path / "run", palette=True).resume()
    gone_on = trainer(teacher, pictures, tmp_path / "run", palette=True)
    gone_on.allow_changes = True
    gone_on.resume()
    assert gone_on.changes == ["up to step 0: palette was False"]


def test_a_checkpoint_of_another_architecture_or_a_damaged_one_is_named(
    teacher: Path, pictures, tmp_path: Path
) -> None:
    run = trainer(teacher, pictures, tmp_path / "run")
    path = run.checkpoint()
    other = trainer(teacher, pictures, tmp_path / "run", decoder="conv8 merge shuffle4 rgb")
    with pytest.raises(ConfigError, match="another architecture"):
        other.run()
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ConfigError, match="is damaged"):
        run.run()


def test_settings_of_the_wrong_kind_are_named() -> None:
    for key, value in (("sample_every", 0), ("betas", [0.9]), ("ema", 2.0), ("ripple_octaves", 6), ("style_zoom", [1])):
        with pytest.raises(ConfigError, match=key):
            load_config(None, {key: value})
    with pytest.raises(ConfigError, match="nothing to learn"):
        load_config(None, {f.name: 0.0 for f in dataclasses.fields(TrainConfig) if f.name.endswith("_weight")})
    for key, value in (("content_weight", "abc"), ("workers", 1.5), ("betas", "0.9"), ("keep_decoded", 3)):
        with pytest.raises(ConfigError, match=key):
            load_config(None, {key: value})
    assert load_config(None, {"learning_rate": 1, "gain_cap": None}).gain_cap is None
    assert load_config(None, {"learning_rate": yaml.safe_load("2e-3")}).learning_rate == 0.002

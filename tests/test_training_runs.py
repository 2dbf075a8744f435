"""Runs of other kinds: the classic decoder, few-shot, half precision, several processes, and what a run tells."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from small_training import ENCODER, TINY, naive_vgg, random_layers, trainer

from adainkit.net.adain import EPS
from adainkit.net.config import ModelConfig
from adainkit.net.model import AdaINModel
from training import checkpoints, objective
from training.config import ConfigError, load_config
from training.journal import Journal, draw_curves, read_log
from training.loss_network import LossNetwork
from training.objective import Objective
from training.train import Trainer, main
from training.vgg import fill_encoder, write_vgg

pytestmark = pytest.mark.usefixtures("no_curves")

CLASSIC = {**TINY, "encoder": ENCODER, "decoder": "conv8 up conv6 up conv4 up rgb", "gain_cap": None}
CLASSIC |= {"stages": [{"steps": 4, "crop": 32, "batch": 3}]}


@pytest.fixture
def vgg(tmp_path: Path) -> Path:
    """A narrow VGG-19 of random weights."""
    return write_vgg(random_layers(), tmp_path / "vgg.safetensors")


def test_the_classic_recipe_s_loss_is_the_paper_s_formula(vgg: Path) -> None:
    config = load_config("classic", {k: CLASSIC[k] for k in ("encoder", "decoder")})
    model = AdaINModel(ModelConfig("narrow", config.encoder, config.decoder))
    fill_encoder(model.encoder, random_layers())
    content, style = torch.rand(2, 3, 48, 64), torch.rand(2, 3, 48, 64)
    layers = random_layers()
    c, s = naive_vgg(layers, content)["relu4_1"], naive_vgg(layers, style)["relu4_1"]

    def stats(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.mean((2, 3), keepdim=True), (x.var((2, 3), correction=0, keepdim=True) + EPS).sqrt()

    target = (c - stats(c)[0]) / stats(c)[1] * stats(s)[1] + stats(s)[0]
    with torch.no_grad():
        seen = naive_vgg(layers, model.decoder([target]))
    expected = F.mse_loss(seen["relu4_1"], target)
    for name in ("relu1_1", "relu2_1", "relu3_1", "relu4_1"):
        a, b = stats(seen[name]), stats(naive_vgg(layers, style)[name])
        expected = expected + 10 * (F.mse_loss(a[0], b[0]) + F.mse_loss(a[1], b[1]))
    for shared in (True, False):
        loss, parts = Objective(config, model, LossNetwork(vgg), shared)(content, style)
        assert loss.item() == pytest.approx(expected.item(), rel=2e-3)
        assert set(parts) == {"content", "style"}


def test_a_decoder_for_a_frozen_vgg_leaves_it_as_it_is(vgg: Path, pictures, tmp_path: Path, monkeypatch) -> None:
    config = load_config("classic", {**CLASSIC, "learning_rate": 1e-3})
    run = Trainer(config, *pictures, None, tmp_path / "run", vgg=vgg)
    assert run.objective.shared
    before, decoder = run.model.digest, run.model.decoder.layers[0].conv.weight.clone()
    run.run()
    assert run.model.digest == before
    assert not torch.equal(run.model.decoder.layers[0].conv.weight, decoder)
    shipped = AdaINModel.load(tmp_path / "run" / "model.safetensors")
    assert shipped.digest == before, "the file's rounding must not change what styles are bound to"
    with pytest.raises(ConfigError, match="random weights would stay one"):
        Trainer(config, *pictures, vgg, tmp_path / "other")
    with pytest.raises(ConfigError, match="no loss network"):
        Trainer(load_config(None, TINY), *pictures, None, tmp_path / "other")


def test_few_shot_fine_tunes_a_decoder_and_keeps_the_encoder(teacher: Path, pictures, tmp_path: Path) -> None:
    first = trainer(teacher, pictures, tmp_path / "first")
    first.run()
    start = tmp_path / "first" / "model.safetensors"
    few = tmp_path / "few"
    few.mkdir()
    Image.new("RGB", (60, 50), "teal").save(few / "a.png")
    command = ["--config", "few-shot", "--init", str(start), "--content", str(pictures[0]), "--style-dir", str(few)]
    command += ["--teacher", str(teacher), "--out", str(tmp_path / "run"), "--steps", "3", "--workers", "0"]
    assert main([*command, "--amp", "none", "--learning-rate", "1e-2"]) == 0
    before, after = AdaINModel.load(start), AdaINModel.load(tmp_path / "run" / "model.safetensors")
    assert after.metadata["steps"] == "3"
    assert after.config == before.config
    assert after.digest == before.digest
    assert not torch.equal(after.decoder.layers[-1].conv.weight, before.decoder.layers[-1].conv.weight)


def test_the_encoder_may_learn_at_a_rate_of_its_own(teacher: Path, pictures, tmp_path: Path) -> None:
    run = trainer(teacher, pictures, tmp_path / "run", encoder_learning_rate=0.0, warmup_steps=0)
    before = run.model.digest
    decoder = run.model.decoder.layers[0].first.conv.weight.clone()
    run.train_step(run.batches[0])
    assert run.model.digest == before
    assert not torch.equal(run.model.decoder.layers[0].first.conv.weight, decoder)


def test_every_loss_can_be_weighed_and_warm_up_is_reconstruction_alone(teacher: Path, pictures, tmp_path: Path) -> None:
    weights = {f"{name}_weight": 1.0 for name in ("gram", "color", "ssim", "ripple", "grid", "total_variation")}
    run = trainer(teacher, pictures, tmp_path / "run", **weights, reconstruction_share=0.4, reconstruction_steps=1)
    assert set(run.train_step(run.batches[0])) == {"loss", "norm", "reconstruction"}
    parts = run.train_step(run.batches[1])
    names = {"content", "style", "gram", "color", "ssim", "ripple", "grid", "total_variation", "reconstruction"}
    assert set(parts) == names | {"loss", "norm"}
    weigh = {f"{n}_weight": getattr(run.config, f"{n}_weight") for n in names}
    assert parts["loss"] == pytest.approx(sum(weigh[f"{n}_weight"] * parts[n] for n in names), rel=1e-4)


def test_style_layers_choose_what_is_seen(teacher: Path, pictures, tmp_path: Path) -> None:
    found = []
    for layers in ([1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 1]):
        run = trainer(teacher, pictures, tmp_path / "run", style_layers=layers)
        found.append(run.train_step(run.batches[0])["style"])
    assert found[0] != found[1]
    assert found[2] == pytest.approx((found[0] + found[1]) / 2, rel=1e-4)


def test_half_precision_trains_without_a_nan(teacher: Path, pictures, tmp_path: Path) -> None:
    for amp in ("bfloat16", "float16"):
        run = trainer(teacher, pictures, tmp_path / amp, amp=amp)
        try:
            found = [run.train_step(run.batches[step])["loss"] for step in range(4)]
        except RuntimeError as error:
            if "not implemented for 'Half'" not in str(error):
                raise
            pytest.skip(f"torch {torch.__version__} has no float16 on the CPU")
        assert all(loss == loss for loss in found)
        assert run.skipped == 0
        assert all(bool(p.isfinite().all()) for p in run.model.parameters())


def test_an_overflow_in_float16_lowers_the_scale(teacher: Path, pictures, tmp_path: Path) -> None:
    run = trainer(teacher, pictures, tmp_path / "run", amp="float16", content_weight=float("inf"))
    before = run.scaler.get_scale()
    run.train_step(run.batches[0])
    run.train_step(run.batches[1])
    assert run.skipped == 2
    assert run.scaler.get_scale() == before / 4


@pytest.mark.slow  # four processes that import torch, twenty seconds
def test_two_processes_are_one_with_the_doubled_batch(teacher: Path, pictures, tmp_path: Path) -> None:
    settings = {**TINY, "reconstruction_share": 0.5, "keep_checkpoints": 1}
    root = Path(objective.__file__).parents[1]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(root)}

    def command(out: str, batch: int) -> list[str]:
        options = {**settings, "stages": [{"steps": 3, "crop": 32, "batch": batch}]}
        flags = [x for key, value in options.items() for x in (f"--{key.replace('_', '-')}", json.dumps(value))]
        paths = ["--content", pictures[0], "--style", pictures[1], "--teacher", teacher, "--out", tmp_path / out]
        return ["training.train", *map(str, paths), *flags]

    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    launcher += ["--master-port", str(_free_port())]
    done = subprocess.run([*launcher, "-m", *command("two", 2)], env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([sys.executable, "-m", *command("one", 4)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    states = [
        torch.load(checkpoints.newest(tmp_path / out / "checkpoints"), weights_only=True) for out in ("one", "two")
    ]
    for name, value in states[0]["model"].items():
        torch.testing.assert_close(states[1]["model"][name], value, atol=2e-5, rtol=1e-3)
    assert (tmp_path / "two" / "model.safetensors").exists()


def _free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_the_newest_checkpoints_are_kept_and_a_run_goes_on_from_the_last(teacher: Path, pictures, tmp_path) -> None:
    out = tmp_path / "run"
    trainer(teacher, pictures, out, checkpoint_every=1, keep_checkpoints=2).run()
    assert [p.name for p in sorted((out / "checkpoints").iterdir())] == ["00000007.pt", "00000008.pt"]
    (out / "checkpoints" / "00000008.pt").unlink()
    run = trainer(teacher, pictures, out)
    run.resume()
    assert run.step == 7


def test_a_run_goes_on_under_its_own_settings_unless_others_are_asked_for(
    teacher: Path, pictures, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    trainer(teacher, pictures, out).run()
    trainer(teacher, pictures, out, sample_every=3, workers=0).resume()  # how, not what
    with pytest.raises(ConfigError, match=r"style_weight was 70\.0.*--allow-changes"):
        trainer(teacher, pictures, out, style_weight=9.0).run()
    with pytest.raises(ConfigError, match="pictures or networks were others"):
        trainer(teacher, pictures[::-1], out).run()
    one = sorted(pictures[1].iterdir())[0]
    whole = one.read_bytes()
    one.write_bytes(whole + b"x")
    with pytest.raises(ConfigError, match="pictures or networks were others"):  # of the same name
        trainer(teacher, pictures, out).run()
    one.write_bytes(whole)
    run = trainer(teacher, pictures, out, style_weight=9.0, stages=[{"steps": 9, "crop": 32, "batch": 2}])
    run.allow_changes = True
    run.run()
    facts = AdaINModel.load(out / "model.safetensors").metadata
    assert "up to step 8" in facts["changes"]
    assert "style_weight was 70.0" in facts["changes"]
    assert facts["license"] == "unspecified"


def test_a_fraction_of_reconstructions_is_spread_over_the_steps() -> None:
    config = load_config(None, {**TINY, "reconstruction_share": 0.2})
    assert [config.reconstructions(step, 1) for step in range(10)] == [0, 0, 0, 0, 1] * 2
    assert [config.reconstructions(step, 5) for step in range(4)] == [1] * 4
    assert sum(config.reconstructions(step, 4) for step in range(100)) == 80


def test_a_device_that_is_not_there_is_named(teacher: Path, pictures, tmp_path: Path, caplog) -> None:
    base = ["--content", str(pictures[0]), "--style", str(pictures[1]), "--teacher", str(teacher)]
    for device in ("cuda:99", "warp"):
        assert main([*base, "--out", str(tmp_path / "run"), "--device", device]) == 1
        assert f"device '{device}' cannot be used here" in caplog.text


def test_figures_of_training_pictures_are_not_called_validation(teacher: Path, pictures, tmp_path: Path) -> None:
    for every, held_out in ((5, "true"), (0, "false")):
        trainer(teacher, pictures, tmp_path / str(every), validation_every=every).run()
        assert AdaINModel.load(tmp_path / str(every) / "model.safetensors").metadata["validation_held_out"] == held_out


def test_a_run_leaves_a_log_and_curves(teacher: Path, pictures, tmp_path: Path, monkeypatch, caplog) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("training.train._LOG_EVERY", 2)
    monkeypatch.setattr("training.journal.draw_curves", draw_curves)
    trainer(teacher, pictures, tmp_path / "run", sample_every=4).run()
    rows = read_log(tmp_path / "run")
    assert [row["step"] for row in rows if "loss" in row] == [2, 4, 6, 8]
    assert [row["step"] for row in rows if "validation_style" in row] == [4, 8]
    with Image.open(tmp_path / "run" / "curves.png") as curves:
        assert curves.width > 800
        assert len(curves.convert("RGB").getcolors(1 << 20) or ()) > 50
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    caplog.set_level("INFO")
    assert draw_curves(tmp_path / "run") is None
    assert "matplotlib is not installed" in caplog.text


def test_steps_that_were_done_again_count_once_in_the_curves(tmp_path: Path) -> None:
    rows = [{"step": 50, "loss": 3}, {"step": 100, "loss": 2}, {"step": 100, "validation_ssim": 0.4}]
    rows += [{"step": 100, "loss": 2.5}]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"step": 150, "lo')
    assert [row.get("loss") for row in read_log(tmp_path)] == [3, 2.5, None]
    Journal(tmp_path).add(150, {}, {"loss": 0.000123456, "norm": float("nan")})
    assert read_log(tmp_path)[-1] == {"step": 150, "loss": 0.00012346, "norm": None}


def test_tensorboard_is_written_if_asked_for_and_named_if_missing(
    teacher: Path, pictures, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setattr("training.train._LOG_EVERY", 4)
    trainer(teacher, pictures, tmp_path / "run", tensorboard=True).run()
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"adainkit\[train\]"):
        trainer(teacher, pictures, tmp_path / "other", tensorboard=True).run()


def test_compile_is_an_option(teacher: Path, pictures, tmp_path: Path, monkeypatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or module)
    run = trainer(teacher, pictures, tmp_path / "run", compile=True)
    run.train_step(run.batches[0])
    assert compiled == [run.objective]


def test_losses_do_not_depend_on_the_memory_format(teacher: Path, pictures, tmp_path: Path) -> None:
    found = []
    for channels_last in (True, False):
        run = trainer(teacher, pictures, tmp_path / "run", channels_last=channels_last)
        found.append(run.train_step(run.batches[0])["loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert dataclasses.asdict(run.config)["channels_last"] is False

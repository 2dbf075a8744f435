"""The probe: a descent on pixels that lowers the loss, its figures, and its files."""

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_criterion import BASE
from test_spaces import slim_file

from training import metrics, probe
from training.config import load_config
from training.criterion import Criterion
from training.loss_network import LossNetwork


def test_the_descent_begins_at_the_content_and_lowers_the_loss(tmp_path: Path) -> None:
    config = load_config(None, {**BASE, "content_weight": 0.1, "look_shift": 2})
    criterion = Criterion(config, [LossNetwork(slim_file(tmp_path / "a.safetensors"), True)]).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    content, style = torch.full((1, 3, 40, 48), 0.4), torch.rand(1, 3, 48, 40, generator=generator)
    seen: list[float] = []
    result, parts = probe.descend(criterion, content, style, 30, 0.03, lambda step, loss: seen.append(loss))
    assert result.shape == content.shape
    assert 0 <= result.min() <= result.max() <= 1
    assert len(seen) == 30
    assert seen[-1] < 0.8 * seen[0]
    assert set(parts) == {"content", "style", "covariance"}
    assert probe.picture_figures(content, content) == pytest.approx(
        {"blotch": 0, "grid": 0, "border": 0, "moved": 0, "ssim": 1}
    )


def test_a_line_along_a_border_stands_out() -> None:
    picture = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    assert abs(metrics.border_line(picture)) < 0.3
    for rows, columns in ((slice(0, 1), slice(None)), (slice(None), slice(79, 80))):
        lined = picture.clone()
        lined[..., rows, columns] = 0.9
        assert metrics.border_line(lined) > 1.5
    assert metrics.border_line(torch.full((1, 3, 48, 48), 0.3)) == 0


def test_the_gain_of_noise_is_that_of_the_function() -> None:
    content = torch.rand(1, 3, 64, 64) * 0.5 + 0.25
    assert metrics.noise_gain(lambda x: x, content) == pytest.approx(1, rel=1e-4)
    assert metrics.noise_gain(lambda x: 3 * x, content) == pytest.approx(3, rel=1e-4)
    assert metrics.noise_gain(torch.zeros_like, content) == 0
    assert math.isfinite(metrics.noise_gain(lambda x: x, torch.zeros(1, 3, 8, 8)))


def test_the_command_writes_a_sheet_and_figures_and_names_what_is_wrong(tmp_path: Path, caplog) -> None:
    teacher = slim_file(tmp_path / "a.safetensors")
    for name in ("c.png", "s.png"):
        Image.effect_noise((70, 50), 60).convert("RGB").save(tmp_path / name)
    command = ["--content", str(tmp_path / "c.png"), "--style", str(tmp_path / "s.png"), "--teacher", str(teacher)]
    command += ["--out", str(tmp_path / "out"), "--steps", "2", "--side", "48", "--set", "space=vgg19"]
    command += ["--set", "stages=[{steps: 1, crop: 64, batch: 1}]"]
    assert probe.main(command) == 0
    found = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert set(found["pairs"][0]) >= {"content", "style", "loss", "blotch", "grid", "border"}
    assert found["settings"]["space"] == "vgg19"
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.width > 3 * 72
    assert probe.main([*command, "--content", str(tmp_path / "c.png")]) == 1
    assert "as many of the one" in caplog.text
    assert probe.main([*command, "--set", "spice=1"]) == 1
    assert "unknown" in caplog.text

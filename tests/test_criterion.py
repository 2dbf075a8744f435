"""What results are judged by: several loss networks, scales, looks, the calm loss and the gain of noise."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_training import TINY, trainer
from test_spaces import slim_file

from adainkit.net.config import ModelConfig
from adainkit.net.model import AdaINModel
from training import losses
from training.config import ConfigError, TrainConfig, load_config
from training.criterion import Criterion
from training.looks import draw_looks, look_at
from training.loss_network import LossNetwork
from training.objective import Objective, noise_gain

pytestmark = pytest.mark.usefixtures("no_curves")

NONE = {name: 0.0 for name in vars(TrainConfig()) if name.endswith("_weight")}
BASE = {**TINY, **NONE, "content_weight": 2.0, "style_weight": 3.0, "covariance_weight": 1.0, "space": "vgg19"}
BASE |= {"stages": [{"steps": 4, "crop": 64, "batch": 4}], "style_layers": [1] * 5, "covariance_layers": [1] * 5}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    deep, shallow = slim_file(tmp_path / "deep.safetensors"), slim_file(tmp_path / "shallow.safetensors", deep=False)
    return [deep, shallow]


def triple(count: int = 3, side: int = 64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(count, 3, side, side, generator=generator) for _ in range(3)]


def judged(files: list[Path], turn: int = 0, looks: torch.Tensor | None = None, **settings: object) -> dict[str, float]:
    config = load_config(None, {**BASE, **settings})
    criterion = Criterion(config, [LossNetwork(file, config.deep) for file in files])
    found = criterion(*triple(), turn=turn, looks=looks)
    return {name: value.item() for name, value in found.items()}


def test_several_loss_networks_take_turns_or_are_asked_together(files: list[Path]) -> None:
    alone = [judged([file]) for file in files]
    assert set(alone[0]) == {"content", "style", "covariance"}
    for turn in range(4):
        assert judged(files, turn) == alone[turn % 2]
    together = judged(files, teachers="together")
    for name, value in together.items():
        assert value == pytest.approx((alone[0][name] + alone[1][name]) / 2, rel=1e-5)


def test_scales_are_averages_of_squares_and_the_parts_their_mean(files: list[Path]) -> None:
    one, both = judged(files), judged(files, scales=[1, 2])
    config = load_config(None, BASE)
    criterion = Criterion(config, [LossNetwork(file, config.deep) for file in files])
    half = criterion(*(F.avg_pool2d(p, 2) for p in triple()))
    for name, value in both.items():
        assert value == pytest.approx((one[name] + half[name].item()) / 2, rel=1e-5)


@pytest.mark.parametrize("space", ["own", "vgg19"])
def test_a_fifth_weight_is_of_relu5_1_where_there_is_one(files: list[Path], space: str) -> None:
    four, five = (judged(files[:1], space=space, style_layers=[1] * 4 + [w])["style"] for w in (0, 1))
    assert four != five
    assert judged(files[1:], space=space)["style"] == judged(files[1:], space=space, style_layers=[1] * 4)["style"]


def test_looks_are_shifts_with_reflection_and_flips_and_a_function_of_the_step() -> None:
    x = torch.rand(2, 3, 9, 11)
    assert torch.equal(look_at(x, torch.tensor([0, 0, 0])), x)
    assert torch.equal(look_at(x, torch.tensor([0, 0, 1])), x.flip(3))
    padded = F.pad(x, (4, 4, 4, 4), mode="reflect")
    assert torch.equal(look_at(x, torch.tensor([3, -2, 0])), padded[..., 1:10, 6:17])
    assert torch.equal(look_at(x, torch.tensor([-3, 4, 1])), padded[..., 7:16, :11].flip(3)), "shifted, then flipped"
    draws = torch.stack([draw_looks(0, step, 5, True, 2) for step in range(300)])
    assert torch.equal(draw_looks(0, 7, 5, True, 2), draws[7])
    assert draws[:, 0, :2].amin() == -5
    assert draws[:, 1, :2].amax() == 5
    assert draws[:, 2, :2].abs().amax() == 2
    assert 0.4 < draws[:, :2, 2].float().mean() < 0.6
    assert draws[:, 2, 2].sum() == 0
    assert draw_looks(0, 0, 0, False).abs().sum() == 0


def test_contents_and_results_are_shown_alike(files: list[Path]) -> None:
    content, _, style = triple()
    config = load_config(None, {**BASE, "look_shift": 6, "look_flip": True})
    criterion = Criterion(config, [LossNetwork(file, config.deep) for file in files])
    for step in range(4):
        found = criterion(content, content, style, step, draw_looks(0, step, 6, True))
        assert found["content"].item() == pytest.approx(0, abs=1e-6)


def test_the_calm_loss_sees_blotches_where_the_content_is_smooth_and_no_strokes() -> None:
    places = torch.arange(128.0)
    wave = torch.sin(2 * torch.pi * places / 24)[:, None] * torch.sin(2 * torch.pi * places / 24)
    gray = torch.full((1, 3, 128, 128), 0.5)
    blotched = gray + 0.1 * wave * torch.tensor([1.0, -0.5094, 0.0])[None, :, None, None]  # of equal luma
    stroked = gray + 0.1 * wave
    busy = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)).repeat_interleave(2, 2)[:, :, :128]
    found = losses.calm_loss(blotched, gray).item()
    assert 0.015 < found < 0.03
    assert losses.calm_loss(stroked, gray).item() < 0.02 * found
    assert losses.calm_loss(blotched, blotched).item() == 0, "what the content has is its own"
    assert losses.calm_loss(blotched - gray + busy, busy).item() < 0.1 * found
    noisy = gray + 0.01 * torch.randn(gray.shape, generator=torch.Generator().manual_seed(0))
    assert losses.calm_loss(noisy, gray).item() < 0.2 * found, "noise of single pixels is no blotch"


def test_the_excess_is_the_distance_from_the_range() -> None:
    x = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.25, 0.2]).view(1, 3, 1, 2)
    assert losses.excess_loss(x).item() == pytest.approx(0.75 / 6)


def test_the_gain_of_noise_is_a_ratio_and_of_an_identity_one() -> None:
    x, noise = torch.rand(1, 3, 16, 16), torch.randn(1, 3, 16, 16)
    assert noise_gain(x, x + noise, noise).item() == pytest.approx(1, rel=1e-5)
    assert noise_gain(x, x - 3 * noise, noise).item() == pytest.approx(3, rel=1e-5)


def test_results_are_judged_with_palettes_where_the_model_gives_them(files: list[Path]) -> None:
    config = load_config(None, {**BASE, "palette_share": 1.0})
    content, style, _ = triple(2)
    losses = {}
    for palette, share in ((True, 1.0), (True, 0.0), (False, 1.0), (False, 0.0)):
        torch.manual_seed(0)
        model = AdaINModel(ModelConfig("tiny", config.encoder, config.decoder, config.gain_cap, palette=palette))
        settings = dataclasses.replace(config, palette_share=share)
        objective = Objective(settings, model, [LossNetwork(file, config.deep) for file in files])
        losses[palette, share] = objective(content, style)[0].item()
    assert losses[True, 1.0] != losses[True, 0.0]
    assert losses[False, 1.0] == losses[False, 0.0], "begun with a model that gives no palettes"


def test_noise_is_a_part_of_the_loss_and_its_gradient_lowers_it(files: list[Path]) -> None:
    torch.manual_seed(0)
    config = load_config(
        None, {**BASE, "noise_weight": 100.0, "content_weight": 0.0, "noise_shift": 3, "noise_share": 1.0}
    )
    model = AdaINModel(ModelConfig("tiny", config.encoder, config.decoder, config.gain_cap))
    objective = Objective(config, model, [LossNetwork(file, config.deep) for file in files])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    content, style, _ = triple(2)
    found = []
    for _ in range(12):
        total, parts = objective(content, style, 0, 0, draw_looks(0, 0, 0, False, 3))
        assert set(parts) == {"style", "covariance", "noise"}
        expected = sum(getattr(config, f"{name}_weight") * value.item() for name, value in parts.items())
        assert total.item() == pytest.approx(expected, rel=1e-4)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        found.append(parts["noise"].item())
    assert found[-1] < 0.8 * found[0]


def test_runs_take_several_loss_networks_and_go_on_bit_for_bit(files: list[Path], pictures, tmp_path: Path) -> None:
    settings = {**BASE, "scales": [1, 2], "look_shift": 4, "look_flip": True, "noise_weight": 0.5, "noise_shift": 2}
    whole = trainer(files, pictures, tmp_path / "whole", **settings)
    assert len(trainer(files, ([pictures[0]] * 2, pictures[1]), tmp_path / "x", **settings).content) == 2 * len(
        whole.content
    )
    whole.run()
    part = trainer(files, pictures, tmp_path / "part", **settings)
    for step in range(2):
        found = part.train_step(part.batches[step])
        assert {"content", "style", "covariance", "noise", "loss"} <= set(found)
    part.checkpoint()
    torch.rand(3)
    rest = trainer(files, pictures, tmp_path / "part", **settings)
    rest.run()
    assert all(torch.equal(v, rest.model.state_dict()[k]) for k, v in whole.model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"space": "other"}, "space: expected own or vgg19"),
        ({"style_layers": [1, 1]}, "expected 4 weights, or 5"),
        ({"style_layers": [0, 0, 0, 0, 1]}, "the first 4 not all zero"),
        ({"scales": [1, 4]}, "need crops of 128 px"),
        ({"look_shift": 40}, "half of the smallest crop"),
        ({"calm_weight": 1.0, "stages": [{"steps": 1, "crop": 32, "batch": 1}], "scales": [1]}, "36 px"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_config(None, {**BASE, **settings})

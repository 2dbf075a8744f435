"""VGG-19 files in their layouts, the loss network, and the normalized VGG-19."""

import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_training import ENCODER, naive_vgg, random_layers
from torch import Tensor

from adainkit.errors import ModelError, WeightsError
from adainkit.net.coders import Encoder
from adainkit.net.config import ModelConfig
from training import vgg
from training.loss_network import LossNetwork

CLASSIC = (2, 5, 9, 12, 16, 19, 22, 25, 29)
TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 16, 19)


def state(layers: list[tuple[Tensor, Tensor]], keys: tuple[object, ...]) -> dict[str, Tensor]:
    return {
        f"{k}.{n}": t
        for k, layer in zip(keys, layers, strict=True)
        for n, t in zip(("weight", "bias"), layer, strict=True)
    }


def test_the_three_layouts_are_told_apart_and_give_the_same_network(tmp_path: Path) -> None:
    layers, x = random_layers(), torch.rand(2, 3, 40, 33)
    torch.save(state(layers, (0, *CLASSIC)) | {"31.weight": torch.zeros(1)}, tmp_path / "classic.pth")
    vgg.write_vgg(layers, tmp_path / "named.safetensors")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.save(state(layers[1:], tuple(f"features.{i}" for i in TORCHVISION)), tmp_path / "torchvision.pth")
    expected = naive_vgg(layers, x)
    for name in ("classic.pth", "named.safetensors"):
        found = LossNetwork(tmp_path / name)(x)
        assert [tuple(f.shape) for f in found] == [(2, 4, 40, 33), (2, 6, 20, 16), (2, 8, 10, 8), (2, 10, 5, 4)]
        for f, layer in zip(found, ("relu1_1", "relu2_1", "relu3_1", "relu4_1"), strict=True):
            torch.testing.assert_close(f, expected[layer])
    identity = [(torch.eye(3)[:, :, None, None], torch.zeros(3)), *layers[1:]]
    expected = naive_vgg(identity, (x - mean[:, None, None]) / std[:, None, None])
    torch.testing.assert_close(LossNetwork(tmp_path / "torchvision.pth")(x)[-1], expected["relu4_1"])


def test_other_files_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    save_file({"conv0.weight": torch.zeros(3, 3, 1, 1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"has no conv0.*torchvision's"):
        LossNetwork(tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="cannot be read"):
        LossNetwork(tmp_path / "missing.safetensors")
    (tmp_path / "broken.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="cannot be read"):
        vgg.read_vgg(tmp_path / "broken.pth")
    torch.save({"a": 1}, tmp_path / "strange.pth")
    with pytest.raises(WeightsError, match="not a plain dict of tensors"):
        vgg.read_vgg(tmp_path / "strange.pth")
    layers = random_layers()
    layers[2] = (torch.zeros(4, 5, 3, 3), torch.zeros(4))
    with pytest.raises(WeightsError, match=r"conv12: expected \(\*, 4, 3, 3\), got \(4, 5, 3, 3\)"):
        vgg.read_vgg(vgg.write_vgg(layers, tmp_path / "odd.safetensors"))


def test_an_encoder_takes_the_weights_with_the_input_map_folded_in() -> None:
    layers, x = random_layers(), torch.rand(1, 3, 48, 64)
    encoder = Encoder(ModelConfig("narrow", ENCODER, "conv8 up conv6 up conv4 up rgb"))
    vgg.fill_encoder(encoder, layers)
    torch.testing.assert_close(encoder(x)[0], naive_vgg(layers, x)["relu4_1"], atol=1e-5, rtol=1e-4)
    other = Encoder(ModelConfig("other", ENCODER.replace("conv6", "conv5"), "conv8 up conv6 up conv4 up rgb"))
    with pytest.raises(ModelError, match="not of this VGG-19's shape"):
        vgg.fill_encoder(other, layers)


def test_normalised_layers_have_mean_activation_one_and_are_the_same_function() -> None:
    layers = random_layers()
    layers[3][1][0] = -1e6  # a filter that never fires
    pictures = [torch.rand(1, 3, 32, side, generator=torch.Generator().manual_seed(side)) for side in (32, 48, 40)]
    found = vgg.normalise_vgg(layers, iter(pictures))
    for name in naive_vgg(layers, pictures[0]):
        cells = torch.cat([naive_vgg(found, p)[name].flatten(2) for p in pictures], 2)
        means = cells.mean((0, 2))
        dead = means == 0
        assert torch.equal(
            dead, torch.cat([naive_vgg(layers, p)[name].flatten(2) for p in pictures], 2).mean((0, 2)) == 0
        )
        assert name != "relu2_1" or dead[0]
        torch.testing.assert_close(means[~dead], torch.ones_like(means[~dead]), atol=1e-4, rtol=1e-4)
    x = torch.rand(1, 3, 64, 64)
    before, after = naive_vgg(layers, x)["relu4_1"], naive_vgg(found, x)["relu4_1"]
    scale = before.sum((0, 2, 3), keepdim=True) / after.sum((0, 2, 3), keepdim=True).clamp_min(1e-9)
    torch.testing.assert_close(after * scale, before, atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="at least one picture"):
        vgg.normalise_vgg(layers, [])


def test_the_command_normalises_by_a_folder_of_photographs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = vgg.write_vgg(random_layers(), tmp_path / "vgg.safetensors")
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(photos / f"{name}.png")
    (photos / "c.jpg").write_bytes(b"broken")
    out = tmp_path / "normalised.safetensors"
    command = ["normalise", "--vgg", str(source), "--content", str(photos), "--out", str(out), "--size", "40"]
    assert vgg.main(command) == 0
    assert "c.jpg: skipped" in caplog.text
    assert set(load_file(out)) == set(load_file(source))
    assert vgg.main([*command[:2], str(tmp_path / "gone.pth"), *command[3:]]) == 1
    assert "gone.pth: cannot be read" in caplog.text


def test_torchvision_s_network_is_downloaded_with_its_sum_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAINKIT_OFFLINE", raising=False)
    asked = []
    layers = random_layers()

    def load(url: str, **options: object) -> dict[str, Tensor]:
        asked.append((url, options))
        return state(layers[1:], tuple(f"features.{i}" for i in TORCHVISION))

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    found = vgg.read_vgg("torchvision")
    assert asked[0][0].endswith("vgg19-dcbb9e9d.pth")
    assert asked[0][1]["check_hash"] is True
    torch.testing.assert_close(found[1][0], layers[1][0])

    monkeypatch.setenv("ADAINKIT_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", "/nowhere")
    with pytest.raises(WeightsError, match=r"ADAINKIT_OFFLINE is set.*vgg19-dcbb9e9d\.pth"):
        vgg.read_vgg("torchvision")
    monkeypatch.delenv("ADAINKIT_OFFLINE")

    def fail(url: str, **options: object) -> dict[str, Tensor]:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(WeightsError, match=r"no route to host.*vgg19-dcbb9e9d\.pth"):
        vgg.read_vgg("torchvision")

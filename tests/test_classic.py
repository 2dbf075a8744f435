"""The classic `.pth` pair: the converted model equals its authors' pipeline, written out plainly here."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from adainkit.errors import WeightsError
from adainkit.net.adain import affine_map, moments
from adainkit.net.classic import convert_classic
from adainkit.net.model import AdaINModel

# Index in the classic `nn.Sequential` -> channels out, channels in, side of the kernel.
ENCODER = {
    0: (3, 3, 1),
    2: (64, 3, 3),
    5: (64, 64, 3),
    9: (128, 64, 3),
    12: (128, 128, 3),
    16: (256, 128, 3),
    19: (256, 256, 3),
    22: (256, 256, 3),
    25: (256, 256, 3),
    29: (512, 256, 3),
}
DECODER = {
    1: (256, 512, 3),
    5: (256, 256, 3),
    8: (256, 256, 3),
    11: (256, 256, 3),
    14: (128, 256, 3),
    18: (128, 128, 3),
    21: (64, 128, 3),
    25: (64, 64, 3),
    28: (3, 64, 3),
}


def classic_state(layers: dict[int, tuple[int, int, int]], seed: int) -> OrderedDict[str, Tensor]:
    """Random tensors under the classic names, of He's scale: nothing vanishes or explodes on the way."""
    generator = torch.Generator().manual_seed(seed)
    state = OrderedDict()
    for index, (out, into, kernel) in layers.items():
        std = (2 / (into * kernel**2)) ** 0.5
        state[f"{index}.weight"] = torch.randn(out, into, kernel, kernel, generator=generator) * std
        state[f"{index}.bias"] = torch.randn(out, generator=generator) * 0.1
    return state


def published_input_map() -> dict[str, Tensor]:
    """What the real file has at 0: RGB in [0, 1] to BGR * 255 less the mean."""
    weight = 255.0 * torch.eye(3).flip(0)[:, :, None, None]
    return {"0.weight": weight, "0.bias": -torch.tensor([103.939, 116.779, 123.68])}


def write(folder: Path, vgg: Any, decoder: Any, **how: Any) -> tuple[Path, Path]:
    paths = folder / "vgg_normalised.pth", folder / "decoder.pth"
    for path, state in zip(paths, (vgg, decoder), strict=True):
        torch.save(state, path, **how)
    return paths


@pytest.fixture(scope="module")
def states() -> tuple[OrderedDict[str, Tensor], OrderedDict[str, Tensor]]:
    return classic_state(ENCODER, 1), classic_state(DECODER, 2)


@pytest.fixture(scope="module")
def files(states: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """`states` on disk; tests don't change them."""
    return write(tmp_path_factory.mktemp("classic"), *states)


@pytest.fixture(scope="module", params=["random", "published"])
def case(request: pytest.FixtureRequest, states: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(classic encoder, classic decoder, converted model), with a random and with the published input map."""
    vgg, decoder = states
    if request.param == "published":
        vgg = vgg | published_input_map()
    return vgg, decoder, convert_classic(*write(tmp_path_factory.mktemp("case"), vgg, decoder))


# ---- the naive pipeline: float64, nothing folded ----


def conv(x: Tensor, state: dict[str, Tensor], index: int) -> Tensor:
    x = F.pad(x, (1, 1, 1, 1), mode="reflect")
    return F.conv2d(x, state[f"{index}.weight"].double(), state[f"{index}.bias"].double())


def naive_encode(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    x = F.conv2d(x, state["0.weight"].double(), state["0.bias"].double())
    for block in ((2, 5), (9, 12), (16, 19, 22, 25)):
        for index in block:
            x = F.relu(conv(x, state, index))
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
    return F.relu(conv(x, state, 29))


def naive_decode(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    x = F.relu(conv(x, state, 1))
    for block in ((5, 8, 11, 14), (18, 21), (25,)):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        for index in block:
            x = F.relu(conv(x, state, index))
    return conv(x, state, 28)


def naive_stylize(content: Tensor, style: Tensor, alpha: float, vgg: Any, decoder: Any) -> Tensor:
    f, s = naive_encode(content.double(), vgg), naive_encode(style.double(), vgg)

    def mean_std(x: Tensor) -> tuple[Tensor, Tensor]:
        n = x.shape[2] * x.shape[3]
        mean = x.sum((2, 3), keepdim=True) / n
        return mean, (((x - mean) ** 2).sum((2, 3), keepdim=True) / n + 1e-5).sqrt()

    (f_mean, f_std), (s_mean, s_std) = mean_std(f), mean_std(s)
    t = (f - f_mean) / f_std * s_std + s_mean
    return naive_decode(alpha * t + (1 - alpha) * f, decoder)


def stylize(model: AdaINModel, content: Tensor, style: Tensor, alpha: float) -> Tensor:
    features, style_features = model.encode(content), model.encode(style)
    assert len(features) == 1
    c, s = moments(features[0]), moments(style_features[0])
    affine = affine_map(c.mean, c.std, s.mean, s.std, alpha, model.config.gain_cap)
    return model.decode(features, [affine])


SIZES = [((32, 40), (40, 24)), ((61, 45), (27, 33)), ((9, 31), (17, 10))]


@pytest.mark.parametrize(("content_size", "style_size"), SIZES)
def test_equals_the_classic_pipeline(
    content_size: tuple[int, int], style_size: tuple[int, int], case: tuple[Any, Any, AdaINModel]
) -> None:
    vgg, decoder, model = case
    generator = torch.Generator().manual_seed(0)
    content = torch.rand(1, 3, *content_size, generator=generator)
    style = torch.rand(1, 3, *style_size, generator=generator) ** 2
    height, width = content_size
    for alpha in (1.0, 0.4):
        expected = naive_stylize(content, style, alpha, vgg, decoder)
        got = stylize(model, content, style, alpha)
        assert got.shape == expected.shape
        assert got.shape[-2:] == (-(-height // 8) * 8, -(-width // 8) * 8)
        assert (got - expected).abs().max() < 1e-4 * expected.std()


def test_the_saved_file_keeps_it(case: tuple[Any, Any, AdaINModel], tmp_path: Path) -> None:
    model = case[2]
    again = AdaINModel.load(model.save(tmp_path / "m.safetensors", dtype=torch.float32))
    x = torch.rand(1, 3, 21, 30, generator=torch.Generator().manual_seed(3))
    assert torch.equal(stylize(model, x, x.flip(2), 1.0), stylize(again, x, x.flip(2), 1.0))


def test_the_old_kind_of_pth_and_what_follows_relu4_1(states: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    vgg, decoder = states
    longer = vgg | {"32.weight": torch.zeros(512, 512, 3, 3)}
    old = write(tmp_path, longer, decoder, _use_new_zipfile_serialization=False)
    models = convert_classic(*old), convert_classic(*files)
    assert all(torch.equal(a, b) for a, b in zip(*(m.parameters() for m in models), strict=True))


def test_inside_inference_mode_it_is_an_ordinary_model(files: tuple[Path, Path]) -> None:
    with torch.inference_mode():
        model = convert_classic(*files)
    assert not any(p.is_inference() or p.requires_grad for p in model.parameters())
    assert not model.training


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_run(files: tuple[Path, Path], tmp_path: Path) -> None:
    sprung, trap = tmp_path / "sprung", tmp_path / "trap.pth"
    torch.save({"x": _Trap(sprung)}, trap)
    with pytest.raises(WeightsError, match=r"trap\.pth: cannot be read as a plain state dict"):
        convert_classic(trap, files[1])
    assert not sprung.exists()


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_is_something_else(which: int, states: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    bad, good, key = tmp_path / "bad.pth", states[which], ("29.weight", "28.weight")[which]
    pair = (bad, files[1]) if which == 0 else (files[0], bad)
    for other in (
        [1, 2],
        {"state_dict": {"1.bias": torch.zeros(1)}},
        torch.zeros(3),
        {},
        {"a": torch.zeros(1)},
    ):
        torch.save(other, bad)
        with pytest.raises(WeightsError, match=r"bad\.pth: .*(expected a dict of tensors|is missing)"):
            convert_classic(*pair)
    torch.save({k: v for k, v in good.items() if k != key}, bad)
    with pytest.raises(WeightsError, match=rf"bad\.pth: tensor '{key}' of shape \(\d+, \d+, 3, 3\) is missing"):
        convert_classic(*pair)
    torch.save(good | {key: torch.zeros(1, 2, 3, 3)}, bad)
    with pytest.raises(WeightsError, match=rf"'{key}': expected shape \(\d+, \d+, 3, 3\), got \(1, 2, 3, 3\)"):
        convert_classic(*pair)
    for data in (files[which].read_bytes()[:5000], b"", b"<html>", b"\x80\x02"):
        bad.write_bytes(data)
        with pytest.raises(WeightsError, match=r"bad\.pth: cannot be read as a plain state dict"):
            convert_classic(*pair)
    bad.unlink()
    with pytest.raises(WeightsError, match=r"bad\.pth: no such file"):
        convert_classic(*pair)


@pytest.mark.parametrize("key", ["0.weight", "0.bias", "2.weight", "2.bias"])
def test_the_input_map_has_a_shape_too(key: str, states: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    small = {k: v for k, v in states[0].items() if k[:2] in ("0.", "2.")}
    torch.save(small | {key: torch.zeros(3, 3)}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=rf"tensor '{key}': expected shape"):
        convert_classic(tmp_path / "bad.pth", files[1])

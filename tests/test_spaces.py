"""Losses in VGG-19's space against the naive formulas of the features that are formed there."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from small_training import WIDTHS, random_layers
from torch import Tensor

from adainkit.errors import WeightsError
from adainkit.net.adain import EPS
from training import losses, spaces, vgg
from training.loss_network import LossNetwork
from training.spaces import Space

WIDE = 40


@pytest.fixture
def space() -> Space:
    generator = torch.Generator().manual_seed(0)
    return Space(torch.randn(WIDE, 6, generator=generator), torch.randn(WIDE, generator=generator))


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 6, 9, 7, generator=generator), 2 * torch.rand(2, 6, 9, 7, generator=generator).square()


def formed(features: Tensor, space: Space) -> Tensor:
    """All channels, written out."""
    return F.conv2d(features, space.matrix[:, :, None, None], space.bias)


@pytest.mark.parametrize("norm", ["relative", "balanced", "plain"])
def test_means_and_deviations_are_those_of_the_formed_channels(space: Space, pair, norm: str) -> None:
    x, y = pair
    y = y[..., :5, :]  # sizes may differ
    found = spaces.style_distance([spaces.statistics(x)], [spaces.statistics(y)], [space], norm=norm)
    expected = losses.style_loss([formed(x, space)], [formed(y, space)], norm=norm)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("norm", ["relative", "balanced", "plain"])
def test_gram_matrices_and_covariances_are_those_of_the_formed_channels(space: Space, pair, norm: str) -> None:
    x, y = pair
    sides = [spaces.statistics(x)], [spaces.statistics(y)]
    a, b = [formed(x, space)], [formed(y, space)]
    found = spaces.gram_distance(*sides, [space], norm=norm)
    assert found.item() == pytest.approx(losses.gram_loss(a, b, norm=norm).item(), rel=1e-4)
    found = spaces.covariance_distance(*sides, [space], norm=norm)
    assert found.item() == pytest.approx(losses.covariance_loss(a, b, norm=norm).item(), rel=1e-4)
    covariances = [torch.stack([torch.cov(s.flatten(1), correction=0) for s in side[0]]) for side in (a, b)]
    naive = (covariances[0] - covariances[1]).square().mean((1, 2)) / covariances[1].square().mean((1, 2))
    assert losses.covariance_loss(a, b).item() == pytest.approx(naive.mean().item(), rel=1e-4)


@pytest.mark.parametrize("norm", losses.CONTENT_NORMS)
def test_the_distance_of_contents_is_that_of_the_formed_channels(space: Space, pair, norm: str) -> None:
    x, y = pair
    found = spaces.content_distance(x, y, space, norm)
    expected = losses.content_loss(formed(x, space), formed(y, space), norm)
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)
    assert spaces.content_distance(x, x, space, norm).item() == pytest.approx(0, abs=1e-5)


def test_the_gradients_agree_too(space: Space, pair) -> None:
    x, y = pair
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    sides = [[spaces.statistics(f)] for f in (ours, y)]
    total = spaces.style_distance(*sides, [space]) + spaces.covariance_distance(*sides, [space])
    (total + spaces.content_distance(ours, y, space, "instance")).backward()
    a, b = formed(theirs, space), formed(y, space)
    total = losses.style_loss([a], [b]) + losses.covariance_loss([a], [b])
    (total + losses.content_loss(a, b, "instance")).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)


def test_a_flat_side_has_finite_losses_and_gradients(space: Space) -> None:
    x = torch.full((1, 6, 8, 8), 0.3, requires_grad=True)
    y = torch.rand(1, 6, 8, 8)
    sides = [spaces.statistics(x)], [spaces.statistics(y)]
    parts = [f(*sides, [space]) for f in (spaces.style_distance, spaces.covariance_distance, spaces.gram_distance)]
    parts += [spaces.content_distance(x, y, space, norm) for norm in losses.CONTENT_NORMS]
    torch.stack(parts).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def slim_file(path: Path, deep: bool = True, maps: bool = True) -> Path:
    """A named file of random layers, to relu5_1 if `deep`, with maps to 16 channels a level if `maps`."""
    generator = torch.Generator().manual_seed(7)
    layers = random_layers()
    tensors = {}
    for _ in range(4 if deep else 0):
        layers.append((torch.randn(WIDTHS[-1], WIDTHS[-1], 3, 3, generator=generator) / 9, torch.zeros(WIDTHS[-1])))
    for name, (weight, bias) in zip(vgg.DEEP_NAMES, layers, strict=False):
        tensors |= {f"conv{name}.weight": weight, f"conv{name}.bias": bias}
        if maps and name.endswith("1"):
            tensors[f"conv{name}_aux.weight"] = torch.randn(16, len(weight), 1, 1, generator=generator)
            tensors[f"conv{name}_aux.bias"] = torch.randn(16, generator=generator)
    save_file(tensors, path)
    return path


def test_a_loss_network_goes_as_deep_as_its_file_and_as_it_is_asked_to(tmp_path: Path) -> None:
    file, x = slim_file(tmp_path / "slim.safetensors"), torch.rand(1, 3, 64, 48)
    deep, plain = LossNetwork(file, deep=True), LossNetwork(file)
    assert [tuple(f.shape[2:]) for f in deep(x)] == [(64, 48), (32, 24), (16, 12), (8, 6), (4, 3)]
    assert len(plain(x)) == len(plain.spaces) == 4
    assert all(torch.equal(a, b) for a, b in zip(plain(x), deep(x), strict=False))
    state = load_file(file)
    for found, name in zip(deep.spaces, ("11", "21", "31", "41", "51"), strict=True):
        assert torch.equal(found.matrix, state[f"conv{name}_aux.weight"][:, :, 0, 0])
    y = deep(x)[3]
    for name in ("42", "43", "44", "51"):
        y = F.max_pool2d(y, 2) if name == "51" else y
        weight, bias = state[f"conv{name}.weight"], state[f"conv{name}.bias"]
        y = F.relu(F.conv2d(F.pad(y, (1, 1, 1, 1), mode="reflect"), weight, bias))
    torch.testing.assert_close(deep(x)[4], y)
    shallow = LossNetwork(slim_file(tmp_path / "shallow.safetensors", deep=False), deep=True)
    assert len(shallow(x)) == 4


def test_a_file_without_maps_is_vgg19_itself_and_a_map_that_does_not_fit_is_named(tmp_path: Path) -> None:
    network = LossNetwork(slim_file(tmp_path / "slim.safetensors", maps=False))
    x, y = network(torch.rand(1, 3, 32, 32)), network(torch.rand(1, 3, 32, 32))
    sides = [spaces.statistics(f) for f in x], [spaces.statistics(f) for f in y]
    found = spaces.style_distance(*sides, list(network.spaces))
    assert found.item() == pytest.approx(losses.style_loss(x, y).item(), rel=1e-4)
    state = load_file(tmp_path / "slim.safetensors")
    state |= {"conv31_aux.weight": torch.zeros(16, 3, 1, 1), "conv31_aux.bias": torch.zeros(16)}
    save_file(state, tmp_path / "bad.safetensors")
    with pytest.raises(WeightsError, match="conv31_aux: expected"):
        LossNetwork(tmp_path / "bad.safetensors")


def test_statistics_do_not_cancel() -> None:
    x = 1000 + torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = spaces.statistics(x.float()).covariance[0]
    torch.testing.assert_close(
        found.double(), torch.cov(x.float().double().flatten(2)[0], correction=0), rtol=1e-3, atol=1e-4
    )
    assert EPS > 0


def test_a_relative_distance_is_bounded_for_each_sample() -> None:
    """A style of one color must not outweigh the others of its batch."""
    difference, size = torch.tensor([1.0, 1e6]).requires_grad_(True), torch.tensor([2.0, 1e-3])
    loss = losses.normed(difference, size, None, "relative")
    loss.backward()
    assert loss == (0.5 + 20) / 2
    assert difference.grad is not None
    assert difference.grad.tolist() == [0.25, 0.0]

"""Color control against formulas written out in float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adainkit.errors import ImageError
from adainkit.look import color

LUMA = np.array([0.299, 0.587, 0.114])
Array = NDArray[np.float64]

MODES = {"luma": color.keep_luma, "match": color.match_color}


def picture(seed: int, height: int = 23, width: int = 31, batch: int = 1) -> torch.Tensor:
    """Correlated colors well inside [0, 1], so that a matched result needs no clamping."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.rand(batch, 3, 3, generator=generator) * 0.06
    noise = torch.randn(batch, 3, height * width, generator=generator).clamp(-2.5, 2.5)
    center = 0.4 + 0.2 * torch.rand(batch, 3, 1, generator=generator)
    return (mix @ noise + center).clamp(0, 1).reshape(batch, 3, height, width)


def moments(x: torch.Tensor, weight: torch.Tensor | None = None) -> tuple[Array, Array]:
    values = x[0].double().numpy().reshape(3, -1)
    w = np.ones(values.shape[1]) if weight is None else weight[0].double().numpy().reshape(-1)
    mean = (values * w).sum(1) / w.sum()
    d = values - mean[:, None]
    return mean, (d * w) @ d.T / w.sum()


def hue(rgb: Array) -> Array:
    """Direction of the chroma: deviations from the luma, normalized."""
    d = rgb - np.tensordot(LUMA, rgb, 1)
    return d / np.maximum(np.linalg.norm(d, axis=0), 1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_equal_the_naive_formula(weighted: bool) -> None:
    x = picture(0)
    weight = torch.rand(1, 1, 23, 31, generator=torch.Generator().manual_seed(9)) if weighted else None
    got = color.color_statistics(x, weight)
    mean, covariance = moments(x, weight)
    np.testing.assert_allclose(got.mean[0], mean, atol=1e-6)
    np.testing.assert_allclose(got.covariance[0], covariance, atol=1e-7)


@settings(deadline=None, max_examples=25)
@given(height=st.integers(2, 40), width=st.integers(1, 40), cut=st.data(), seed=st.integers(0, 99))
def test_merged_tiles_equal_the_whole(height: int, width: int, cut: st.DataObject, seed: int) -> None:
    x = picture(seed, height, width, batch=2)
    weight = (torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(seed)) - 0.3).clamp(min=0)
    row = cut.draw(st.integers(1, height - 1))
    parts = [
        color.color_statistics(a, w)
        for a, w in zip(x.split([row, height - row], 2), weight.split([row, height - row], 2), strict=True)
    ]
    whole, merged = color.color_statistics(x, weight), parts[0].merge(parts[1])
    for name in ("weight", "mean", "covariance"):
        torch.testing.assert_close(getattr(merged, name), getattr(whole, name), atol=2e-6, rtol=1e-5)


def test_statistics_go_by_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    x = picture(3)
    whole = color.color_statistics(x)
    monkeypatch.setattr(color, "_STRIP", 64)
    torch.testing.assert_close(color.color_statistics(x).m2, whole.m2, rtol=1e-5, atol=1e-6)


def test_statistics_without_any_weight_are_finite() -> None:
    got = color.color_statistics(picture(1), torch.zeros(1, 1, 23, 31))
    assert got.covariance.abs().max() == 0
    assert got.merge(got).mean.isfinite().all()


@pytest.mark.parametrize("weighted", [False, True])
def test_match_brings_mean_and_covariance_to_the_content(weighted: bool) -> None:
    result, content = picture(1), picture(2)
    weight = torch.rand(1, 1, 23, 31, generator=torch.Generator().manual_seed(5)) if weighted else None
    mean, covariance = moments(color.match_color(result, content, weight), weight)
    want_mean, want_covariance = moments(content, weight)
    np.testing.assert_allclose(mean, want_mean, atol=2e-3)
    np.testing.assert_allclose(covariance, want_covariance, atol=0.02 * want_covariance.max())


def test_match_map_is_the_cholesky_formula() -> None:
    result, content = picture(1), picture(2)
    (mr, cr), (mc, cc) = moments(result), moments(content)
    ridge = np.eye(3) / 1020**2
    matrix = np.linalg.cholesky(cc + ridge) @ np.linalg.inv(np.linalg.cholesky(cr + ridge))
    want = np.tensordot(matrix, result[0].double().numpy() - mr[:, None, None], 1) + mc[:, None, None]
    got = color.match_color(result, content)
    np.testing.assert_allclose(got[0], want.clip(0, 1), atol=2e-4)


def test_match_weight_leaves_hidden_colors_out() -> None:
    result, content = picture(1), picture(2)
    weight = torch.ones(1, 1, 23, 31)
    weight[..., :10] = 0
    want = color.match_color(result, content, weight)
    result[..., :10], content[..., :10] = 1.0, 0.0
    torch.testing.assert_close(color.match_color(result, content, weight)[..., 10:], want[..., 10:])


def test_match_with_itself_changes_nothing() -> None:
    x = picture(4)
    torch.testing.assert_close(color.match_color(x, x), x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("flat", ["result", "content", "both", "gray", "one pixel"])
def test_match_survives_degenerate_colors(flat: str) -> None:
    result, content = picture(1), picture(2)
    if flat in ("result", "both"):
        result = torch.full_like(result, 0.3)
    if flat in ("content", "both"):
        content = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand_as(content)
    if flat == "gray":
        content = content[:, :1].expand(-1, 3, -1, -1)
    if flat == "one pixel":
        result, content = result[..., :1, :1], content[..., :1, :1]
    got = color.match_color(result, content)
    assert got.isfinite().all()
    if flat in ("content", "both", "one pixel"):
        torch.testing.assert_close(got, content.contiguous(), atol=0.01, rtol=0)
    if flat == "gray":
        assert (got.amax(1) - got.amin(1)).max() < 0.05  # as gray as the ridge allows, colored noise otherwise


def test_luma_is_the_results_and_chroma_is_the_contents_where_it_fits() -> None:
    result, content = picture(1), picture(2)
    got = color.keep_luma(result, content)[0].double().numpy()
    want = np.tensordot(LUMA, result[0].double().numpy(), 1)
    np.testing.assert_allclose(np.tensordot(LUMA, got, 1), want, atol=1e-6)
    source = content[0].double().numpy()
    own = np.tensordot(LUMA, source, 1)
    free = (source - own) * (want / own).clip(1, 2) + want  # as saturated as it was, where it gets brighter
    fits = (free.min(0) >= 0) & (free.max(0) <= 1)
    assert fits.mean() > 0.7
    np.testing.assert_allclose(got[:, fits], free[:, fits], atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6))
def test_luma_stays_in_gamut_and_keeps_the_hue(values: list[float]) -> None:
    result, content = torch.tensor(values).reshape(2, 1, 3, 1, 1)
    got = color.keep_luma(result, content)
    assert got.min() >= 0
    assert got.max() <= 1
    wide = got[0, :, 0, 0].double().numpy()
    assert abs(LUMA @ wide - LUMA @ result[0, :, 0, 0].double().numpy()) < 1e-6
    source = content[0, :, 0, 0].double().numpy()
    deviation, original = wide - LUMA @ wide, source - LUMA @ source
    np.testing.assert_allclose(np.cross(deviation, original), 0, atol=1e-6)  # parallel ...
    assert deviation @ original >= -1e-6  # ... and not turned around
    grown = original * np.clip(LUMA @ wide / max(LUMA @ source, 1e-30), 1, 2)
    if np.abs(deviation - grown).max() > 1e-5:  # scaled only when a channel touches its bound
        assert min(wide.min(), 1 - wide.max()) < 1e-5


def test_luma_does_not_turn_bright_color_gray() -> None:
    content = torch.tensor([0.1, 0.2, 0.9])[None, :, None, None]
    bright = torch.full((1, 3, 1, 1), 0.85)
    got = color.keep_luma(bright, content)[0, :, 0, 0].double().numpy()
    np.testing.assert_allclose(hue(got), hue(content[0, :, 0, 0].double().numpy()), atol=1e-5)
    assert got.max() - got.min() > 0.1
    assert got.max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("mode", ["luma", "match"])
def test_type_shape_and_inputs_stay(mode: str, dtype: torch.dtype) -> None:
    result, content = picture(1, batch=2).to(dtype), picture(2, batch=2)
    before = result.clone(), content.clone()
    got = MODES[mode](result, content)
    assert (got.dtype, got.shape) == (dtype, result.shape)
    assert got.isfinite().all()
    assert torch.equal(result, before[0])
    assert torch.equal(content, before[1])


@pytest.mark.parametrize("mode", ["luma", "match"])
def test_pictures_of_a_batch_do_not_mix(mode: str) -> None:
    result, content = picture(1, batch=3), picture(2, batch=3)
    both = MODES[mode](result, content)
    for i in range(3):
        one = MODES[mode](result[i : i + 1], content[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], one, atol=1e-5, rtol=0)


def test_autocast_does_not_coarsen_the_match() -> None:
    result, content = picture(1), picture(2)
    want = color.match_color(result, content)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(color.match_color(result, content), want)


def test_wrong_shapes_are_image_errors() -> None:
    with pytest.raises(ImageError, match="one shape"):
        color.keep_luma(picture(1, 4, 4), picture(1, 4, 5))
    with pytest.raises(ImageError, match="weight"):
        color.color_statistics(picture(1, 4, 4), torch.ones(1, 1, 4, 5))
    with pytest.raises(ImageError, match="B, 3, H, W"):
        color.color_statistics(torch.zeros(1, 4, 4, 4))


def test_luma_does_not_turn_dark_color_gray() -> None:
    content = torch.tensor([0.02, 0.05, 0.15])[None, :, None, None]
    bright = torch.full((1, 3, 1, 1), 0.5)
    got = color.keep_luma(bright, content)[0, :, 0, 0].double().numpy()
    np.testing.assert_allclose(hue(got), hue(content[0, :, 0, 0].double().numpy()), atol=1e-5)
    assert got.max() - got.min() == pytest.approx(2 * (0.15 - 0.02), abs=1e-6)

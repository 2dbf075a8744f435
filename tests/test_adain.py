"""The arithmetic of AdaIN against naive float64 formulas, and its properties."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adainkit.engine.plain_moments import has_plain_moments, plain_moments
from adainkit.errors import StyleError
from adainkit.net.adain import (
    EPS,
    AffineMap,
    Moments,
    affine_map,
    apply_affine,
    blend,
    merge_moments,
    moments,
    normalize_weights,
)

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 9)


def features(seed: int, batch: int = 2, channels: int = 3, height: int = 7, width: int = 5) -> Tensor:
    """Float32 noise, every channel with its own mean and spread."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, channels, height, width, generator=g)
    scale, offset = torch.rand(channels, 1, 1, generator=g) * 3 + 0.2, torch.randn(channels, 1, 1, generator=g) * 4
    return x * scale + offset


def naive(x: Tensor, weight: Tensor | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance, `(B, C)`, cell by cell in float64."""
    cells = x.double().cpu().numpy()
    w = np.ones_like(cells[:, :1]) if weight is None else weight.double().cpu().numpy()
    mean, variance = np.empty(cells.shape[:2]), np.empty(cells.shape[:2])
    for b, c in np.ndindex(mean.shape):
        mean[b, c] = (cells[b, c] * w[b, 0]).sum() / w[b, 0].sum()
        variance[b, c] = ((cells[b, c] - mean[b, c]) ** 2 * w[b, 0]).sum() / w[b, 0].sum()
    return mean, variance


def naive_adain(content: Tensor, style: Tensor) -> np.ndarray:
    """The paper's formula 8 in float64, eps inside the root."""
    (mean, variance), (style_mean, style_variance) = naive(content), naive(style)
    std, style_std = np.sqrt(variance + EPS), np.sqrt(style_variance + EPS)
    centered = (content.double().numpy() - mean[..., None, None]) / std[..., None, None]
    return centered * style_std[..., None, None] + style_mean[..., None, None]


def map_between(content: Tensor, style: Tensor, alpha: Tensor | float = 1.0, cap: float | None = None) -> AffineMap:
    c, s = moments(content), moments(style)
    return affine_map(c.mean, c.std, s.mean, s.std, alpha, cap)


def near(actual: Tensor, expected: np.ndarray | Tensor, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    torch.testing.assert_close(actual.double().cpu(), torch.as_tensor(expected).double().cpu(), rtol=rtol, atol=atol)


# ---- statistics ----


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_equal_the_naive_ones_in_every_dtype(
    kind: torch.dtype, weighted: bool, device: torch.device
) -> None:
    x = features(1).to(device, kind)
    weight = torch.rand(2, 1, 7, 5, generator=torch.Generator().manual_seed(2)).to(device) if weighted else None
    found = moments(x, weight)
    mean, variance = naive(x, weight)
    near(found.mean, mean)
    near(found.variance, variance)
    near(found.std, np.sqrt(variance + EPS))
    assert {t.dtype for t in (found.count, found.mean, found.m2, found.std)} == {torch.float32}
    assert (found.count.shape, found.mean.shape, found.m2.shape) == ((2, 1), (2, 3), (2, 3))


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_float32_whatever_the_default_dtype_is(weighted: bool) -> None:
    x, weight = features(1), torch.ones(2, 1, 7, 5) if weighted else None
    torch.set_default_dtype(torch.float64)
    try:
        found = moments(x, weight)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {t.dtype for t in (found.count, found.mean, found.m2)} == {torch.float32}


@settings(max_examples=40)
@given(seed=seeds, height=sides, width=sides, cuts=st.lists(st.integers(0, 9), max_size=4), weighted=st.booleans())
def test_merged_parts_equal_the_whole(seed: int, height: int, width: int, cuts: list[int], weighted: bool) -> None:
    x = features(seed, height=height, width=width)
    weight = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(seed)) if weighted else None
    edges = [0, *sorted(min(c, width) for c in cuts), width]
    spans = [slice(a, b) for a, b in pairwise(edges) if a < b]
    parts = [moments(x[..., s], None if weight is None else weight[..., s]) for s in spans]
    merged = merge_moments(parts)
    mean, variance = naive(x, weight)
    near(merged.mean, mean)
    near(merged.variance, variance, atol=1e-4)
    near(merged.count, moments(x, weight).count)


@settings(max_examples=20)
@given(seed=seeds, order=st.permutations(range(5)))
def test_the_order_of_merging_does_not_matter(seed: int, order: list[int]) -> None:
    parts = [moments(features(seed + i, width=i + 1)) for i in range(5)]
    one, other = merge_moments(parts), merge_moments([parts[i] for i in order])
    near(one.mean, other.mean)
    near(one.variance, other.variance, atol=1e-4)


def test_a_part_in_which_nothing_counts_changes_nothing() -> None:
    whole, empty = moments(features(1)), moments(features(2) + 1000, torch.zeros(2, 1, 7, 5))
    for parts in ([whole, empty], [empty, whole], [empty, whole, empty]):
        merged = merge_moments(parts)
        torch.testing.assert_close((merged.count, merged.mean, merged.m2), (whole.count, whole.mean, whole.m2))


def test_one_part_merges_to_itself() -> None:
    part = moments(features(1))
    assert merge_moments([part]) is part


def test_where_nothing_counts_at_all_statistics_are_finite() -> None:
    empty = moments(features(1), torch.zeros(2, 1, 7, 5))
    for found in (empty, merge_moments([empty, empty])):
        assert all(torch.isfinite(t).all() for t in (found.mean, found.variance, found.std))


@settings(max_examples=30)
@given(seed=seeds, counts=st.lists(st.integers(0, 4), min_size=6, max_size=6).filter(any))
def test_a_whole_weight_is_a_cell_repeated(seed: int, counts: list[int]) -> None:
    x = features(seed, batch=1, height=1, width=6)
    repeated = x.repeat_interleave(torch.tensor(counts), dim=3)
    found, expected = moments(x, torch.tensor(counts).float().view(1, 1, 1, 6)), moments(repeated)
    near(found.count, expected.count)
    near(found.mean, expected.mean)
    near(found.variance, expected.variance, atol=1e-4)


@settings(max_examples=20)
@given(seed=seeds, scale=st.floats(1e-3, 1e3))
def test_the_scale_of_the_weights_does_not_matter(seed: int, scale: float) -> None:
    x, weight = features(seed), torch.rand(2, 1, 7, 5, generator=torch.Generator().manual_seed(seed)) + 0.01
    one, other = moments(x, weight), moments(x, weight * scale)
    near(one.mean, other.mean)
    near(one.std, other.std)


def test_a_cell_of_weight_zero_does_not_count_whatever_it_holds() -> None:
    x, weight = features(1), torch.ones(2, 1, 7, 5)
    weight[..., 2:] = 0
    changed = torch.where(weight > 0, x, torch.tensor(1e6))
    one, other = moments(x, weight), moments(changed, weight)
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.m2, other.m2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (16, 16)])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_flat_picture_has_variance_zero(shape: tuple[int, int], weighted: bool) -> None:
    x = torch.full((2, 3, *shape), 0.7)
    found = moments(x, torch.ones(2, 1, *shape) if weighted else None)
    near(found.mean, torch.full((2, 3), 0.7))
    near(found.variance, torch.zeros(2, 3), atol=1e-9)
    near(found.std, torch.full((2, 3), math.sqrt(EPS)))


@pytest.mark.parametrize("how", ["whole", "weighted", "merged"])
def test_a_large_offset_does_not_cancel_the_variance(how: str) -> None:
    x = features(3, height=64, width=64) + 10_000
    _, variance = naive(x)
    found = {
        "whole": lambda: moments(x),
        "weighted": lambda: moments(x, torch.ones(2, 1, 64, 64)),
        "merged": lambda: merge_moments([moments(x[..., i : i + 8]) for i in range(0, 64, 8)]),
    }[how]()
    near(found.variance, variance, rtol=2e-3)
    short_cut = x.square().mean((2, 3)) - x.mean((2, 3)).square()
    assert (short_cut.double().numpy() / variance - 1).__abs__().max() > 0.1, "E[x^2] - E[x]^2 would pass, too"


def test_half_precision_does_not_overflow() -> None:
    x = torch.full((1, 1, 64, 64), 60_000.0, dtype=torch.float16)
    x[..., ::2] = -60_000
    found = moments(x)
    near(found.mean, torch.zeros(1, 1), atol=1)
    near(found.std, x[..., :1, :1].float().abs().flatten(1))


# ---- the affine map ----


@settings(max_examples=30)
@given(seed=seeds)
def test_alpha_0_is_the_identity(seed: int) -> None:
    content, style = features(seed), features(seed + 1)
    affine = map_between(content, style, 0.0)
    assert torch.equal(affine.gain, torch.ones_like(affine.gain))
    assert torch.equal(affine.shift, affine.center)
    near(apply_affine(content, affine), content)


@settings(max_examples=30)
@given(seed=seeds)
def test_alpha_1_gives_the_styles_statistics(seed: int) -> None:
    content, style = features(seed), features(seed + 1, height=11)
    found, expected = moments(apply_affine(content, map_between(content, style))), moments(style)
    near(found.mean, expected.mean, rtol=1e-3, atol=1e-4)
    near(found.std, expected.std, rtol=1e-3)


def test_alpha_1_is_the_papers_formula() -> None:
    content, style = features(1), features(2, width=9)
    near(apply_affine(content, map_between(content, style)), naive_adain(content, style), rtol=1e-4, atol=1e-4)


@settings(max_examples=30)
@given(seed=seeds, alpha=st.floats(0, 1))
def test_alpha_interpolates_the_features(seed: int, alpha: float) -> None:
    content, style = features(seed), features(seed + 1)
    expected = alpha * naive_adain(content, style) + (1 - alpha) * content.double().numpy()
    near(apply_affine(content, map_between(content, style, alpha)), expected, rtol=1e-4, atol=1e-3)


def test_alpha_may_differ_within_a_batch() -> None:
    content, style = features(1), features(2)
    both = map_between(content, style, torch.tensor([[0.25], [0.75]]))
    for i, alpha in enumerate((0.25, 0.75)):
        one = map_between(content, style, alpha)
        torch.testing.assert_close(both.gain[i], one.gain[i])
        torch.testing.assert_close(both.shift[i], one.shift[i])


def test_one_style_serves_a_whole_batch() -> None:
    content, style = features(1, batch=3), features(2, batch=1)
    together = apply_affine(content, map_between(content, style))
    for i in range(3):
        alone = content[i : i + 1]
        near(together[i : i + 1], apply_affine(alone, map_between(alone, style)))


@settings(max_examples=20)
@given(seed=seeds, alpha=st.floats(0, 1), share=st.floats(0, 1))
def test_blend_and_alpha_are_one_affine_map(seed: int, alpha: float, share: float) -> None:
    """t = f a + b with a and b as the design derives them, in float64."""
    content, first, second = (features(seed + i) for i in range(3))
    c, s, t = moments(content), moments(first), moments(second)
    mean, std = blend([s.mean, t.mean], [share, 1 - share]), blend([s.std, t.std], [share, 1 - share])
    found = apply_affine(content, affine_map(c.mean, c.std, mean, std, alpha))
    c_mean, c_std = c.mean.double(), c.std.double()
    mixed_mean = share * s.mean.double() + (1 - share) * t.mean.double()
    mixed_std = share * s.std.double() + (1 - share) * t.std.double()
    a = alpha * mixed_std / c_std + (1 - alpha)
    b = alpha * (mixed_mean - c_mean * mixed_std / c_std)
    near(found, content.double() * a[..., None, None] + b[..., None, None], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("cells", [(1, 1), (8, 8)])
def test_a_flat_content_takes_the_styles_mean_and_stays_finite(cells: tuple[int, int]) -> None:
    content, style = torch.full((1, 3, *cells), 0.3), features(2, batch=1)
    near(apply_affine(content, map_between(content, style)), moments(style).mean[..., None, None].expand(1, 3, *cells))


def test_a_flat_style_gives_a_flat_result() -> None:
    result = apply_affine(features(1), map_between(features(1), torch.full((1, 3, 4, 4), 2.0)))
    assert (result - 2).abs().max() < 0.05  # sqrt(EPS) of spread is left


def test_the_gain_cap_bounds_the_gain_and_keeps_the_styles_mean() -> None:
    content, style = features(1) * 1e-3, features(2)
    free, capped = map_between(content, style), map_between(content, style, cap=16.0)
    assert free.gain.min() > 50
    torch.testing.assert_close(capped.gain, torch.full_like(capped.gain, 16.0))
    near(moments(apply_affine(content, capped)).mean, moments(style).mean, rtol=1e-3, atol=1e-3)


def test_a_gain_below_the_cap_is_left_alone() -> None:
    free, capped = map_between(features(1), features(2)), map_between(features(1), features(2), cap=1e4)
    assert torch.equal(free.gain, capped.gain)


def test_the_gain_cap_leaves_alpha_0_the_identity() -> None:
    affine = map_between(features(1) * 1e-3, features(2), 0.0, cap=16.0)
    assert torch.equal(affine.gain, torch.ones_like(affine.gain))


# Root mean square errors over the style's sigma. Rounding the features themselves is no part of it: both
# forms get the same half-precision features. A result of size 4 sigma or so is rounded to 11 or 8 bits.
@pytest.mark.parametrize(("kind", "bound"), [(torch.float16, 2e-3), (torch.bfloat16, 1.5e-2)])
def test_a_flat_noisy_map_keeps_its_accuracy_in_half_precision(kind: torch.dtype, bound: float) -> None:
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    content = (0.9 + 0.004 * noise).to(kind)  # a sky: flat, with a few steps of noise
    style = 0.5 + 1.0 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    affine, sigma = map_between(content, style), moments(style).std.item()
    assert affine.gain.item() > 100
    exact = (content.double() - affine.center.double()[..., None, None]) * affine.gain.double()[..., None, None]
    exact = exact + affine.shift.double()[..., None, None]

    def error(result: Tensor) -> float:
        return (result.double() - exact).square().mean().sqrt().item() / sigma

    a, b = affine.gain, affine.shift - affine.center * affine.gain
    folded = content * a.to(kind)[..., None, None] + b.to(kind)[..., None, None]
    assert error(apply_affine(content, affine)) < bound
    assert error(folded) > 5 * bound, "the form f * a + b passes, too: the test proves nothing"


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_of_the_features_is_kept(kind: torch.dtype) -> None:
    content = features(1).to(kind)
    assert apply_affine(content, map_between(content, features(2))).dtype == kind


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_agree_with_finite_differences(weighted: bool) -> None:
    content, style = features(1, batch=1), features(2, batch=1)
    weight = torch.rand(1, 1, 7, 5, generator=torch.Generator().manual_seed(3)) if weighted else None
    target = features(4, batch=1)

    def loss(c: Tensor, s: Tensor) -> Tensor:
        m, n = moments(c, weight), merge_moments([moments(s[..., :2]), moments(s[..., 2:])])
        affine = affine_map(m.mean, m.std, n.mean, n.std, 0.7)
        return (apply_affine(c, affine) * target).mean()

    for index in range(2):
        inputs = [content.clone(), style.clone()]
        inputs[index].requires_grad_(True)
        (slope,) = torch.autograd.grad(loss(*inputs), inputs[index])
        direction = features(5 + index, batch=1)
        direction /= direction.norm()
        step = 1e-2
        ends = []
        for sign in (1, -1):
            moved = [x.detach() for x in inputs]
            moved[index] = moved[index] + sign * step * direction
            ends.append(loss(*moved).item())
        assert (slope * direction).sum().item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=2e-2, abs=1e-4)


# ---- weights and blends ----


positive = st.floats(0, 1e6, allow_subnormal=False)


@given(weights=st.lists(positive, min_size=1, max_size=6).filter(any), scale=st.floats(1e-3, 1e3))
def test_weights_are_scaled_to_sum_1(weights: list[float], scale: float) -> None:
    found = normalize_weights(weights)
    assert sum(found) == pytest.approx(1)
    assert all(w >= 0 for w in found)
    assert found == pytest.approx([w / sum(weights) for w in weights])
    assert normalize_weights([w * scale for w in weights]) == pytest.approx(found)


@pytest.mark.parametrize(
    "weights",
    [[], [0.0], [0.0, 0.0], [-1.0], [2.0, -1.0], [-1.0, -1.0], [math.nan], [1.0, math.nan], [math.inf], [1, math.inf]],
)
def test_impossible_weights_are_an_error_that_shows_them(weights: list[float]) -> None:
    with pytest.raises(StyleError, match="weights must be finite, 0 or more, and not all zero") as raised:
        normalize_weights(weights)
    assert str(list(weights)) in str(raised.value)
    with pytest.raises(StyleError):
        blend([torch.ones(3)] * max(1, len(weights)), weights)


@given(seed=seeds, weight=st.floats(1e-6, 1e6))
def test_a_blend_of_one_is_that_one(seed: int, weight: float) -> None:
    value = features(seed)
    assert torch.equal(blend([value], [weight]), value)


@settings(max_examples=30)
@given(seed=seeds, weights=st.lists(st.floats(0, 10), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.01))
def test_a_blend_is_the_weighted_mean(seed: int, weights: list[float]) -> None:
    values = [features(seed + i) for i in range(3)]
    expected = sum(v.double() * w for v, w in zip(values, weights, strict=True)) / sum(weights)
    near(blend(values, weights), expected, atol=1e-4)
    near(blend(values[::-1], weights[::-1]), expected, atol=1e-4)


def test_a_blend_leaves_its_parts_as_they_were() -> None:
    values = [features(1), features(2)]
    before = [v.clone() for v in values]
    blend(values, [1, 3])
    assert all(torch.equal(a, b) for a, b in zip(values, before, strict=True))


def test_moments_cannot_be_changed_by_accident() -> None:
    found = moments(features(1))
    with pytest.raises(AttributeError):
        found.count = torch.zeros(2, 1)  # type: ignore[misc]
    assert isinstance(found, Moments)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("styles", [1, 3])
def test_applying_a_map_changes_no_argument_and_is_the_formula(kind: torch.dtype, styles: int) -> None:
    f = torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(0)).to(kind)
    parts = [torch.randn(n, 4, generator=torch.Generator().manual_seed(n)) for n in (1, styles, styles)]
    copies = [t.clone() for t in (f, *parts)]
    got = apply_affine(f, AffineMap(*parts))
    center, gain, shift = (p[:, :, None, None] for p in parts)
    assert torch.equal(got, ((f.float() - center) * gain + shift).to(kind))
    assert all(torch.equal(a, b) for a, b in zip((f, *parts), copies, strict=True))
    parts[1].requires_grad_(True)
    assert torch.equal(apply_affine(f, AffineMap(*parts)), got)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("mean", "deviation"), [(5.0, 1.0), (1.0, 1e-3)])
def test_statistics_by_torch_s_own_loops_are_the_same(
    kind: torch.dtype, layout: torch.memory_format, mean: float, deviation: float
) -> None:
    features = (torch.randn(2, 24, 70, 90) * deviation + mean).to(kind).contiguous(memory_format=layout)
    assert has_plain_moments(features)
    assert not has_plain_moments(features.float())
    found, expected = plain_moments(features, 1 << 14), moments(features.double().float())
    torch.testing.assert_close(found.count, expected.count)
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.std, expected.std, rtol=1e-4, atol=0)

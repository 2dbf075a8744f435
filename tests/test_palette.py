"""The palette: results take the colors of their styles, whole, by regions, by boxes and in films."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from adainkit.engine.bands import measured_bands
from adainkit.engine.held import held_colors
from adainkit.look import color
from adainkit.look.color import (
    _OPPONENT,
    COLORFUL,
    GAINS,
    LOCAL,
    LOUDEST,
    VIVID,
    ChromaBound,
    ColorStatistics,
    LocalColor,
    apply_map,
    color_statistics,
    luma,
    palette_map,
    palette_of,
    toward,
)
from adainkit.look.controls import Controls
from adainkit.net.config import LITE, VGG19
from adainkit.net.model import AdaINModel
from adainkit.style import PALETTE, Style
from adainkit.stylizer import Stylizer
from training.objective import with_palette


def blobs(height: int, width: int, seed: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """A picture of soft spots of color, `(1, 3, height, width)`."""
    made = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, 6, 7, generator=made)
    wide = torch.nn.functional.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    return low + (high - low) * wide


def vivid(colors: ColorStatistics, share: float | None = None) -> ColorStatistics:
    """A style's colors as results get them: as much more vivid as leaves its channels room, by a search."""
    if share is None:
        shares = [k / 1000 for k in range(1001)]
        return next((vivid(colors, k) for k in reversed(shares) if fits(colors, k)), colors)
    factors = [1 + share * (factor - 1) for factor in VIVID]
    turn = torch.tensor(_OPPONENT, dtype=torch.float64)
    whole, tint = (
        turn.inverse() @ torch.diag(torch.tensor(f, dtype=torch.float64)) @ turn for f in (factors, (1, *factors[1:]))
    )
    return ColorStatistics(colors.weight, colors.mean @ tint.T, whole @ colors.m2 @ whole.T)


def fits(colors: ColorStatistics, share: float) -> bool:
    """Whether a share of it is no more than a straight line between none and all of it allows."""
    extents = [
        (c.mean[0] - 0.5).abs() + 1.5 * c.covariance[0].diagonal().sqrt() for c in (vivid(colors, 0), vivid(colors, 1))
    ]
    return share == 0 or bool((extents[0] + share * (extents[1] - extents[0]) <= 0.5 + 1e-9).all())


def away(result: Tensor, colors: ColorStatistics) -> float:
    """How far a result's colors are from a palette: of means and of covariances, relative."""
    own = color_statistics(result)
    mean = (own.mean - colors.mean).norm() / colors.mean.norm()
    spread = (own.covariance - colors.covariance).norm() / colors.covariance.norm()
    return float(mean + spread)


@pytest.fixture(scope="module")
def lite() -> Stylizer:
    return Stylizer("lite", device="cpu", dtype="float32", cache=None)


# ---- the map ----


@given(st.integers(0, 1000), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_a_result_gets_the_mean_and_covariance_of_the_palette(one: int, other: int) -> None:
    result, style = blobs(40, 50, one), blobs(30, 30, other)
    own, wanted = color_statistics(result), color_statistics(style)
    matrix, offset = toward(own.mean, own.covariance, wanted.mean, wanted.covariance)
    moved = torch.einsum("bij,bjhw->bihw", matrix, result.double()) + offset[:, :, None, None]
    found = color_statistics(moved)
    torch.testing.assert_close(found.mean, vivid(wanted).mean, atol=1e-3, rtol=0)
    bright = torch.tensor(_OPPONENT[0], dtype=torch.float64)
    more = ((bright @ vivid(wanted).covariance @ bright) / (bright @ wanted.covariance @ bright)).sqrt()
    gain = luma(moved).std() / luma(result).std() / more
    assert gain <= GAINS[0] + 5e-3
    if gain < GAINS[0] - 5e-3:  # no cap was met in luma: its deviation is the palette's
        assert float(luma(moved).std()) == pytest.approx(float(more) * float(luma(style).std()), rel=0.02)


def test_a_palette_is_made_vivid_as_far_as_there_is_room() -> None:
    calm = color_statistics(0.5 + 0.3 * (blobs(40, 50, 2) - 0.5))
    assert fits(calm, 1)
    found = vivid(calm)
    bright = torch.tensor(_OPPONENT, dtype=torch.float64)
    ratios = ((bright @ found.covariance[0] @ bright.T) / (bright @ calm.covariance[0] @ bright.T)).diagonal().sqrt()
    torch.testing.assert_close(ratios, torch.tensor([1.3, 1.45, 1.45], dtype=torch.float64))
    torch.testing.assert_close(bright[0] @ found.mean[0], bright[0] @ calm.mean[0])
    glaring = color_statistics((torch.rand(1, 3, 40, 50) > 0.5).float())
    matrix, offset = toward(glaring.mean, glaring.covariance, glaring.mean, glaring.covariance)
    torch.testing.assert_close(matrix, torch.eye(3, dtype=torch.float64)[None], atol=1e-6, rtol=0)
    torch.testing.assert_close(offset, torch.zeros_like(offset), atol=1e-6, rtol=0)


def test_without_a_cap_it_is_exact() -> None:
    result, style = blobs(40, 50, 1), 0.5 + 0.4 * (blobs(40, 50, 2) - 0.5)
    found = replace(palette_map(color_statistics(result), color_statistics(style)), bound=None)
    moved = apply_map(result, found)
    torch.testing.assert_close(
        color_statistics(moved).covariance, vivid(color_statistics(style)).covariance, atol=2e-4, rtol=0
    )


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_what_is_flat_or_gray_is_no_trouble(value: float) -> None:
    flat, gray, colored = torch.full((1, 3, 9, 9), value), blobs(9, 9, 1)[:, :1].expand(-1, 3, -1, -1), blobs(9, 9, 2)
    for result in (flat, gray, colored):
        for style in (flat, gray, colored):
            found = palette_map(color_statistics(result), color_statistics(style))
            assert bool(torch.isfinite(found.matrix).all())
            moved = apply_map(result, found)
            assert bool(torch.isfinite(moved).all())
            if style is gray:
                assert float(moved.std(1).mean()) < 0.03
    nothing = color_statistics(colored, torch.zeros(1, 1, 9, 9))
    torch.testing.assert_close(apply_map(colored, palette_map(nothing, color_statistics(flat))), colored)


def test_colors_that_a_style_does_not_have_are_drawn_in() -> None:
    style = color_statistics(0.5 + 0.2 * (blobs(30, 30, 2) - 0.5))
    bound = ChromaBound.of(style, torch.ones(1, dtype=torch.float64))
    x = blobs(40, 50, 3).flatten(2)
    found = bound.applied(x)
    before, after = (
        (bound.seen @ colors.double() + bound.center[:, :, None]).square().sum(1).sqrt() for colors in (x, found)
    )
    assert float(before.max()) > 3
    assert float(after.max()) < ChromaBound.MOST
    assert torch.all(after <= before + 1e-4)
    near = before <= ChromaBound.FREE**0.5
    torch.testing.assert_close(found[:, :, near[0]], x[:, :, near[0]], atol=1e-6, rtol=0)
    torch.testing.assert_close(luma(found[..., None]), luma(x[..., None]), atol=1e-5, rtol=0)
    none = replace(bound, strength=torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(none.applied(x), x, atol=0, rtol=0)


def local_color(content: Tensor, style: Tensor, strength: float = 1.0) -> Tensor:
    of = [color_statistics(x) for x in (content, style)]
    kept = LocalColor.kept(*of, torch.tensor([strength], dtype=torch.float64))
    return kept.of(content.flatten(2)).view_as(content)


def chroma(x: Tensor) -> Tensor:
    """`(2, N)`: B - Y and R - Y."""
    return (x - luma(x))[0, [2, 0]].flatten(1)


def test_local_color_is_what_the_content_has_beside_light_and_shade() -> None:
    content, style = 0.5 + 0.1 * (blobs(40, 50, 1) - 0.5), blobs(40, 50, 2)  # too faint to be drawn in
    added = local_color(content, style)
    assert float(luma(added).abs().max()) < 1e-6
    light = luma(content).flatten(1)
    rest = chroma(content) - chroma(content).mean(1, keepdim=True)
    light = light - light.mean()
    slope = (rest @ light.T) / (light @ light.T + 40 * 50 * (1 / 1020) ** 2)
    torch.testing.assert_close(chroma(added), LOCAL * (rest - slope * light), atol=2e-3, rtol=0)
    torch.testing.assert_close(local_color(content, style, 0.5), added / 2, atol=2e-3, rtol=0)


def test_local_color_stays_below_the_loudest() -> None:
    loud = local_color((torch.rand(1, 3, 40, 50) > 0.5).float(), blobs(40, 50, 2))
    assert 0.15 < float(chroma(loud).norm(dim=0).max()) < LOUDEST


@pytest.mark.parametrize("varied", [0.0, 0.2, 0.7])
def test_a_style_with_hardly_any_color_takes_less_of_it(varied: float) -> None:
    content, gray = 0.5 + 0.1 * (blobs(40, 50, 1) - 0.5), blobs(40, 50, 2).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    tint = (
        torch.randn(1, 1, 40, 50, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1.0, -0.509, 0])[:, None, None]
    )
    style = gray + varied * COLORFUL * tint / tint[:, 0].std()
    ratio = local_color(content, style).norm() / local_color(content, blobs(40, 50, 2)).norm()
    assert float(ratio) == pytest.approx(varied, abs=0.05)


def test_things_keep_their_hues_and_gray_pictures_get_none(lite: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    style = lite.encode_style(blobs(60, 60, 9, 0.4, 0.6))
    gray = 0.3 + 0.4 * blobs(64, 96, 5).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    apple = torch.zeros(64, 96)
    apple[16:48, 32:64] = 1
    red = gray + apple * torch.tensor([0.25, -0.12, -0.03])[:, None, None]
    kept = [lite.stylize(x, style) for x in (gray, red)]
    monkeypatch.setattr(color, "LOCAL", 0.0)
    plain = [lite.stylize(x, style) for x in (gray, red)]
    torch.testing.assert_close(kept[0], plain[0], atol=2e-3, rtol=0)
    inner = (..., slice(24, 40), slice(40, 56))
    assert float((kept[1] - plain[1])[inner][:, 0].mean()) > 0.05, "redder"
    outer = (..., slice(0, 12), slice(None))
    assert float((kept[1] - plain[1])[outer][:, 0].mean()) < 0, "and what is beside it less so"


def test_a_region_s_local_color_is_of_what_it_covers(lite: Stylizer) -> None:
    content, styles = blobs(64, 128, 5), [lite.encode_style(blobs(60, 60, seed)) for seed in (1, 2)]
    left = torch.zeros(64, 128)
    left[:, :64] = 1
    tint = (2 * left - 1) * torch.tensor([0.1, 0, -0.1])[:, None, None]
    content = (content + tint).clamp(0, 1)  # reddish and bluish
    found = lite.stylize(content, None, regions=[(left, styles[0]), (1 - left, styles[1])])
    alone = lite.stylize(content, styles[0], mask=left)
    difference = (found - alone)[..., :48].mean((0, 2, 3))
    assert float(difference.abs().max()) < 0.015


@pytest.mark.parametrize("strength", [0.25, 0.5])
def test_loud_local_color_is_in_proportion_as_well(strength: float) -> None:
    loud, style = (torch.rand(1, 3, 40, 50) > 0.5).float(), blobs(40, 50, 2)
    torch.testing.assert_close(local_color(loud, style, strength), strength * local_color(loud, style))


def test_a_film_s_local_color_is_of_all_of_it(lite: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = 0.25 + 0.5 * blobs(72, 96, 1), 0.25 + 0.5 * blobs(72, 96, 2)
    style, held = lite.encode_style(blobs(60, 60, 3)), lite.content_statistics(list(frames))
    kept = [lite.stylize(frame, style, content_statistics=held) for frame in frames]
    measured = held_colors(lite.executor(), held, [[style]], Controls())
    assert measured is not None
    _, content = measured
    whole = color_statistics(torch.cat(frames, 3))
    torch.testing.assert_close(content.mean, whole.mean, atol=5e-3, rtol=0)
    monkeypatch.setattr(color, "LOCAL", 0.0)
    plain = [lite.stylize(frame, style, content_statistics=held) for frame in frames]
    monkeypatch.undo()
    local = LocalColor.kept(content, palette_of(style), torch.ones(1, dtype=torch.float64))
    for frame, one, other in zip(frames, kept, plain, strict=True):
        inner = (one > 0) & (one < 1) & (other > 0) & (other < 1)
        added = local.of(frame.flatten(2)).view_as(frame)
        torch.testing.assert_close((one - other)[inner], added[inner], atol=2e-3, rtol=0)


def test_it_can_be_trained_through() -> None:
    result, style, content = blobs(20, 20, 3).requires_grad_(), blobs(20, 20, 4), blobs(20, 20, 5)
    found = with_palette(result, style, content)
    of = [color_statistics(x.detach()) for x in (result, style, content)]
    expected = apply_map(result.detach(), palette_map(*of[:2], content=of[2]), content)
    torch.testing.assert_close(found.clamp(0, 1), expected, atol=1e-4, rtol=0)
    found.square().sum().backward()
    assert result.grad is not None
    assert bool(torch.isfinite(result.grad).all())
    assert float(result.grad.abs().sum()) > 0


def test_nothing_is_brought_to_the_device_in_training() -> None:
    called: set[str] = set()

    class Listening(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            called.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    result, style, content = blobs(20, 20, 3).requires_grad_(), blobs(20, 20, 4), blobs(20, 20, 5)
    with Listening():
        with_palette(result, style, content).square().sum().backward()
    assert "baddbmm" in called
    waiting = {"lift_fresh", "lift_fresh_copy", "_linalg_solve_ex", "_linalg_check_errors", "_local_scalar_dense"}
    assert not called & waiting, "a step is recorded as a CUDA graph"


# ---- pictures ----


def test_results_come_to_their_styles_colors(lite: Stylizer, photos: dict[str, np.ndarray]) -> None:
    content, *paintings = (torch.tensor(x[:160, :200]).movedim(-1, 0)[None] / 255 for x in photos.values())
    assert len(paintings) > 2
    for painting in paintings:
        style = lite.encode_style(painting)
        assert palette_of(style).weight > 0
        colors = vivid(palette_of(style))
        plain, half, full = (lite.stylize(content, style, color_strength=s) for s in (0, 0.5, 1))
        assert away(full, colors) < away(half, colors) < away(plain, colors)
        assert away(full, colors) < 0.6 * away(plain, colors)
        assert torch.equal(lite.stylize(content, style), full)


def test_alpha_0_is_the_content_s_colors(lite: Stylizer) -> None:
    content, style = blobs(64, 72, 5), lite.encode_style(blobs(80, 90, 6))
    expected = lite.stylize(content, style, alpha=0, color_strength=0)
    assert torch.equal(lite.stylize(content, style, alpha=0), expected)
    levels = [0.0, 1.0, 1.0]
    expected = lite.stylize(content, style, alpha=levels, color_strength=0)
    assert torch.equal(lite.stylize(content, style, alpha=levels), expected), "the finest level is about colors"


def test_regions_and_pictures_of_a_batch_have_palettes_of_their_own(lite: Stylizer) -> None:
    content = blobs(64, 128, 5)
    red, blue = (
        blobs(60, 60, 1) * torch.tensor([1, 0.2, 0.2])[:, None, None],
        blobs(60, 60, 2) * torch.tensor([0.2, 0.2, 1])[:, None, None],
    )
    styles = [lite.encode_style(each) for each in (red, blue)]
    left = torch.zeros(64, 128)
    left[:, :64] = 1
    found = lite.stylize(content, None, regions=[(left, styles[0]), (1 - left, styles[1])])
    for part, style in ((found[..., :64], styles[0]), (found[..., 64:], styles[1])):
        assert palette_of(style).weight > 0
        colors = vivid(palette_of(style))
        torch.testing.assert_close(color_statistics(part).mean, colors.mean, atol=0.05, rtol=0)
    pair = torch.cat([content, content.flip(3)])
    together = lite.stylize_batch(list(pair), styles)
    for one, style, result in zip(pair, styles, together, strict=True):
        torch.testing.assert_close(result, lite.stylize(one, style), atol=1e-4, rtol=0)


def test_a_mask_measures_what_it_covers(lite: Stylizer) -> None:
    content, style = blobs(64, 128, 5), lite.encode_style(blobs(60, 60, 1))
    left = torch.zeros(64, 128)
    left[:, :64] = 1
    found = lite.stylize(content, style, mask=left)
    assert torch.equal(found[..., 64:], content[..., 64:])
    assert palette_of(style).weight > 0
    colors = vivid(palette_of(style))
    torch.testing.assert_close(color_statistics(found[..., :64]).mean, colors.mean, atol=0.03, rtol=0)


@given(st.integers(1, 100_000), st.sampled_from([1, 4, 8, 32]))
@settings(max_examples=300)
def test_a_large_picture_is_measured_in_bands(length: int, stride: int) -> None:
    bands = measured_bands(length, stride)
    if length <= 256 or (stride > 16 and length < 16 + 15 * stride):
        assert bands == [slice(0, length)]
        return
    assert len(bands) == 16
    assert all(band.stop - band.start == 16 and band.start % stride == 0 for band in bands)
    gaps = {other.start - one.start for one, other in pairwise(bands)}
    assert max(gaps) - min(gaps) <= stride
    assert min(gaps) >= 16, "no row counts twice"
    assert bands[0].start == 0
    assert 0 <= length - bands[-1].stop < stride, "borders count as all does"


def test_bands_tell_as_much_as_the_whole(lite: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    content, style = blobs(700, 900, 1), lite.encode_style(blobs(60, 60, 2))
    found = lite.stylize(content, style)
    monkeypatch.setattr("adainkit.engine.bands._BANDS", 1000)
    exact = lite.stylize(content, style)
    assert not torch.equal(found, exact)
    assert float((found - exact).abs().mean()) < 0.01


def test_a_picture_with_a_frame_is_measured_with_it(lite: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    content, style = torch.full((1, 3, 631, 631), 0.1), lite.encode_style(blobs(60, 60, 2))
    content[:, :, 60:-60, 60:-60] = blobs(511, 511, 1, 0.4, 0.9)
    found = lite.stylize(content, style)
    monkeypatch.setattr("adainkit.engine.bands._BANDS", 1000)
    assert float((found - lite.stylize(content, style)).abs().mean()) < 0.03


def test_what_is_visible_between_bands_is_measured(lite: Stylizer) -> None:
    style, content = lite.encode_style(blobs(60, 60, 2)), torch.zeros(1, 4, 1500, 1500)
    _, one, other, *_ = measured_bands(1500)
    there = (..., slice(one.stop, other.start), slice(one.stop, other.start))
    side = other.start - one.stop
    gray = blobs(side, side, 1, 0, 0.3).mean(1, keepdim=True).expand(-1, 3, -1, -1)  # no color of its own
    content[there] = torch.cat([gray, torch.ones(1, 1, side, side)], 1)
    found = lite.stylize(content, style)[:, :3][there]
    torch.testing.assert_close(color_statistics(found).mean, vivid(palette_of(style)).mean, atol=0.01, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (7, 31)])
def test_a_map_is_the_same_in_every_layout(layout: torch.memory_format, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    found = replace(palette_map(color_statistics(blobs(9, 9, 1)), color_statistics(blobs(9, 9, 2))), bound=None)
    wanted = torch.einsum("bij,bjhw->bihw", found.matrix, x.double()) + found.offset[:, :, None, None]
    torch.testing.assert_close(apply_map(x, found).double(), wanted.clamp(0, 1), atol=2e-6, rtol=0)


# ---- styles ----


def test_a_style_keeps_its_colors_in_its_file(lite: Stylizer, tmp_path: Path) -> None:
    style = lite.encode_style(blobs(60, 60, 1))
    path = style.save(tmp_path / "a.safetensors")
    with safe_open(path, "pt") as file:
        assert file.metadata()["format_version"] == "2"
        assert {name: tuple(file.get_tensor(name).shape) for name in PALETTE} == PALETTE
    content = blobs(40, 48, 2)
    assert torch.equal(lite.stylize(content, path), lite.stylize(content, style))


def test_a_style_of_before_has_the_network_s_colors(lite: Stylizer) -> None:
    style = lite.encode_style(blobs(60, 60, 1))
    old, content = Style(style.means, style.stds, style.digest), blobs(40, 48, 2)
    assert torch.equal(lite.stylize(content, old), lite.stylize(content, style, color_strength=0))
    assert set(Style.blend([(old, 1), (style, 1)]).tensors) == set(old.tensors)
    other = lite.encode_style(blobs(60, 60, 3))
    mixed = Style.blend([(style, 3), (other, 1)])
    for name in PALETTE:
        wanted = 0.75 * style.tensors[name] + 0.25 * other.tensors[name]
        torch.testing.assert_close(mixed.tensors[name], wanted)


def test_beside_a_style_of_before_others_keep_their_palettes(lite: Stylizer) -> None:
    style, content = lite.encode_style(blobs(60, 60, 1)), blobs(40, 48, 2)[0]
    old = Style(style.means, style.stds, style.digest)
    one, other = lite.stylize_batch([content, content], [style, old])
    torch.testing.assert_close(one, lite.stylize(content, style), atol=1e-5, rtol=0)
    torch.testing.assert_close(other, lite.stylize(content, old), atol=1e-5, rtol=0)
    left = torch.zeros(40, 48)
    left[:, :24] = 1
    found = lite.stylize(content, None, regions=[(left, style), (1 - left, old)])
    whole = lite.stylize(content, style, mask=left)
    torch.testing.assert_close(found[:, :, :16], whole[:, :, :16], atol=0.05, rtol=0)
    without = lite.stylize(content, None, regions=[(left, style), (1 - left, old)], color_strength=0)
    torch.testing.assert_close(found[:, :, 24:], without[:, :, 24:], atol=1e-6, rtol=0)


def test_a_cached_style_of_before_is_encoded_again(tmp_path: Path) -> None:
    stylizer, painting = Stylizer("lite", device="cpu", dtype="float32"), blobs(60, 60, 1)
    style = stylizer.encode_style(painting)
    assert stylizer.cache is not None
    old = Style(style.means, style.stds, style.digest)
    stylizer.cache.get = lambda key: old  # type: ignore[method-assign]
    assert set(stylizer.encode_style(painting).tensors) == set(style.tensors)


def test_models_without_a_palette_keep_their_colors() -> None:
    assert LITE.palette
    assert not VGG19.palette
    assert '"palette"' not in VGG19.to_json()
    model = AdaINModel(replace(LITE, palette=False))
    stylizer = Stylizer(model, device="cpu", dtype="float32", cache=None)
    style = stylizer.encode_style(blobs(60, 60, 1))
    assert not set(PALETTE) & set(style.tensors)


# ---- films ----


def test_all_frames_of_a_film_move_their_colors_alike(lite: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChromaBound, "MOST", 1e6)  # affine
    monkeypatch.setattr(color, "LOCAL", 0.0)
    dark, light = blobs(72, 96, 1, 0, 0.4), blobs(72, 96, 2, 0.4, 1)
    style = lite.encode_style(blobs(60, 60, 3))
    held = lite.content_statistics([dark, light])
    assert len(held.samples) == 2
    assert all(sample.dtype == torch.uint8 for sample in held.samples)
    pairs = []
    for frame in (dark, light):
        plain = lite.stylize(frame, style, content_statistics=held, color_strength=0)
        full = lite.stylize(frame, style, content_statistics=held)
        inner = ((full > 0) & (full < 1)).all(1).flatten()
        x = torch.cat([plain.flatten(2)[0], torch.ones(1, plain[0, 0].numel())])[:, inner].double()
        pairs.append((x, full.flatten(2)[0][:, inner].double()))
    (x, y), (other, wanted) = pairs
    found = torch.linalg.lstsq(x.T, y.T).solution
    torch.testing.assert_close(found.T @ other, wanted, atol=2e-3, rtol=0)
    own = lite.stylize(dark, style)
    assert float((own - lite.stylize(dark, style, content_statistics=held)).abs().mean()) > 0.01


def test_statistics_that_are_merged_mixed_or_sent_keep_their_samples(lite: Stylizer) -> None:
    frames = [blobs(72, 96, seed) for seed in range(4)]
    style, content = lite.encode_style(blobs(60, 60, 9)), blobs(72, 96, 8)
    one, other = lite.content_statistics(frames[:2]), lite.content_statistics(frames[2:])
    assert len(one.together(other).samples) == 4
    mixed = one.mixed(other, 0.25)
    ends = [lite.stylize(content, style, content_statistics=each) for each in (one, mixed, other)]
    assert float((ends[1] - ends[0]).abs().mean()) < float((ends[1] - ends[2]).abs().mean())
    sent = pickle.loads(pickle.dumps(mixed))
    assert torch.equal(lite.stylize(content, style, content_statistics=sent), ends[1])
    assert torch.equal(lite.stylize(content, style, content_statistics=one.mixed(other, 0.0)), ends[0])
    running = one
    for _ in range(9):
        running = running.mixed(other, 0.5).settled()
    assert len(running.samples) == 5
    many = lite.content_statistics([frames[0]] * 40)
    assert len(many.samples) <= 16


def test_what_is_known_of_samples_is_one_model_s_and_one_style_s(lite: Stylizer, tmp_path: Path) -> None:
    frames, content = [blobs(72, 96, seed) for seed in range(2)], blobs(72, 96, 8)
    style = lite.encode_style(blobs(60, 60, 9))
    held = lite.content_statistics(frames)
    lite.stylize(content, style, content_statistics=held)
    (known,) = held._known.values()
    lite.stylize(content, style.save(tmp_path / "a.safetensors"), content_statistics=held)
    assert next(iter(held._known.values())) is known, "a style that is read anew is told nothing anew"
    assert not pickle.loads(pickle.dumps(held))._known
    other = Stylizer("lite", device="cpu", dtype="float32", cache=None)
    with torch.no_grad():
        for name, value in other.model.named_parameters():
            if name.startswith("decoder") and name.endswith("bias"):
                value.add_(0.02)
    assert other.digest == lite.digest, "the same encoder"
    expected = other.stylize(content, style, content_statistics=lite.content_statistics(frames))
    assert torch.equal(other.stylize(content, style, content_statistics=held), expected)


def test_threads_may_ask_one_another_s_statistics(lite: Stylizer) -> None:
    held = lite.content_statistics([blobs(72, 96, 1)])

    class Key:
        """One between whose look-ups, once it is known, another thread asks."""

        asked = 0

        def __hash__(self) -> int:
            self.asked += 1
            if self.asked == 4:
                held.colors("another's", lambda _: [])
            return 1

    key = Key()
    for _ in range(2):
        assert held.colors(key, lambda _: []) == []


def test_a_frame_without_a_visible_pixel_has_no_colors(lite: Stylizer) -> None:
    style, frame = lite.encode_style(blobs(60, 60, 9)), blobs(72, 96, 1)
    one = lite.content_statistics([torch.cat([frame, torch.ones_like(frame[:, :1])], 1)])
    nothing = lite.content_statistics([torch.cat([frame, torch.zeros_like(frame[:, :1])], 1)])
    of_one, of_both = (
        held_colors(lite.executor(), each, [[style]], Controls()) for each in (one, one.mixed(nothing, 0.5))
    )
    assert of_one is not None
    assert of_both is not None
    (found, _), (mixed, _) = of_one, of_both
    torch.testing.assert_close(mixed.covariance, found.covariance, atol=2e-3, rtol=0)
    torch.testing.assert_close(mixed.mean, found.mean, atol=0.03, rtol=0)


def test_an_alpha_that_hides_nothing_changes_nothing(lite: Stylizer) -> None:
    photo = (blobs(300, 420, 1)[0].movedim(0, -1).numpy() * 255).astype(np.uint8)
    opaque = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
    expected = lite.stylize(photo, "ember").astype(int)
    assert np.abs(lite.stylize(opaque, "ember")[..., :3] - expected).max() <= 1

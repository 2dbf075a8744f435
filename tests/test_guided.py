"""Edges of the content for the result: bold strokes at full sharpness, legible detail, thumbnails."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from adainkit.errors import ImageError, StyleError
from adainkit.look.color import luma
from adainkit.look.guided import DETAIL_REACH, keep_detail, upsample, working_size
from adainkit.look.masks import resize
from adainkit.stylizer import Stylizer


@pytest.fixture
def content(photo: np.ndarray) -> Tensor:
    return torch.from_numpy(photo).movedim(-1, 0)[None].float() / 255


def edges(x: Tensor) -> Tensor:
    """What is finer than three pixels, in luma."""
    light = luma(x)
    return light - F.avg_pool2d(light, 3, 1, 1, count_include_pad=False)


def likeness(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


# ---- upsample ----


def test_upsampling_the_reduced_content_gives_the_content_back(content: Tensor) -> None:
    small = resize(content, working_size(*content.shape[2:], 3))
    plain = F.interpolate(small, content.shape[2:], mode="bicubic").clamp(0, 1)
    found = upsample(small, content)
    assert (found - content).abs().mean() < 0.35 * (plain - content).abs().mean()


def test_edges_come_back_with_the_sign_that_the_style_gives_them(content: Tensor) -> None:
    small = 1 - resize(content, working_size(*content.shape[2:], 3))
    assert likeness(edges(upsample(small, content)), edges(content)) < -0.8


def test_edges_come_back_without_ringing() -> None:
    """A step that the style makes forty times as strong is no reason to make the content's noise so."""
    clean = torch.full((1, 3, 90, 120), 0.5)
    clean[..., 60:] += 0.05
    noise = 0.005 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    small = torch.zeros(1, 3, 30, 40)
    small[..., 10:] = 0.1
    small[..., 20:] = 0.9
    change = upsample(small, clean + noise) - upsample(small, clean)
    assert change[..., 50:70].std() < 1.7 * luma(noise).std()


def test_a_flat_result_stays_flat(content: Tensor) -> None:
    flat = torch.full((1, 3, 100, 150), 0.4)
    torch.testing.assert_close(upsample(flat, content), torch.full_like(content, 0.4), atol=1e-4, rtol=0)


def test_a_batch_under_one_content_is_each_by_itself(content: Tensor) -> None:
    small = torch.rand(2, 3, 75, 113, generator=torch.Generator().manual_seed(0))
    found = upsample(small, content)
    for i in range(2):
        torch.testing.assert_close(found[i : i + 1], upsample(small[i : i + 1], content))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_any_size_is_upsampled(size: tuple[int, int]) -> None:
    content = torch.rand(1, 3, *size)
    small = resize(content, working_size(*size, 4))
    found = upsample(small, content)
    assert found.shape == content.shape
    assert torch.isfinite(found).all()


# ---- detail ----


def test_no_detail_is_the_result_itself(content: Tensor) -> None:
    result = content.flip(3)
    assert torch.equal(keep_detail(result, content, 0), result)


def test_all_detail_has_the_edges_of_the_content_and_the_colors_of_the_result(content: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    tint = torch.tensor([0.15, -0.1, 0.05])[None, :, None, None]
    result = (content + tint + 0.2 * torch.randn(content.shape, generator=generator)).clamp(0, 1)
    found = keep_detail(result, content, 1)
    assert likeness(edges(found), edges(content)) > 0.95 > 0.6 > likeness(edges(result), edges(content))
    clean = (content + tint).clamp(0, 1)
    assert (found - clean).abs().mean() < 0.25 * (result - clean).abs().mean()


def test_detail_is_a_mean_of_both_ends(content: Tensor) -> None:
    result = content.flip(2)
    ends = [keep_detail(result, content, amount) for amount in (0, 1)]
    torch.testing.assert_close(keep_detail(result, content, 0.25), 0.75 * ends[0] + 0.25 * ends[1], atol=1e-5, rtol=0)


def test_the_reach_of_detail_is_the_known_one() -> None:
    generator = torch.Generator().manual_seed(0)
    result, content = (torch.rand(1, 3, 81, 81, generator=generator).double().float() for _ in range(2))
    before = keep_detail(result, content, 1)
    changed = result.clone()
    changed[:, :, 40, 40] = 1 - changed[:, :, 40, 40]
    seen = ((keep_detail(changed, content, 1) - before).abs() > 1e-7)[0].any(0).nonzero()
    assert int((seen - 40).abs().max()) == DETAIL_REACH


def test_strips_of_detail_change_nothing(content: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    result = content.flip(3)
    whole = keep_detail(result, content, 0.8)
    monkeypatch.setattr("adainkit.look.guided._STRIP", 1)
    torch.testing.assert_close(keep_detail(result, content, 0.8), whole, atol=1e-6, rtol=0)


# ---- in the pipeline ----


def test_a_scale_is_the_style_of_the_reduced_picture_with_the_content_s_edges(
    stylizer: Stylizer, content: Tensor
) -> None:
    style = stylizer.encode_style(torch.rand(3, 80, 80, generator=torch.Generator().manual_seed(0)))
    small = stylizer.stylize(resize(content, working_size(*content.shape[2:], 2)), style, color_strength=0)
    found = stylizer.stylize(content, style, scale=2, color_strength=0)
    torch.testing.assert_close(found, upsample(small, content), atol=1e-5, rtol=0)
    assert (resize(found, small.shape[2:]) - small).abs().mean() < 0.02


def test_a_content_has_its_scale(stylizer: Stylizer, content: Tensor) -> None:
    style = stylizer.encode_style(content)
    encoded = stylizer.encode_content(content, scale=2)
    found = stylizer.stylize(content, style, scale=2)
    assert torch.equal(stylizer.stylize(encoded, style), found)
    assert torch.equal(stylizer.stylize(encoded, style, scale=2), found)
    with pytest.raises(ImageError, match="scale 2"):
        stylizer.stylize(encoded, style, scale=3)


@pytest.mark.parametrize("scale", [0, 0.5, -1, 65, float("nan"), "2", None])
def test_an_impossible_scale_is_a_style_error(stylizer: Stylizer, content: Tensor, scale: object) -> None:
    with pytest.raises(StyleError, match="scale must be"):
        stylizer.stylize(content, content, scale=scale)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["detail", "color_strength"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "1"])
def test_an_impossible_strength_is_a_style_error(stylizer: Stylizer, content: Tensor, name: str, value: object) -> None:
    with pytest.raises(StyleError, match=name):
        stylizer.stylize(content, content, **{name: value})


def test_transparent_pixels_are_no_detail(stylizer: Stylizer, content: Tensor) -> None:
    alpha = torch.ones_like(content[:, :1])
    alpha[..., :100] = 0
    hidden = content.clone()
    hidden[..., :100] = 1 - hidden[..., :100]
    style = stylizer.encode_style(content)
    a, b = (
        stylizer.stylize(torch.cat([x, alpha], 1), style, scale=2, detail=0.5)[:, :, :, 100:] for x in (content, hidden)
    )
    assert torch.equal(a, b)


# ---- previews ----


@pytest.mark.parametrize("options", [{}, {"scale": 3}, {"detail": 1}, {"alpha": 0.3}, {"preserve_color": "luma"}])
def test_a_preview_looks_like_the_final(stylizer: Stylizer, photos: dict[str, np.ndarray], options: dict) -> None:
    photo = torch.from_numpy(photos["coffee"]).movedim(-1, 0)[None].float() / 255
    final = stylizer.stylize(photo, "ukiyo-e", **options)
    thumbnail = stylizer.preview(photo, "ukiyo-e", size=150, **options)
    assert thumbnail.shape == (1, 3, 100, 150)
    wanted = resize(final, thumbnail.shape[2:])
    plain = stylizer.stylize(resize(photo, thumbnail.shape[2:]), "ukiyo-e", **options)
    near = (thumbnail - wanted).abs().mean()
    assert near < 12 / 255
    assert near < 0.7 * (plain - wanted).abs().mean()


def test_a_preview_has_the_type_of_the_picture_and_no_more_than_its_size(stylizer: Stylizer, photo: np.ndarray) -> None:
    small = stylizer.preview(photo, "ukiyo-e", size=64)
    assert small.dtype == np.uint8
    assert small.shape == (43, 64, 3)
    assert np.array_equal(stylizer.preview(photo[:20, :30], "ukiyo-e"), stylizer.stylize(photo[:20, :30], "ukiyo-e"))
    encoded = stylizer.encode_content(photo)
    assert np.array_equal(stylizer.preview(encoded, "ukiyo-e", size=64), small)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_a_preview_keeps_alpha_small(stylizer: Stylizer, photo: np.ndarray, kind: type) -> None:
    alpha = np.zeros((*photo.shape[:2], 1), np.uint8)
    alpha[:, 200:] = 255
    top = 1 if np.dtype(kind).kind == "f" else np.iinfo(kind).max
    source = (np.concatenate([photo, alpha], 2) / 255 * top).astype(kind)
    found = stylizer.preview(source, "ukiyo-e", size=64)
    assert found.dtype == kind
    assert found.shape == (43, 64, 4)
    assert (found[:, :26, 3] == 0).all()
    assert np.allclose(found[:, 32:, 3], top, rtol=1e-6)
    tensor = torch.from_numpy(source.astype(np.float32) / top).movedim(-1, 0)
    small = stylizer.preview(torch.stack([tensor, tensor]), "ukiyo-e", size=64)
    assert small.shape == (2, 4, 43, 64)
    assert float(small[1, 3].max()) == pytest.approx(1)


def test_a_preview_of_a_content_has_its_scale(stylizer: Stylizer, photo: np.ndarray) -> None:
    bold = stylizer.preview(photo, "ukiyo-e", size=128, scale=3)
    encoded = stylizer.encode_content(photo, scale=3)
    assert np.array_equal(stylizer.preview(encoded, "ukiyo-e", size=128), bold)
    assert not np.array_equal(stylizer.preview(photo, "ukiyo-e", size=128), bold)
    with pytest.raises(ImageError, match="scale 3"):
        stylizer.preview(encoded, "ukiyo-e", scale=2)


def test_a_preview_holds_statistics(stylizer: Stylizer, photo: np.ndarray) -> None:
    held = stylizer.content_statistics([photo // 3])
    preview, other = (
        stylizer.preview(photo, "ukiyo-e", size=64, content_statistics=s).astype(int) for s in (held, None)
    )
    final = resize(_floats(stylizer.stylize(photo, "ukiyo-e", content_statistics=held)), (43, 64)) * 255
    wanted = final[0].movedim(0, -1).numpy()
    assert np.abs(preview - wanted).mean() < 0.5 * np.abs(other - wanted).mean()


def _floats(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array).movedim(-1, 0)[None].float() / 255


def test_a_preview_shows_masks_and_regions(stylizer: Stylizer, photo: np.ndarray) -> None:
    mask = np.zeros(photo.shape[:2], np.float32)
    mask[:, : photo.shape[1] // 2] = 1
    regions = [(mask, "ukiyo-e"), (1 - mask, "meadow")]
    found = stylizer.preview(photo, None, regions=regions, size=90)
    left = stylizer.preview(photo, "ukiyo-e", mask=mask, size=90)
    assert np.abs(found[:, :30].astype(int) - left[:, :30]).mean() < 1


@pytest.mark.parametrize("size", [0, -3])
def test_an_impossible_preview_is_an_image_error(stylizer: Stylizer, photo: np.ndarray, size: int) -> None:
    with pytest.raises(ImageError, match="preview"):
        stylizer.preview(photo, "ukiyo-e", size=size)

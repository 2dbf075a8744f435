"""Regions: each has its own style and statistics, soft edges blend features, the rest keeps its pixels."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_stylizer import TINY, noise, tensor, tiny
from torch import Tensor

from adainkit.errors import ImageError, StyleError
from adainkit.look.masks import resize
from adainkit.look.regions import FEW_CELLS, join_covers, region_shares, steady_moments
from adainkit.net.adain import AffineMap, Moments, RegionMap, apply_affine, moments
from adainkit.net.config import VGG19
from adainkit.net.demands import halo
from adainkit.style import Style
from adainkit.stylizer import Stylizer

SIZE = (72, 104)
REACH = (halo(TINY).encode + halo(TINY).decode) * TINY.stride  # pixels across a border that matter


@pytest.fixture(scope="module")
def stylizer(pytestconfig: pytest.Config) -> Stylizer:
    return Stylizer(tiny(), device=pytestconfig.getoption("--device"), dtype="float32")


@pytest.fixture(scope="module")
def styles(stylizer: Stylizer) -> list[Style]:
    bright, dark = noise(60, 80, seed=5) // 2 + 128, noise(60, 80, seed=25) // 4
    return [stylizer.encode_style(picture) for picture in (bright, dark)]


@pytest.fixture
def content() -> Tensor:
    return tensor(*SIZE)


def left(share: float = 1.0) -> np.ndarray:
    """A mask of the left half."""
    mask = np.zeros(SIZE, np.float32)
    mask[:, : SIZE[1] // 2] = share
    return mask


def test_a_region_of_ones_is_the_style_alone(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    found = stylizer.stylize(content, None, regions=[(np.ones(SIZE, np.float32), styles[0])])
    assert torch.equal(found, stylizer.stylize(content, styles[0]))


def test_regions_of_zeros_are_the_content_bit_for_bit(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    nothing = np.zeros(SIZE, np.float32)
    found = stylizer.stylize(content, None, regions=[(nothing, styles[0]), (nothing, styles[1])])
    assert torch.equal(found, content)


def test_one_region_is_a_mask(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    found = stylizer.stylize(content, None, regions=[(left(0.7), styles[0])])
    assert torch.equal(found, stylizer.stylize(content, styles[0], mask=left(0.7)))


def test_two_halves_of_one_style_are_the_style(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    half = np.full(SIZE, 0.5, np.float32)
    found = stylizer.stylize(content, None, regions=[(half, styles[0]), (half, styles[0])])
    torch.testing.assert_close(found, stylizer.stylize(content, styles[0]), atol=1e-5, rtol=0)


def test_two_halves_of_two_styles_mix_the_features(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    half = np.full(SIZE, 0.5, np.float32)
    found = stylizer.stylize(content, None, regions=[(half, styles[0]), (half, styles[1])])
    mixed = stylizer.stylize(content, Style.blend([(styles[0], 1), (styles[1], 1)]))
    torch.testing.assert_close(found, mixed, atol=1e-5, rtol=0)


def test_masks_that_sum_to_more_than_one_share_in_proportion(
    stylizer: Stylizer, styles: list[Style], content: Tensor
) -> None:
    ones = np.ones(SIZE, np.float32)
    half = stylizer.stylize(content, None, regions=[(ones, styles[0]), (ones, styles[1])])
    found = stylizer.stylize(content, None, regions=[(0.5 * ones, styles[0]), (0.5 * ones, styles[1])])
    torch.testing.assert_close(found, half, atol=1e-6, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_inside_a_region_there_is_its_style_under_its_own_statistics(
    stylizer: Stylizer, styles: list[Style], content: Tensor, side: str
) -> None:
    found = stylizer.stylize(content, None, regions=[(left(), styles[0]), (1 - left(), styles[1])])
    chosen, mask = (styles[0], left()) if side == "left" else (styles[1], 1 - left())
    alone = stylizer.stylize(content, chosen, mask=mask)
    far = slice(0, SIZE[1] // 2 - REACH) if side == "left" else slice(SIZE[1] // 2 + REACH, None)
    torch.testing.assert_close(found[..., far], alone[..., far], atol=1e-5, rtol=0)
    other = stylizer.stylize(content, styles[1] if side == "left" else styles[0], mask=mask)
    assert (found[..., far] - other[..., far]).abs().mean() > 1e-3


def test_what_lies_in_another_region_does_not_count_as_content(
    stylizer: Stylizer, styles: list[Style], content: Tensor
) -> None:
    regions = [(left(), styles[0]), (1 - left(), styles[1])]
    changed = content.clone()
    changed[..., SIZE[1] // 2 + REACH :] = 1 - changed[..., SIZE[1] // 2 + REACH :]
    before, after = (stylizer.stylize(x, None, regions=regions) for x in (content, changed))
    assert torch.equal(before[..., : SIZE[1] // 2 - REACH], after[..., : SIZE[1] // 2 - REACH])
    assert not torch.equal(before[..., SIZE[1] // 2 :], after[..., SIZE[1] // 2 :])


def test_what_no_region_covers_keeps_its_pixels(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    top = np.zeros(SIZE, np.float32)
    top[:20] = 1
    found = stylizer.stylize(content, None, regions=[(left() * top, styles[0]), ((1 - left()) * top, styles[1])])
    assert torch.equal(found[:, :, 20:], content[:, :, 20:])
    assert (found[:, :, :20] - content[:, :, :20]).abs().mean() > 0.01


def test_another_region_does_not_bleed_through_what_none_covers(
    stylizer: Stylizer, styles: list[Style], content: Tensor
) -> None:
    """Beyond the edge of a region, where the decoder still looks, the region goes on."""
    far = np.zeros(SIZE, np.float32)
    far[:, -8:] = 1
    near = np.zeros(SIZE, np.float32)
    near[:, :24] = 1
    found = stylizer.stylize(content, None, regions=[(near, styles[0]), (far, styles[1])])
    alone = stylizer.stylize(content, styles[0], mask=near)
    torch.testing.assert_close(found[..., :24], alone[..., :24], atol=1e-5, rtol=0)


def test_mask_bounds_all_regions(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    top = np.zeros(SIZE, np.float32)
    top[:30] = 1
    regions = [(left(), styles[0]), (1 - left(), styles[1])]
    found = stylizer.stylize(content, None, regions=regions, mask=top)
    bounded = stylizer.stylize(content, None, regions=[(m * top, s) for m, s in regions])
    assert torch.equal(found, bounded)


@pytest.mark.parametrize("side", [4, 8])
def test_a_region_of_a_few_cells_is_no_picture_of_its_own(
    stylizer: Stylizer, styles: list[Style], content: Tensor, side: int
) -> None:
    """Statistics of a cell or four alone would make its mean the style's, whatever it shows."""
    mask = np.zeros(SIZE, np.float32)
    mask[32 : 32 + side, 40 : 40 + side] = 1
    inside = (slice(None), slice(None), slice(32, 32 + side), slice(40, 40 + side))
    bright, dark = content.clone(), content.clone()
    bright[inside], dark[inside] = 1, 0
    found = [stylizer.stylize(x, styles[0], mask=mask)[inside].mean() for x in (bright, dark)]
    whole = [stylizer.stylize(x, styles[0])[inside].mean() for x in (bright, dark)]
    assert abs(found[0] - found[1]) > 0.5 * abs(whole[0] - whole[1]) > 5e-4


def test_a_batch_takes_masks_for_each_or_one_for_all(stylizer: Stylizer, styles: list[Style]) -> None:
    batch = tensor(*SIZE, batch=2)
    each = np.stack([left(), 1 - left()])
    found = stylizer.stylize(batch, None, regions=[(torch.from_numpy(each), styles[0]), (left(0.3), styles[1])])
    for i in range(2):
        alone = stylizer.stylize(batch[i], None, regions=[(each[i], styles[0]), (left(0.3), styles[1])])
        torch.testing.assert_close(found[i], alone, atol=1e-5, rtol=0)


def test_transparent_pixels_do_not_count_in_a_region(stylizer: Stylizer, styles: list[Style]) -> None:
    x = tensor(*SIZE, channels=4)
    x[:, 3] = 1
    x[:, 3, :, :30] = 0
    other = x.clone()
    other[:, :3, :, :30] = 1 - other[:, :3, :, :30]
    regions = [(left(), styles[0]), (1 - left(), styles[1])]
    a, b = (stylizer.stylize(y, None, regions=regions) for y in (x, other))
    assert torch.equal(a[..., 30:], b[..., 30:])


def test_a_content_is_encoded_once_for_regions_too(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    regions = [(left(), styles[0]), (1 - left(), styles[1])]
    encoded = stylizer.encode_content(content)
    assert torch.equal(
        stylizer.stylize(encoded, None, regions=regions), stylizer.stylize(content, None, regions=regions)
    )


def test_a_region_takes_any_mask_and_any_style(
    stylizer: Stylizer, styles: list[Style], content: Tensor, tmp_path: Any
) -> None:
    Image.fromarray((left() * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    painting = Image.fromarray(noise(40, 50, seed=8))
    found = stylizer.stylize(content, None, regions=[(tmp_path / "mask.png", painting), (1 - left(), styles[1])])
    again = stylizer.stylize(
        content, None, regions=[(left(), stylizer.encode_style(painting)), (1 - left(), styles[1])]
    )
    assert torch.equal(found, again)


@pytest.mark.parametrize("regions", [[], ["sky.png"], [(1, 2, 3)], [()]])
def test_regions_that_are_none_are_a_style_error(stylizer: Stylizer, content: Tensor, regions: Any) -> None:
    with pytest.raises(StyleError, match="pairs"):
        stylizer.stylize(content, None, regions=regions)


def test_a_style_and_regions_exclude_each_other(stylizer: Stylizer, styles: list[Style], content: Tensor) -> None:
    with pytest.raises(StyleError, match="exclude"):
        stylizer.stylize(content, styles[0], regions=[(left(), styles[0])])
    with pytest.raises(StyleError, match="missing"):
        stylizer.stylize(content, None)


def test_an_unusable_mask_of_a_region_is_an_image_error(
    stylizer: Stylizer, styles: list[Style], content: Tensor, tmp_path: Any
) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.png"):
        stylizer.stylize(content, None, regions=[(tmp_path / "nowhere.png", styles[0])])


# ---- the parts ----


def test_a_region_map_is_the_blend_of_its_parts() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 5, 6, 7)
    parts = tuple(AffineMap(*(torch.randn(2, 5) for _ in range(3))) for _ in range(3))
    shares = torch.rand(1, 3, 6, 7)
    shares /= shares.sum(1, keepdim=True)
    expected = sum(shares[:, i : i + 1] * apply_affine(features, part) for i, part in enumerate(parts))
    rows, columns = slice(1, 5), slice(2, 7)
    found = apply_affine(features[:, :, rows, columns], RegionMap(parts, shares).window(rows, columns))
    torch.testing.assert_close(found, expected[:, :, rows, columns], atol=1e-5, rtol=1e-5)


def test_shares_sum_to_one_and_follow_the_covers() -> None:
    covers = torch.zeros(1, 2, 64, 80)
    covers[:, 0, :, :16] = 1
    covers[:, 1, :, 40:] = 0.5
    coarse = VGG19.stride
    grid = (64 // coarse, 80 // coarse)
    (shares,) = region_shares(covers, VGG19, grid, reach=1)
    torch.testing.assert_close(shares.sum(1), torch.ones(1, *grid))
    assert torch.equal(shares[0, :, 0, 0], torch.tensor([1.0, 0.0]))
    assert torch.equal(shares[0, :, 0, 2], torch.tensor([1.0, 0.0])), "beyond its edge a region goes on"
    assert torch.equal(shares[0, :, 0, -1], torch.tensor([0.0, 1.0])), "a soft mask alone has all of the share"
    assert torch.equal(shares[0, :, 0, 3], torch.tensor([0.5, 0.5])), "out of reach all are alike"


def test_covers_are_scaled_where_they_sum_to_more_than_one() -> None:
    a, b = torch.full((1, 1, 2, 2), 0.9), torch.tensor([[[[0.9, 0.1], [0.0, 1.0]]]])
    found = join_covers([a, b])
    torch.testing.assert_close(found.sum(1), (a + b).clamp(max=1)[:, 0])
    torch.testing.assert_close(found[:, 0] / found.sum(1), (a / (a + b))[:, 0])


def test_few_cells_are_filled_up_and_many_are_not() -> None:
    torch.manual_seed(0)
    whole = moments(torch.randn(1, 3, 20, 20))
    many = moments(torch.randn(1, 3, 4, 4) + 5)
    assert float(many.count) == FEW_CELLS
    kept = steady_moments(many, whole)
    assert torch.equal(kept.mean, many.mean)
    assert torch.equal(kept.std, many.std)
    none = Moments(torch.zeros(1, 1), torch.zeros(1, 3), torch.zeros(1, 3))
    filled = steady_moments(none, whole)
    torch.testing.assert_close(filled.mean, whole.mean)
    torch.testing.assert_close(filled.std, whole.std)


def test_masks_of_a_region_are_scaled_like_the_picture(
    stylizer: Stylizer, styles: list[Style], content: Tensor
) -> None:
    small = np.zeros((9, 13), np.float32)
    small[:4, :6] = 1
    large = resize(torch.from_numpy(small)[None, None], SIZE)[0, 0]
    found, wanted = (
        stylizer.stylize(content, None, regions=[(m, styles[0]), (1 - m, styles[1])]) for m in (small, large)
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{}, {"scale": 2}])
@pytest.mark.parametrize("mode", ["luma", "match"])
def test_colors_of_what_is_masked_out_do_not_count(
    stylizer: Stylizer, styles: list[Style], content: Tensor, mode: Any, options: dict[str, Any]
) -> None:
    other = content.clone()
    other[..., SIZE[1] // 2 + REACH :] = 0.9
    a, b = (
        stylizer.stylize(x, styles[0], mask=left(), preserve_color=mode, **options)[..., : SIZE[1] // 2 - 2 * REACH]
        for x in (content, other)
    )
    torch.testing.assert_close(a, b, atol=2e-3, rtol=0)

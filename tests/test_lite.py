"""What the embedded weights promise: measured on scikit-image's photographs and on made pictures, in float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

import adainkit
from adainkit import Stylizer
from adainkit.look.color import GAINS, VIVID

PRESETS = ("calanque", "engraving", "ember", "nebula", "woodcut", "stained-glass")
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def stylizer() -> Iterator[Stylizer]:
    with Stylizer("lite", device="cpu", dtype="float32") as made:
        yield made


@pytest.fixture(scope="module")
def photographs() -> list[Pixels]:
    return [np.ascontiguousarray(picture[:256, :320]) for picture in (data.astronaut(), data.coffee(), data.chelsea())]


def test_there_are_presets_enough_to_choose_from() -> None:
    assert len(adainkit.styles("lite")) >= 24
    assert set(PRESETS) <= set(adainkit.styles("lite"))


def test_a_picture_in_its_own_style_comes_back(stylizer: Stylizer, photographs: list[Pixels]) -> None:
    for picture in photographs:
        own = stylizer.stylize(picture, stylizer.encode_style(picture, style_size=None))
        error = np.square((own.astype(float) - picture) / 255).mean()
        assert -10 * np.log10(error) >= 23.5  # palettes are vivid, and things' own hues come on top of their own


def test_black_and_white_patterns_get_less_color_at_alpha_0(stylizer: Stylizer) -> None:
    rows, columns = np.indices((96, 112))
    for white in (columns % 2, rows % 2, (rows + columns) % 2, columns % 3 == 0, (rows // 2 + columns // 2) % 2):
        picture = np.repeat((np.asarray(white) > 0)[:, :, None], 3, 2).astype(np.uint8) * 255
        result = stylizer.stylize(picture, "calanque", alpha=0.0).astype(int)
        assert np.ptp(result, axis=2).mean() < 80  # of 255; 113 without such patterns among the reconstructions


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("color", [(120, 120, 120), (20, 30, 60), (230, 220, 200)])
def test_no_line_lies_along_the_border(stylizer: Stylizer, preset: str, color: tuple[int, int, int]) -> None:
    """The outermost rows and columns of a flat picture are no further from the others than those among themselves.
    The palette makes more of all of it."""
    luma = stylizer.stylize(np.full((160, 200, 3), color, np.uint8), preset).astype(float).mean(2)
    for lines in (luma.mean(0), luma.mean(1)):
        middle = lines[16:-16]
        edges = np.array([lines[0], lines[1], lines[-2], lines[-1]])
        assert np.abs(edges - middle.mean()).max() <= 3 * middle.std() + 3 * GAINS[0] * VIVID[0]


def test_noise_grows_little(stylizer: Stylizer, photographs: list[Pixels]) -> None:
    """Noise of 2 of 255 comes out about as it goes in, the mean over photographs and presets of strong contrast."""
    noise = torch.randn(1, 3, 256, 320, generator=torch.Generator().manual_seed(0)) * 2 / 255
    gains = []
    for picture in photographs:
        clean = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
        noisy = (clean + noise).clamp(0, 1)
        for preset in PRESETS:
            change = stylizer.stylize(noisy, preset) - stylizer.stylize(clean, preset)
            gains.append(float(change.abs().mean() / (noisy - clean).abs().mean()))
    assert np.mean(gains) <= 1.2

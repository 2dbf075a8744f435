"""The seam between engine and network: a decoder with places of its own is tiled and streamed like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from adainkit.net.adain import AffineMap, Moments, apply_affine
from adainkit.net.config import Level, ModelConfig
from adainkit.net.layers import Conv
from adainkit.net.model import AdaINModel
from adainkit.net.words import WORDS, Word
from adainkit.style import Style
from adainkit.stylizer import Stylizer


class Modulated(nn.Module):
    """A residual block whose hidden activations take a style's gain and shift."""

    def __init__(self, channels: int, _: int) -> None:
        super().__init__()
        self.first, self.second = Conv(channels, channels), Conv(channels, channels, relu=False)

    def forward(self, x: Tensor, affine: AffineMap) -> Tensor:
        return x + self.second(apply_affine(self.first(x), affine).relu())


class Canvas(nn.Module):
    """A pattern that is fixed in the picture, as strong as a style wants it in each channel."""

    def forward(self, x: Tensor, affine: AffineMap, origin: tuple[int, int]) -> Tensor:
        rows, columns = (torch.arange(n) + start for n, start in zip(x.shape[2:], origin, strict=True))
        pattern = ((rows[:, None] * 7 + columns[None] * 13) % 11 - 5).to(x) / 5
        return x + apply_affine(pattern.expand_as(x), affine)


class Styled(AdaINModel):
    """Every place beyond the levels takes its gains and shifts from the style's finest level."""

    def modulate(
        self, statistics: Sequence[Moments], styles: Sequence[Mapping[str, Tensor]], alphas: Sequence[float]
    ) -> list[AffineMap]:
        maps = super().modulate(statistics, styles, alphas)
        for place in self.config.places[len(maps) :]:
            gain = torch.stack([s["mean0"] for s in styles]).mean(1, keepdim=True).expand(-1, place.channels)
            maps.append(AffineMap(torch.zeros_like(gain), gain, gain / 2))
        return maps


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Hundreds of tiny tiles: a second thread is only waited for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config() -> Iterator[ModelConfig]:
    with pytest.MonkeyPatch.context() as patch:
        near = WORDS["res"]
        patch.setitem(
            WORDS, "mod", Word(Modulated, near.reach, numbered=True, keeps=True, decodes=True, needs=("map",))
        )
        canvas = Word(lambda before, after: Canvas(), decodes=True, needs=("map", "origin"))
        patch.setitem(WORDS, "canvas", canvas)
        yield ModelConfig(
            "modulated",
            "unshuffle conv6 res6 tap down8 tap pool conv10 tap",
            "mod10 canvas merge mod8 merge mod6 smooth canvas rgb",
        )


@pytest.fixture
def stylizer(config: ModelConfig) -> Stylizer:
    torch.manual_seed(1)
    model = Styled(config)
    with torch.no_grad():  # around mid gray, so that little is clamped
        model.decoder.layers[-1].conv.weight.mul_(0.1)
        model.decoder.layers[-1].conv.bias.fill_(0.503)
    return Stylizer(model, device="cpu", dtype="float32", cache=None)


def styles_of(stylizer: Stylizer) -> list[Style]:
    rng = np.random.default_rng(0)
    return [stylizer.encode_style(rng.random((40, 50, 3), dtype=np.float32) ** power) for power in (0.4, 3.0)]


def test_places_are_the_levels_and_then_the_decoder_s_own(config: ModelConfig) -> None:
    own = [Level(10, 8), Level(10, 8), Level(8, 4), Level(6, 2), Level(6, 1)]
    assert config.places == (*config.levels, *own)


@pytest.mark.parametrize("options", [{}, {"regions": 2}, {"regions": 2, "scale": 1.5, "detail": 0.4}])
def test_tiles_and_strips_change_nothing(
    stylizer: Stylizer, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, (style, other) = np.random.default_rng(1), styles_of(stylizer)
    small = Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8))
    photo = np.asarray(small.resize((61, 90), Image.Resampling.BICUBIC))
    first: Style | None = style
    if options.get("regions"):
        masks = rng.random((2, 4, 5), dtype=np.float32)
        first, options = None, {**options, "regions": list(zip(masks, (style, other), strict=True))}
    x = torch.tensor(photo.copy()).permute(2, 0, 1)[None] / 255
    whole = stylizer.stylize(x, first, tile=None, **options)
    torch.testing.assert_close(stylizer.stylize(x, first, tile=40, **options), whole, atol=1e-4, rtol=0)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    monkeypatch.setenv("ADAINKIT_MEMORY", "1")
    if options.get("scale"):
        monkeypatch.setattr("adainkit.engine.scaled._FEW_PIXELS", 1 << 20)
    stylizer.stylize_file(tmp_path / "photo.png", tmp_path / "out.png", first, **options)
    streamed = np.asarray(Image.open(tmp_path / "out.png")).astype(int)
    assert np.abs(streamed - (whole[0].permute(1, 2, 0) * 255).round().numpy()).max() <= 1


def test_a_style_reaches_the_decoder_s_own_places(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    style, _ = styles_of(stylizer)
    x = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    plain = stylizer.stylize(x, style)
    modulate = stylizer.model.modulate

    def without(*args: Any) -> list[AffineMap]:
        maps = modulate(*args)
        return [*maps[:-1], AffineMap(maps[-1].center, maps[-1].gain * 0, maps[-1].shift * 0)]

    monkeypatch.setattr(stylizer.model, "modulate", without)
    assert (stylizer.stylize(x, style) - plain).abs().max() > 1e-3


def test_a_style_may_hold_more_than_means_and_deviations(tmp_path: Path) -> None:
    levels = {"mean0": torch.zeros(4), "std0": torch.ones(4)}
    a = Style(tensors={**levels, "code": torch.full((8,), 1.0)}, digest="d", name="a")
    b = Style(tensors={**levels, "code": torch.full((8,), 3.0)}, digest="d", name="b")
    mixed = Style.blend([(a, 1), (b, 3)])
    assert torch.equal(mixed.tensors["code"], torch.full((8,), 2.5))
    again = Style.load(mixed.save(tmp_path / "style.safetensors"))
    assert set(again.tensors) == {"mean0", "std0", "code"}
    assert all(torch.equal(again.tensors[name], v) for name, v in mixed.tensors.items())
    assert len(again.means) == len(again.stds) == 1
    with pytest.raises(Exception, match="different tensors"):
        Style.blend([(a, 1), (Style((levels["mean0"],), (levels["std0"],), "d"), 1)])

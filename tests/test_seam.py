"""The seam between engine and network: a decoder with places of its own is tiled and streamed like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from adainkit.errors import ModelError
from adainkit.net.adain import AffineMap, moments
from adainkit.net.config import VGG19, Level, ModelConfig
from adainkit.net.layers import Canvas, Modulated, Strokes
from adainkit.net.model import AdaINModel
from adainkit.style import Style
from adainkit.stylizer import Stylizer


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Hundreds of tiny tiles: a second thread is only waited for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


CONFIG = ModelConfig(
    "modulated",
    "unshuffle conv6 res6 tap down8 tap pool conv10 tap",
    "mod10 canvas3 merge mod8 merge mod6 smooth canvas2 rgb",
    code=5,
)


@pytest.fixture
def stylizer() -> Stylizer:
    torch.manual_seed(1)
    model = AdaINModel(CONFIG)
    assert model.decoder.head is not None
    with torch.no_grad():
        model.decoder.head.maps.weight.mul_(100)  # a style is to be seen
        model.decoder.layers[-1].conv.weight.mul_(0.1)  # around mid gray, so that little is clamped
        model.decoder.layers[-1].conv.bias.fill_(0.503)
    return Stylizer(model, device="cpu", dtype="float32", cache=None)


def styles_of(stylizer: Stylizer) -> list[Style]:
    rng = np.random.default_rng(0)
    return [stylizer.encode_style(rng.random((40, 50, 3), dtype=np.float32) ** power) for power in (0.4, 3.0)]


def test_places_are_the_levels_and_then_the_decoder_s_own() -> None:
    own = [Level(10, 8), Level(10, 8), Level(8, 4), Level(6, 2), Level(6, 1)]
    assert CONFIG.places == (*CONFIG.levels, *own)
    assert [CONFIG.level_of(place) for place in own] == [2, 2, 1, 0, 0]


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


def test_alpha_0_and_a_picture_s_own_style_leave_the_decoder_as_it_is(stylizer: Stylizer) -> None:
    style, _ = styles_of(stylizer)
    x = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    plain = stylizer.stylize(x, style, alpha=0.0)
    own = stylizer.stylize(x, stylizer.encode_style(x, style_size=None))
    torch.testing.assert_close(own, plain)
    assert (stylizer.stylize(x, style) - plain).abs().max() > 1e-2


def test_maps_are_linear_in_alpha_by_level(stylizer: Stylizer) -> None:
    model, generator = stylizer.model, torch.Generator().manual_seed(0)
    c, s = ([moments(f) for f in model.encode(torch.rand(1, 3, 48, 40, generator=generator) ** p)] for p in (1, 3))
    tensors = model.style_tensors([], s)
    whole, half = (model.modulate(c, [tensors], [a, a, a])[3:] for a in (1.0, 0.5))
    for step, full, part in zip(CONFIG.mapped, whole, half, strict=True):
        rest = 0 if step.name == "canvas" else 1
        torch.testing.assert_close(part.gain - rest, (full.gain - rest) / 2)
        torch.testing.assert_close(part.shift, full.shift / 2)
    fine = model.modulate(c, [tensors], [1.0, 0.0, 0.0])[3:]
    assert [bool(m.shift.any()) for m in fine] == [False, False, False, True, True]  # strides 8, 8, 4, 2, 1


def test_a_map_of_the_whole_picture_folds_into_the_convolution() -> None:
    torch.manual_seed(0)
    layer, x = Modulated(6), torch.randn(1, 6, 9, 7)
    affine = AffineMap(torch.zeros(1, 6), torch.randn(1, 6), torch.randn(1, 6))
    hidden = layer.first(x) * affine.gain[:, :, None, None] + affine.shift[:, :, None, None]
    naive = x + layer.second(hidden.relu())
    torch.testing.assert_close(layer(x, affine), naive)
    with torch.no_grad():
        torch.testing.assert_close(layer(x, affine), naive)


def test_a_canvas_lies_still_in_the_picture() -> None:
    torch.manual_seed(0)
    layer, ones = Canvas(5, 2), torch.ones(1, 5)
    affine = AffineMap(ones * 0, ones, ones * 0)
    with torch.no_grad():
        whole = layer(torch.zeros(1, 5, 150, 140), affine, (0, 0))
        window = layer(torch.zeros(1, 5, 9, 8), affine, (126, 60))
        torch.testing.assert_close(window, whole[:, :, 126:135, 60:68])
        torch.testing.assert_close(whole[:, :, :22], whole[:, :, Canvas.PERIOD :])
    assert whole.std() > 0.1


def test_strokes_lie_still_and_go_where_they_are_led() -> None:
    torch.manual_seed(0)
    layer, ones = Strokes(4, 6), torch.ones(1, 4)
    affine = AffineMap(ones * 0, ones, ones * 0)
    x = torch.randn(1, 4, 150, 140)
    with torch.no_grad():
        whole = layer(x, affine, (0, 0))
        window = layer(x[:, :, 126:135, 60:68], affine, (126, 60))
        torch.testing.assert_close(window, whole[:, :, 126:135, 60:68])
        led = torch.einsum("bkhw,khw->bkhw", layer.lead(x), layer.field.repeat(1, 2, 2)[:, :150, :140])
        torch.testing.assert_close(whole, x + layer.mix(led))
        torch.testing.assert_close(layer(x, AffineMap(ones * 0, ones * 0, ones * 0), (0, 0)), x)


def test_the_field_of_strokes_is_drawn_out_in_its_directions() -> None:
    field = Strokes.drawn(6)
    torch.testing.assert_close(field.std((1, 2)), torch.ones(6), atol=1e-3, rtol=0)
    torch.testing.assert_close(field.mean((1, 2)), torch.zeros(6), atol=1e-5, rtol=0)
    for own, angle in zip(field, torch.arange(6) * torch.pi / 6, strict=True):
        way = [(round(4 * float(a.sin())), round(4 * float(a.cos()))) for a in (angle, angle + torch.pi / 2)]
        along, across = ((own * own.roll(step, (0, 1))).mean() for step in way)
        assert along > 0.5 > 0.2 > abs(across), "cells of a stroke are alike, those beside it are not"


def test_strokes_are_open_as_far_as_alpha_says() -> None:
    torch.manual_seed(0)
    config = ModelConfig("stroked", "unshuffle conv6 tap", "mod6 strokes3 shuffle4 rgb", code=4)
    model = AdaINModel(config).eval()
    x = torch.rand(1, 3, 32, 40)
    c = [moments(f) for f in model.encode(x)]
    tensors = model.style_tensors([], c)
    for alpha in (0.0, 0.4, 1.0):
        own = model.modulate(c, [tensors], [alpha])[-1]
        torch.testing.assert_close(own.gain, torch.full_like(own.gain, alpha), msg="of a picture's own style, too")
    other = model.modulate(c, [model.style_tensors([], [moments(f) for f in model.encode(x**3)])], [1.0])[-1]
    assert (other.gain - 1).abs().max() > 1e-4, "a style may have more of them or less"


def test_a_style_head_s_model_is_written_and_read(stylizer: Stylizer, tmp_path: Path) -> None:
    again = AdaINModel.load(stylizer.model.save(tmp_path / "model.safetensors", dtype=torch.float32))
    assert again.config == CONFIG
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata()["format_version"] == "2"
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in stylizer.model.state_dict().items())
    assert '"code"' in CONFIG.to_json()
    assert '"code"' not in VGG19.to_json()


@pytest.mark.parametrize(("decoder", "code"), [("mod8 up rgb", 0), ("res8 up rgb", 4), ("mod8 up rgb", -1)])
def test_a_code_belongs_to_words_with_maps(decoder: str, code: int) -> None:
    with pytest.raises(ModelError, match="code must be above 0 where"):
        ModelConfig("m", "down8 tap", decoder, code=code)


def test_every_part_of_the_head_learns(stylizer: Stylizer) -> None:
    model, generator = stylizer.model.requires_grad_(True), torch.Generator().manual_seed(0)
    with torch.inference_mode(False):
        pairs = [
            [(m.mean, m.std) for m in map(moments, model.encode(torch.rand(2, 3, 40, 40, generator=generator) ** p))]
            for p in (1, 3)
        ]
        features = model.encode(torch.rand(2, 3, 40, 40, generator=generator))
        model.decode(features, model.maps(pairs[0], pairs[1], [torch.ones(2, 1)] * 3)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


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

"""What a brush makes of results, and a decoder that learns to give it at once."""

import math
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_training import TINY, trainer
from torch import Tensor

from adainkit.look.color import luma
from adainkit.net.config import ModelConfig
from adainkit.net.layers import Strokes
from adainkit.net.model import AdaINModel
from training.brush import _led, _outlines, brushed, dehalo, detailed, painted, relit, sharpened, stroked
from training.config import ConfigError, load_config
from training.loss_network import LossNetwork
from training.losses import drawing_loss, feature_difference
from training.objective import Objective, as_seen, restyle
from training.strokes import with_strokes

pytestmark = pytest.mark.usefixtures("no_curves")

NONE = {name: 0.0 for name in vars(load_config(None, TINY)) if name.endswith("_weight")}
BRUSH = {
    **NONE,
    "ripple_octaves": 1,
    "brush_weight": 1.0,
    "brush_radius": 2.0,
    "brush_reach": 8,
    "brush_sharpness": 0.0,
    "brush_features": 0.0,
}


def naive(x: Tensor, radius: float) -> Tensor:
    """The filter of `(3, H, W)`, pixel by pixel, sector by sector, as the papers have it."""
    cosine, sine, drawn = (v[0, 0].double() for v in _outlines(x[None]))
    height, width = x.shape[1:]
    margin = math.ceil(2 * radius)
    rows, columns = (
        torch.tensor([abs(i) if i < n else 2 * n - 2 - i for i in range(-margin, n + margin)]) for n in (height, width)
    )
    around = x.double()[:, rows][:, :, columns]
    near = 2 / radius
    steep = (near + math.cos(math.pi / 8)) / math.sin(math.pi / 8) ** 2
    result = torch.empty(3, height, width, dtype=torch.float64)
    dy, dx = torch.meshgrid(*[torch.arange(-margin, margin + 1.0, dtype=torch.float64)] * 2, indexing="ij")
    for i in range(height):
        for j in range(width):
            stretch = 1 + drawn[i, j]
            u = (dx * cosine[i, j] + dy * sine[i, j]) / (radius * stretch)
            v = (dy * cosine[i, j] - dx * sine[i, j]) / (radius / stretch)
            fall = torch.where(u * u + v * v <= 1, (1 - (u * u + v * v) / 2) ** 8, 0.0)
            turns = [(math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)) for k in range(8)]
            sectors = torch.stack(
                [(u * c + v * s + near - steep * (v * c - u * s) ** 2).clamp_min(0) ** 2 for c, s in turns]
            )
            sectors = sectors / (sectors.sum(0) + 1e-9) * fall
            seen = around[:, i : i + 2 * margin + 1, j : j + 2 * margin + 1]
            weight = sectors.sum((1, 2)) + 1e-9
            mean = torch.einsum("khw,chw->kc", sectors, seen) / weight[:, None]
            spread = (torch.einsum("khw,chw->kc", sectors, seen**2) / weight[:, None] - mean**2).clamp_min(0).sum(1)
            counts = 1 / (1 + (1000 * spread) ** 4)
            result[:, i, j] = (counts[:, None] * mean).sum(0) / counts.sum()
    return result


def scene(height: int = 20, width: int = 26) -> Tensor:
    """A slanting edge, a gradient and some noise, `(1, 3, height, width)`."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    base = torch.stack([(x + 0.4 * y > 0.7).float() * 0.6 + 0.2, 0.3 + 0.4 * y, 0.6 - 0.3 * x])
    generator = torch.Generator().manual_seed(1)
    return (base + 0.03 * torch.randn(3, height, width, generator=generator)).clamp(0, 1)[None]


def test_the_brush_is_the_anisotropic_kuwahara_filter() -> None:
    pictures = torch.cat([scene(), scene().flip(3)])
    found = brushed(pictures, 2.0)
    for picture, got in zip(pictures, found, strict=True):
        torch.testing.assert_close(got.double(), naive(picture, 2.0), rtol=0, atol=2e-4)


def test_a_brush_flattens_areas_and_keeps_borders_crisp() -> None:
    side = 48
    edge = (torch.arange(side) >= side // 2).float().expand(1, 3, side, side) * 0.6 + 0.2
    noise = 0.04 * torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    drawn = painted(edge + noise, edge, reach=0)
    assert (drawn - edge)[..., 6:-6, 6:16].std() < 0.3 * noise.std()
    jump = drawn[0, :, 8:-8, side // 2] - drawn[0, :, 8:-8, side // 2 - 1]
    assert jump.mean() > 0.45, "no blur over the border"
    flat = torch.full((1, 3, 12, 9), 0.4)
    torch.testing.assert_close(brushed(flat), flat)


def test_fine_lines_are_wanted_and_grain_is_not() -> None:
    content = torch.full((1, 3, 48, 48), 0.6)
    grain = 0.02 * torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    content[..., 22:25] = 0.2
    fine = detailed(content + grain)
    assert fine.shape == (1, 1, 48, 48)
    assert fine[..., 8:-8, 23].mean() < -0.2, "a dark line, darker than what is around it"
    assert fine[..., 8:-8, 4:10].std() < 0.5 * luma(grain)[..., 8:-8, 4:10].std()
    result = torch.full_like(content, 0.5)
    torch.testing.assert_close(
        painted(result, content, passes=0, reach=0, detail=0.5), result + 0.5 * detailed(content).expand_as(result)
    )


def test_marks_are_taken_out_of_the_light_and_contrast_stays() -> None:
    content = scene(64, 80)
    result = (0.15 + 0.5 * content).roll(1, 1)  # other colors, half the contrast
    marked = result.clone()
    marked[..., 20:30, 12:14] -= 0.15  # on a plain area
    clean = relit(marked, content)
    left = luma(clean - marked)[..., 20:30, 12:14].mean()
    assert left > 0.1, "gone"
    around = luma(clean)[..., 8:-8, 50:-8]
    torch.testing.assert_close(around.std(), luma(result)[..., 8:-8, 50:-8].std(), rtol=0.25, atol=0)
    torch.testing.assert_close((clean - luma(clean)), (marked - luma(marked)), rtol=0, atol=1e-5)
    assert relit(content[..., :7, :9], content[..., :7, :9]).shape == (1, 3, 7, 9)


def test_differences_count_as_they_are_seen() -> None:
    style, wanted = (0.4 + 0.2 * torch.rand(n, 3, 20, 20) for n in (2, 3))
    result = wanted + 0.01
    seen, there = as_seen(result, wanted, torch.cat([style, style[:1]]), 2)
    assert torch.equal(there[2], wanted[2]), "alpha 0 has no palette"
    torch.testing.assert_close(there[:2].std((2, 3)), 1.4 * style.std((2, 3)), rtol=0.2, atol=0)
    torch.testing.assert_close((seen - there)[2], torch.full((3, 20, 20), 0.01))
    bright = luma(seen - there)[:2]
    assert (bright > 0.0115).all(), "a palette is vivid, and so are the faults of what is brought to it"


def test_spilled_colors_are_taken_back_and_luma_stays() -> None:
    side = 64
    content = torch.full((1, 3, side, side), 0.3)
    content[..., side // 2 :] = 0.7
    result = 0.2 + 0.6 * content
    spilled = result.clone()
    spilled[:, 0, :, side // 2 - 6 : side // 2] += 0.2  # a red seam along the outline
    clean = dehalo(spilled, content)
    red = (clean - luma(clean))[:, 0]
    assert (
        red[..., side // 2 - 6 : side // 2].mean()
        < 0.35 * (spilled - luma(spilled))[:, 0, :, side // 2 - 6 : side // 2].mean()
    )
    torch.testing.assert_close(luma(clean), luma(spilled), rtol=0, atol=1e-5)
    content = F.interpolate(torch.rand(1, 3, 8, 8), (side, side), mode="bilinear")
    tinted = torch.stack([0.1 + 0.5 * content[:, 0], 0.2 + 0.3 * content[:, 1], 0.6 - 0.2 * content[:, 2]], 1)
    torch.testing.assert_close(dehalo(tinted, content, flat=1e-5), tinted, rtol=0, atol=5e-3)
    odd = torch.rand(2, 3, 17, 31)
    assert dehalo(odd, odd).shape == odd.shape


def test_drawings_differ_in_areas_and_in_edges() -> None:
    x = torch.rand(1, 3, 32, 32)
    assert drawing_loss(x, x).item() == pytest.approx(1e-3, rel=1e-3)
    shifted = drawing_loss(x + 0.1, x).item()
    assert shifted == pytest.approx(0.1, rel=1e-3), "a tint has no edges"
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 0.2 - 0.1
    assert drawing_loss(x + board, x).item() > 2 * shifted


def test_strokes_follow_outlines_and_their_own_slant_elsewhere() -> None:
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    for angle in (0.0, 30.0, 90.0, 150.0):
        way = math.radians(angle)
        waves = 0.5 + 0.3 * torch.sin((y * math.cos(way) - x * math.sin(way)) / 3).expand(1, 3, -1, -1)
        led = _led(waves, 6, 2)[0, :, 8:-8, 8:-8]
        assert led.mean((1, 2)).argmax() == round(angle / 30)
        torch.testing.assert_close(led.square().sum(0), torch.ones_like(led[0]))
        along = torch.tensor([math.cos(way), math.sin(way)])
        found = torch.stack(_outlines(waves)[:2])[:, 0, 0, 8:-8, 8:-8].flatten(1)
        assert (along @ found).abs().min() > 0.98, "along the outline, not across"
    flat = torch.full((1, 3, 64, 48), 0.4)
    assert _led(flat, 6, 2)[0, :, 5, 5].argmax() == 5, "up to the right"
    field = Strokes.drawn(6)
    whole = stroked(flat, field, (3, 7), 0.02)
    assert float((whole - flat).std()) == pytest.approx(0.02, rel=0.3)
    assert torch.equal(whole[:, :1], whole[:, 1:2]), "of light, not of color"
    window = stroked(flat[..., 20:, 10:], field, (13, 12), 0.02)
    torch.testing.assert_close(window[..., 2:-2, 2:-2], whole[..., 22:-2, 12:-2])


def test_a_model_gets_a_layer_of_strokes_and_paints_as_before() -> None:
    torch.manual_seed(0)
    knowing = {"encoder": "unshuffle conv8 tap down8 tap", "decoder": "mod8 merge mod8 shuffle4 rgb", "code": 8}
    model = AdaINModel(ModelConfig("small", **knowing)).eval()
    with_them = with_strokes(model).eval()
    assert with_them.config.decoder == "mod8 merge mod8 strokes6 shuffle4 rgb"
    assert with_strokes(with_them) is with_them
    assert with_them.digest == model.digest, "styles stay valid"
    content, style = torch.rand(1, 3, 40, 48), torch.rand(1, 3, 40, 48)
    results = []
    for each in (model, with_them):
        if each is with_them:
            next(layer for layer in each.decoder.layers if isinstance(layer, Strokes)).mix.weight.data.zero_()
        with torch.no_grad():
            results.append(restyle(each, each.encode(content), each.encode(style), torch.ones(1, 1)))
    torch.testing.assert_close(*results)
    plain = AdaINModel(ModelConfig("small", TINY["encoder"], TINY["decoder"]))
    assert with_strokes(plain) is plain, "no head to open and close them"


def test_strokes_are_wanted_where_the_layer_has_them() -> None:
    torch.manual_seed(0)
    config = load_config(None, {**TINY, **BRUSH, "brush_noise": 0.0, "brush_passes": 0, "brush_reach": 0})
    guide = AdaINModel(ModelConfig("small", "unshuffle conv8 tap down8 tap", "mod8 merge mod8 shuffle4 rgb", code=8))
    model = with_strokes(guide.eval())
    objective = Objective(config, model, [], guide=guide)
    content, style, alpha = torch.rand(2, 3, 48, 48), torch.rand(2, 3, 48, 48), torch.ones(2, 1)
    wanted = objective._drawn(content, style, alpha, 2, torch.tensor([3, 5]))
    plain = objective._drawn(content, style, alpha, 2, None)
    expected = stroked(plain, model.decoder.layers[3].field, (6, 10), config.brush_strokes, 2)
    torch.testing.assert_close(wanted, expected.clamp(0, 1))
    assert not torch.equal(wanted, plain)


def test_light_and_detail_are_wanted_as_the_settings_say() -> None:
    torch.manual_seed(0)
    settings = {"brush_noise": 0.0, "brush_passes": 1, "brush_reach": 0, "brush_light": 6, "brush_detail": 0.5}
    config = load_config(None, {**TINY, **BRUSH, **settings})
    guide = AdaINModel(ModelConfig("small", TINY["encoder"], TINY["decoder"])).eval()
    content, style, alpha = torch.rand(2, 3, 40, 40), torch.rand(2, 3, 40, 40), torch.ones(2, 1)
    wanted = Objective(config, guide, [], guide=guide)._drawn(content, style, alpha, 2, None)
    with torch.no_grad():
        plain = restyle(guide, guide.encode(content), guide.encode(style), alpha)
    lit = relit(plain.clamp(0, 1), content, 6)
    torch.testing.assert_close(wanted, brushed((lit + 0.5 * detailed(content)).clamp(0, 1), 2.0))


def test_edges_are_wanted_steeper_and_features_are_compared(teacher: Path) -> None:
    edge = (torch.arange(24) >= 12).float().expand(1, 3, 20, 24) * 0.4 + 0.3
    assert torch.equal(sharpened(edge, 0.0), edge)
    steep = sharpened(edge, 0.5)
    assert steep[0, 0, 5, 12] - steep[0, 0, 5, 11] > 1.2 * 0.4
    torch.testing.assert_close(steep[..., :8], edge[..., :8])
    network, x = LossNetwork(teacher), torch.rand(2, 3, 40, 40)
    assert feature_difference(network(x), network(x)).item() == 0
    far, near = (feature_difference(network(x + step * torch.rand_like(x)), network(x)) for step in (0.5, 0.1))
    assert far > near > 0
    ours, theirs = torch.full((1, 2, 3, 3), 1.5), torch.ones(1, 2, 3, 3)
    assert feature_difference([ours], [theirs]).item() == pytest.approx(0.5)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return AdaINModel(ModelConfig("small", TINY["encoder"], TINY["decoder"])).save(tmp_path / "begun.safetensors")


def test_what_is_wanted_is_the_guide_s_result_drawn_and_at_alpha_0_the_content(begun: Path) -> None:
    guide = AdaINModel.load(begun)
    config = load_config(None, {**TINY, **BRUSH, "freeze_encoder": True, "brush_noise": 0.0})
    objective = Objective(config, AdaINModel.load(begun), [], guide=guide)
    content, style = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    alpha = torch.tensor([[1.0], [1.0], [0.0]])
    wanted = objective._drawn(content, style, alpha, 2, None)
    assert torch.equal(wanted[2], content[2])
    with torch.no_grad():
        levels = [guide.encode(x[:2]) for x in (content, style)]
        plain = restyle(guide, *levels, alpha[:2])
    torch.testing.assert_close(wanted[:2], painted(plain, content[:2], 2.0, 2, 8))
    loss, parts = objective(content, style, plain=1)
    assert set(parts) == {"brush", "reconstruction"}
    assert loss.item() == pytest.approx(parts["brush"].item())
    noisy = objective._noisy(content, 2)
    assert torch.equal(noisy, content), "no noise, none added"


def test_a_decoder_learns_to_draw_at_once(
    begun: Path, teacher: Path, pictures: tuple[Path, Path], tmp_path: Path
) -> None:
    settings = {**BRUSH, "init": str(begun), "freeze_encoder": True, "learning_rate": 3e-3, "warmup_steps": 1}
    settings |= {"stages": [{"steps": 60, "crop": 32, "batch": 3}], "brush_noise": 2.0, "reconstruction_share": 0.0}
    run = trainer(teacher, pictures, tmp_path / "run", **settings)
    encoder = {k: v.clone() for k, v in run.model.encoder.state_dict().items()}
    batch = run.batches[0]
    losses = [run.train_step(batch)["brush"] for _ in range(60)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert all(torch.equal(v, encoder[k]) for k, v in run.model.encoder.state_dict().items())
    guided = run.objective.guide
    assert all(torch.equal(v, AdaINModel.load(begun).state_dict()[k]) for k, v in guided.state_dict().items())


def test_a_run_that_grows_strokes_goes_on_and_is_written(
    teacher: Path, pictures: tuple[Path, Path], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        "knowing", "unshuffle conv8 tap down8 tap", "mod8 merge mod8 shuffle4 rgb", code=8, palette=True
    )
    begun = AdaINModel(config)
    begun.decoder.head.maps.weight.data.normal_(std=0.5)
    file = begun.save(tmp_path / "knowing.safetensors")
    settings = {**BRUSH, "init": str(file), "freeze_encoder": True, "palette_share": 0.5, "warmup_steps": 1}
    settings |= {"stages": [{"steps": 4, "crop": 32, "batch": 4}], "reconstruction_share": 0.25, "brush_features": 0.1}
    whole = trainer(teacher, pictures, tmp_path / "whole", **settings)
    whole.run()
    first = trainer(teacher, pictures, tmp_path / "parts", **settings)
    for _ in range(2):
        first.train_step(first.batches[first.step])
    first.checkpoint()
    second = trainer(teacher, pictures, tmp_path / "parts", **settings)
    second.run()
    for name, value in whole.average.items():
        torch.testing.assert_close(second.average[name], value, msg=name)
    found, old = AdaINModel.load(tmp_path / "whole" / "model.safetensors"), AdaINModel.load(file)
    assert found.config.decoder == "mod8 merge mod8 strokes6 shuffle4 rgb"
    assert found.digest == old.digest
    assert all(
        torch.equal(v, found.decoder.head.state_dict()[k])
        for k, v in old.decoder.head.state_dict().items()
        if k != "maps.weight"
    )
    assert not torch.equal(old.decoder.layers[0].first.conv.weight, found.decoder.layers[0].first.conv.weight)
    again = trainer(
        teacher, pictures, tmp_path / "again", **{**settings, "init": str(tmp_path / "whole" / "model.safetensors")}
    )
    assert not again.objective.guide.decoder.layers[3].mix.weight.any(), "its own marks are not drawn after"
    assert again.model.decoder.layers[3].mix.weight.any()


def test_a_brush_needs_a_model_to_draw_after_and_numba(
    teacher: Path, pictures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"brush_weight.*--init"):
        trainer(teacher, pictures, tmp_path / "run", **BRUSH)
    monkeypatch.delitem(sys.modules, "training.brush_kernel", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ConfigError, match=r"adainkit\[train\]"):
        brushed(torch.rand(1, 3, 8, 8))

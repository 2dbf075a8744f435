"""The network family: every kind of architecture with random weights, VGG-19's shapes, and what is no architecture."""

import json
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from maps import identity
from precisions import skip_without
from torch import Tensor, nn

from adainkit.errors import ModelError
from adainkit.net.adain import moments
from adainkit.net.coders import Decoder, Encoder
from adainkit.net.config import LITE, VGG19, Level, ModelConfig
from adainkit.net.demands import largest_per_pixel
from adainkit.net.model import AdaINModel

CONFIGS = [
    ModelConfig(
        "slim vgg",
        "conv4 conv4 pool conv6 conv6 pool conv8 conv8 pool conv10 tap",
        "conv8 up conv8 conv6 up conv6 conv4 up conv4 rgb",
    ),
    ModelConfig(
        "slim lite",
        "unshuffle conv6 down8 res8 tap down10 res10 tap",
        "res10 merge res8 smooth conv6 shuffle4 rgb",
        gain_cap=16.0,
    ),
    ModelConfig(
        "three levels",
        "unshuffle conv6 res6 tap down8 res8 tap down10 res10 tap",
        "res10 merge res8 merge res6 shuffle4 rgb",
    ),
    ModelConfig("no scaling", "conv4 tap", "conv5 rgb"),
    ModelConfig("full size level", "conv4 tap pool res4 conv6 tap", "conv7 merge conv5 rgb"),
    ModelConfig("levels 2 and 8", "down4 tap pool down6 tap", "up merge shuffle3 rgb"),
    ModelConfig("twice unshuffled", "unshuffle unshuffle tap", "shuffle4 up rgb"),
    ModelConfig("stride 16", "down4 down5 tap down6 down7 tap", "res7 up merge up conv3 shuffle2 rgb"),
]
configs = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)


def make(config: ModelConfig, seed: int = 0) -> AdaINModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AdaINModel(config).eval()


def picture(height: int, width: int, batch: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def convolutions(part: nn.Module) -> list[tuple[int, int, int]]:
    return [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in part.modules() if isinstance(m, nn.Conv2d)]


# ---- every architecture ----


@configs
@torch.no_grad()
def test_every_size_from_one_pixel_on_gives_at_least_its_own_size(config: ModelConfig, device: torch.device) -> None:
    model = make(config).to(device)
    top = 2 * config.stride + 3
    for height, width in {(n, 1 + (5 * n) % top) for n in range(1, top)} | {(1, 1), (1, 40), (40, 1), (9, 7)}:
        padded = [max(side, config.min_size) for side in (height, width)]
        if padded != [height, width]:
            with pytest.raises(ModelError, match=f"sides of {config.min_size} pixels or more"):
                model.encode(picture(height, width).to(device))
        features = model.encode(picture(*padded).to(device))
        for f, level in zip(features, config.levels, strict=True):
            assert f.shape == (1, level.channels, *(-(-side // level.stride) for side in padded))
        output = model.decode(features, identity(features))
        assert output.shape[:2] == (1, 3)
        assert all(out >= side for out, side in zip(output.shape[2:], (height, width), strict=True))
        assert torch.isfinite(output).all()


@configs
def test_a_level_has_the_channels_and_the_stride_of_the_config(config: ModelConfig) -> None:
    side = 4 * config.stride
    for f, level in zip(Encoder(config)(picture(side, side, 2)), config.levels, strict=True):
        assert f.shape == (2, level.channels, side // level.stride, side // level.stride)


@configs
@torch.no_grad()
def test_pictures_of_a_batch_do_not_touch_each_other(config: ModelConfig) -> None:
    model, x = make(config), picture(21, 34, 2)
    together = model.decode(model.encode(x), identity(model.encode(x)))
    for i in range(2):
        features = model.encode(x[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], model.decode(features, identity(features)))


@configs
@torch.no_grad()
def test_every_level_matters_to_the_result(config: ModelConfig) -> None:
    model = make(config)
    features = model.encode(picture(32, 32))
    maps = identity(features)
    plain = model.decode(features, maps)
    for i, moved in enumerate(identity(features, 1)):
        assert (model.decode(features, [*maps[:i], moved, *maps[i + 1 :]]) - plain).abs().max() > 1e-3


@configs
def test_gradients_reach_the_picture_and_every_parameter(config: ModelConfig) -> None:
    model, x = make(config).train(), picture(24, 24).requires_grad_(True)
    features = model.encode(x)
    model.decode(features, identity(features)).square().mean().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@configs
@torch.no_grad()
def test_the_input_map_folds_into_the_first_convolution_up_to_the_border(config: ModelConfig) -> None:
    """Padding is by reflection everywhere: a constant picture stays constant, which zeros would spoil."""
    model = make(config)
    features = model.encode(torch.full((1, 3, 32, 32), 0.4))
    output = model.decode(features, identity(features))
    for x in (*features, output):
        torch.testing.assert_close(x, x[..., :1, :1].expand_as(x), rtol=1e-4, atol=1e-5)


@configs
@torch.no_grad()
def test_no_weights_can_make_a_checkerboard_of_a_constant(config: ModelConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    for layer, word in zip(Decoder(config).layers, config.decoder.split(), strict=True):
        if word.startswith("shuffle"):
            for tensor in layer.parameters():
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            channels = next(m.in_channels for m in layer.modules() if isinstance(m, nn.Conv2d))
            y = layer(torch.ones(1, channels, 6, 6))
            assert y.shape[2:] == (12, 12)
            torch.testing.assert_close(y, y[..., :1, :1].expand_as(y))


@torch.no_grad()
def test_merging_before_or_after_the_up_scaling_is_the_same() -> None:
    merge = Decoder(ModelConfig("x", "conv4 tap pool conv7 tap", "merge rgb")).layers[0]
    convolution = next(m for m in merge.modules() if isinstance(m, nn.Conv2d))
    assert convolution.kernel_size == (1, 1)
    g = torch.Generator().manual_seed(0)
    x, level = torch.randn(1, 7, 5, 6, generator=g), torch.randn(1, 4, 9, 12, generator=g)
    large = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[..., :9, :]
    torch.testing.assert_close(merge(x, level), convolution(large) + level)


@configs
@torch.no_grad()
def test_max_pooling_and_strides_keep_the_last_row_and_column(config: ModelConfig) -> None:
    """Down-scaling rounds up: of an odd picture, the last pixel still counts."""
    encoder, side = make(config).encoder, 2 * config.stride + 1
    x = picture(side, side)
    changed = x.clone()
    changed[..., -1:, -1:] += 0.5
    for before, after in zip(encoder(x), encoder(changed), strict=True):
        assert not torch.equal(before[..., -1, -1], after[..., -1, -1])


# ---- precision ----


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_the_last_convolution_runs_in_float32_under_half_precision(kind: torch.dtype, device: torch.device) -> None:
    last = make(CONFIGS[1]).decoder.layers[-1].to(device, kind)
    convolution = next(m for m in last.modules() if isinstance(m, nn.Conv2d))
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).to(device, kind)
    exact = F.conv2d(
        F.pad(x.double(), (1, 1, 1, 1), mode="reflect"), convolution.weight.double(), convolution.bias.double()
    )
    with torch.autocast(device.type, dtype=torch.bfloat16):
        under_autocast = last(x)
    for output in (last(x), under_autocast):
        assert output.dtype == torch.float32
        torch.testing.assert_close(output.double(), exact, rtol=1e-5, atol=1e-5)


@configs
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_half_precision_is_close_to_float32(config: ModelConfig, kind: torch.dtype, device: torch.device) -> None:
    skip_without(kind, device)
    model, x = make(config).to(device), picture(33, 47).to(device)
    exact = model.decode(model.encode(x), identity(model.encode(x)))
    half = make(config).to(device, kind)
    features = half.encode(x.to(kind))
    assert {f.dtype for f in features} == {kind}
    output = half.decode(features, identity(features))
    assert output.dtype == torch.float32
    assert (output - exact).abs().mean() < 0.05 * exact.std()


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (8, 4), (17, 30)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_shuffle_and_rgb_in_one_are_the_two(size: tuple[int, int], kind: torch.dtype) -> None:
    torch.manual_seed(0)
    *_, shuffle, rgb = Decoder(
        ModelConfig("x", "unshuffle conv4 tap pool conv7 tap", "merge conv5 shuffle6 rgb")
    ).layers
    for tensor in shuffle.parameters():
        tensor.copy_(torch.randn(tensor.shape) / 3)  # sub-pixels of their own
    x = torch.randn(2, 5, *size).to(kind)
    expand = shuffle.expand.to(kind)(x).double()
    large = F.pad(F.pixel_shuffle(expand, 2), (1, 0, 1, 0), mode="reflect")
    mean = (large[..., 1:, 1:] + large[..., 1:, :-1] + large[..., :-1, 1:] + large[..., :-1, :-1]) / 4
    weight, bias = rgb.conv.weight.double(), rgb.conv.bias.double()
    expected = F.conv2d(F.pad(mean, (1, 1, 1, 1), mode="reflect"), weight, bias)
    got = shuffle.then_rgb(x, rgb)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_decoder_gives_the_same_with_gradients_and_without() -> None:
    model, x = AdaINModel(LITE), picture(40, 24)
    features = [f.detach().requires_grad_(True) for f in model.encode(x)]
    statistics, style = ([moments(f) for f in model.encode(p)] for p in (x, 1 - x))
    maps = model.eval().modulate(statistics, [model.style_tensors([], style)], [1.0] * 3)
    exact = model.decode(features, maps)
    exact.mean().backward(retain_graph=True)
    assert all(f.grad is not None for f in features)
    with torch.no_grad():
        torch.testing.assert_close(model.decode(features, maps), exact, rtol=1e-4, atol=1e-4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model.decode(model.encode(x), maps)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().mean() < 0.05 * exact.std()


# ---- the two published architectures ----


def test_vgg19_is_the_classic_network_layer_by_layer() -> None:
    with torch.device("meta"):
        encoder, decoder = Encoder(VGG19), Decoder(VGG19)
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 256, 512]
    back = [512, 256, 256, 256, 256, 128, 128, 64, 64, 3]
    assert convolutions(encoder) == [(a, b, 3) for a, b in pairwise(widths)]
    assert convolutions(decoder) == [(a, b, 3) for a, b in pairwise(back)]
    assert sum(p.numel() for p in encoder.parameters()) == 3_505_728
    assert sum(p.numel() for p in decoder.parameters()) == 3_505_219
    assert VGG19.levels == (Level(512, 8),)
    assert (VGG19.stride, VGG19.min_size, VGG19.gain_cap) == (8, 9, None)


def test_lite_has_several_levels_no_normalization_and_fits_into_the_wheel() -> None:
    with torch.device("meta"):
        model = AdaINModel(LITE)
    assert len(LITE.levels) > 1
    assert 2 * sum(p.numel() for p in model.parameters()) <= 8_000_000  # bytes as float16
    norms = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    assert not any(isinstance(m, norms) for m in model.decoder.modules())


# ---- the configuration ----


@pytest.mark.parametrize("config", [*CONFIGS, VGG19, LITE], ids=lambda c: c.name)
def test_a_config_survives_json(config: ModelConfig) -> None:
    text = config.to_json()
    assert "\n" not in text
    again = ModelConfig.from_json(text)
    assert again == config
    assert hash(again) == hash(config)


@pytest.mark.parametrize(
    ("encoder", "decoder", "message"),
    [
        ("conv4 magic tap", "rgb", "unknown layer word 'magic'"),
        ("conv tap", "rgb", "unknown layer word 'conv'"),
        ("conv0 tap", "rgb", "unknown layer word 'conv0'"),
        ("conv4 tap", "wizard rgb", "unknown layer word 'wizard'"),
        ("", "rgb", "no AdaIN level"),
        ("conv4", "rgb", "no AdaIN level"),
        ("conv4 tap conv4", "rgb", "encoder must end with 'tap' and the decoder with 'rgb'"),
        ("conv4 tap", "conv4", "encoder must end with 'tap' and the decoder with 'rgb'"),
        ("conv4 tap", "", "encoder must end with 'tap' and the decoder with 'rgb'"),
        ("conv4 up tap", "rgb", "'up' has no place in an encoder"),
        ("conv4 rgb tap", "rgb", "'rgb' has no place in an encoder"),
        ("conv4 tap", "pool rgb", "'pool' has no place in a decoder"),
        ("conv4 tap", "tap rgb", "'tap' has no place in a decoder"),
        ("conv4 tap", "rgb conv4 rgb", "'rgb'"),
        ("tap pool conv4 tap", "merge rgb", "'tap'"),
        ("conv4 tap pool conv4 tap", "up merge rgb", "'merge' number 1 meets no level of stride 0"),
        ("conv4 tap", "merge rgb", "'merge' number 1 meets no level"),
        ("pool conv4 tap", "rgb", "ends at stride 2 .expected 1. having merged 0 levels .expected 0."),
        ("conv4 tap pool conv4 tap", "up rgb", "ends at stride 1 .expected 1. having merged 0 levels .expected 1."),
        ("conv4 tap", "up rgb", "ends at stride 0"),
        ("conv4 tap tap", "rgb", "model 'x'"),
    ],
)
def test_an_impossible_architecture_is_a_model_error_that_says_why(encoder: str, decoder: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelConfig("x", encoder, decoder)


@pytest.mark.parametrize("cap", [0, -1.0, float("nan"), "16", True])
def test_an_impossible_gain_cap_is_a_model_error(cap: Any) -> None:
    with pytest.raises(ModelError, match="gain_cap"):
        ModelConfig("x", "conv4 tap", "rgb", cap)


@pytest.mark.parametrize(("encoder", "decoder"), [("conv4 res5 tap", "rgb"), ("conv4 tap", "res5 rgb")])
def test_a_residual_block_that_changes_the_width_is_a_model_error(encoder: str, decoder: str) -> None:
    with pytest.raises(ModelError, match="'res5' follows 4 channels"):
        AdaINModel(ModelConfig("x", encoder, decoder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a model configuration"),
        ("{", "not a model configuration"),
        ("null", "not a model configuration"),
        ("[]", "not a model configuration"),
        ("3", "not a model configuration"),
        ('{"name": "x"}', "not a model configuration"),
        ('{"name": "x", "encoder": 3, "decoder": "rgb"}', "not a model configuration"),
        ('{"name": "x", "encoder": "conv4 tap", "decoder": "rgb", "wings": 2}', r"unknown keys \['wings'\]; a newer"),
        ('{"name": "x", "encoder": "conv4", "decoder": "rgb"}', "no AdaIN level"),
    ],
)
def test_other_json_is_a_model_error(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelConfig.from_json(text)


def test_the_json_has_every_field_by_name() -> None:
    assert set(json.loads(LITE.to_json())) == {"name", "encoder", "decoder", "gain_cap", "code", "palette"}


@configs
def test_nothing_that_is_handed_in_or_out_is_overwritten(config: ModelConfig) -> None:
    model = AdaINModel(config)
    x = torch.rand(1, 3, 37, 51)
    before = x.clone()
    taps = []
    for layer in model.encoder.layers:  # what a layer was given is still as it was when all have run
        layer.register_forward_hook(lambda _, given, out: taps.append((given[0], given[0].clone())))
    with torch.no_grad():
        features = model.encode(x)
        copies = [f.clone() for f in features]
        model.decode(features, identity(features))
    assert torch.equal(x, before)
    assert all(torch.equal(a, b) for a, b in [*taps, *zip(features, copies, strict=True)])


@pytest.mark.parametrize(("config", "most"), [(VGG19, 64), (LITE, 8), (CONFIGS[3], 5), (CONFIGS[6], 4)])
def test_the_largest_tensor_is_known(config: ModelConfig, most: int) -> None:
    assert largest_per_pixel(config) == most

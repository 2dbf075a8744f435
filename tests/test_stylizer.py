"""The pipeline of one picture: what comes back for what goes in, and what no call may change."""

import os
import random
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from maps import identity
from PIL import Image, ImageFile
from precisions import skip_without
from torch import Tensor

import adainkit
from adainkit import preset_list, verb
from adainkit import stylizer as stylizer_module
from adainkit.engine.finish import Finish
from adainkit.engine.whole import Content, without_pixels
from adainkit.errors import AdaINKitError, Cancelled, ImageError, OutOfMemoryError, StyleError
from adainkit.images import open_image, save_image
from adainkit.look.color import keep_luma, match_color
from adainkit.look.controls import Controls
from adainkit.net.config import ModelConfig
from adainkit.net.devices import fast_bfloat16, find_precision
from adainkit.net.model import AdaINModel
from adainkit.store.style_cache import StyleCache
from adainkit.style import Preset, Style, write_presets
from adainkit.stylizer import Stylizer
from adainkit.verb import stylize

TINY = ModelConfig("tiny", "unshuffle conv6 res6 tap down8 tap", "conv8 merge res6 shuffle4 rgb", gain_cap=16.0)
COLOR_MODES = (None, "luma", "match")
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Blobs of random color, uint8 (H, W, C): neither flat nor mere noise."""
    small = np.random.default_rng(seed).random((-(-height // 6), -(-width // 6), channels))
    large = small.repeat(6, 0).repeat(6, 1)[:height, :width]
    return (255 * (0.8 * large + 0.2 * np.random.default_rng(seed + 1).random(large.shape))).astype(np.uint8)


def tensor(height: int, width: int, batch: int = 1, channels: int = 3, seed: int = 0) -> Tensor:
    stack = np.stack([noise(height, width, channels, seed + 10 * i) for i in range(batch)])
    return torch.from_numpy(stack).movedim(-1, 1) / 255


def tiny(seed: int = 0) -> AdaINModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AdaINModel(TINY)
    with torch.no_grad():  # results around mid gray: little of them is clamped
        model.decoder.layers[-1].conv.weight.mul_(0.1)
        model.decoder.layers[-1].conv.bias.fill_(0.5)
    return model


def distance(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).mean())


@pytest.fixture(scope="module")
def style(stylizer: Stylizer) -> Style:
    return stylizer.encode_style(noise(60, 80, seed=5))


@pytest.fixture
def presets(stylizer: Stylizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Style]:
    """Two presets in a folder of the test's own."""
    monkeypatch.setattr(preset_list, "presets_file", lambda model: tmp_path / "presets" / f"{model}.safetensors")
    found = {name: stylizer.encode_style(noise(48, 48, seed=i)) for i, name in enumerate(("red-harbor", "pines"))}
    write_presets("lite", {Preset(name, "", "drawn by a test"): s for name, s in found.items()})
    return found


# ---- the result is like the picture ----

SIZES = [(1, 1), (1, 40), (40, 1), (9, 7), (7, 8), (33, 47), (64, 64), (65, 31)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [3, 4])
def test_the_size_is_exact_from_one_pixel_on(stylizer: Stylizer, style: Style, size: Any, channels: int) -> None:
    result = stylizer.stylize(noise(*size, channels), style)
    assert (result.shape, result.dtype) == ((*size, channels), np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_of_any_size_is_a_style(stylizer: Stylizer, size: Any) -> None:
    found = stylizer.encode_style(noise(*size))
    assert all(torch.isfinite(t).all() for t in (*found.means, *found.stds))
    assert np.asarray(stylizer.stylize(noise(20, 20), found)).shape == (20, 20, 3)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("shape", "expected"), [((21, 30), (21, 30, 3)), ((21, 30, 1), (21, 30, 3))])
def test_a_gray_array_gives_rgb_of_its_dtype(
    stylizer: Stylizer, style: Style, kind: type, shape: Any, expected: Any
) -> None:
    gray = noise(21, 30, 1).reshape(shape)
    array = gray.astype(kind) * 257 if kind is np.uint16 else gray if kind is np.uint8 else (gray / 255).astype(kind)
    result = stylizer.stylize(array, style)
    assert (result.shape, result.dtype) == (expected, kind)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [3, 4])
def test_an_array_gives_an_array_of_its_dtype_and_its_alpha_bit_for_bit(
    stylizer: Stylizer, style: Style, kind: type, channels: int
) -> None:
    x = noise(21, 30, channels)
    array = x.astype(kind) * 257 if kind is np.uint16 else x if kind is np.uint8 else (x / 255).astype(kind)
    result = stylizer.stylize(array, style)
    assert (result.shape, result.dtype) == (array.shape, kind)
    assert np.array_equal(result[..., 3:], array[..., 3:])
    scale = {np.uint8: 255, np.uint16: 65535}.get(kind, 1)
    reference = stylizer.stylize((x / 255).astype(np.float64), style)
    assert distance(result[..., :3] / scale, reference[..., :3]) < 3e-3


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8])
@pytest.mark.parametrize("shape", [(3, 21, 30), (1, 3, 21, 30), (2, 3, 21, 30), (4, 21, 30), (2, 4, 21, 30)])
def test_a_tensor_gives_a_tensor_of_its_shape_dtype_device_and_alpha(
    stylizer: Stylizer, style: Style, kind: torch.dtype, shape: Any, device: torch.device
) -> None:
    wide = tensor(21, 30, shape[0] if len(shape) == 4 else 1, shape[-3]).reshape(shape)
    x = ((wide * 255).round() if kind == torch.uint8 else wide).to(device, kind)
    result = stylizer.stylize(x, style)
    assert (result.shape, result.dtype, result.device) == (x.shape, kind, x.device)
    assert torch.equal(result[..., 3:, :, :], x[..., 3:, :, :])


def test_a_gray_tensor_gives_rgb(stylizer: Stylizer, style: Style) -> None:
    assert stylizer.stylize(tensor(21, 30, channels=1)[0], style).shape == (3, 21, 30)


def of_mode(mode: str) -> Image.Image:
    rgba = Image.fromarray(noise(21, 30, 4), "RGBA")
    gray = np.asarray(rgba.convert("L"))
    if mode == "P+transparency":
        image = rgba.convert("RGB").quantize(16)
        image.info["transparency"] = 3
        return image
    if mode == "I;16":
        return Image.fromarray(gray.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(gray.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(gray.astype(np.float32) / 255)
    return rgba.convert(mode) if mode in ("LA", "RGBA") else rgba.convert("RGB").convert(mode)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        *((mode, "RGB") for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16", "I", "F")),
        *((mode, "RGBA") for mode in ("LA", "P+transparency", "RGBA")),
    ],
)
def test_a_pil_image_of_any_mode_gives_rgb_with_its_alpha(
    stylizer: Stylizer, style: Style, mode: str, expected: str
) -> None:
    image = of_mode(mode)
    result = stylizer.stylize(image, style)
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (expected, (30, 21))
    if expected == "RGBA":
        assert np.array_equal(np.asarray(result)[..., 3], np.asarray(image.convert("RGBA"))[..., 3])


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_gives_a_pil_image(stylizer: Stylizer, style: Style, tmp_path: Path, kind: type) -> None:
    Image.fromarray(noise(21, 30)).save(tmp_path / "a.png")
    result = stylizer.stylize(kind(tmp_path / "a.png"), style)
    assert (result.mode, result.size) == ("RGB", (30, 21))
    assert np.array_equal(result, stylizer.stylize(noise(21, 30), style))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_picture_is_stylized_upright_and_the_orientation_tag_goes(
    stylizer: Stylizer, style: Style, tmp_path: Path, orientation: int
) -> None:
    turns = {3: 2, 6: 3, 8: 1}[orientation]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    Image.fromarray(noise(21, 30)).save(tmp_path / "a.png", exif=exif)
    result = stylizer.stylize(tmp_path / "a.png", style)
    assert np.array_equal(result, stylizer.stylize(np.rot90(noise(21, 30), turns).copy(), style))
    assert result.getexif().get(0x0112, 1) == 1


def test_an_opaque_alpha_channel_changes_nothing_but_is_kept(stylizer: Stylizer, style: Style) -> None:
    x = tensor(33, 47)
    with_alpha = stylizer.stylize(torch.cat([x, torch.ones(1, 1, 33, 47)], 1), style)
    torch.testing.assert_close(with_alpha[:, :3], stylizer.stylize(x, style), rtol=0, atol=1e-4)


# ---- transparency ----


def hidden_pair(kind: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    """Two RGBA arrays that look the same: only the RGB under their fully transparent pixels differs."""
    x = noise(40, 52, 4, seed=3)
    x[..., 3] = np.random.default_rng(0).choice([128, 255, 255], (40, 52))
    x[8:30, 20:45, 3] = 0
    other = x.copy()
    other[x[..., 3] == 0, :3] = np.random.default_rng(1).integers(0, 256, (int((x[..., 3] == 0).sum()), 3))
    if kind is np.uint16:
        return x.astype(kind) * 257, other.astype(kind) * 257
    return (x, other) if kind is np.uint8 else ((x / 255).astype(kind), (other / 255).astype(kind))


@pytest.mark.parametrize("mode", COLOR_MODES)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("masked", [False, True])
def test_hidden_rgb_of_the_content_never_shows(
    stylizer: Stylizer, style: Style, mode: Any, kind: type, masked: bool
) -> None:
    mask = np.linspace(0, 1, 52, dtype=np.float32)[None].repeat(40, 0) if masked else None
    x, other = hidden_pair(kind)
    first, second = (stylizer.stylize(p, style, alpha=0.8, preserve_color=mode, mask=mask) for p in (x, other))
    seen = x[..., 3] > 0
    assert np.array_equal(first[seen], second[seen])
    assert np.array_equal(first[..., 3], x[..., 3])


@pytest.mark.parametrize("style_size", [512, 16, None])
def test_hidden_rgb_of_a_style_never_shows(stylizer: Stylizer, style_size: int | None) -> None:
    first, second = (stylizer.encode_style(p, style_size=style_size) for p in hidden_pair())
    for a, b in zip((*first.means, *first.stds), (*second.means, *second.stds), strict=True):
        assert torch.equal(a, b)


def test_hidden_rgb_in_a_batch_never_shows(stylizer: Stylizer, style: Style) -> None:
    x, other = hidden_pair()
    first, second = (stylizer.stylize_batch([p, noise(40, 52, 4)], style, preserve_color="match") for p in (x, other))
    seen = x[..., 3] > 0
    assert np.array_equal(first[0][seen], second[0][seen])
    assert np.array_equal(first[1], second[1])


def test_a_fully_transparent_picture_keeps_its_alpha(stylizer: Stylizer, style: Style) -> None:
    x = noise(20, 30, 4)
    x[..., 3] = 0
    assert np.array_equal(stylizer.stylize(x, style)[..., 3], x[..., 3])


# ---- alpha ----


def test_alpha_0_is_the_reconstruction_and_no_shortcut_to_the_input(device: torch.device) -> None:
    own = Stylizer(tiny(), device=device, dtype="float32")
    x = tensor(33, 47)
    features = own.model.encode(x.to(device))
    plain = own.model.decode(features, identity(features))[..., :33, :47].clamp(0, 1).cpu()
    result = own.stylize(x, noise(40, 40, seed=5), alpha=0)
    torch.testing.assert_close(result, plain, rtol=0, atol=1e-4)
    assert distance(result, x) > 0.05  # this network has learned nothing


def test_alpha_0_is_the_same_for_every_style(stylizer: Stylizer, style: Style) -> None:
    other = stylizer.encode_style(noise(50, 50, seed=9))
    assert np.array_equal(*(stylizer.stylize(noise(33, 47), s, alpha=0) for s in (style, other)))


def test_alpha_interpolates_the_features(device: torch.device) -> None:
    """By hand: the features' AdaIN, mixed with the features, decoded."""
    own = Stylizer(tiny(), device=device, dtype="float32")
    x, s = tensor(32, 48), tensor(32, 32, seed=7)
    mixed = []
    for f, g in zip(own.model.encode(x.to(device)), own.model.encode(s.to(device)), strict=True):
        std, mean = torch.var_mean(f, (2, 3), correction=0, keepdim=True)
        style_std, style_mean = torch.var_mean(g, (2, 3), correction=0, keepdim=True)
        ratio = ((style_std + 1e-5) / (std + 1e-5)).sqrt().clamp_max(16)
        mixed.append(0.3 * ((f - mean) * ratio + style_mean) + 0.7 * f)
    expected = own.model.decoder(mixed).clamp(0, 1).cpu()
    torch.testing.assert_close(own.stylize(x, s, alpha=0.3), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan"), float("inf")])
def test_alpha_outside_0_to_1_is_a_style_error_everywhere(
    stylizer: Stylizer, style: Style, alpha: float, tmp_path: Path
) -> None:
    Image.fromarray(noise(9, 9)).save(tmp_path / "a.png")
    calls: list[Callable[[], Any]] = [
        lambda: stylizer.stylize(noise(9, 9), style, alpha=alpha),
        lambda: stylizer.stylize_batch([noise(9, 9)], style, alpha=alpha),
        lambda: stylizer.stylize_file(tmp_path / "a.png", tmp_path / "b.png", style, alpha=alpha),
        lambda: stylize(noise(9, 9), noise(9, 9), alpha=alpha),
    ]
    for call in calls:
        with pytest.raises(StyleError, match=f"alpha must be from 0 .* got {alpha}"):
            call()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]


# ---- masks ----


@pytest.mark.parametrize("mode", COLOR_MODES)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_mask_of_zeros_gives_the_content_bit_for_bit(
    stylizer: Stylizer, style: Style, mode: Any, kind: type, channels: int
) -> None:
    if kind is np.uint16:
        x = np.random.default_rng(0).integers(0, 65536, (21, 30, channels), np.uint16)
    else:
        x = noise(21, 30, channels) if kind is np.uint8 else (noise(21, 30, channels) / 255).astype(kind)
    assert np.array_equal(stylizer.stylize(x, style, mask=np.zeros((21, 30), np.float32), preserve_color=mode), x)


@pytest.mark.parametrize("mode", COLOR_MODES)
@pytest.mark.parametrize("size", [(33, 47), (5, 6), (100, 10)])
def test_a_mask_of_ones_is_no_mask_exactly(stylizer: Stylizer, style: Style, mode: Any, size: Any) -> None:
    x = noise(33, 47, 4)
    masked = stylizer.stylize(x, style, mask=np.ones(size, np.float32), preserve_color=mode, alpha=0.7)
    assert np.array_equal(masked, stylizer.stylize(x, style, preserve_color=mode, alpha=0.7))


@pytest.mark.parametrize("mode", COLOR_MODES)
def test_a_mask_of_one_half_gives_the_mean_of_both(stylizer: Stylizer, style: Style, mode: Any) -> None:
    """Equal weights leave the statistics as they are."""
    x = tensor(33, 47)
    full = stylizer.stylize(x, style, preserve_color=mode)
    half = stylizer.stylize(x, style, preserve_color=mode, mask=torch.full((33, 47), 0.5))
    torch.testing.assert_close(half, (x + full) / 2, rtol=0, atol=1e-3)


def test_a_binary_mask_leaves_the_rest_bit_for_bit(stylizer: Stylizer, style: Style) -> None:
    x, mask = noise(40, 60), np.zeros((40, 60), np.float32)
    mask[:, :25] = 1
    result = stylizer.stylize(x, style, mask=mask)
    assert np.array_equal(result[:, 25:], x[:, 25:])
    assert distance(result[:, :25], x[:, :25]) > 1


def test_what_a_mask_leaves_out_does_not_count_as_content(stylizer: Stylizer, style: Style) -> None:
    x, mask = noise(40, 512), np.zeros((40, 512), np.float32)
    mask[:, :32] = 1
    other = x.copy()
    other[:, 400:] = 255  # far beyond what the network sees from there
    first, second = (stylizer.stylize(p, style, mask=mask) for p in (x, other))
    assert np.array_equal(first[:, :32], second[:, :32])
    assert not np.array_equal(stylizer.stylize(x, style)[:, :32], stylizer.stylize(other, style)[:, :32])


def as_kinds(mask: np.ndarray, folder: Path) -> dict[str, Any]:
    """One 0-or-1 mask in every form that is taken."""
    image = Image.fromarray((mask * 255).astype(np.uint8))
    image.save(folder / "mask.png")
    return {
        "float32": mask.astype(np.float32),
        "float64": mask.astype(np.float64),
        "bool": mask.astype(bool),
        "uint8": (mask * 255).astype(np.uint8),
        "uint16": (mask * 65535).astype(np.uint16),
        "(H, W, 1)": mask.astype(np.float32)[..., None],
        "(H, W, 3)": mask.astype(np.float32)[..., None].repeat(3, 2),
        "tensor (H, W)": torch.from_numpy(mask),
        "tensor (1, H, W)": torch.from_numpy(mask)[None],
        "tensor (1, 1, H, W)": torch.from_numpy(mask)[None, None],
        "bool tensor": torch.from_numpy(mask) > 0,
        "half tensor": torch.from_numpy(mask).half(),
        "PIL L": image,
        "PIL 1": image.convert("1"),
        "PIL RGB": image.convert("RGB"),
        "path": folder / "mask.png",
    }


def test_a_mask_may_be_of_any_kind(stylizer: Stylizer, style: Style, tmp_path: Path) -> None:
    mask = np.zeros((33, 47), np.float64)
    mask[4:20, 10:30] = 1
    content = stylizer.encode_content(noise(33, 47))
    kinds = as_kinds(mask, tmp_path)
    expected = stylizer.stylize(content, style, mask=kinds.pop("float32"))
    for name, one in kinds.items():
        assert np.array_equal(stylizer.stylize(content, style, mask=one), expected), name


def test_a_mask_of_another_size_is_scaled(stylizer: Stylizer, style: Style) -> None:
    x, small = noise(32, 48), np.zeros((4, 6), np.float32)
    small[:, 3:] = 1
    result = stylizer.stylize(x, style, mask=small)
    assert np.array_equal(result[:, :16], x[:, :16])
    assert distance(result[:, 32:], x[:, 32:]) > 1


def test_every_picture_of_a_batch_may_have_its_own_mask(stylizer: Stylizer, style: Style) -> None:
    x = tensor(21, 30, 2)
    masks = torch.stack([torch.zeros(1, 21, 30), torch.ones(1, 21, 30)])
    result = stylizer.stylize(x, style, mask=masks)
    assert torch.equal(result[0], x[0])
    torch.testing.assert_close(result[1], stylizer.stylize(x[1], style), rtol=0, atol=1e-4)
    with pytest.raises(ImageError, match="3 masks for 2 pictures"):
        stylizer.stylize(x, style, mask=torch.ones(3, 1, 21, 30))


@pytest.mark.parametrize("mask", [np.full((9, 9), 2.0), np.full((9, 9), np.nan), np.zeros(9), "no-such-mask.png", 7])
def test_an_unusable_mask_is_an_image_error(stylizer: Stylizer, style: Style, mask: Any) -> None:
    with pytest.raises(ImageError):
        stylizer.stylize(noise(9, 9), style, mask=mask)


# ---- color ----


def preserve(mode: str, result: Tensor, content: Tensor, weight: Tensor | None = None) -> Tensor:
    return keep_luma(result, content) if mode == "luma" else match_color(result, content, weight)


@pytest.mark.parametrize("mode", ["luma", "match"])
@pytest.mark.parametrize("alpha", [0.4, 1.0])
@pytest.mark.parametrize("what", ["style", "blend", "preset"])
def test_preserve_color_works_on_the_result_of_any_style(
    stylizer: Stylizer, presets: dict[str, Style], mode: Any, alpha: float, what: str
) -> None:
    blend = Style.blend([(s, i + 1) for i, s in enumerate(presets.values())])
    given: Any = {"style": presets["pines"], "blend": blend, "preset": "red-harbor"}[what]
    x = tensor(33, 47)
    plain = stylizer.stylize(x, given, alpha=alpha, color_strength=0)
    result = stylizer.stylize(x, given, alpha=alpha, preserve_color=mode)
    torch.testing.assert_close(result, preserve(mode, plain, x), rtol=0, atol=1e-5)
    assert distance(result, plain) > 1e-3


@pytest.mark.parametrize("mode", ["luma", "match"])
def test_preserve_color_weighs_by_alpha(stylizer: Stylizer, style: Style, mode: Any) -> None:
    x, _ = hidden_pair(np.float32)
    rgb, alpha = (torch.from_numpy(p).movedim(-1, 0)[None] for p in (x[..., :3], x[..., 3:]))
    plain = torch.from_numpy(stylizer.stylize(x, style, color_strength=0)[..., :3]).movedim(-1, 0)[None]
    expected = preserve(mode, plain, rgb, alpha)[0].movedim(0, -1).numpy()
    result = stylizer.stylize(x, style, preserve_color=mode)
    seen = x[..., 3] > 0
    np.testing.assert_allclose(result[seen, :3], expected[seen], atol=1e-5)


@pytest.mark.parametrize("mode", ["luma", "match"])
def test_preserve_color_is_the_same_in_16_bit(stylizer: Stylizer, style: Style, mode: Any) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (33, 47, 3), np.uint16)
    result = stylizer.stylize(deep, style, preserve_color=mode)
    wide = stylizer.stylize((deep / 65535).astype(np.float32), style, preserve_color=mode)
    assert np.abs(result / 65535 - wide).max() < 1e-4
    assert len(np.unique(result & 255)) > 200, "the low bytes are not in use"


def test_a_gray_content_stays_gray_under_luma(stylizer: Stylizer, style: Style) -> None:
    result = stylizer.stylize(noise(33, 47, 1), style, preserve_color="luma").astype(int)
    assert np.ptp(result, axis=2).max() <= 1


@pytest.mark.parametrize("mode", ["hue", "None", ""])
def test_another_word_for_preserve_color_is_a_style_error(stylizer: Stylizer, style: Style, mode: Any) -> None:
    with pytest.raises(StyleError, match="preserve_color must be None, 'luma' or 'match'"):
        stylizer.stylize(noise(9, 9), style, preserve_color=mode)


# ---- what a style may be ----


def test_a_style_may_be_a_picture_a_path_or_a_saved_style(stylizer: Stylizer, tmp_path: Path) -> None:
    painting, x = noise(48, 40, seed=4), noise(21, 30)
    expected = stylizer.stylize(x, stylizer.encode_style(painting))
    Image.fromarray(painting).save(tmp_path / "painting.png")
    saved = stylizer.encode_style(painting).save(tmp_path / "painting.safetensors")
    on_a_line = torch.from_numpy(painting).movedim(-1, 0)
    for given in (painting, Image.fromarray(painting), on_a_line, tmp_path / "painting.png", saved, str(saved)):
        assert np.array_equal(stylizer.stylize(x, given), expected)


def test_several_pictures_are_an_equal_blend(stylizer: Stylizer) -> None:
    paintings = [noise(48, 40, seed=i) for i in range(3)]
    mixed = Style.blend([(stylizer.encode_style(p), 1) for p in paintings])
    for given in (paintings, tuple(paintings)):
        assert np.array_equal(stylizer.stylize(noise(21, 30), given), stylizer.stylize(noise(21, 30), mixed))
    with pytest.raises(StyleError, match="at least one"):
        stylizer.stylize(noise(21, 30), [])


def test_a_batch_tensor_is_several_pictures_as_a_style(stylizer: Stylizer) -> None:
    several = tensor(48, 40, batch=3)
    mixed, found = stylizer.encode_style(list(several)), stylizer.encode_style(several)
    for a, b in zip((*mixed.means, *mixed.stds), (*found.means, *found.stds), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_preset_is_found_by_its_name(stylizer: Stylizer, presets: dict[str, Style]) -> None:
    x = noise(21, 30)
    assert np.array_equal(stylizer.stylize(x, "pines"), stylizer.stylize(x, presets["pines"]))


def test_a_file_named_like_a_preset_wins(
    stylizer: Stylizer, presets: dict[str, Style], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise(48, 40, seed=4)).save("pines", format="PNG")
    x = noise(21, 30)
    assert np.array_equal(stylizer.stylize(x, "pines"), stylizer.stylize(x, noise(48, 40, seed=4)))


def test_a_folder_named_like_a_preset_does_not(
    stylizer: Stylizer, presets: dict[str, Style], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pines").mkdir()
    assert torch.equal(stylizer.as_style("pines").means[0], presets["pines"].means[0])


@pytest.mark.parametrize("name", ["no-such-thing", "a" * 5000, "nul\0byte", ""])
def test_an_unknown_name_is_a_style_error_that_names_both(
    stylizer: Stylizer, presets: dict[str, Style], name: str
) -> None:
    with pytest.raises(StyleError, match=r"neither an existing file nor a preset.*red-harbor, pines"):
        stylizer.stylize(noise(9, 9), name)


def test_a_model_without_presets_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        StyleError, match="neither an existing file nor a preset; there are no presets for this 'tiny' model"
    ):
        Stylizer(tiny(), device="cpu").as_style("pines")


def test_another_encoders_style_is_a_style_error_everywhere(stylizer: Stylizer, style: Style, tmp_path: Path) -> None:
    own, x = Stylizer(tiny(), device="cpu"), noise(9, 9)
    file = style.save(tmp_path / "s.safetensors")
    Image.fromarray(x).save(tmp_path / "a.png")
    calls: list[Callable[[], Any]] = [
        lambda: own.stylize(x, style),
        lambda: own.stylize(x, file),
        lambda: own.stylize(own.encode_content(x), style),
        lambda: own.stylize_batch([x], style),
        lambda: own.stylize_batch([x], [style]),
        lambda: own.stylize_file(tmp_path / "a.png", tmp_path / "b.png", style),
        lambda: own.as_style(style),
    ]
    for call in calls:
        with pytest.raises(StyleError, match="belongs to another encoder"):
            call()


def test_another_decoder_takes_the_same_styles() -> None:
    first, second = tiny(), tiny()
    with torch.no_grad():
        second.decoder.layers[0].conv.weight.add_(0.1)
    found = Stylizer(first, device="cpu").encode_style(noise(30, 30))
    assert Stylizer(second, device="cpu").stylize(noise(9, 9), found).shape == (9, 9, 3)


def test_the_style_size_bounds_the_shorter_side_and_never_enlarges(
    stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    encode = stylizer.model.encode
    monkeypatch.setattr(stylizer.model, "encode", lambda x: seen.append(tuple(x.shape[2:])) or encode(x))
    for size, given in [((40, 100), 20), ((100, 40), 20), ((40, 100), 64), ((40, 100), None), ((40, 100), 40)]:
        stylizer._new_style(open_image(noise(*size)), given)
    assert seen == [(20, 50), (50, 20), (40, 100), (40, 100), (40, 100)]


@pytest.mark.parametrize("size", [0, -4])
def test_an_impossible_style_size_is_a_style_error(stylizer: Stylizer, size: int) -> None:
    with pytest.raises(StyleError, match=f"style_size must be 1 or more, or None, got {size}"):
        stylizer.encode_style(noise(9, 9), style_size=size)


def test_a_style_is_named_by_its_file_or_as_asked(stylizer: Stylizer, tmp_path: Path) -> None:
    Image.fromarray(noise(9, 9)).save(tmp_path / "pines.png")
    assert stylizer.encode_style(tmp_path / "pines.png").name == "pines"
    assert stylizer.encode_style(tmp_path / "pines.png", name="trees").name == "trees"
    assert stylizer.encode_style([noise(9, 9), noise(8, 8)], name="both").name == "both"


# ---- the cache of styles ----


def count_encodings(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    real = Stylizer._new_style
    monkeypatch.setattr(Stylizer, "_new_style", lambda self, *args: seen.append(1) or real(self, *args))
    return seen


def test_a_style_is_encoded_once_and_again_for_another_size_or_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = StyleCache(folder=tmp_path)
    own, painting = Stylizer(tiny(), device="cpu", cache=cache), noise(30, 30)
    seen = count_encodings(own, monkeypatch)
    first = own.encode_style(painting)
    again = own.encode_style(Image.fromarray(painting))  # the same picture in another form
    assert all(torch.equal(a, b) for a, b in zip(first.means, again.means, strict=True))
    assert len(seen) == 1
    own.encode_style(painting, style_size=16)
    Stylizer(tiny(1), device="cpu", cache=cache).encode_style(painting)
    assert len(seen) == 3
    Stylizer(tiny(), device="cpu", cache=StyleCache(folder=tmp_path)).encode_style(painting)  # from disk
    assert len(seen) == 3


def test_without_a_cache_a_style_is_encoded_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Stylizer(tiny(), device="cpu", cache=None)
    seen = count_encodings(own, monkeypatch)
    own.encode_style(noise(30, 30))
    own.encode_style(noise(30, 30))
    assert len(seen) == 2


def test_a_damaged_cache_file_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Stylizer(tiny(), device="cpu", cache=StyleCache(folder=tmp_path)).encode_style(noise(30, 30))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    again = Stylizer(tiny(), device="cpu", cache=StyleCache(folder=tmp_path)).encode_style(noise(30, 30))
    assert all(torch.equal(a, b) for a, b in zip(expected.stds, again.stds, strict=True))
    assert Style.load(file).digest == expected.digest


# ---- several pictures, one picture several times ----


@pytest.mark.parametrize("mode", COLOR_MODES)
def test_a_batch_equals_one_by_one(stylizer: Stylizer, style: Style, mode: Any) -> None:
    images: list[Any] = [
        noise(20, 30),
        noise(20, 30, 4, seed=1),
        noise(21, 30, seed=2),
        Image.fromarray(noise(20, 30, seed=3)),
        noise(20, 30, 4, seed=4),
        tensor(20, 30, seed=5)[0],
        noise(20, 30, 1, seed=6),
        noise(1, 1),
    ]
    images[4][:10, :, 3] = 0
    results = stylizer.stylize_batch(images, style, alpha=0.8, preserve_color=mode)
    assert len(results) == len(images)
    for image, result in zip(images, results, strict=True):
        alone = stylizer.stylize(image, style, alpha=0.8, preserve_color=mode)
        assert type(result) is type(alone)
        scale = 255 if isinstance(image, Tensor) else 1
        assert np.abs(np.asarray(result, np.float64) - np.asarray(alone, np.float64)).max() * scale <= 1


def test_a_batch_may_hold_batches_of_tensors_anywhere(stylizer: Stylizer, style: Style) -> None:
    single, several = tensor(20, 30, seed=1)[0], tensor(20, 30, 3, seed=2)
    for order in ([single, several, single], [several, single], [single, single, several, several, tensor(20, 30, 1)]):
        for image, result in zip(order, stylizer.stylize_batch(order, style), strict=True):
            assert result.shape == image.shape
            torch.testing.assert_close(result, stylizer.stylize(image, style), rtol=0, atol=1e-4)


def test_every_picture_of_a_batch_may_have_its_own_style(stylizer: Stylizer, style: Style) -> None:
    images = [noise(20, 30, seed=i) for i in range(3)]
    own = [style, stylizer.encode_style(noise(40, 40, seed=8)), style]
    for image, one, result in zip(images, own, stylizer.stylize_batch(images, own, batch_size=2), strict=True):
        assert np.abs(result.astype(int) - stylizer.stylize(image, one)).max() <= 1
    with pytest.raises(StyleError, match="3 pictures and 2 styles"):
        stylizer.stylize_batch(images, own[:2])


def test_an_empty_batch_is_an_empty_list(stylizer: Stylizer, style: Style) -> None:
    assert stylizer.stylize_batch([], style) == []


def test_equal_sizes_run_in_one_go(stylizer: Stylizer, style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    encode = stylizer.model.encode
    monkeypatch.setattr(stylizer.model, "encode", lambda x: seen.append(len(x)) or encode(x))
    stylizer.stylize_batch([noise(20, 30, seed=i) for i in range(7)] + [noise(9, 9)], style, batch_size=4)
    assert seen == [4, 3, 1]


@pytest.mark.parametrize("channels", [3, 4])
def test_an_encoded_content_gives_what_a_direct_call_gives_bit_for_bit(
    stylizer: Stylizer, style: Style, channels: int
) -> None:
    x = noise(33, 47, channels)
    content = stylizer.encode_content(x)
    assert isinstance(content, Content)
    mask = np.linspace(0, 1, 47, dtype=np.float32)[None].repeat(33, 0)
    for options in ({}, {"alpha": 0.3}, {"preserve_color": "match"}, {"mask": mask}, {"alpha": 0.0}, {}):
        assert np.array_equal(stylizer.stylize(content, style, **options), stylizer.stylize(x, style, **options))


def test_a_content_serves_another_precision_of_its_model_and_no_other_model() -> None:
    own = Stylizer(tiny(), device="cpu", dtype="float32")
    content, found = own.encode_content(noise(20, 30)), own.encode_style(noise(40, 40, seed=5))
    before = own.stylize(content, found).astype(int)
    assert np.abs(own.to("cpu", "bfloat16").stylize(content, found) - before).mean() < 4
    other = Stylizer(tiny(1), device="cpu")
    found = other.encode_style(noise(9, 9))
    with pytest.raises(ImageError, match="encoded by another model"):
        other.stylize(content, found)


def test_repeated_runs_are_equal_bit_for_bit(stylizer: Stylizer) -> None:
    results = [stylizer.stylize(noise(65, 90), noise(50, 50, seed=3), alpha=0.9) for _ in range(3)]
    fresh = Stylizer("lite", device=stylizer.device, dtype="float32", cache=None)
    results.append(fresh.stylize(noise(65, 90), noise(50, 50, seed=3), alpha=0.9))
    assert all(np.array_equal(results[0], r) for r in results[1:])


def test_several_threads_on_one_stylizer_give_what_one_gives(stylizer: Stylizer) -> None:
    jobs = [(noise(20 + 7 * (i % 3), 33, 3 + i % 2, seed=i), noise(40, 40, seed=100 + i % 4)) for i in range(16)]
    serial = [stylizer.stylize(x, s, preserve_color=COLOR_MODES[i % 3]) for i, (x, s) in enumerate(jobs)]
    together: dict[int, Any] = {}
    shared = Stylizer("lite", device=stylizer.device, dtype="float32", cache=StyleCache(capacity=2))

    def work(start: int) -> None:
        for i in range(start, len(jobs), 4):
            x, s = jobs[i]
            together[i] = shared.stylize(x, s, preserve_color=COLOR_MODES[i % 3])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(together[i], serial[i]) for i in range(len(jobs)))


# ---- progress, errors, modes ----


def test_progress_is_told_from_0_to_the_total_of_every_stage(stylizer: Stylizer, style: Style) -> None:
    seen: list[tuple[str, int, int]] = []
    stylizer.stylize(noise(20, 30), style, progress=lambda *step: seen.append(step))
    assert list(dict.fromkeys(s for s, _, _ in seen)) == ["encode", "decode"]
    for stage in ("encode", "decode"):
        steps = [(done, total) for s, done, total in seen if s == stage]
        assert steps[0][0] == 0
        assert steps[-1][0] == steps[-1][1] > 0
        assert steps == sorted(steps)
    seen.clear()
    stylizer.stylize_batch([noise(20, 30)] * 3, style, batch_size=2, progress=lambda *step: seen.append(step))
    assert seen[-1] == ("stylize", 3, 3)


@pytest.mark.parametrize("at", ["encode", "decode"])
def test_cancelled_stops_the_work_and_nothing_is_written(
    stylizer: Stylizer, style: Style, tmp_path: Path, at: str
) -> None:
    def stop(stage: str, *_: int) -> None:
        if stage == at:
            raise Cancelled("enough")

    Image.fromarray(noise(20, 30)).save(tmp_path / "a.png")
    with pytest.raises(Cancelled, match="enough"):
        stylizer.stylize(noise(20, 30), style, progress=stop)
    with pytest.raises(Cancelled):
        stylizer.stylize_file(tmp_path / "a.png", tmp_path / "b.png", style, progress=stop)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]
    assert stylizer.stylize(noise(20, 30), style).shape == (20, 30, 3)  # it still works


def test_cancelled_stops_a_batch(stylizer: Stylizer, style: Style) -> None:
    def stop(_: str, done: int, __: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        stylizer.stylize_batch([noise(9, 9)] * 4, style, batch_size=2, progress=stop)


@pytest.mark.parametrize(
    "raised",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes. Error code 12"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ],
)
def test_a_full_memory_is_our_out_of_memory_error(
    stylizer: Stylizer, style: Style, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def fail(*_: Any) -> Any:
        raise raised

    monkeypatch.setattr(stylizer.model, "decode", fail)
    with pytest.raises(OutOfMemoryError, match="memory"):
        stylizer.stylize(noise(20, 30), style)


class OddError(RuntimeError):
    """Somebody's own."""


@pytest.mark.parametrize("raised", [RuntimeError("a bug"), NotImplementedError("no such kernel"), OddError("theirs")])
def test_any_other_error_passes_as_it_is(
    stylizer: Stylizer, style: Style, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def fail(*_: Any) -> Any:
        raise raised

    with pytest.raises(type(raised), match=str(raised)) as caught:
        stylizer.stylize(noise(20, 30), style, progress=fail)
    assert caught.value is raised


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64, torch.uint8])
def test_results_are_ordinary_tensors_even_in_inference_mode(
    stylizer: Stylizer, style: Style, kind: torch.dtype
) -> None:
    x = (tensor(20, 30, channels=4) * (255 if kind == torch.uint8 else 1)).to(kind)
    with torch.inference_mode():
        inside = x.clone()
        found = stylizer.encode_style(inside)
        mixed = stylizer.encode_style([inside, inside[:, :3]])
        results = [stylizer.stylize(inside, style), stylizer.stylize(stylizer.encode_content(inside), found)]
        results += stylizer.stylize_batch([inside, inside], mixed)
        results.append(stylizer.stylize(inside, style, mask=torch.full((20, 30), 0.5), preserve_color="match"))
    for one in (*results, *found.means, *found.stds, *mixed.means, *mixed.stds):
        assert not one.is_inference()
        assert not one.requires_grad
    if kind.is_floating_point:
        weight = torch.ones(1, dtype=kind, requires_grad=True)
        (weight * results[0]).sum().backward()  # an inference tensor cannot be saved for this
        assert weight.grad is not None


def test_a_stylizer_made_in_inference_mode_has_an_ordinary_model() -> None:
    model = tiny()
    with torch.inference_mode():
        found = [Stylizer(m, device="cpu", dtype=d) for m in (model, "lite") for d in ("float32", "bfloat16")]
    for own in found:
        assert not any(p.is_inference() for p in own.model.parameters())
        assert own.stylize(noise(9, 9), noise(9, 9)).shape == (9, 9, 3)


def test_a_picture_that_needs_gradients_gives_a_plain_result(stylizer: Stylizer, style: Style) -> None:
    assert not stylizer.stylize(tensor(9, 9).requires_grad_(True), style).requires_grad


def test_the_picture_given_is_never_written_to(stylizer: Stylizer, style: Style) -> None:
    for mode in COLOR_MODES:
        for x in (noise(20, 30, 4), (noise(20, 30, 4) / 255).astype(np.float32)):
            before = x.copy()
            stylizer.stylize(x, style, preserve_color=mode, mask=x[..., 3])
            assert np.array_equal(x, before)


def test_the_model_given_is_copied() -> None:
    model = tiny()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    own = Stylizer(model, device="cpu", dtype="bfloat16")
    own.close()
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


def test_after_close_there_is_one_clear_error(style: Style) -> None:
    with Stylizer(tiny(), device="cpu") as own:
        assert own.stylize(noise(9, 9), noise(9, 9)).shape == (9, 9, 3)
    own.close()
    for call in (lambda: own.stylize(noise(9, 9), noise(9, 9)), lambda: own.encode_content(noise(9, 9)), own.to):
        with pytest.raises(AdaINKitError, match="this Stylizer is closed"):
            call()


@pytest.mark.parametrize("kind", ["float64", "int8", "half-ish", "nn", torch.float64, torch.int32])
def test_another_dtype_is_an_error_that_lists_the_right_ones(kind: Any) -> None:
    with pytest.raises(AdaINKitError, match="dtype must be auto, mixed, float32, float16 or bfloat16"):
        Stylizer(tiny(), device="cpu", dtype=kind)


def test_a_dtype_that_torch_cannot_compute_with_here_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_padding(*_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError("\"reflection_pad2d\" not implemented for 'Half'")

    monkeypatch.setattr("adainkit.net.devices.F.pad", no_padding)
    with pytest.raises(AdaINKitError, match=r"cannot compute with torch.float16 on cpu; use bfloat16"):
        Stylizer(tiny(), device="cpu", dtype="float16")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", torch.float16])
def test_half_precision_is_close_to_float32(stylizer: Stylizer, kind: Any) -> None:
    skip_without(kind, stylizer.device)
    half = Stylizer("lite", device=stylizer.device, dtype=kind)
    assert half.digest == stylizer.digest
    x, painting = noise(65, 90, 4), noise(50, 50, seed=3)
    exact = stylizer.stylize(x, painting)
    result = half.stylize(x, painting)
    assert np.array_equal(result[..., 3], x[..., 3])
    assert distance(result, exact) < 4  # of 255


@pytest.mark.parametrize("kind", ["chelsea", "astronaut", "flat", "sky"])
def test_mixed_precision_is_within_half_a_level_of_float32(
    stylizer: Stylizer, photos: dict[str, np.ndarray], kind: str
) -> None:
    mixed = Stylizer("lite", device=stylizer.device, dtype="mixed")
    assert (mixed.dtype, mixed.decoder_dtype) == (torch.float32, torch.bfloat16)
    flat = np.full((200, 260, 3), (150, 180, 215), np.float32)
    sky = flat + np.random.default_rng(1).normal(0, 2, flat.shape)  # gains of 16: what the encoder rounds is amplified
    x = photos[kind][:300, :400] if kind in photos else (flat if kind == "flat" else sky.clip(0, 255))
    x, style = x.astype(np.float32) / 255, Style.preset("ukiyo-e")
    for alpha in (0.0, 1.0):
        result, exact = (255 * s.stylize(x, style, alpha=alpha) for s in (mixed, stylizer))
        assert 0 < distance(result, exact) < (0.3 if kind in photos else 0.5)
        assert np.abs(result - exact).max() < 6


def test_styles_of_mixed_precision_are_those_of_float32(stylizer: Stylizer) -> None:
    cache = StyleCache()
    mixed = Stylizer("lite", device=stylizer.device, dtype="mixed", cache=cache)
    found, expected = mixed.encode_style(noise(40, 40)), stylizer.encode_style(noise(40, 40))
    assert all(map(torch.equal, (*found.means, *found.stds), (*expected.means, *expected.stds)))
    Stylizer("lite", device=stylizer.device, dtype="float32", cache=cache).encode_style(noise(40, 40))
    assert len(cache) == 1


def test_mixed_precision_keeps_features_in_half_the_memory_and_tiles_change_nothing(
    stylizer: Stylizer, photos: dict[str, np.ndarray]
) -> None:
    mixed, photo = Stylizer("lite", device=stylizer.device, dtype="mixed"), photos["coffee"]
    contents = [mixed.encode_content(photo, tile=tile) for tile in (None, 200)]
    assert {f.dtype for content in contents for f in content.features} == {torch.float16}
    results = [np.int16(mixed.stylize(c, "calanque", tile=t)) for c, t in zip(contents, (None, 200), strict=True)]
    assert np.abs(results[0] - results[1]).max() <= 1


def test_a_picture_s_floats_are_let_go_where_the_result_needs_none(stylizer: Stylizer) -> None:
    content = stylizer.encode_content(noise(20, 30))
    slim = without_pixels(content, Finish(Controls()), None)
    assert slim.picture.rgb.untyped_storage().nbytes() == 3 * 4
    assert slim.picture.rgb.shape == content.picture.rgb.shape
    for controls in (Controls(detail=0.1), Controls(preserve_color="luma"), Controls(preserve_color="match")):
        assert without_pixels(content, Finish(controls), None) is content
    palette = Finish.of(Controls(), [[stylizer.encode_style(noise(20, 30))]], stylizer.model.config)
    assert without_pixels(content, palette, None) is content
    assert without_pixels(content, Finish(Controls()), torch.ones(1, 1, 20, 30)) is content


def test_moving_keeps_a_mixed_precision() -> None:
    own = Stylizer(tiny(), device="cpu", dtype="mixed").to("cpu")
    assert (own.dtype, own.decoder_dtype) == (torch.float32, torch.bfloat16)
    exact = Stylizer(tiny(), device="cpu", dtype="float32").encode_style(noise(9, 9))
    assert all(map(torch.equal, own.encode_style(noise(9, 9)).means, exact.means))
    for kind in ("bfloat16", "mixed", "float32"):
        assert own.to(dtype=kind).precision == kind
        assert own.stylize(noise(9, 9), noise(8, 9)).shape == (9, 9, 3)
    assert (own.dtype, own.decoder_dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize(
    ("flags", "cap", "expected"),
    [
        ("fpu avx512_bf16 sse", 16.0, torch.bfloat16),
        ("fpu amx_bf16", 16.0, torch.bfloat16),
        ("fpu avx512f avx2", 16.0, torch.float32),
        ("fpu avx512_bf16", None, torch.float32),  # not measured
    ],
)
@pytest.mark.parametrize("asked", ["torch", "system"])
def test_auto_is_mixed_where_the_cpu_has_bfloat16(
    monkeypatch: pytest.MonkeyPatch, flags: str, cap: float | None, expected: torch.dtype, asked: str
) -> None:
    told = dict.fromkeys(flags.split(), True) | {"cpu_name": "a CPU"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    if asked == "system":
        monkeypatch.delattr(torch.cpu, "get_capabilities")
        read = Path.read_text
        monkeypatch.setattr(
            Path,
            "read_text",
            lambda self, *a, **k: f"model\t: 1\nflags\t: {flags}\n" if "cpuinfo" in self.name else read(self, *a, **k),
        )
    fast_bfloat16.cache_clear()
    try:
        own = Stylizer(AdaINModel(replace(TINY, gain_cap=cap)), device="cpu")
    finally:
        fast_bfloat16.cache_clear()
    assert (own.dtype, own.decoder_dtype) == (torch.float32, expected)


def test_auto_is_float32_where_nothing_tells_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(Path, "read_text", nothing)
    fast_bfloat16.cache_clear()
    try:
        assert find_precision("auto", torch.device("cpu"), TINY) == (torch.float32, torch.float32)
    finally:
        fast_bfloat16.cache_clear()


def global_state() -> dict[str, Any]:
    cudnn = torch.backends.cudnn
    return {
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        "matmul": (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "random": (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()),
        "pillow": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
        "numpy": np.geterr(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "folder": Path.cwd(),
    }


def test_no_global_flag_is_changed(tmp_path: Path) -> None:
    Image.fromarray(noise(20, 30)).save(tmp_path / "a.png")
    before = global_state()
    with Stylizer("lite") as own:
        own.stylize(tmp_path / "a.png", noise(40, 40), preserve_color="match")
        own.stylize_file(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "a.png")
        own.stylize_batch([noise(9, 9)] * 2, noise(40, 40))
    stylize(noise(9, 9), noise(9, 9))
    assert global_state() == before


# ---- files ----


def test_16_bits_in_are_16_bits_out(stylizer: Stylizer, style: Style, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (33, 47, 3), np.uint16)
    save_image(deep, tmp_path / "a.png")
    assert stylizer.stylize_file(tmp_path / "a.png", tmp_path / "b.png", style) == tmp_path / "b.png"
    written = open_image(tmp_path / "b.png")
    assert written.dtype == np.uint16
    expected = stylizer.stylize(deep, style)
    result = (written.rgb[0].movedim(0, -1).numpy() * 65535).round()
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_file_gets_what_a_call_gives(stylizer: Stylizer, style: Style, tmp_path: Path, channels: int) -> None:
    x = noise(33, 47, channels)
    Image.fromarray(x).save(tmp_path / "a.png")
    options: dict[str, Any] = {"alpha": 0.6, "preserve_color": "luma", "mask": np.full((33, 47), 0.5)}
    stylizer.stylize_file(tmp_path / "a.png", tmp_path / "new folder" / "b.png", style, **options)
    with Image.open(tmp_path / "new folder" / "b.png") as written:
        assert np.array_equal(written, stylizer.stylize(x, style, **options))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    stylizer: Stylizer, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Image.Image, stream: Any, *_: Any, **__: Any) -> None:
        (stream.write if hasattr(stream, "write") else Path(stream).write_bytes)(b"half of a picture")
        raise OSError(28, "No space left on device")

    source, target = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(noise(20, 30)).save(source)
    target.write_bytes(b"the old one")
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises((ImageError, OSError)):
        stylizer.stylize_file(source, target, style)
    assert target.read_bytes() == b"the old one"
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_an_existing_file_is_kept_when_asked(stylizer: Stylizer, style: Style, tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(noise(20, 30)).save(source)
    target.write_bytes(b"the old one")
    with pytest.raises(ImageError):
        stylizer.stylize_file(source, target, style, overwrite=False)
    assert target.read_bytes() == b"the old one"


def test_a_picture_may_be_written_over_itself(stylizer: Stylizer, style: Style, tmp_path: Path) -> None:
    Image.fromarray(noise(20, 30)).save(tmp_path / "a.png")
    stylizer.stylize_file(tmp_path / "a.png", tmp_path / "a.png", style, overwrite=True)
    with Image.open(tmp_path / "a.png") as written:
        assert np.array_equal(written, stylizer.stylize(noise(20, 30), style))


@pytest.mark.parametrize("broken", [b"", b"no picture", "cut"])
def test_a_broken_picture_is_an_image_error(stylizer: Stylizer, style: Style, tmp_path: Path, broken: Any) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(20, 30)).save(path)
    path.write_bytes(path.read_bytes()[:-200] if broken == "cut" else broken)
    for call in (lambda: stylizer.stylize(path, style), lambda: stylizer.stylize(noise(9, 9), path)):
        with pytest.raises(ImageError, match=r"a\.png"):
            call()


def test_max_pixels_bounds_the_content_and_the_style(stylizer: Stylizer, style: Style) -> None:
    with pytest.raises(ImageError):
        stylizer.stylize(noise(20, 30), style, max_pixels=599)
    with pytest.raises(ImageError):
        stylizer.stylize(noise(9, 9), noise(20, 30), max_pixels=599)
    assert stylizer.stylize(noise(20, 30), style, max_pixels=600).shape == (20, 30, 3)


# ---- the verb ----


def test_stylize_is_the_stylizers_and_shares_the_loaded_model(
    stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Any] = []
    load = stylizer_module.load_model
    verb._shared.cache_clear()
    monkeypatch.setattr(stylizer_module, "load_model", lambda name: loads.append(name) or load(name))
    x, painting = noise(21, 30), noise(40, 40, seed=5)
    options: dict[str, Any] = {"alpha": 0.7, "preserve_color": "luma", "style_size": 32}
    results = [stylize(x, painting, device=str(stylizer.device), dtype="float32", **options) for _ in range(3)]
    assert loads == ["lite"]
    assert all(np.array_equal(r, stylizer.stylize(x, painting, **options)) for r in results)
    assert adainkit.stylize is stylize


def test_first_calls_at_once_load_the_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Any] = []
    load = stylizer_module.load_model
    verb._shared.cache_clear()
    monkeypatch.setattr(stylizer_module, "load_model", lambda name: loads.append(name) or load(name))
    threads = [threading.Thread(target=stylize, args=(noise(9, 9), noise(9, 9))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["lite"]


def test_stylize_takes_a_model_file(tmp_path: Path) -> None:
    path = tiny().save(tmp_path / "tiny.safetensors")
    expected = Stylizer(path, device="cpu").stylize(noise(21, 30), noise(40, 40, seed=5))
    assert np.array_equal(stylize(noise(21, 30), noise(40, 40, seed=5), model=path, device="cpu"), expected)


# ---- the trained weights on photographs ----


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(np.float64) - b).mean()))


@pytest.mark.parametrize("name", ["chelsea", "astronaut", "coffee", "rocket"])
def test_lite_gives_a_photograph_back_and_leaves_it_step_by_step(
    stylizer: Stylizer, photos: dict[str, np.ndarray], name: str, keep_picture: Callable[[str, Any], None]
) -> None:
    content = stylizer.encode_content(photos[name])
    found = stylizer.encode_style(photos["coffee" if name != "coffee" else "rocket"])
    results = [stylizer.stylize(content, found, alpha=alpha) for alpha in ALPHAS]
    for alpha, result in zip(ALPHAS, results, strict=True):
        keep_picture(f"alpha-{alpha}", result)
    steps = [distance(result, results[0]) for result in results]
    assert steps == sorted(steps)
    assert steps[-1] > 5
    fidelity = psnr(results[0], photos[name])
    assert fidelity >= 24


# ---- what a careful caller runs into ----


def test_a_list_may_mix_styles_presets_and_pictures(
    stylizer: Stylizer, style: Style, presets: dict[str, Style], tmp_path: Path
) -> None:
    style.save(tmp_path / "SAVED.SAFETENSORS")
    parts = [style, "pines", noise(30, 30), tmp_path / "SAVED.SAFETENSORS"]
    expected = Style.blend([(stylizer.as_style(part), 1.0) for part in parts])
    assert np.array_equal(stylizer.stylize(noise(20, 25), parts), stylizer.stylize(noise(20, 25), expected))


def test_a_style_that_lost_a_level_is_a_style_error(stylizer: Stylizer, style: Style) -> None:
    for broken in (
        Style(style.means[1:], style.stds[1:], style.digest),
        Style(style.means, (style.stds[0][1:], *style.stds[1:]), style.digest),
    ):
        with pytest.raises(StyleError, match="damaged"):
            stylizer.stylize(noise(9, 9), broken)


def test_a_damaged_style_in_the_cache_is_made_again(stylizer: Stylizer, tmp_path: Path) -> None:
    cache = StyleCache(folder=tmp_path)
    own = Stylizer("lite", device=stylizer.device, dtype="float32", cache=cache)
    expected = own.encode_style(noise(30, 30))
    (file,) = tmp_path.iterdir()
    Style(expected.means[:1], expected.stds[:1], expected.digest).save(file)
    again = Stylizer("lite", device=stylizer.device, dtype="float32", cache=StyleCache(folder=tmp_path))
    assert torch.equal(again.encode_style(noise(30, 30)).means[-1], expected.means[-1])


def test_the_cache_keeps_pictures_apart_that_differ_in_alpha_alone(stylizer: Stylizer) -> None:
    own = Stylizer(stylizer.model, device="cpu", dtype="float32")
    rgba = np.concatenate([noise(40, 50, seed=3), np.full((40, 50, 1), 255, np.uint8)], 2)
    half = rgba.copy()
    half[:, :25, 3] = 0
    whole, part = own.encode_style(rgba), own.encode_style(half)
    assert not torch.equal(whole.means[0], part.means[0])
    alone = Stylizer(stylizer.model, device="cpu", dtype="float32", cache=None).encode_style(half)
    assert torch.equal(part.means[0], alone.means[0])


def test_the_cache_keeps_precisions_apart(stylizer: Stylizer) -> None:
    cache = StyleCache()
    half = Stylizer("lite", device=stylizer.device, dtype="bfloat16", cache=cache)
    half.encode_style(noise(40, 40))
    full = Stylizer("lite", device=stylizer.device, dtype="float32", cache=cache)
    assert torch.equal(full.encode_style(noise(40, 40)).means[0], stylizer.encode_style(noise(40, 40)).means[0])


def test_a_failed_move_changes_nothing() -> None:
    own = Stylizer(tiny(), device="cpu", dtype="float32")
    with pytest.raises(AdaINKitError, match="dtype"):
        own.to("cpu", "bogus")
    with pytest.raises(AdaINKitError, match="no-such-device"):
        own.to("no-such-device")
    assert (own.device, own.dtype) == (torch.device("cpu"), torch.float32)
    assert own.stylize(noise(9, 9), noise(9, 9)).shape == (9, 9, 3)


def test_the_pixel_bound_holds_for_masks(stylizer: Stylizer, style: Style) -> None:
    with pytest.raises(ImageError, match="max_pixels"):
        stylizer.stylize(noise(9, 9), style, mask=noise(40, 40), max_pixels=1000)


def test_a_target_that_cannot_be_written_is_refused_before_the_work(
    stylizer: Stylizer, style: Style, tmp_path: Path
) -> None:
    save_image(noise(9, 9), tmp_path / "a.png")

    def never(*_: Any) -> None:
        raise AssertionError("the work began")

    for target, options in (
        ("b.xyz", {}),
        ("b.jpg", {"quality": 0}),
        ("a.png", {"overwrite": False}),
    ):
        with pytest.raises(ImageError):
            stylizer.stylize_file(tmp_path / "a.png", tmp_path / target, style, progress=never, **options)
    with pytest.raises(ImageError, match="use stylize"):
        stylizer.stylize_file(noise(9, 9), tmp_path / "b.png", style, progress=never)  # type: ignore[arg-type]


def test_a_transparent_picture_is_no_style(stylizer: Stylizer) -> None:
    picture = noise(20, 20, 4)
    picture[:, :, 3] = 0
    with pytest.raises(ImageError, match="transparent all over"):
        stylizer.encode_style(picture)


@pytest.mark.parametrize("options", [{}, {"scale": 2, "detail": 0.5, "preserve_color": "match"}])
def test_somebodys_autocast_changes_nothing(stylizer: Stylizer, style: Style, options: dict[str, Any]) -> None:
    expected = stylizer.stylize(noise(33, 40), style, **options)
    with torch.autocast(stylizer.device.type, torch.bfloat16):
        assert np.array_equal(stylizer.stylize(noise(33, 40), style, **options), expected)


def test_a_model_file_that_is_written_anew_is_loaded_anew(tmp_path: Path) -> None:
    results = []
    for seed in (1, 2):
        tiny(seed).save(tmp_path / "own.safetensors")
        os.utime(tmp_path / "own.safetensors", ns=(seed * 10**9, seed * 10**9))
        results.append(stylize(noise(16, 16), noise(16, 16, seed=3), model=tmp_path / "own.safetensors", device="cpu"))
    assert distance(*results) > 0


def test_stylize_says_where_a_model_in_memory_belongs() -> None:
    with pytest.raises(AdaINKitError, match=r"use Stylizer\(model\)"):
        stylize(noise(9, 9), noise(9, 9), model=tiny())  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_during_a_load_leaves_the_child_a_usable_lock() -> None:
    with verb._shared_lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if verb._shared_lock.acquire(timeout=1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_presets_of_another_encoder_are_not_listed(presets: dict[str, Style], stylizer: Stylizer) -> None:
    assert list(adainkit.styles("lite")) == list(presets)
    assert list(adainkit.styles("lite", digest=stylizer.digest)) == list(presets)
    assert adainkit.styles("lite", digest="ab" * 32) == {}


def test_the_word_none_is_no_color_control(stylizer: Stylizer, style: Style) -> None:
    results = [stylizer.stylize(noise(12, 12), style, preserve_color=mode) for mode in (None, "none")]
    assert np.array_equal(*results)


def test_a_near_miss_of_a_presets_name_is_proposed(stylizer: Stylizer, presets: dict[str, Style]) -> None:
    with pytest.raises(StyleError, match="did you mean 'red-harbor'"):
        stylizer.stylize(noise(9, 9), "red-habor")


def test_a_blend_of_names_says_how_to_make_styles_of_them(style: Style) -> None:
    with pytest.raises(StyleError, match="as_style"):
        Style.blend([(style, 0.5), ("pines", 0.5)])  # type: ignore[list-item]


def test_styles_and_contents_print_in_a_line(stylizer: Stylizer, style: Style) -> None:
    for found in (style, stylizer.encode_content(noise(20, 20))):
        assert len(repr(found)) < 300
        assert "tensor" not in repr(found)

"""Tiles: the plan, the halo that the layers ask for, and a tiled result that equals the whole one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import identity

from adainkit.engine.memory import memory_budget
from adainkit.engine.tiles import Tile, cheapest_tiles, plan_tiles, split_tile
from adainkit.engine.two_pass import Executor
from adainkit.errors import Cancelled, ModelError, OutOfMemoryError
from adainkit.net.config import LITE, VGG19, ModelConfig
from adainkit.net.demands import halo, largest_per_pixel
from adainkit.net.model import AdaINModel
from adainkit.style import Style
from adainkit.stylizer import Stylizer

THREE_LEVELS = ModelConfig(
    "three", "unshuffle conv6 res6 tap down8 tap pool conv10 res10 tap", "res10 merge conv8 merge res6 shuffle4 rgb"
)
ONE_LEVEL = ModelConfig("one", "conv4 pool conv6 tap", "up conv4 conv4 rgb")
SMOOTH = ModelConfig("smooth", "unshuffle down5 tap down6 res6 tap", "res6 merge smooth smooth conv4 rgb", gain_cap=4.0)
CONFIGS = {
    "three levels": THREE_LEVELS,
    "with palette": replace(THREE_LEVELS, palette=True),
    "one level": ONE_LEVEL,
    "smooth": SMOOTH,
    "lite": LITE,
}


def model(config: ModelConfig) -> AdaINModel:
    torch.manual_seed(3)
    return AdaINModel(config).eval().requires_grad_(False)


def check_plan(parts: list[Tile], height: int, width: int, reach: int) -> tuple[int, int]:
    """Every cell is given once, and all tiles see their halo and equally many cells: how many, in rows and columns."""
    given_cells = np.zeros((height, width), int)
    for part in parts:
        given_cells[part.rows.given(1), part.columns.given(1)] += 1
        for span, side in ((part.rows, height), (part.columns, width)):
            assert span.cells > 0
            assert 0 <= span.first <= max(0, span.start - reach)
            assert min(side, span.stop + reach) <= span.last <= side
    assert (given_cells == 1).all()
    ((high, wide),) = {(p.rows.last - p.rows.first, p.columns.last - p.columns.first) for p in parts}
    return high, wide


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70), st.integers(0, 9))
@settings(deadline=None)
def test_a_plan_gives_every_cell_once_and_sees_the_halo(height: int, width: int, tile: int, reach: int) -> None:
    high, wide = check_plan(plan_tiles(height, width, tile, reach), height, width, reach)
    assert high <= min(height, tile + 2 * reach)
    assert wide <= min(width, tile + 2 * reach)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4000), st.integers(0, 9), st.integers(1, 70))
@settings(deadline=None)
def test_no_plan_that_fits_sees_much_less_than_the_cheapest(
    height: int, width: int, most: int, reach: int, rows: int
) -> None:
    parts = cheapest_tiles(height, width, most, reach, rows)
    high, wide = check_plan(parts, height, width, reach)
    least = max(1, 3 * reach)
    most, rows = max(most, least**2), max(least, rows)
    assert high * wide <= most
    assert high <= rows
    counts = [range(1, max(1, side - 2 * reach) + 1) for side in (height, width)]
    for down, across in product(*counts):  # an axis is seen in parts, with two halos at each cut, or some cells more
        sides = [-(-(n + 2 * reach * (k - 1)) // k) for n, k in ((height, down), (width, across))]
        if sides[0] * sides[1] <= most and sides[0] <= rows:
            assert sum(part.seen for part in parts) <= sides[0] * down * (sides[1] + 1) * across


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70), st.integers(0, 9), st.integers(0, 9))
@settings(deadline=None)
def test_widened_tiles_see_more_and_still_equally_much(
    height: int, width: int, tile: int, reach: int, more: int
) -> None:
    parts = plan_tiles(height, width, tile, reach)
    high, wide = check_plan(parts, height, width, reach)
    grown = check_plan([part.widened(more, (height, width)) for part in parts], height, width, reach + more)
    assert grown == (min(height, high + 2 * more), min(width, wide + 2 * more))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
@settings(deadline=None)
def test_a_split_tile_covers_the_same_cells_with_smaller_tiles(height: int, width: int, tile: int) -> None:
    for part in plan_tiles(height, width, tile, 2):
        smaller = split_tile(part, height, width, 2)
        assert sum(t.cells for t in smaller) == part.cells
        assert smaller == [part] if part.cells == 1 else max(t.cells for t in smaller) < part.cells


def test_a_plan_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more cells"):
        plan_tiles(0, 4, 2, 1)


def test_the_halo_of_vgg19_is_the_known_one() -> None:
    assert halo(VGG19).encode * VGG19.stride == 32
    assert halo(VGG19).decode == 4


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_halo_is_enough_and_one_cell_less_is_not(config: ModelConfig) -> None:
    """The gradient of one tile's sum reaches as far as the halo says and, in the middle of a large picture, no
    farther."""
    net, reach, stride = model(config).double().requires_grad_(False), halo(config), config.stride
    cells = 2 * max(reach.encode, reach.decode) + 5
    middle = cells // 2
    x = torch.rand(1, 3, cells * stride, cells * stride, dtype=torch.float64, requires_grad=True)
    pixels = torch.zeros(cells * stride)
    for level, feature in zip(config.levels, net.encode(x), strict=True):
        scale = stride // level.stride
        own = slice(middle * scale, (middle + 1) * scale)
        (gradient,) = torch.autograd.grad(feature[:, :, own, own].square().sum(), x, retain_graph=True)
        pixels = torch.maximum(pixels, gradient[0].abs().amax((0, 2)).float())
    seen = pixels.nonzero()
    beyond = max(middle * stride - int(seen.min()), int(seen.max()) + 1 - (middle + 1) * stride)
    assert -(-beyond // stride) == reach.encode

    features = [torch.rand_like(f).requires_grad_() for f in net.encode(x.detach())]
    places = config.places[len(config.levels) :]
    output = net.double().decode(features, identity(features, more=places))
    own = slice(middle * stride, (middle + 1) * stride)
    gradients = torch.autograd.grad(output[:, :, own, own].square().sum(), features)
    beyond = 0
    for level, gradient in zip(config.levels, gradients, strict=True):
        seen = gradient[0].abs().amax((0, 2)).nonzero()
        scale = stride // level.stride
        low, high = int(seen.min()) // scale, int(seen.max()) // scale
        beyond = max(beyond, middle - low, high - middle)
    assert beyond == reach.decode


@given(
    st.sampled_from(sorted(set(CONFIGS) - {"lite"})),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 100),
    st.sampled_from([None, "luma", "match"]),
    st.booleans(),
    st.floats(0, 1),
    st.integers(0, 3),
    st.sampled_from([1, 1.5, 4]),
    st.sampled_from([0, 0.6]),
)
@settings(deadline=None, max_examples=60)
def test_tiles_change_nothing(
    name: str,
    height: int,
    width: int,
    tile: int,
    color: str | None,
    transparent: bool,
    alpha: float,
    regions: int,
    scale: float,
    detail: float,
) -> None:
    rng = np.random.default_rng(height * 97 + width)
    small = torch.tensor(rng.random((1, 4 if transparent else 3, 7, 9), dtype=np.float32))
    photo = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    photo = (photo + 0.05 * torch.tensor(rng.random(photo.shape, dtype=np.float32))).clamp(0, 1)
    stylizer = Stylizer(model(CONFIGS[name]), device="cpu", dtype="float32")
    styles = [stylizer.encode_style(torch.tensor(rng.random((3, 40, 50), dtype=np.float32))) for _ in range(3)]
    mask = rng.random((5, 5), dtype=np.float32)
    options = {"alpha": alpha, "preserve_color": color, "mask": mask, "scale": scale, "detail": detail}
    if regions:
        masks = rng.random((3, 4, 6), dtype=np.float32).round(0)
        options |= {"regions": list(zip(masks, styles, strict=True))[:regions], "color_strength": 0.5}
    style = None if regions else styles[0]
    whole = stylizer.stylize(photo, style, tile=None, **options)
    tiled = stylizer.stylize(photo, style, tile=tile, **options)
    torch.testing.assert_close(tiled, whole, atol=2e-4, rtol=0)


def test_tiles_of_the_embedded_model_change_no_photograph(photo: np.ndarray, device: str) -> None:
    stylizer = Stylizer("lite", device=device, dtype="float32")
    style = stylizer.encode_style(np.ascontiguousarray(photo[::-1, ::-1, ::-1]))
    x = torch.tensor(photo).permute(2, 0, 1)[None].float() / 255
    for tile, (height, width) in {1: (160, 24), 64: (140, 200), 100: (140, 230), 256: (270, 300)}.items():
        part = x[..., :height, :width]
        tiled, whole = (stylizer.stylize(part, style, tile=each) for each in (tile, None))
        torch.testing.assert_close(tiled, whole, atol=1e-4, rtol=0)


def test_auto_takes_tiles_when_the_budget_is_small_and_the_whole_when_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[int, ...]] = []
    net = model(THREE_LEVELS)
    encode = net.encode
    monkeypatch.setattr(net, "encode", lambda x: (calls.append(tuple(x.shape)), encode(x))[1])
    x = torch.rand(1, 3, 300, 200)
    executor = Executor(net, torch.device("cpu"), torch.float32)
    monkeypatch.setenv("ADAINKIT_MEMORY", "1G")
    whole, _ = executor.encode(x)
    assert calls == [(1, 3, 300, 200)]
    monkeypatch.setenv("ADAINKIT_MEMORY", "4M")
    tiled, _ = executor.encode(x)
    assert len(calls) > 3
    assert max(h * w for _, _, h, w in calls[1:]) < 60_000
    for a, b in zip(whole, tiled, strict=True):
        torch.testing.assert_close(a, b)


def test_a_small_picture_is_replicated_to_the_smallest_size() -> None:
    x = torch.rand(1, 3, 2, 40, generator=torch.Generator().manual_seed(0))
    wide = torch.cat([x, *[x[:, :, -1:]] * (THREE_LEVELS.min_size - 2)], 2)
    net = model(THREE_LEVELS)
    small, _ = Executor(net, torch.device("cpu"), torch.float32).encode(x)
    for own, large in zip(small, net.encode(wide), strict=True):
        torch.testing.assert_close(own, large)


def test_a_network_is_told_where_in_the_picture_each_window_is(monkeypatch: pytest.MonkeyPatch) -> None:
    net, origins = model(THREE_LEVELS), []
    decode = net.decode

    def noting(features, maps, origin=(0, 0)):
        assert len(maps) == len(THREE_LEVELS.places)
        origins.append((*origin, *features[-1].shape[2:]))
        return decode(features, maps, origin)

    monkeypatch.setattr(net, "decode", noting)
    executor = Executor(net, torch.device("cpu"), torch.float32, tile=40)
    features, statistics = executor.encode(torch.rand(1, 3, 250, 200))
    style = Style([m.mean[0] for m in statistics], [m.std[0] for m in statistics], "")
    executor.decode(features, executor.modulate(statistics, [style], [1.0] * 3), 250, 200)
    plan = plan_tiles(32, 25, 5, executor.halo.decode)
    assert origins == [
        (t.rows.first, t.columns.first, t.rows.last - t.rows.first, t.columns.last - t.columns.first) for t in plan
    ]
    assert len(origins) == 35


def test_out_of_memory_halves_the_tile_and_goes_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model(ONE_LEVEL)
    x = torch.rand(1, 3, 61, 83)
    executor = Executor(net, torch.device("cpu"), torch.float32, tile=32)
    expected, expected_moments = executor.encode(x)
    sizes: list[int] = []
    encode = net.encode

    def small_memory(part: torch.Tensor) -> tuple[torch.Tensor, ...]:
        sizes.append(part.shape[2] * part.shape[3])
        if sizes[-1] > 600:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes")
        return encode(part)

    monkeypatch.setattr(net, "encode", small_memory)
    done: list[tuple[int, int]] = []
    found, found_moments = executor.encode(x, progress=lambda _, now, total: done.append((now, total)))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_moments[0].m2, expected_moments[0].m2)
    assert sizes[0] > 600
    assert sum(size > 600 for size in sizes) <= 3, "tiles that are too large were tried again and again"
    assert done[0] == (0, 31 * 42)
    assert done[-1] == (31 * 42, 31 * 42)
    assert done == sorted(done)


def test_no_memory_at_all_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model(ONE_LEVEL)

    def no_memory(_: torch.Tensor) -> Iterator[torch.Tensor]:
        raise MemoryError

    monkeypatch.setattr(net, "encode", no_memory)
    with pytest.raises(OutOfMemoryError, match="close other programs"):
        Executor(net, torch.device("cpu"), torch.float32).encode(torch.rand(1, 3, 20, 20))


def test_features_that_do_not_fit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> Iterator[torch.Tensor]:
        raise MemoryError

    executor = Executor(model(ONE_LEVEL), torch.device("cpu"), torch.float32, tile=8)
    monkeypatch.setattr(executor, "_empty_levels", no_room)
    with pytest.raises(OutOfMemoryError, match="the features of 1 x 30 x 20 pixels"):
        executor.encode(torch.rand(1, 3, 20, 30))


def test_memory_errors_outside_the_tiles_are_ours_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr("adainkit.engine.two_pass.moments", no_memory)
    with pytest.raises(OutOfMemoryError, match="does not fit"):
        Stylizer(model(ONE_LEVEL), device="cpu").encode_content(np.zeros((9, 9, 3), np.uint8))
    own = Stylizer(model(ONE_LEVEL), device="cpu")
    style = Style((torch.zeros(6),), (torch.ones(6),), own.digest)
    with pytest.raises(OutOfMemoryError, match="does not fit"):
        own.stylize_batch([np.zeros((9, 9, 3), np.uint8)] * 2, style)


def test_other_errors_of_the_network_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model(ONE_LEVEL)

    def broken(_: torch.Tensor) -> Iterator[torch.Tensor]:
        raise RuntimeError("something else")

    monkeypatch.setattr(net, "encode", broken)
    with pytest.raises(RuntimeError, match="something else"):
        Executor(net, torch.device("cpu"), torch.float32).encode(torch.rand(1, 3, 20, 20))


def test_cancelling_stops_within_a_tile() -> None:
    seen: list[tuple[str, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((stage, done))
        if stage == "decode" and done:
            raise Cancelled

    stylizer = Stylizer(model(ONE_LEVEL), device="cpu")
    photo = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(Cancelled):
        stylizer.stylize(photo, stylizer.encode_style(photo), tile=16, progress=progress)
    assert seen[-1] == ("decode", plan_tiles(32, 32, 8, halo(ONE_LEVEL).decode)[0].cells)
    assert [s for s in seen if s[0] == "encode"][-1] == ("encode", 32 * 32)


@pytest.mark.parametrize("tile", [0, -5, "large", 1.5, "64"])
def test_an_impossible_tile_is_an_error(tile: object) -> None:
    stylizer = Stylizer(model(ONE_LEVEL), device="cpu")
    with pytest.raises(ModelError, match="tile must be"):
        stylizer.encode_content(np.zeros((9, 9, 3), np.uint8), tile=tile)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "expected"), [("1000", 1000), ("2k", 2048), ("1.5M", 3 << 19), ("2GiB", 2 << 30)])
def test_the_memory_budget_is_the_users(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setenv("ADAINKIT_MEMORY", text)
    assert memory_budget(torch.device("cpu")) == expected


@pytest.mark.parametrize("text", ["plenty", "inf", "-5", "2GK", "B", "0"])
def test_a_memory_budget_that_is_no_amount_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ADAINKIT_MEMORY", text)
    with pytest.raises(ModelError, match="ADAINKIT_MEMORY"):
        memory_budget(torch.device("cpu"))
    monkeypatch.delenv("ADAINKIT_MEMORY")
    assert memory_budget(torch.device("cpu")) > 1 << 20


@pytest.mark.parametrize(
    ("size", "dtype"), [((2048, 2048), "float32"), ((2160, 3840), "bfloat16"), ((2400, 500), "float32")]
)
def test_auto_keeps_the_cpu_s_tensors_below_what_glibc_maps_anew(size: tuple[int, int], dtype: str) -> None:
    kind = getattr(torch, dtype)
    executor = Executor(AdaINModel(LITE), torch.device("cpu"), kind)
    for reach, cells in ((executor.halo.encode, False), (executor.halo.decode, True)):
        stride = LITE.stride if cells else 1
        x = torch.empty(1, 1, size[0] // stride, size[1] // stride, device="meta")
        _, tiles = executor.plan(x, reach, cells)
        seen = [(t.rows.last - t.rows.first) * (t.columns.last - t.columns.first) * LITE.stride**2 for t in tiles]
        assert len(tiles) > 1
        assert max(seen) * largest_per_pixel(LITE) * kind.itemsize < 32 << 20
        assert sum(seen) < 1.36 * size[0] * size[1]


def test_as_many_pictures_run_together_as_are_fast() -> None:
    executor = Executor(AdaINModel(LITE), torch.device("cpu"), torch.float32)
    assert [executor.fast_batch(side, side) for side in (64, 256, 512, 1024, 4096)] == [128, 8, 2, 1, 1]
    executor.device = torch.device("meta")  # as on a GPU: what the caller says counts
    assert executor.fast_batch(4096, 4096) > 1000


@pytest.mark.parametrize(("config", "size", "batch"), [(LITE, 1024, 1), (LITE, 1024, 8), (VGG19, 1024, 1)])
def test_auto_takes_no_tiles_that_are_small_for_their_halo(config: ModelConfig, size: int, batch: int) -> None:
    executor = Executor(AdaINModel(config), torch.device("cpu"), torch.float32)
    assert len(executor.plan(torch.empty(batch, 3, size, size, device="meta"), executor.halo.encode)[1]) == 1


class Keeping(AdaINModel):
    """A network that computes in memory that is there, as OpenVINO does."""

    keeps_memory = True
    kept = torch.bfloat16


@pytest.mark.parametrize("size", [(2048, 2048), (2160, 3840), (4096, 4096), (8192, 1024)])
def test_auto_takes_larger_tiles_where_memory_is_kept(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAINKIT_MEMORY", "4G")
    executor, finest = Executor(Keeping(LITE), torch.device("cpu"), torch.float32), LITE.levels[0]
    for reach in (executor.halo.encode, executor.halo.decode):
        _, tiles = executor.plan(torch.empty(1, 3, *size, device="meta"), reach)
        pixels = [tile.seen * LITE.stride**2 for tile in tiles]
        assert sum(pixels) <= 1.13 * size[0] * size[1]
        assert max(pixels) * finest.channels // finest.stride**2 * 2 <= 32 << 20

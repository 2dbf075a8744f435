"""What triangles use of a texture, where a model's unwrapping is cut, and how painted seams are healed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_models import (
    SIZE,
    Builder,
    encoded,
    painter,
    picture_bytes,
    pixels_of,
    ring,
    ring_model,
    ring_texture,
    spotted_style,
)

from adainkit import Style, Stylizer
from adainkit.model3d.canvas import BORDER, STRIDE, Canvas
from adainkit.model3d.gltf import GltfModel
from adainkit.model3d.layers import island_layers
from adainkit.model3d.scene import Surface, Texture, Wrap
from adainkit.model3d.seams import SeamPoints, find_seams, heal, place_points, sample, seam_jump
from adainkit.model3d.texture import crop, rejoin, surround
from adainkit.model3d.uvs import cover, island_numbers
from adainkit.net.demands import halo

pytest.importorskip("scipy")
REPEAT: tuple[Wrap, Wrap] = ("repeat", "repeat")


def square(left: float, top: float, right: float, bottom: float) -> Surface:
    """Two triangles on a rectangle of the texture."""
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    uv = corners[[[0, 1, 2], [0, 2, 3]]]
    return Surface(0, 0, np.concatenate([uv, np.zeros((2, 3, 1))], 2), uv)


@pytest.fixture(scope="module")
def style(stylizer: Stylizer) -> Style:
    return spotted_style(stylizer)


@pytest.fixture
def paint(stylizer: Stylizer, style: Style) -> Callable[..., Path]:
    return painter(stylizer, style)


# ---- coverage


def test_a_rectangle_covers_its_texels():
    used = cover([square(0.25, 0.5, 0.5, 0.75)], 32, 16, REPEAT).used
    assert used[16:24, 4:8].all()
    assert used.sum() == 8 * 4


def test_texels_whose_middle_is_in_a_triangle_are_used():
    rng = np.random.default_rng(0)
    uv = rng.random((20, 3, 2))
    used = cover([Surface(0, 0, np.zeros((20, 3, 3)), uv)], 40, 30, REPEAT).used
    expected = np.zeros((40, 30), bool)
    for row in range(40):
        for column in range(30):
            point = np.array([(column + 0.5) / 30, (row + 0.5) / 40])
            a, b, c = (uv[:, i] - point for i in range(3))
            turns = [p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0] for p, q in ((a, b), (b, c), (c, a))]
            expected[row, column] = (np.sign(turns) == np.sign(turns[0])).all(0).any()
    assert (used == expected).all()


@pytest.mark.parametrize("size", [0.0, 1e-9])
@pytest.mark.parametrize("place", [0.0, 0.49, 0.5])
def test_triangles_without_area_use_a_texel(size: float, place: float):
    used = cover([square(place, place, place + size, place + size)], 16, 16, REPEAT).used
    assert np.argwhere(used).tolist() == [[int(16 * place)] * 2]


def test_a_sliver_uses_what_it_touches():
    used = cover([square(0.1, 0.51, 0.9, 0.511)], 16, 16, REPEAT).used
    assert np.argwhere(used).tolist() == [[8, column] for column in range(1, 15)]


@pytest.mark.parametrize("wrap", ["repeat", "mirror", "clamp"])
def test_beyond_the_border_a_texture_goes_on(wrap: Wrap):
    used = cover([square(1.25, 0, 1.375, 1)], 32, 32, (wrap, wrap)).used
    column = {"repeat": 9, "mirror": 21, "clamp": 31}[wrap]
    assert used[:, column].all()
    assert used.mean() < 0.3


@pytest.mark.parametrize(("left", "right"), [(-1e7, 1e7), (0.0, 1e30), (-1e300, 1e300)])
def test_a_texture_that_repeats_endlessly_is_used_whole(left: float, right: float):
    assert cover([square(left, 0, right, 0.1)], 16, 16, REPEAT).used.all()


def test_a_strip_that_repeats_uses_its_rows():
    used = cover([square(-50, 0.25, 50, 0.5)], 16, 16, REPEAT).used
    assert (used == (np.arange(16)[:, None] // 4 == 1)).all()


def test_no_triangle_uses_all():
    assert cover([], 4, 4, REPEAT).used.all()


def test_islands_are_parts_that_share_a_corner():
    uv = np.concatenate([square(0, 0, 0.3, 0.3).uv, square(0.3, 0.3, 0.5, 0.5).uv, square(0.6, 0, 0.9, 0.2).uv])
    numbers = island_numbers(uv)
    assert len(set(numbers[:4])) == 1
    assert len(set(numbers[4:])) == 1
    assert numbers[0] != numbers[4]


def test_what_is_unused_is_like_the_nearest_that_is_used():
    coverage = cover([square(0.2, 0.2, 0.4, 0.4), square(0.7, 0.6, 0.9, 0.9)], 24, 24, REPEAT)
    pixels = np.random.default_rng(0).random((24, 24, 3))
    places = np.argwhere(coverage.used)
    for (row, column), value in zip(np.ndindex(24, 24), coverage.dilated(pixels).reshape(-1, 3), strict=True):
        distance = np.linalg.norm(places - (row, column), axis=1)
        near = places[distance == distance.min()]
        assert any((pixels[tuple(place)] == value).all() for place in near)


def test_the_result_is_dilated(tmp_path: Path, paint: Callable[..., Path]):
    source = ring_model(tmp_path / "ring.glb")
    after = pixels_of(picture_bytes(paint(source, tmp_path / "out.glb"), 0))
    coverage = cover(GltfModel(source).surfaces, SIZE, SIZE, REPEAT)
    assert 0.2 < coverage.used.mean() < 0.5
    assert (coverage.dilated(after) == after).all()


# ---- layers


def test_islands_that_clash_are_on_layers_of_their_own():
    surfaces = [square(0.1, 0.1, 0.4, 0.9), square(0.5, 0.1, 0.9, 0.4), square(0.5, 0.6, 0.9, 0.9)]
    coverage = cover(surfaces, 32, 32, REPEAT)
    pixels = np.zeros((32, 32, 3), np.float32)
    pixels[:, :14] = 1
    layers = island_layers(coverage.dilated(pixels), coverage)
    left, upper, lower = layers[16, 8], layers[6, 24], layers[25, 24]
    assert left != upper
    assert upper == lower, "they are of one color"
    assert (island_layers(np.zeros((32, 32, 3), np.float32), coverage) == 0).all()


def test_a_loud_neighbor_leaves_no_halo(stylizer: Stylizer, style: Style):
    """What an island is painted like does not depend on what lies beside it."""
    surfaces = [square(0.05, 0.05, 0.45, 0.95), square(0.55, 0.05, 0.95, 0.95)]
    quiet = np.full((64, 64, 3), 120, np.uint8)
    quiet[::8] = 140
    loud = quiet.copy()
    loud[:, 32:] = (255, 255, 0)
    model = type("Model", (), {"surfaces": surfaces, "textures": [], "notes": []})()
    halves = []
    for pixels in (quiet, loud):
        model.textures = [Texture("a", encoded(pixels))]
        canvas = Canvas.of(model, 0, None)
        layer = int(canvas.layers[32, 10])
        halves.append(canvas.shown(layer))
    assert halves[0].shape == halves[1].shape
    left = np.s_[:, : BORDER + 40] if halves[0].shape[1] > 64 else np.s_[:, :40]
    assert (halves[0][left][..., :3] == halves[1][left][..., :3]).all()


# ---- wrap modes


@pytest.mark.parametrize(("wrap", "mode"), [("repeat", "wrap"), ("mirror", "symmetric"), ("clamp", "edge")])
def test_what_surrounds_a_texture(wrap: Wrap, mode: Any):
    pixels = np.random.default_rng(0).random((5, 7, 3))
    wide = surround(pixels, (wrap, wrap), (9, 4))
    assert (wide == np.pad(pixels, ((9, 9), (4, 4), (0, 0)), mode)).all()
    assert (crop(wide, (9, 4)) == pixels).all()
    assert (crop(pixels, (0, 0)) == pixels).all()


def test_the_border_is_what_the_network_sees(stylizer: Stylizer):
    reach = halo(stylizer.model.config)
    assert (reach.encode + reach.decode) * STRIDE <= BORDER
    assert BORDER % STRIDE == 0


def tile_model(path: Path, pixels: np.ndarray, **sampler: int) -> Path:
    """A floor of 2 x 2 tiles."""
    builder = Builder()
    index = builder.texture(encoded(pixels), **sampler)
    floor = square(0, 0, 2, 2)
    builder.mesh({"pbrMetallicRoughness": {"baseColorTexture": {"index": index}}}, (floor.positions, floor.uv))
    return builder.save(path)


def test_a_repeating_texture_stays_tileable(tmp_path: Path, paint: Callable[..., Path]):
    """Its borders meet as closely as the same lines do where they are painted side by side, in its middle."""
    pixels = np.array(Image.fromarray(ring_texture(9)).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    half = SIZE // 2
    plain, moved = (
        pixels_of(picture_bytes(paint(tile_model(tmp_path / "a.glb", x), tmp_path / "b.glb"), 0)).astype(int)
        for x in (pixels, np.roll(pixels, (half, half), (0, 1)))
    )
    for wrapped, inside in ((plain, moved), (plain.swapaxes(0, 1), moved.swapaxes(0, 1))):
        assert np.abs(wrapped[0] - wrapped[-1]).mean() <= 1.5 * np.abs(inside[half] - inside[half - 1]).mean() + 2


def test_both_continuations_of_a_repeating_texture_are_joined():
    rng = np.random.default_rng(0)
    tile = rng.random((80, 70, 3), dtype=np.float32)
    borders, wrap = (96, 96), ("repeat", "repeat")
    np.testing.assert_allclose(rejoin(surround(tile, wrap, borders), wrap, borders), tile, atol=1e-6)
    ramp = np.broadcast_to(np.arange(80 + 192, dtype=np.float32)[:, None, None], (272, 70 + 192, 3))
    joined = rejoin(ramp, wrap, borders)
    assert joined.shape == tile.shape
    jumps = np.abs(np.diff(np.concatenate([joined, joined[:1]]), axis=0))
    assert jumps.max() <= 3  # 80 where nothing is joined
    assert np.array_equal(rejoin(ramp, ("mirror", "clamp"), borders), crop(ramp, borders))


def test_a_mirrored_texture_meets_itself(tmp_path: Path, paint: Callable[..., Path]):
    pixels = np.array(Image.fromarray(ring_texture(9)).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    source = tile_model(tmp_path / "a.glb", pixels, wrapS=33648, wrapT=33071)
    assert GltfModel(source).textures[0].wrap == ("mirror", "clamp")
    paint(source, tmp_path / "b.glb")


# ---- seams


def ring_surface(texture: int = 0) -> Surface:
    return Surface(texture, 0, *ring())


def test_seams_are_the_edges_that_lie_at_two_places():
    seams = find_seams([ring_surface()])
    assert len(seams) == 2
    ends = {tuple(np.round(side[:, 0], 4).tolist()) for seam in seams.uv for side in seam}
    assert ends == {(0.125, 0.125), (0.4375, 0.4375), (0.5625, 0.5625), (0.875, 0.875)}
    for seam in seams.uv:
        assert (seam[0, :, 1] == seam[1, :, 1]).all(), "both sides run the same way"


def test_two_textures_meet_at_a_seam():
    whole = ring_surface()
    half = len(whole.uv) // 2
    parts = [Surface(i, 0, whole.positions[s], whole.uv[s]) for i, s in enumerate((np.s_[:half], np.s_[half:]))]
    assert sorted(find_seams(parts).texture.tolist()) == [[0, 1], [0, 1]]
    parts[1] = Surface(1, 7, parts[1].positions, parts[1].uv)
    assert len(find_seams(parts)) == 0, "another mesh is another space"


def test_points_are_a_texel_apart():
    points = place_points(find_seams([ring_surface()]), [(SIZE, SIZE)])
    rows = 0.25 + (np.arange(SIZE // 2) + 0.5) / SIZE
    assert len(points) == SIZE  # two seams of half the height
    assert np.allclose(np.sort(points.uv[: SIZE // 2, 0, 1]), rows)


@pytest.mark.parametrize("wrap", ["repeat", "mirror", "clamp"])
def test_sample_mixes_four_texels(wrap: Wrap):
    pixels = np.random.default_rng(0).random((4, 5, 3))
    wide = surround(pixels, (wrap, wrap), (4, 5))
    uv = np.random.default_rng(1).uniform(-0.7, 1.7, (50, 2))
    for (u, v), value in zip(uv, sample(pixels, uv, (wrap, wrap)), strict=True):
        x, y = u * 5 - 0.5 + 5, v * 4 - 0.5 + 4
        column, row, right, low = int(x), int(y), x % 1, y % 1
        above, below = (wide[r, column] * (1 - right) + wide[r, column + 1] * right for r in (row, row + 1))
        assert np.allclose(value, above * (1 - low) + below * low)


def test_the_measure_is_the_mean_difference_of_both_sides():
    pixels = np.zeros((8, 8, 3))
    pixels[:, 4:] = (0.2, 0.4, 0.6)
    points = SeamPoints(np.array([[[0.2, 0.5], [0.8, 0.5]], [[0.2, 0.2], [0.3, 0.2]]]), np.zeros((2, 2), np.int64))
    assert seam_jump([pixels], points, [REPEAT]) == pytest.approx(255 * 0.4 / 2)
    assert seam_jump([pixels], points, [REPEAT], [pixels]) == 0
    assert seam_jump([pixels], points, [REPEAT], [pixels / 2]) == pytest.approx(255 * 0.4 / 4)
    assert seam_jump([pixels], place_points(find_seams([]), []), [REPEAT]) == 0


def test_healed_seams_jump_no_more_than_4_of_255(tmp_path: Path, paint: Callable[..., Path]):
    source = ring_model(tmp_path / "ring.glb", encoded(ring_texture(128)))
    before, after = (pixels_of(picture_bytes(path, 0)) / 255 for path in (source, paint(source, tmp_path / "out.glb")))
    model = GltfModel(source)
    coverage = cover(model.surfaces, 128, 128, REPEAT)
    points = place_points(find_seams(model.surfaces), [(128, 128)])
    assert seam_jump([coverage.dilated(before)], points, [REPEAT]) < 6, "the model has no seams of its own"
    assert seam_jump([after], points, [REPEAT], [coverage.dilated(before)]) <= 4


def test_healing_fades_and_leaves_real_edges():
    surface = ring_surface()
    coverage = cover([surface], SIZE, SIZE, REPEAT)
    points = place_points(find_seams([surface]), [(SIZE, SIZE)])
    flat = np.full((SIZE, SIZE, 3), 0.5)
    halves = np.where(np.arange(SIZE)[:, None] < SIZE // 2, 0.3, 0.7)[None].repeat(SIZE, 0).repeat(3, 2)
    (healed,) = heal([halves], [flat], [coverage], points, [REPEAT])
    assert seam_jump([halves], points, [REPEAT]) == pytest.approx(255 * 0.4)
    assert seam_jump([healed], points, [REPEAT]) < 2
    middle = healed[SIZE // 2, [18, 46]]  # ten texels from the seams
    assert np.allclose(middle, halves[SIZE // 2, [18, 46]])
    (kept,) = heal([halves], [halves], [coverage], points, [REPEAT])
    assert np.allclose(kept[coverage.used], halves[coverage.used]), "the model's own edge"


def test_textures_heal_across_each_other():
    whole = ring_surface()
    half = len(whole.uv) // 2
    parts = [Surface(i, 0, whole.positions[s], whole.uv[s]) for i, s in enumerate((np.s_[:half], np.s_[half:]))]
    coverages = [cover([part], SIZE, SIZE, REPEAT) for part in parts]
    points = place_points(find_seams(parts), [(SIZE, SIZE)] * 2)
    painted = [np.full((SIZE, SIZE, 3), value) for value in (0.3, 0.7)]
    healed = heal(painted, [np.full((SIZE, SIZE, 3), 0.5)] * 2, coverages, points, [REPEAT] * 2)
    assert seam_jump(healed, points, [REPEAT] * 2) < 2


def test_triangles_of_any_size_are_drawn_alike(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(1)
    uv = rng.uniform(-1.5, 1.5, (30, 3, 2)) * rng.choice([0.01, 0.2, 1], (30, 1, 1))
    surface = Surface(0, 0, np.zeros((30, 3, 3)), uv)
    whole = cover([surface], 48, 40, ("repeat", "mirror")).used
    monkeypatch.setattr("adainkit.model3d.uvs._AT_ONCE", 1000)
    assert (cover([surface], 48, 40, ("repeat", "mirror")).used == whole).all()

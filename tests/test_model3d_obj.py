"""`stylize_model3d` on OBJ files and their MTL files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import files_below
from small_models import SIZE, encoded, painter, pixels_of, ring, ring_texture, spotted_style

from adainkit import Model3DError, Style, Stylizer
from adainkit.model3d.obj import ObjModel

pytest.importorskip("scipy")
MTL = b"# a comment\nnewmtl  paint\r\nKd 1 0.5 1\nmap_Kd {picture}\nmap_Bump -bm 0.5 bump.png\n"


@pytest.fixture(scope="module")
def style(stylizer: Stylizer) -> Style:
    return spotted_style(stylizer)


@pytest.fixture
def paint(stylizer: Stylizer, style: Style) -> Callable[..., Path]:
    return painter(stylizer, style)


def ring_obj(folder: Path, picture: str = "sub folder/wall paper.png", mtl: bytes = MTL) -> Path:
    """A ring in an OBJ file, with its material and pictures."""
    (folder / "sub folder").mkdir(parents=True)
    lines = ["# ring", "mtllib ring.mtl", "o Ring", "usemtl paint"]
    positions, uv = ring()
    for point, (u, v) in zip(positions.reshape(-1, 3), uv.reshape(-1, 2), strict=True):
        lines += ["v {} {} {}".format(*point), f"vt {u} {1 - v}"]
    lines += [f"f {i}/{i} {i + 1}/{i + 1} {i + 2}/{i + 2}" for i in range(1, 3 * len(uv), 3)]
    (folder / "ring.obj").write_bytes("\r\n".join(lines).encode())
    (folder / "ring.mtl").write_bytes(mtl.replace(b"{picture}", picture.encode()))
    name = picture.split("-clamp on ")[-1]
    if not name.startswith(("..", "/")):
        (folder / name).write_bytes(encoded(ring_texture()))
    (folder / "bump.png").write_bytes(encoded(np.full((8, 8), 128, np.uint8)))
    return folder / "ring.obj"


def test_only_the_picture_changes(tmp_path: Path, paint: Callable[..., Path]):
    source = ring_obj(tmp_path / "in")
    target = paint(source, tmp_path / "out/painted.obj")
    names = {"ring.mtl", "bump.png", "sub folder/wall paper.png"}
    assert files_below(tmp_path / "out") == {"painted.obj", *names}
    same = {name: (tmp_path / "in" / name).read_bytes() == (tmp_path / "out" / name).read_bytes() for name in names}
    assert same == {"ring.mtl": True, "bump.png": True, "sub folder/wall paper.png": False}
    assert target.read_bytes() == source.read_bytes()
    assert pixels_of((tmp_path / "out/sub folder/wall paper.png").read_bytes()).shape == (SIZE, SIZE, 3)


def test_triangles_are_read_as_they_are(tmp_path: Path):
    model = ObjModel(ring_obj(tmp_path / "in"))
    (surface,) = model.surfaces
    positions, uv = ring()
    assert np.allclose(surface.positions, positions)
    assert np.allclose(surface.uv, uv)
    assert model.textures[0].wrap == ("repeat", "repeat")


def test_polygons_are_fans_and_indices_may_count_backwards(tmp_path: Path):
    source = ring_obj(tmp_path / "in")
    corners = [(0, 0), (1, 0), (1.5, 1), (0.5, 2), (0, 1)]
    points = [f"v {x} {y} 0\nvt {x / 2} {y / 2}" for x, y in corners]
    faces = ["f -5/-5/1 -4/-4/1 -3/-3/1 -2/-2/1 -1/-1/1", "f 1 2 3"]
    source.write_text("\n".join(["mtllib ring.mtl", "vn 0 0 1", *points, "usemtl paint", *faces]), encoding="utf-8")
    (surface,) = ObjModel(source).surfaces
    expected = [[corners[i] for i in fan] for fan in ((0, 1, 2), (0, 2, 3), (0, 3, 4))]
    assert np.allclose(surface.positions[:, :, :2], expected)
    assert np.allclose(surface.uv, np.array(expected) / 2 * (1, -1) + (0, 1))


def test_options_of_a_map(tmp_path: Path):
    source = ring_obj(tmp_path / "in", "-s 2 3 1 -o 0.5 -mm 0 1 -clamp on a.png")
    model = ObjModel(source)
    assert model.textures[0].name == "a.png"
    assert model.textures[0].wrap == ("clamp", "clamp")
    u, v = np.moveaxis(ring()[1], 2, 0)
    assert np.allclose(model.surfaces[0].uv, np.stack([2 * u + 0.5, 1 - 3 * (1 - v)], 2))


def test_a_picture_that_is_also_data_is_parted(tmp_path: Path, paint: Callable[..., Path]):
    mtl = MTL.replace(b"-bm 0.5 bump.png", b"wall.png")
    source = ring_obj(tmp_path / "in", "wall.png", mtl)
    paint(source, tmp_path / "out/ring.obj")
    out = tmp_path / "out"
    assert (out / "wall.png").read_bytes() == (tmp_path / "in/wall.png").read_bytes()
    assert (out / "ring.mtl").read_bytes() == mtl.replace(b"map_Kd {picture}", b"map_Kd wall-color.png")
    assert (out / "wall-color.png").read_bytes() != (out / "wall.png").read_bytes()
    assert ObjModel(out / "ring.obj").textures[0].name == "wall-color.png"


def test_emission_only_if_asked(tmp_path: Path):
    source = ring_obj(tmp_path / "in", "wall.png", MTL + b"map_Ke bump.png\n")
    assert [len(ObjModel(source, emissive=emissive).textures) for emissive in (False, True)] == [1, 2]


def test_other_types_are_told_and_left(tmp_path: Path, paint: Callable[..., Path], caplog: pytest.LogCaptureFixture):
    source = ring_obj(tmp_path / "in", "wall.png", MTL + b"newmtl second\nmap_Kd old.gif\n")
    old = encoded(ring_texture(), "GIF")
    (tmp_path / "in/old.gif").write_bytes(old)
    paint(source, tmp_path / "out/ring.obj")
    assert "old.gif is left as it is" in caplog.text
    assert (tmp_path / "out/old.gif").read_bytes() == old


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "ring.mtl").unlink(), "no such file"),
        (lambda folder: (folder / "wall.png").unlink(), "no such file"),
        (lambda folder: (folder / "wall.png").write_bytes(b"\x89PNG\r\n\x1a\n"), "damaged picture"),
        (lambda folder: (folder / "ring.mtl").write_bytes(b"newmtl paint\nmap_Kd ../../secret.png"), "leads out"),
        (lambda folder: (folder / "ring.mtl").write_bytes(b"newmtl paint\nmap_Kd /secret.png"), "beside the model"),
        (lambda folder: (folder / "ring.mtl").write_bytes(b"newmtl paint\nKd 1 0 0"), "nothing to paint"),
        (lambda folder: (folder / "ring.obj").write_bytes(b"mtllib ../ring.mtl"), "leads out"),
        (lambda folder: _append(folder, b"\nf 1/1 2/2 999/3"), "a face names '999/3'"),
        (lambda folder: _append(folder, b"\nf 1/1 2/2 x/3"), "damaged"),
        (lambda folder: _append(folder, b"\nv 1 nan 3"), "finite"),
        (lambda folder: _append(folder, b"\nv 1 2"), "damaged"),
    ],
)
def test_bad_models_are_clear_errors(
    tmp_path: Path, paint: Callable[..., Path], spoil: Callable[[Path], object], message: str
):
    source = ring_obj(tmp_path / "in", "wall.png")
    (tmp_path / "secret.png").write_bytes(encoded(ring_texture()))
    spoil(tmp_path / "in")
    with pytest.raises(Model3DError, match=message):
        paint(source, tmp_path / "out/ring.obj")
    assert not (tmp_path / "out").exists()


def _append(folder: Path, line: bytes) -> None:
    path = folder / "ring.obj"
    path.write_bytes(path.read_bytes() + line)


def test_the_model_itself_is_never_written_over(tmp_path: Path, paint: Callable[..., Path]):
    source = ring_obj(tmp_path / "in")
    with pytest.raises(Model3DError, match="another folder"):
        paint(source, tmp_path / "in/other.obj")

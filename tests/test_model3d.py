"""`stylize_model3d` on glTF files: what changes, and all that does not."""

import copy
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import files_below, noise, runner
from PIL import Image
from small_models import (
    SIZE,
    Builder,
    encoded,
    glb_bytes,
    painter,
    picture_bytes,
    pixels_of,
    read_document,
    ring,
    ring_model,
    ring_texture,
    spotted_style,
)

from adainkit import Cancelled, Model3DError, Style, Stylizer, stylize_model3d
from adainkit.model3d.gltf import GltfModel
from adainkit.model3d.uvs import cover

pytest.importorskip("scipy")
KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(64)


@pytest.fixture(scope="module")
def style(stylizer: Stylizer) -> Style:
    return spotted_style(stylizer)


@pytest.fixture
def paint(stylizer: Stylizer, style: Style) -> Callable[..., Path]:
    return painter(stylizer, style)


def without_pictures(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON less what says where in the buffer things are, and the bytes of all parts that are no picture."""
    document, data = read_document(path)
    images = {image.get("bufferView") for image in document["images"]}
    parts = [
        data[view.get("byteOffset", 0) :][: view["byteLength"]]
        for number, view in enumerate(document["bufferViews"])
        if number not in images
    ]
    fixed = copy.deepcopy(document)
    for view in fixed["bufferViews"]:
        del view["byteOffset"], view["byteLength"]
    for buffer in fixed["buffers"]:
        del buffer["byteLength"]
    for image in fixed["images"]:
        if image.get("uri", "").startswith("data:"):
            image["uri"] = image["uri"].partition(",")[0]
    return fixed, parts


# ---- what is kept


@pytest.mark.parametrize("form", ["view", "data", "file"])
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_all_but_the_color_is_kept(tmp_path: Path, paint: Callable[..., Path], form: str, suffix: str):
    source = ring_model(tmp_path / f"in/ring{suffix}", form=form)
    before = {name: (tmp_path / "in" / name).read_bytes() for name in files_below(tmp_path / "in")}
    target = tmp_path / f"out/ring{suffix}"
    assert paint(source, target) == target
    assert without_pictures(target) == without_pictures(source)
    assert picture_bytes(target, 1) == picture_bytes(source, 1), "the normal map"
    assert picture_bytes(target, 0) != picture_bytes(source, 0)
    assert pixels_of(picture_bytes(target, 0)).shape == (SIZE, SIZE, 3)
    assert {name: (tmp_path / "in" / name).read_bytes() for name in before} == before
    others = len(before) - 1
    assert len(files_below(tmp_path / "out")) == 1 + others


def test_an_independent_reader_finds_the_same_numbers(tmp_path: Path, paint: Callable[..., Path]):
    pygltflib = pytest.importorskip("pygltflib")
    source = ring_model(tmp_path / "ring.glb")
    document, data = read_document(source)
    document["nodes"][0]["extras"] = {"a": "text"}  # that reader takes no others
    source.write_bytes(glb_bytes(document, data))
    old, new = (pygltflib.GLTF2().load(path) for path in (source, paint(source, tmp_path / "out.glb")))
    assert new.accessors == old.accessors
    assert new.animations == old.animations
    assert new.nodes == old.nodes
    assert new.materials == old.materials

    def values(model: Any, accessor: Any) -> bytes:
        view = model.bufferViews[accessor.bufferView]
        return model.binary_blob()[view.byteOffset :][: view.byteLength]

    assert [values(new, accessor) for accessor in new.accessors] == [
        values(old, accessor) for accessor in old.accessors
    ]


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (encoded(ring_texture()), "RGB"),
        (encoded(Image.fromarray(ring_texture()).quantize(64)), "RGB"),
        (encoded(Image.fromarray(ring_texture()).convert("L")), "RGB"),
        (encoded(Image.fromarray(ring_texture()), "JPEG"), "RGB"),
        (encoded(Image.fromarray(ring_texture()), "WEBP"), "RGB"),
        (encoded(Image.fromarray(ring_texture()).resize((37, 90))), "RGB"),
    ],
)
def test_type_and_size_stay(tmp_path: Path, paint: Callable[..., Path], data: bytes, mode: str):
    source = ring_model(tmp_path / "ring.glb", data)
    after = picture_bytes(paint(source, tmp_path / "out.glb"), 0)
    old, new = (Image.open(io.BytesIO(x)) for x in (data, after))
    assert (new.format, new.size, new.mode) == (old.format, old.size, mode)


def test_alpha_stays_bit_for_bit(tmp_path: Path, paint: Callable[..., Path]):
    alpha = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 1), np.uint8)
    source = ring_model(tmp_path / "ring.glb", encoded(np.concatenate([ring_texture(), alpha], 2)), alphaMode="BLEND")
    after = pixels_of(picture_bytes(paint(source, tmp_path / "out.glb"), 0), "RGBA")
    assert (after[:, :, 3:] == alpha).all()


def test_hidden_colors_are_no_content_of_what_is_cut_out(tmp_path: Path, paint: Callable[..., Path]):
    alpha = np.full((SIZE, SIZE, 1), 255, np.uint8)
    alpha[30:36] = 0
    results = []
    for hidden in ((0, 0, 0), (0, 255, 0)):
        color = ring_texture()
        color[30:36] = hidden
        data = encoded(np.concatenate([color, alpha], 2))
        source = ring_model(tmp_path / "ring.glb", data, alphaMode="MASK")
        results.append(picture_bytes(paint(source, tmp_path / "out.glb"), 0))
    assert results[0] == results[1]


def test_emission_only_if_asked(tmp_path: Path, paint: Callable[..., Path]):
    builder = Builder()
    color, glow = (builder.texture(encoded(ring_texture(seed=seed))) for seed in (0, 1))
    builder.mesh({"pbrMetallicRoughness": {"baseColorTexture": {"index": color}}, "emissiveTexture": {"index": glow}})
    source = builder.save(tmp_path / "ring.glb")
    plain, glowing = (paint(source, tmp_path / f"{e}.glb", emissive=e) for e in (False, True))
    assert picture_bytes(plain, 1) == picture_bytes(source, 1)
    assert picture_bytes(glowing, 1) != picture_bytes(source, 1)
    assert picture_bytes(glowing, 0) != picture_bytes(source, 0)


@pytest.mark.parametrize("form", ["view", "data", "file"])
def test_a_picture_of_color_and_data_is_parted(tmp_path: Path, paint: Callable[..., Path], form: str):
    builder = Builder()
    color = builder.texture(encoded(ring_texture()), form)
    facts = {"baseColorTexture": {"index": color}, "metallicRoughnessTexture": {"index": color}}
    builder.mesh({"pbrMetallicRoughness": facts})
    source = builder.save(tmp_path / "in/ring.glb")
    target = paint(source, tmp_path / "out/ring.glb")
    facts = read_document(target)[0]["materials"][0]["pbrMetallicRoughness"]
    textures = read_document(target)[0]["textures"]
    colors, kept = (textures[facts[f"{name}Texture"]["index"]]["source"] for name in ("baseColor", "metallicRoughness"))
    assert picture_bytes(target, kept) == picture_bytes(source, 0)
    assert picture_bytes(target, colors) != picture_bytes(source, 0)
    paint(target, tmp_path / "again/ring.glb")  # a sound file


def test_variants_and_glossiness_are_colors_too(tmp_path: Path, paint: Callable[..., Path]):
    builder = Builder()
    first, second = (builder.texture(encoded(ring_texture(seed=seed))) for seed in (0, 1))
    gloss = {"diffuseTexture": {"index": second}}
    variant = builder.add("materials", {"extensions": {"KHR_materials_pbrSpecularGlossiness": gloss}})
    builder.mesh({"pbrMetallicRoughness": {"baseColorTexture": {"index": first}}})
    primitive = builder.document["meshes"][0]["primitives"][0]
    primitive["extensions"] = {"KHR_materials_variants": {"mappings": [{"material": variant, "variants": [0]}]}}
    source = builder.save(tmp_path / "ring.glb")
    model = GltfModel(source)
    assert sorted(surface.texture for surface in model.surfaces) == [0, 1]
    target = paint(source, tmp_path / "out.glb")
    assert all(picture_bytes(target, i) != picture_bytes(source, i) for i in (0, 1))


def test_what_cannot_be_painted_is_told_and_left(
    tmp_path: Path, paint: Callable[..., Path], caplog: pytest.LogCaptureFixture
):
    builder = Builder()
    color, packed = builder.texture(encoded(ring_texture())), builder.texture(KTX2, name="lamp")
    builder.document["textures"][packed] = {"extensions": {"KHR_texture_basisu": {"source": 1}}}
    for index in (color, packed):
        builder.mesh({"pbrMetallicRoughness": {"baseColorTexture": {"index": index}}})
    source = builder.save(tmp_path / "ring.glb")
    target = paint(source, tmp_path / "out.glb")
    assert picture_bytes(target, 1) == KTX2
    assert picture_bytes(target, 0) != picture_bytes(source, 0)
    assert "picture 1 (lamp) is left as it is: KTX2 cannot be painted" in caplog.text


def test_compressed_geometry_counts_whole(tmp_path: Path, paint: Callable[..., Path], caplog: pytest.LogCaptureFixture):
    source = ring_model(tmp_path / "ring.glb")
    document, data = read_document(source)
    primitive = document["meshes"][0]["primitives"][0]
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {}}}
    source.write_bytes(glb_bytes(document, data))
    paint(source, tmp_path / "out.glb")
    assert "all of the texture of meshes[0].primitives[0] counts" in caplog.text
    model = GltfModel(source)
    assert cover(model.surfaces, 8, 8, ("repeat", "repeat")).used.all()


def test_a_model_without_textures_is_an_error(tmp_path: Path, paint: Callable[..., Path]):
    builder = Builder()
    builder.mesh({"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}})
    with pytest.raises(Model3DError, match="nothing to paint"):
        paint(builder.save(tmp_path / "ring.glb"), tmp_path / "out.glb")
    assert files_below(tmp_path) == {"ring.glb"}


# ---- what counts


def test_unused_texels_change_nothing(tmp_path: Path, paint: Callable[..., Path]):
    loud, calm = (
        picture_bytes(
            paint(ring_model(tmp_path / "ring.glb", encoded(ring_texture(background=b))), tmp_path / "o.glb"), 0
        )
        for b in ((255, 0, 255), (0, 90, 0))
    )
    assert loud == calm


def test_textures_share_their_statistics(tmp_path: Path, paint: Callable[..., Path], stylizer: Stylizer):
    builder = Builder()
    shades = [encoded((ring_texture(seed=1) * factor).astype(np.uint8)) for factor in (0.3, 1.0)]
    for data in shades:
        index = builder.texture(data)
        builder.mesh({"pbrMetallicRoughness": {"baseColorTexture": {"index": index}}})
    together = paint(builder.save(tmp_path / "two.glb"), tmp_path / "together.glb")
    alone = [paint(ring_model(tmp_path / "a.glb", data), tmp_path / f"{i}.glb") for i, data in enumerate(shades)]
    difference = [pixels_of(picture_bytes(path, 0)).mean() for path in alone]
    assert abs(difference[0] - difference[1]) < 12, "alone each gets the style's own brightness"
    dark, bright = (pixels_of(picture_bytes(together, i)).mean() for i in (0, 1))
    assert bright - dark > 12, "together the dark one stays darker"


def test_progress_tells_and_stops(tmp_path: Path, paint: Callable[..., Path]):
    told: list[tuple[str, int, int]] = []
    source = ring_model(tmp_path / "ring.glb")
    paint(source, tmp_path / "out.glb", progress=lambda *facts: told.append(facts))
    count = told[0][2]
    assert told == [(stage, i + 1, count) for stage in ("statistics", "stylize") for i in range(count)]

    def stop(*_: object) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        paint(source, tmp_path / "no.glb", progress=stop)
    assert files_below(tmp_path) == {"ring.glb", "out.glb"}


# ---- bad input


def big_png(side: int) -> bytes:
    """A PNG that claims to be of that size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + b"\0\0\1\0IDAT"


def _change(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        document, data = read_document(path)
        change(document)
        path.write_bytes(glb_bytes(document, data))

    return apply


def _primitive(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["meshes"][0]["primitives"][0]
    return found


def _lose_view(document: dict[str, Any]) -> None:
    document["accessors"][0]["count"] = 10**9
    del document["accessors"][0]["bufferView"]


def _lose_file(document: dict[str, Any]) -> None:
    document["images"][0] = {"uri": "a.png"}


HEAD = struct.pack("<4sIIII", b"glTF", 2, 24, 4, 0x4E4F534A)
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no GLB": (lambda p: p.write_bytes(b"hello"), "not a GLB"),
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:-50]), "cut off"),
    "version 1": (lambda p: p.write_bytes(b"glTF\1\0\0\0" + p.read_bytes()[8:]), "version 1"),
    "not JSON": (lambda p: p.write_bytes(HEAD + b"{nul"), "damaged JSON"),
    "glTF 1.0": (_change(lambda d: d["asset"].update(version="1.0")), "expected 2.0"),
    "NaN": (_change(lambda d: d.update(extras=float("nan"))), "NaN"),
    "cycle": (_change(lambda d: d["nodes"][0].update(children=[0])), "own descendants"),
    "missing node": (_change(lambda d: d["nodes"][0].update(children=[7])), r"nodes\[7\]"),
    "missing texture": (_change(lambda d: d.update(textures=[])), r"textures\[[01]\]"),
    "missing image": (_change(lambda d: d["textures"][0].update(source=9)), r"images\[9\]"),
    "view beyond": (_change(lambda d: d["bufferViews"][0].update(byteLength=10**9)), "bytes 0 to 1000000000"),
    "view before": (_change(lambda d: d["bufferViews"][0].update(byteOffset=-4)), "bytes -4"),
    "absurd count": (_change(lambda d: d["accessors"][0].update(count=10**15)), "1000000000000000 elements"),
    "no bytes": (_change(_lose_view), "without a buffer view"),
    "too few": (_change(lambda d: d["accessors"][1].update(count=3)), "3, 2. texture coordinates"),
    "indices of floats": (
        _change(lambda d: d["accessors"][2].update(componentType=5126, count=24)),
        "indices of floats",
    ),
    "vertex beyond": (_change(lambda d: [d["accessors"][i].update(count=3) for i in (0, 1)]), "an index of 47"),
    "missing file": (_change(_lose_file), "no such file"),
    "large texture": (lambda p: ring_model(p, big_png(9000)), "9000 x 9000 pixels, expected at most"),
    "huge texture": (lambda p: ring_model(p, big_png(20000)), "400000000 pixels.* Scale it down"),
    "broken texture": (lambda p: ring_model(p, encoded(ring_texture())[:500]), "damaged picture"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_models_are_clear_errors(tmp_path: Path, paint: Callable[..., Path], name: str):
    spoil, message = BAD[name]
    source = ring_model(tmp_path / "ring.glb")
    spoil(source)
    with pytest.raises(Model3DError, match=message) as caught:
        paint(source, tmp_path / "out.glb")
    assert str(source) in str(caught.value)
    assert files_below(tmp_path) == {"ring.glb"}


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.png",
        "%2e%2e/secret.png",
        "a/../../secret.png",
        "..\\secret.png",
        "{folder}/secret.png",
        "file://{folder}/secret.png",
        "http://127.0.0.1/a.png",
        "C:/secret.png",
        "link.png",
        "a\0.png",
        "",
    ],
)
def test_nothing_outside_the_folder_is_read(tmp_path: Path, paint: Callable[..., Path], uri: str):
    (tmp_path / "secret.png").write_bytes(encoded(ring_texture()))
    source = ring_model(tmp_path / "in/ring.glb")
    (tmp_path / "in/link.png").symlink_to(tmp_path / "secret.png")
    document, data = read_document(source)
    document["images"][0] = {"uri": uri.format(folder=tmp_path)}
    source.write_bytes(glb_bytes(document, data))
    with pytest.raises(Model3DError, match=r"folder|beside the model"):
        paint(source, tmp_path / "out/ring.glb")
    assert not (tmp_path / "out").exists()


def test_nothing_outside_the_folder_is_written(tmp_path: Path, paint: Callable[..., Path]):
    source = ring_model(tmp_path / "in/ring.gltf", form="file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/pictures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Model3DError, match="leads out"):
        paint(source, tmp_path / "out/ring.gltf")
    assert files_below(tmp_path / "elsewhere") == set()
    assert not (tmp_path / "out/ring.gltf").exists()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in JSON: what holds it, and where."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(value, key), *_places(item)]]


@pytest.mark.parametrize("wrong", [None, -1, 10**12, "text", [], {}, True, 0.5, [[1]], {"index": 3}])
def test_no_json_breaks_more_than_itself(tmp_path: Path, wrong: Any):
    source = ring_model(tmp_path / "ring.glb")
    document, data = read_document(source)
    for number in range(len(_places(document))):
        spoiled = copy.deepcopy(document)
        holder, key = _places(spoiled)[number]
        holder[key] = wrong
        source.write_bytes(glb_bytes(spoiled, data))
        with suppress(Model3DError, _Stop.Reached):
            stylize_model3d(source, tmp_path / "out.glb", "no style", stylizer=_Stop())  # type: ignore[arg-type]
    assert files_below(tmp_path) == {"ring.glb"}


class _Stop:
    """In place of a Stylizer: raises when the model has been read."""

    class Reached(Exception):
        pass

    def as_style(self, *_: Any, **__: Any) -> None:
        raise self.Reached


def test_names_that_cannot_be(tmp_path: Path, paint: Callable[..., Path]):
    source = ring_model(tmp_path / "ring.glb")
    for target, message in (("out.gltf", "keeps its type"), ("ring.glb", "is the model itself")):
        with pytest.raises(Model3DError, match=message):
            paint(source, tmp_path / target)
    with pytest.raises(Model3DError, match=r"\.glb, \.gltf, \.obj"):
        paint(tmp_path / "a.fbx", tmp_path / "b.fbx")
    with pytest.raises(Model3DError, match="no such file"):
        paint(tmp_path / "a.glb", tmp_path / "b.glb")
    (tmp_path / "b.glb").write_bytes(b"mine")
    with pytest.raises(Model3DError, match="exists already"):
        paint(source, tmp_path / "b.glb", overwrite=False)
    assert (tmp_path / "b.glb").read_bytes() == b"mine"


def test_files_with_names_need_another_folder(tmp_path: Path, paint: Callable[..., Path]):
    source = ring_model(tmp_path / "ring.gltf", form="file")
    with pytest.raises(Model3DError, match="another folder"):
        paint(source, tmp_path / "out.gltf")
    (tmp_path / "out/pictures").mkdir(parents=True)
    (tmp_path / "out/pictures/number 0.png").write_bytes(b"another's")
    with pytest.raises(Model3DError, match="exists already"):
        paint(source, tmp_path / "out/ring.gltf", overwrite=False)
    assert files_below(tmp_path / "out") == {"pictures/number 0.png"}


def test_all_files_or_none(tmp_path: Path, paint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch):
    source = ring_model(tmp_path / "in/ring.gltf", form="file")
    real, written = Path.write_bytes, []

    def full(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Model3DError, match="No space left"):
        paint(source, tmp_path / "out/ring.gltf")
    assert files_below(tmp_path / "out") == set()


# ---- the command


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = runner(capsys, "model3d", after=("--device", "cpu"))
    source, art = ring_model(tmp_path / "ring.glb"), noise(tmp_path / "art.png", 3)
    found = run(source, art, "-o", tmp_path / "out.glb", "--json", "--alpha", "0.8")
    assert found.code == 0, found.err
    assert json.loads(found.out)["output"] == str(tmp_path / "out.glb")
    assert picture_bytes(tmp_path / "out.glb", 0) != picture_bytes(source, 0)
    again = run(source, art, "-o", tmp_path / "out.glb")
    assert again.code == 1
    assert "exists already" in again.err


def test_without_scipy_the_remedy_is_told(tmp_path: Path):
    code = (
        "import sys; sys.modules['scipy'] = None\nimport adainkit\n"
        "try: adainkit.stylize_model3d('a.glb', 'b.glb', 'c.png')\n"
        "except adainkit.Model3DError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert 'pip install "adainkit[model3d]"' in done.stdout, done.stderr


def test_the_ring_has_islands_that_meet():
    positions, uv = ring()
    assert positions.shape == (16, 3, 3)
    assert uv.shape == (16, 3, 2)

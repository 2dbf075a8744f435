"""The numbers in glTF files: accessors, the ways in which triangles and coordinates are written, and moved buffers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import Builder, encoded, ring_texture

from adainkit import Model3DError
from adainkit.model3d.accessors import Unreadable, read_accessor
from adainkit.model3d.glb import Chunk, pack_glb, splice, unpack_glb
from adainkit.model3d.gltf import GltfModel


def read(data: bytes, accessor: dict[str, Any], **view: Any) -> np.ndarray:
    facts = {"buffer": 0, "byteLength": len(data), **view}
    document = {"accessors": [{"bufferView": 0, **accessor}], "bufferViews": [facts, {"buffer": 0, "byteLength": 8}]}
    return read_accessor(document, 0, lambda _: data)


def test_interleaved_and_normalized_numbers():
    pairs = np.array([[0, 65535], [32768, 1]], "<u2")
    data = b"".join(b"\7\7\7\7" + row.tobytes() for row in pairs)
    facts = {"componentType": 5123, "count": 2, "type": "VEC2", "byteOffset": 4}
    assert read(data, facts, byteStride=8).tolist() == pairs.tolist()
    normalized = read(data, {**facts, "normalized": True}, byteStride=8)
    assert np.allclose(normalized, pairs / 65535)
    signed = read(np.array([-128, 127, -64, 0], "i1").tobytes(), {**facts, "componentType": 5120, "byteOffset": 0})
    assert signed.tolist() == [[-128, 127], [-64, 0]]


def test_sparse_numbers():
    places, values = np.array([2, 0], "<u2").tobytes(), np.array([[5, 6], [7, 8]], "<f4").tobytes()
    views = [{"buffer": 0, "byteLength": 4}, {"buffer": 0, "byteOffset": 4, "byteLength": 16}]
    sparse = {"count": 2, "indices": {"bufferView": 0, "componentType": 5123}, "values": {"bufferView": 1}}
    accessor = {"componentType": 5126, "count": 3, "type": "VEC2", "sparse": sparse}
    document = {"accessors": [accessor], "bufferViews": views}
    assert read_accessor(document, 0, lambda _: places + values).tolist() == [[7, 8], [0, 0], [5, 6]]
    accessor["count"] = 2
    with pytest.raises(Model3DError, match="sparse index of 2"):
        read_accessor(document, 0, lambda _: places + values)


def test_compressed_numbers_are_told_apart():
    facts = {"componentType": 5126, "count": 1, "type": "SCALAR"}
    with pytest.raises(Unreadable, match="EXT_meshopt_compression"):
        read(bytes(4), facts, extensions={"EXT_meshopt_compression": {}})


def quad(**primitive: Any) -> Builder:
    """A square of four vertices, whose coordinates are those of its corners."""
    builder = Builder()
    index = builder.texture(encoded(ring_texture(8)))
    material = builder.add("materials", {"pbrMetallicRoughness": {"baseColorTexture": {"index": index}}})
    uv = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    positions = np.concatenate([uv, np.zeros((4, 1), np.float32)], 1)
    attributes = {"POSITION": builder.accessor(positions), "TEXCOORD_0": builder.accessor(uv)}
    attributes["TEXCOORD_1"] = builder.accessor(uv / 2)
    facts = {"attributes": attributes, "material": material, **primitive}
    builder.add("nodes", {"mesh": builder.add("meshes", {"primitives": [facts]})})
    return builder


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (5, [[[0, 0], [1, 0], [0, 1]], [[1, 0], [0, 1], [1, 1]]]),
        (6, [[[0, 0], [1, 0], [0, 1]], [[0, 0], [0, 1], [1, 1]]]),
    ],
)
def test_strips_and_fans(tmp_path: Path, mode: int, expected: Any):
    (surface,) = GltfModel(quad(mode=mode).save(tmp_path / "a.glb")).surfaces
    assert surface.uv.tolist() == expected


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_points_and_lines_use_no_texels(tmp_path: Path, mode: int):
    assert GltfModel(quad(mode=mode).save(tmp_path / "a.glb")).surfaces == []


def test_texture_transform_is_that_of_the_specification(tmp_path: Path):
    builder = quad(mode=5)
    info = builder.document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    transform = {"offset": [0.25, 0.5], "rotation": math.pi / 2, "scale": [2, 3], "texCoord": 1}
    info["extensions"] = {"KHR_texture_transform": transform}
    (surface,) = GltfModel(builder.save(tmp_path / "a.glb")).surfaces
    u, v = np.array([[0, 0], [0.5, 0], [0, 0.5]]).T  # scaled, then turned so that u becomes -v, then moved
    assert np.allclose(surface.uv[0], np.stack([3 * v + 0.25, -2 * u + 0.5], 1))


def test_spliced_buffers_keep_all_other_bytes():
    data = bytes(range(100))
    meshopt = {"buffer": 0, "byteOffset": 60, "byteLength": 20}
    views = [
        {"buffer": 0, "byteOffset": 8, "byteLength": 12},
        {"buffer": 0, "byteOffset": 24, "byteLength": 16},
        {"buffer": 1, "byteLength": 40, "extensions": {"EXT_meshopt_compression": meshopt}},
        {"buffer": 0, "byteOffset": 84, "byteLength": 10, "name": "last"},
        {"buffer": 0, "byteOffset": 84, "byteLength": 10},
    ]
    new = {1: b"n" * 21, 3: b"m" * 33}
    out, fresh = splice(data, 0, views, new)

    def part(view: dict[str, Any]) -> bytes:
        return out[view.get("byteOffset", 0) :][: view["byteLength"]]

    assert part(fresh[0]) == data[8:20]
    assert part(fresh[1]) == b"n" * 21
    assert part(fresh[2]["extensions"]["EXT_meshopt_compression"]) == data[60:80]
    assert fresh[2]["extensions"]["EXT_meshopt_compression"]["byteOffset"] % 4 == 0
    assert part(fresh[3]) == b"m" * 33, "a part that another view shares is replaced elsewhere"
    assert part(fresh[4]) == data[84:94]
    assert fresh[3]["name"] == "last"
    assert [view["byteOffset"] % 4 for view in fresh if "byteOffset" in view] == [0] * 4
    assert views[1]["byteLength"] == 16, "what was given is left alone"


def test_glb_keeps_unknown_chunks():
    document = {"asset": {"version": "2.0"}, "extras": {"é": [1e-7, None, 3]}}
    chunks = [Chunk(0x004E4942, b"12345678"), Chunk(0x12345678, b"abcd")]
    assert unpack_glb(pack_glb(document, chunks)) == (document, chunks)

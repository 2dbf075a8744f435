"""Small 3D models with islands and seams, and what is in the files of models."""

import base64
import io
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adainkit import Style, Stylizer, stylize_model3d

SIZE = 64
WALLS = 8  # of a ring; the first half is one island of its unwrapping, the second another
ISLANDS = ((0.125, 0.4375), (0.5625, 0.875))  # from u to u
ROWS = (0.25, 0.75)


def ring() -> tuple[np.ndarray, np.ndarray]:
    """A ring of walls as `positions` `(N, 3, 3)` and `uv` `(N, 3, 2)`: what meets at an island's end is the other's
    end, so that there are two seams."""
    positions, uv = [], []
    for wall in range(WALLS):
        start, end = ISLANDS[wall * 2 // WALLS]
        left, right = (start + (end - start) * (wall % (WALLS // 2) + i) / (WALLS // 2) for i in (0, 1))
        corners = []
        for number, u in ((wall, left), (wall + 1, right)):
            angle = 2 * np.pi * (number % WALLS) / WALLS
            corners += [((np.cos(angle), y, np.sin(angle)), (u, v)) for y, v in ((1, ROWS[0]), (-1, ROWS[1]))]
        for triangle in ((0, 1, 2), (2, 1, 3)):
            positions.append([corners[i][0] for i in triangle])
            uv.append([corners[i][1] for i in triangle])
    return np.array(positions, np.float32), np.array(uv, np.float32)


def ring_texture(size: int = SIZE, background: Sequence[int] = (255, 0, 255), seed: int = 0) -> np.ndarray:
    """`(size, size, 3)`, uint8: soft colors that go on around the ring, across its seams, and a loud background."""
    u, v = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2)
    out = np.empty((size, size, 3), np.uint8)
    out[:] = background
    random = np.random.default_rng(seed)
    phases = random.uniform(0, 2 * np.pi, (3, 3))
    for half, (start, end) in enumerate(ISLANDS):
        angle = np.pi * (half + (u - start) / (end - start))
        color = sum(np.cos(k * angle[..., None] + phases[k - 1] + 9 * k * v[..., None]) / k for k in (1, 2, 3))
        inside = (abs(u - (start + end) / 2) < (end - start) / 2 + 1 / size) & (abs(v - 0.5) < 0.25 + 1 / size)
        out[inside] = (127.5 + 60 * color[inside]).clip(0, 255).astype(np.uint8)
    return out


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A picture file in memory."""
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


class Builder:
    """A glTF file in the making: `document` is its JSON, to be changed at will."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {"asset": {"version": "2.0", "generator": "tests"}}
        self.data = b""
        self.others: dict[str, bytes] = {}

    def add(self, kind: str, value: dict[str, Any]) -> int:
        """Its index."""
        self.document.setdefault(kind, []).append(value)
        return len(self.document[kind]) - 1

    def view(self, data: bytes) -> int:
        """A new buffer view of these bytes."""
        self.data += b"\0" * (-len(self.data) % 4)
        self.data += data
        return self.add("bufferViews", {"buffer": 0, "byteOffset": len(self.data) - len(data), "byteLength": len(data)})

    def accessor(self, values: np.ndarray) -> int:
        """A new accessor of float32 or uint16, `(N, width)` or `(N,)`."""
        kind = {"f": 5126, "u": 5123}[values.dtype.kind]
        facts = {"bufferView": self.view(values.tobytes()), "componentType": kind, "count": len(values)}
        facts["type"] = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        if facts["type"] == "VEC3":
            facts |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        return self.add("accessors", facts)

    def texture(self, data: bytes, form: str = "view", name: str = "", **sampler: int) -> int:
        """A new texture; its picture is a part of the buffer ("view"), a data URI ("data") or a file ("file")."""
        kind = {b"\x89": "png", b"\xff": "jpeg", b"R": "webp", b"\xab": "ktx2"}[data[:1]]
        image: dict[str, Any] = {"name": name} if name else {}
        if form == "view":
            image |= {"bufferView": self.view(data), "mimeType": f"image/{kind}"}
        elif form == "data":
            image["uri"] = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        else:
            image["uri"] = name or f"pictures/number%20{len(self.others)}.{kind}"
            self.others[image["uri"].replace("%20", " ")] = data
        texture: dict[str, Any] = {"source": self.add("images", image)}
        if kind == "webp":
            texture = {"extensions": {"EXT_texture_webp": texture}}
            self.document["extensionsUsed"] = ["EXT_texture_webp"]
        if sampler:
            texture["sampler"] = self.add("samplers", sampler)
        return self.add("textures", texture)

    def mesh(self, material: dict[str, Any], triangles: tuple[np.ndarray, np.ndarray] | None = None) -> int:
        """A new mesh with a node; of the ring, if not told otherwise. The index of its material."""
        positions, uv = triangles or ring()
        attributes = {
            "POSITION": self.accessor(positions.astype(np.float32).reshape(-1, 3)),
            "TEXCOORD_0": self.accessor(uv.astype(np.float32).reshape(-1, 2)),
        }
        number = self.add("materials", material)
        indices = self.accessor(np.arange(3 * len(uv), dtype=np.uint16))
        primitive = {"attributes": attributes, "indices": indices, "material": number}
        self.add("nodes", {"mesh": self.add("meshes", {"primitives": [primitive]})})
        return number

    def save(self, path: Path) -> Path:
        """Write .glb, or .gltf with its buffer beside it, and the other files."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = self.document
        document.setdefault("scenes", [{"nodes": list(range(len(document.get("nodes", []))))}])
        self.data += b"\0" * (-len(self.data) % 4)
        if self.data:
            document["buffers"] = [{"byteLength": len(self.data)}]
        if path.suffix == ".gltf":
            document["buffers"][0]["uri"] = "buffer.bin"
            self.others["buffer.bin"] = self.data
            path.write_text(json.dumps(document), encoding="utf-8")
        else:
            path.write_bytes(glb_bytes(document, self.data))
        for name, data in self.others.items():
            (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / name).write_bytes(data)
        return path


def glb_bytes(document: dict[str, Any], data: bytes) -> bytes:
    """A GLB file."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def read_document(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON of a file and its buffer."""
    data = path.read_bytes()
    if path.suffix == ".gltf":
        document = json.loads(data)
        return document, (path.parent / document["buffers"][0]["uri"]).read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def picture_bytes(path: Path, image: int) -> bytes:
    """The file of an image of a glTF file."""
    document, data = read_document(path)
    facts = document["images"][image]
    if "bufferView" in facts:
        view = document["bufferViews"][facts["bufferView"]]
        return data[view.get("byteOffset", 0) :][: view["byteLength"]]
    if facts["uri"].startswith("data:"):
        return base64.b64decode(facts["uri"].partition(",")[2])
    return (path.parent / facts["uri"].replace("%20", " ")).read_bytes()


def pixels_of(data: bytes, mode: str = "RGB") -> np.ndarray:
    """Its pixels."""
    return np.array(Image.open(io.BytesIO(data)).convert(mode))


def ring_model(path: Path, texture: bytes | None = None, form: str = "view", **material: Any) -> Path:
    """A ring with one texture, and with what must not be touched: names, an animation, extras, a normal map."""
    builder = Builder()
    color = builder.texture(encoded(ring_texture()) if texture is None else texture, form)
    normal = builder.texture(encoded(np.full((8, 8, 3), (128, 128, 255), np.uint8)), form)
    facts = {"baseColorTexture": {"index": color}, "baseColorFactor": [1, 0.5, 1, 1], "metallicFactor": 0}
    builder.mesh({"name": "paint", "pbrMetallicRoughness": facts, "normalTexture": {"index": normal}, **material})
    times = builder.accessor(np.array([0, 1], np.float32))
    turns = builder.accessor(np.array([[0, 0, 0, 1], [0, 1, 0, 0]], np.float32))
    builder.document["animations"] = [
        {
            "name": "turn",
            "channels": [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}],
            "samplers": [{"input": times, "output": turns}],
        }
    ]
    builder.document["nodes"][0] |= {"name": "Ring", "extras": "a text", "rotation": [0, 0, 0, 1]}
    builder.document["extras"] = {"number": 1e-7, "none": None, "uri": "no/file"}
    return builder.save(path)


def spotted_style(stylizer: Stylizer) -> Style:
    """The tests' style: a few large spots of strong colors."""
    spots = np.random.default_rng(7).integers(0, 256, (6, 6, 3), np.uint8)
    return stylizer.as_style(Image.fromarray(spots).resize((96, 96), Image.Resampling.BICUBIC))


def painter(stylizer: Stylizer, style: Style) -> Callable[..., Path]:
    """`paint(source, target)`, in that style."""

    def run(source: Path, target: Path, **options: Any) -> Path:
        return stylize_model3d(source, target, style, stylizer=stylizer, **options)

    return run

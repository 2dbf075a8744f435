"""glTF 2.0 files, .gltf and .glb, as a `Model`: the pictures of their color slots, and files with others instead."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import Model3DError
from .accessors import element, view_bytes
from .files import Folder, decode_data_uri
from .geometry import check_nodes, read_surfaces
from .glb import Chunk, pack_glb, parse_json, splice, unpack_glb
from .scene import Surface, Texture, Wrap
from .slots import color_slots, detach_shared, images_of_texture, picture_key
from .texture import picture_type

__all__ = ["GltfModel"]

_WRAPS: dict[int, Wrap] = {10497: "repeat", 33648: "mirror", 33071: "clamp"}


class GltfModel:
    """A glTF file; `emissive` adds the pictures of what materials emit. `Model3DError` for a damaged one."""

    def __init__(self, path: Path, *, emissive: bool = False) -> None:
        self._folder = Folder(path.parent)
        self._chunks: list[Chunk] = []
        self._buffers: dict[int, bytes] = {}
        data = path.read_bytes()
        self._binary = path.suffix.lower() == ".glb"
        if self._binary:
            self.document, self._chunks = unpack_glb(data)
        else:
            self.document = parse_json(data)
            self._indent = 2 if b"\n" in data.strip() else None
        _check_version(self.document)
        check_nodes(self.document)
        self._copies = detach_shared(self.document, emissive)
        self.textures: list[Texture] = []
        self.notes: list[str] = []
        self._images: list[list[int]] = []  # of each texture; several images may be one picture
        slots = self._find_pictures(emissive)
        self.surfaces: list[Surface] = []
        if self.textures:
            self.surfaces, untold = read_surfaces(self.document, self.buffer, slots, emissive)
            self.notes += untold

    def buffer(self, index: int) -> bytes:
        """The bytes of a buffer, wherever it lies."""
        if index not in self._buffers:
            facts = element(self.document, "buffers", index)
            if "uri" in facts:
                data = self._resource(facts["uri"])
            else:  # the GLB's own, or one that an extension fills
                data = next((chunk.data for chunk in self._chunks if chunk.is_buffer), b"") if index == 0 else b""
            if len(data) < facts["byteLength"] and not _is_fallback(facts):
                raise Model3DError(f"buffers[{index}]: {len(data)} bytes, expected {facts['byteLength']}")
            self._buffers[index] = data
        return self._buffers[index]

    def _resource(self, uri: str) -> bytes:
        return decode_data_uri(uri) if uri.startswith("data:") else self._folder.read(uri)

    def _image_bytes(self, image: int) -> bytes:
        facts = element(self.document, "images", self._copies.get(image, image))
        if "bufferView" in facts:
            return view_bytes(self.document, facts["bufferView"], self.buffer)
        return self._resource(facts["uri"])

    def _find_pictures(self, emissive: bool) -> dict[int, list[int]]:
        """Fill `textures`, `_images` and `notes`; the indices in `textures` by glTF's index of a texture."""
        indices: dict[tuple[str, object], int | None] = {}
        slots: dict[int, list[int]] = {}
        for material in self.document.get("materials", []):
            cutout = material.get("alphaMode", "OPAQUE") != "OPAQUE"
            for number in (info["index"] for info in color_slots(material, emissive)):
                gltf_texture = element(self.document, "textures", number)
                wrap = _wrap_of(self.document, gltf_texture)
                found = []
                for image in images_of_texture(gltf_texture):
                    key = picture_key(self.document, image)
                    if key not in indices:
                        indices[key] = self._add(image, wrap, cutout)
                    index = indices[key]
                    if index is None:
                        continue
                    found.append(index)
                    if image not in self._images[index]:
                        self._images[index].append(image)
                    self._join(index, wrap, cutout)
                slots[number] = found
        return slots

    def _add(self, image: int, wrap: tuple[Wrap, Wrap], cutout: bool) -> int | None:
        facts, data = self.document["images"][image], self._image_bytes(image)
        name = facts.get("name") or ("" if facts.get("uri", "data:").startswith("data:") else facts["uri"])
        label = f"picture {image}" + (f" ({name})" if name else "")
        if picture_type(data) is None:
            kind = facts.get("mimeType", "another type than PNG, JPEG or WebP").removeprefix("image/")
            self.notes.append(f"{label} is left as it is: {'KTX2' if kind == 'ktx2' else kind} cannot be painted")
            return None
        self.textures.append(Texture(label, data, wrap, cutout))
        self._images.append([])
        return len(self.textures) - 1

    def _join(self, index: int, wrap: tuple[Wrap, Wrap], cutout: bool) -> None:
        """A picture of several materials repeats if one of them repeats it, and is opaque if one of them is."""
        old = self.textures[index]
        across, down = (a if b == "clamp" else b for a, b in zip(old.wrap, wrap, strict=True))
        self.textures[index] = Texture(old.name, old.data, (across, down), old.cutout and cutout)

    def files(self, target: Path, pictures: Mapping[int, bytes]) -> dict[Path, bytes]:
        """As `Model.files`. The files that a .gltf names keep their names, so `target` must be in another folder."""
        document = copy.deepcopy(self.document)
        views: dict[int, dict[int, bytes]] = {}
        named = {uri: self._folder.read(uri) for uri in self._uris() if uri not in self._copied_uris()}
        for index, data in pictures.items():
            for image in self._images[index]:
                facts = document["images"][image]
                if "bufferView" in facts:
                    view = element(document, "bufferViews", facts["bufferView"])
                    views.setdefault(view["buffer"], {})[facts["bufferView"]] = data
                elif facts["uri"].startswith("data:"):
                    facts["uri"] = _as_data_uri(facts["uri"], data)
                else:
                    named[facts["uri"]] = data
        chunks = list(self._chunks)
        for number, replaced in views.items():
            data, document["bufferViews"] = splice(self.buffer(number), number, document["bufferViews"], replaced)
            facts = document["buffers"][number]
            facts["byteLength"] = len(data)
            if "uri" not in facts:
                chunks = [Chunk(c.kind, data) if c.is_buffer else c for c in chunks]
            elif facts["uri"].startswith("data:"):
                facts["uri"] = _as_data_uri(facts["uri"], data)
            else:
                named[facts["uri"]] = data
        beside = Folder(target.parent)
        if named and beside.path == self._folder.path:
            raise Model3DError("its pictures and buffers are files that keep their names; choose another folder")
        main = pack_glb(document, chunks) if self._binary else _as_text(document, self._indent)
        return {target: main, **{beside.place(uri): data for uri, data in named.items()}}

    def _copied_uris(self) -> set[str]:
        """Names that are new, of pictures that were shared."""
        return {self.document["images"][new].get("uri", "data:") for new in self._copies}

    def _uris(self) -> Iterable[str]:
        """Every file that the JSON names, of extensions too."""
        found: dict[str, None] = {}
        waiting: list[Any] = [self.document]
        while waiting:
            value = waiting.pop()
            if isinstance(value, list):
                waiting += value
            elif isinstance(value, dict):
                waiting += [item for name, item in value.items() if name != "extras"]
                texts = (value.get(name) for name in ("uri", "schemaUri"))
                found |= {text: None for text in texts if isinstance(text, str) and not text.startswith("data:")}
        return found


def _check_version(document: dict[str, Any]) -> None:
    version = document.get("asset", {}).get("version")
    if not isinstance(version, str) or version.partition(".")[0] != "2":
        raise Model3DError(f"glTF of version {version!r}; expected 2.0: convert it, with Blender for example")


def _wrap_of(document: dict[str, Any], texture: dict[str, Any]) -> tuple[Wrap, Wrap]:
    sampler = element(document, "samplers", texture["sampler"]) if "sampler" in texture else {}
    return _WRAPS[sampler.get("wrapS", 10497)], _WRAPS[sampler.get("wrapT", 10497)]


def _is_fallback(buffer: dict[str, Any]) -> bool:
    """Whether a buffer only reserves what is decompressed into it."""
    return any("meshopt" in name for name in buffer.get("extensions", {}))


def _as_data_uri(old: str, data: bytes) -> str:
    head = old.partition(",")[0].removesuffix(";base64")
    return f"{head};base64,{base64.b64encode(data).decode()}"


def _as_text(document: dict[str, Any], indent: int | None) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=indent).encode()

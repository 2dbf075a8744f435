"""Which pictures of a glTF file are colors: what is reached from a color slot of a material, and from nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from .accessors import element

__all__ = ["color_slots", "detach_shared", "images_of_texture", "kept_images", "picture_key"]

_SOURCES = ("EXT_texture_webp", "EXT_texture_avif", "KHR_texture_basisu", "MSFT_texture_dds")


def color_slots(material: dict[str, Any], emissive: bool) -> list[dict[str, Any]]:
    """The texture infos, `{"index": texture, ...}`, of a material's base color and, if asked, of what it emits."""
    gloss = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness", {})
    found = [material.get("pbrMetallicRoughness", {}).get("baseColorTexture"), gloss.get("diffuseTexture")]
    if emissive:
        found.append(material.get("emissiveTexture"))
    return [info for info in found if info is not None]


def images_of_texture(texture: dict[str, Any]) -> list[int]:
    """The images of a texture: its own, and those of extensions that offer another type, to some of which its own is
    the fallback."""
    extensions = texture.get("extensions", {})
    found = [texture.get("source"), *(extensions.get(name, {}).get("source") for name in _SOURCES)]
    return [image for image in found if image is not None]


def picture_key(document: dict[str, Any], image: int) -> tuple[str, object]:
    """What is equal for two images of a file that are one picture: a part of a buffer, a file, or the image itself."""
    facts = element(document, "images", image)
    if "bufferView" in facts:
        return "view", facts["bufferView"]
    uri: str = facts["uri"]
    return ("data", image) if uri.startswith("data:") else ("file", uri)


def kept_images(document: dict[str, Any], emissive: bool) -> set[int]:
    """Images that something else than a color slot uses: normals, roughness, masks of extensions and the like."""
    colors = {id(info) for material in document.get("materials", []) for info in color_slots(material, emissive)}
    rest = {name: value for name, value in document.items() if name not in ("textures", "images")}
    textures = {info["index"] for info in _texture_infos(rest) if id(info) not in colors}
    return {image for texture in textures for image in images_of_texture(element(document, "textures", texture))}


def _texture_infos(value: Any) -> Iterator[dict[str, Any]]:
    """Objects under a name that ends with `texture` and that name one by `index`, however deep."""
    if isinstance(value, list):
        for item in value:
            yield from _texture_infos(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name.lower().endswith("texture") and isinstance(item, dict) and isinstance(item.get("index"), int):
                yield item
            if name != "extras":  # the application's own
                yield from _texture_infos(item)


def detach_shared(document: dict[str, Any], emissive: bool) -> dict[int, int]:
    """Give color slots a picture of their own where theirs is also used for something else.

    Changes `document`: an image and a texture more for each such picture. What each new image is a copy of comes back.
    """
    kept = {picture_key(document, image) for image in kept_images(document, emissive)}
    copies: dict[int, int] = {}
    textures: dict[int, int] = {}
    for material in document.get("materials", []):
        for info in color_slots(material, emissive):
            texture = element(document, "textures", info["index"])
            shared = [i for i in images_of_texture(texture) if picture_key(document, i) in kept]
            if not shared:
                continue
            if info["index"] not in textures:
                news = {image: _copy_image(document, image, copies) for image in shared}
                document["textures"].append(_with_sources(texture, news))
                textures[info["index"]] = len(document["textures"]) - 1
            info["index"] = textures[info["index"]]
    return copies


def _copy_image(document: dict[str, Any], image: int, copies: dict[int, int]) -> int:
    for new, old in copies.items():
        if picture_key(document, old) == picture_key(document, image):
            return new
    fresh = copy.deepcopy(document["images"][image])
    if "bufferView" in fresh:
        document["bufferViews"].append(copy.deepcopy(element(document, "bufferViews", fresh["bufferView"])))
        fresh["bufferView"] = len(document["bufferViews"]) - 1
    elif not fresh["uri"].startswith("data:"):
        stem, dot, suffix = fresh["uri"].rpartition(".")
        fresh["uri"] = f"{stem}-color{dot}{suffix}" if dot else f"{suffix}-color"
    document["images"].append(fresh)
    copies[len(document["images"]) - 1] = image
    return len(document["images"]) - 1


def _with_sources(texture: dict[str, Any], news: dict[int, int]) -> dict[str, Any]:
    fresh: dict[str, Any] = copy.deepcopy(texture)
    for place in (fresh, *(fresh.get("extensions", {}).get(name, {}) for name in _SOURCES)):
        if place.get("source") in news:
            place["source"] = news[place["source"]]
    return fresh

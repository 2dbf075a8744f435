"""The triangles of a glTF file, as far as they lie on pictures that are painted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Model3DError
from .accessors import Unreadable, element, read_accessor
from .scene import Floats, Surface
from .slots import color_slots

__all__ = ["check_nodes", "read_surfaces"]

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_EVERYWHERE = np.array([[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]], np.float64)
_Read = Callable[[object], NDArray[Any]]


def check_nodes(document: dict[str, Any]) -> None:
    """`Model3DError` for nodes that are missing, or that are among their own descendants."""
    nodes = document.get("nodes", [])
    state = [0] * len(nodes)  # 1: below it now, 2: done
    for root in range(len(nodes)):
        waiting = [root]
        while waiting:
            node = waiting[-1]
            if state[node] == 0:
                state[node] = 1
                for child in element(document, "nodes", node).get("children", []):
                    element(document, "nodes", child)
                    if state[child] == 1:
                        raise Model3DError(f"nodes[{child}] is among its own descendants; expected a tree")
                    if state[child] == 0:
                        waiting.append(child)
            else:
                state[node] = 2
                waiting.pop()


def read_surfaces(
    document: dict[str, Any], buffer: Callable[[int], bytes], slots: Mapping[int, Sequence[int]], emissive: bool
) -> tuple[list[Surface], list[str]]:
    """The surfaces of all primitives, and what cannot be read of them, a sentence each.

    `slots`: the pictures of a texture, by its index. `Model3DError` for damaged accessors.
    """
    surfaces: list[Surface] = []
    notes: list[str] = []
    for mesh, facts in enumerate(document.get("meshes", [])):
        for number, primitive in enumerate(facts["primitives"]):
            infos = [info for m in _materials(document, primitive) for info in color_slots(m, emissive)]
            try:
                for index, uv, positions in _unwrapped(document, primitive, infos, buffer):
                    surfaces += [Surface(texture, mesh, positions, uv) for texture in slots[index]]
            except Unreadable as error:
                notes.append(f"all of the texture of meshes[{mesh}].primitives[{number}] counts, used or not ({error})")
                unknown = {texture: None for info in infos for texture in slots[info["index"]]}
                surfaces += [
                    Surface(texture, -1 - len(notes), _EVERYWHERE, _EVERYWHERE[..., :2]) for texture in unknown
                ]
    return surfaces, notes


def _materials(document: dict[str, Any], primitive: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of a primitive, its variants' too, each once."""
    variants = primitive.get("extensions", {}).get("KHR_materials_variants", {}).get("mappings", [])
    indices = [primitive.get("material"), *(mapping["material"] for mapping in variants)]
    return [element(document, "materials", index) for index in dict.fromkeys(indices) if index is not None]


def _unwrapped(
    document: dict[str, Any], primitive: dict[str, Any], infos: Sequence[dict[str, Any]], buffer: Callable[[int], bytes]
) -> list[tuple[int, Floats, Floats]]:
    """For each way in which textures lie on a primitive: the texture's index, `uv` and `positions`."""
    ways = {(info["index"], _coordinates(info), str(_transform(info))): info for info in infos}
    mode = primitive.get("mode", _TRIANGLES)
    if not ways or mode not in (_TRIANGLES, _STRIP, _FAN):
        return []
    if "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
        raise Unreadable("compressed by KHR_draco_mesh_compression")

    def read(index: object) -> NDArray[Any]:
        return read_accessor(document, index, buffer)

    positions = read(primitive["attributes"]["POSITION"]).astype(np.float32)
    corners = _corners(read, primitive.get("indices"), mode, len(positions))
    found: list[tuple[int, Floats, Floats]] = []
    for (index, coordinates, _), info in ways.items():
        accessor = primitive["attributes"].get(f"TEXCOORD_{coordinates}")
        if accessor is None:  # the renderer takes (0, 0): one texel, which says nothing about the picture
            continue
        uv = read(accessor).astype(np.float64)
        if len(uv) != len(positions) or uv.shape[1] != 2 or positions.shape[1] != 3:
            raise Model3DError(f"a primitive of {positions.shape} positions and {uv.shape} texture coordinates")
        if not (np.isfinite(uv).all() and np.isfinite(positions).all()):
            raise Model3DError("positions and texture coordinates must be finite, got NaN or infinity")
        found.append((index, (uv @ _transform(info)[:, :2].T + _transform(info)[:, 2])[corners], positions[corners]))
    return found


def _corners(read: _Read, indices: object, mode: int, vertices: int) -> NDArray[np.int64]:
    """The vertices of each triangle, `(N, 3)`."""
    found = np.arange(vertices)[:, None] if indices is None else read(indices)
    if found.dtype.kind == "f":
        raise Model3DError(f"accessors[{indices}]: indices of floats; expected integers")
    order = found[:, 0].astype(np.int64)
    if len(order) and not 0 <= order.min() <= order.max() < vertices:
        raise Model3DError(f"an index of {order.max()} names a vertex; the primitive has {vertices}")
    if mode == _TRIANGLES:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    first = order[:-2] if mode == _STRIP else np.broadcast_to(order[:1], len(order[2:]))
    return np.stack([first, order[1:-1], order[2:]], 1)  # the sense of rotation does not matter here


def _coordinates(info: dict[str, Any]) -> int:
    transform = info.get("extensions", {}).get("KHR_texture_transform", {})
    found: int = transform.get("texCoord", info.get("texCoord", 0))
    return found


def _transform(info: dict[str, Any]) -> Floats:
    """KHR_texture_transform as `(2, 3)`, or what leaves coordinates as they are."""
    facts = info.get("extensions", {}).get("KHR_texture_transform", {})
    (x, y), (wide, high) = facts.get("offset", (0, 0)), facts.get("scale", (1, 1))
    cos, sin = np.cos(facts.get("rotation", 0)), np.sin(facts.get("rotation", 0))
    return np.array([[cos * wide, sin * high, x], [-sin * wide, cos * high, y]], np.float64)

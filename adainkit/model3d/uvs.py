"""Which texels the triangles of a model use, and to which island of the unwrapping each of them belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import Model3DError
from .scene import Floats, Surface, Wrap

__all__ = ["Coverage", "cover", "island_numbers", "nearest_used", "need_scipy"]

_MOST_TILES = 8  # a triangle that spans more of them than this uses the whole picture


def need_scipy() -> Any:
    """The module scipy, its parts loaded. `Model3DError` with the remedy where it is missing."""
    try:
        import scipy.ndimage
        import scipy.sparse.csgraph
    except ImportError as error:
        raise Model3DError('3D models need SciPy: run pip install "adainkit[model3d]"') from error
    return scipy


@dataclass(frozen=True)
class Coverage:
    """What triangles use of a texture of `H` x `W` texels.

    `islands` `(H, W)`: the number of the island of each texel that is used, from 1; where none is, that of the nearest
    one. `used` `(H, W)`, bool. `nearest` `(2, H, W)`: the row and the column of the nearest texel that is used, itself
    where it is one; None where all are.
    """

    used: NDArray[np.bool_] = field(repr=False)
    islands: NDArray[np.int32] = field(repr=False)
    nearest: NDArray[np.int32] | None = field(repr=False)

    def dilated(self, pixels: Floats) -> Floats:
        """`(H, W, C)` whose unused texels are like the nearest used one, so that mip-maps and filters mix in no other
        color."""
        return pixels if self.nearest is None else pixels[self.nearest[0], self.nearest[1]]


def cover(
    surfaces: Iterable[Surface], height: int, width: int, wrap: Sequence[Wrap], visible: NDArray[np.bool_] | None = None
) -> Coverage:
    """The coverage of a texture by the surfaces that lie on it. Without any, and where they use nothing, all of it is
    used, as one island.

    `visible` `(H, W)`: what alpha does not hide of a texture that is cut out.
    """
    uv = np.concatenate([np.zeros((0, 3, 2)), *(s.uv.astype(np.float64) for s in surfaces)])
    islands = _draw(uv, island_numbers(uv), height, width, wrap)
    if visible is not None:
        islands[~visible] = 0
    used = islands > 0
    if not used.any():
        islands[:], used[:] = 1, True
    return nearest_used(used, islands)


def nearest_used(used: NDArray[np.bool_], islands: NDArray[np.int32]) -> Coverage:
    """The coverage of texels that are `used`, not none of them; their `islands` hold there."""
    if used.all():
        return Coverage(used, islands, None)
    nearest = need_scipy().ndimage.distance_transform_edt(~used, return_distances=False, return_indices=True)
    return Coverage(used, islands[nearest[0], nearest[1]], nearest)


def island_numbers(uv: Floats) -> NDArray[np.int32]:
    """The island of each triangle `(N, 3, 2)`, from 1: triangles that share a vertex of the unwrapping share it."""
    if not len(uv):
        return np.zeros(0, np.int32)
    corners = np.unique(uv.reshape(-1, 2), axis=0, return_inverse=True)[1].reshape(-1, 3)
    many = corners.max() + 1
    links = (np.ones(2 * len(corners), np.bool_), (corners[:, [0, 0]].ravel(), corners[:, 1:].ravel()))
    sparse = need_scipy().sparse
    labels = sparse.csgraph.connected_components(sparse.coo_matrix(links, (many, many)), directed=False)[1]
    found: NDArray[np.int32] = labels[corners[:, 0]].astype(np.int32) + 1
    return found


def _draw(uv: Floats, numbers: NDArray[np.int32], height: int, width: int, wrap: Sequence[Wrap]) -> NDArray[np.int32]:
    """`(H, W)`: the number of what was drawn last on each texel, borders of triangles included; 0 where nothing was."""
    canvas = Image.new("I", (width, height))
    draw = ImageDraw.Draw(canvas)
    size = np.array([width, height])
    first, last = np.floor(uv.min(1)).astype(np.int64), np.ceil(uv.max(1)).astype(np.int64) - 1
    last = np.maximum(first, last)
    for axis in (0, 1):
        if wrap[axis] == "clamp":  # what lies beyond is the border's texels
            uv = uv.copy()
            uv[:, :, axis] = uv[:, :, axis].clip(0, 1)
            first[:, axis] = last[:, axis] = 0
    if len(uv) and (last - first).max() >= _MOST_TILES:
        return np.ones((height, width), np.int32)
    inside = (first == 0).all(1) & (last == 0).all(1)
    texels = uv * size - 0.5  # Pillow's coordinates are those of the middles of pixels
    for triangle, number in zip(texels[inside].reshape(-1, 6).tolist(), numbers[inside].tolist(), strict=True):
        draw.polygon(triangle, fill=number)
    for index in np.flatnonzero(~inside):
        for u in range(first[index, 0], last[index, 0] + 1):
            for v in range(first[index, 1], last[index, 1] + 1):
                tile = _unfolded(uv[index], (u, v), wrap) * size - 0.5
                draw.polygon(tile.ravel().tolist(), fill=int(numbers[index]))
    return np.array(canvas, np.int32)


def _unfolded(uv: Floats, tile: tuple[int, int], wrap: Sequence[Wrap]) -> Floats:
    """`(3, 2)` in the coordinates of the picture that lies on a tile: every other one is mirrored where they mirror."""
    uv = uv - np.array(tile)
    for axis in (0, 1):
        if wrap[axis] == "mirror" and tile[axis] % 2:
            uv[:, axis] = 1 - uv[:, axis]
    return uv

"""Which texels the triangles of a model use, and to which island of the unwrapping each of them belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Model3DError
from .scene import Floats, Surface, Wrap

__all__ = ["Coverage", "cover", "fold", "island_numbers", "nearest_used", "need_scipy"]

_AT_ONCE = 1 << 20  # texels that are looked at together, some 50 MB
_MOST_WORK = 1 << 31  # texels in the boxes of all triangles, a minute: beyond it a texture repeats all over
_FARTHEST = 1e8  # texels; coordinates beyond them tell no texel: as float32 they are further apart


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
    """`(H, W)`: the number of a triangle on each texel whose middle it covers; 0 where there is none. One that covers
    no middle is on each texel that it touches."""
    canvas = np.zeros((height, width), np.int32)
    if not len(uv):
        return canvas
    texels = uv * np.array([width, height])
    low = np.floor(texels.min(1).clip(-_FARTHEST, _FARTHEST)).astype(np.int64)
    spans = np.maximum(np.ceil(texels.max(1).clip(-_FARTHEST, _FARTHEST)).astype(np.int64) - low, 1)
    boxes = 2 ** np.ceil(np.log2(spans)).astype(np.int64)  # few sizes, so that those of a size go together
    if np.abs(texels).max() > _FARTHEST or boxes.prod(1).sum() > _MOST_WORK:
        canvas[:] = 1
        return canvas
    for across, down in np.unique(boxes, axis=0).tolist():
        chosen = np.flatnonzero((boxes == (across, down)).all(1))
        step, band = max(1, _AT_ONCE // (across * down)), max(1, min(down, _AT_ONCE // across))
        for some in np.array_split(chosen, -(-len(chosen) // step)):
            for top in range(0, down, band):
                place = low[some] + (0, top)
                which, rows, columns = _covered(texels[some], place, across, band, thin=band == down)
                canvas[fold(rows, height, wrap[1]), fold(columns, width, wrap[0])] = numbers[some][which]
    return canvas


def _covered(
    texels: Floats, low: NDArray[np.int64], across: int, down: int, thin: bool
) -> tuple[NDArray[np.int64], ...]:
    """Of triangles `(N, 3, 2)`, in texels, in boxes from `low`: which one covers a texel, its row and its column.

    `thin`: one that covers no middle covers what it touches.
    """
    x = low[:, 0, None, None] + np.arange(across)[None, None, :]
    y = low[:, 1, None, None] + np.arange(down)[None, :, None]
    edges = np.roll(texels, -1, 1) - texels
    sense = np.where(edges[:, 0, 0] * edges[:, 1, 1] < edges[:, 0, 1] * edges[:, 1, 0], -1, 1)
    inside = np.ones((len(texels), down, across), bool)
    touched = (x < texels[:, :, 0].max(1)[:, None, None]) & (y < texels[:, :, 1].max(1)[:, None, None])
    touched |= (x == low[:, 0, None, None]) & (y == low[:, 1, None, None])
    for start, edge in zip(texels.swapaxes(0, 1), edges.swapaxes(0, 1), strict=True):
        dx, dy = ((edge * sense[:, None])[:, axis, None, None] for axis in (0, 1))
        depth = dx * (y + 0.5 - start[:, 1, None, None]) - dy * (x + 0.5 - start[:, 0, None, None])
        inside &= depth >= 0
        touched &= depth >= -(abs(dx) + abs(dy)) / 2
    found = np.where(inside.any((1, 2), keepdims=True), inside, touched) if thin else inside
    which, rows, columns = np.nonzero(found)
    return which, rows + low[which, 1], columns + low[which, 0]


def fold(index: NDArray[np.int64], size: int, way: Wrap) -> NDArray[np.int64]:
    """The texel, of `size` in a line, that a texture shows at any index."""
    if way == "clamp":
        return index.clip(0, size - 1)
    if way == "repeat":
        return index % size
    folded = index % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)

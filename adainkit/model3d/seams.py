"""Seams: edges of a model where its unwrapping is cut, so that two places of its textures meet there.

A style paints those places apart, and the cut shows. `seam_jump` measures it, `heal` takes it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scene import Floats, Surface, Wrap
from .uvs import Coverage, fold, need_scipy

__all__ = ["SeamPoints", "find_seams", "heal", "place_points", "sample", "seam_jump"]

RADIUS = 8
"""Texels over which a healed seam fades, of a texture of 512 texels; in proportion for larger ones."""
_SHARES = (1, 2, 4, 8) * 6  # of that, time after time, as long as there is something to heal
_ENOUGH = 1 / 255  # of what is too much, on the mean: no more than 8 bits can show


@dataclass(frozen=True)
class SeamPoints:
    """Points along seams, each on two sides: `uv` `(N, 2, 2)`, the point, its side, u and v; `texture` `(N, 2)`."""

    uv: Floats = field(repr=False)
    texture: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.uv)


def find_seams(surfaces: Sequence[Surface]) -> SeamPoints:
    """The two ends of every seam, `uv` `(N, 2, 2, 2)`: the seam, its side, its end, u and v.

    A seam is an edge between the same two points of a mesh that lies at two places: other coordinates, or another
    texture. Where it lies at more than two, each is a seam with the next.
    """
    edges: list[Floats] = []
    for s in surfaces:
        facts = np.broadcast_to(np.array([s.mesh, s.texture], np.float64), (len(s.uv), 2))
        for a, b in ((0, 1), (1, 2), (2, 0)):
            edges.append(np.concatenate([facts, s.positions[:, a], s.positions[:, b], s.uv[:, a], s.uv[:, b]], 1))
    if not edges:
        return SeamPoints(np.zeros((0, 2, 2, 2)), np.zeros((0, 2), np.int64))
    rows = np.concatenate(edges) + 0.0  # -0.0 is 0.0
    points = np.unique(rows[:, 2:8].reshape(-1, 3), axis=0, return_inverse=True)[1].reshape(-1, 2)
    swapped = points[:, 0] > points[:, 1]
    points[swapped] = points[swapped][:, ::-1]
    uv = rows[:, 8:]
    uv[swapped] = uv[swapped][:, [2, 3, 0, 1]]
    sides = np.unique(np.concatenate([rows[:, :1], points, rows[:, 1:2], uv], 1), axis=0)
    sides = sides[sides[:, 1] != sides[:, 2]]
    meet = np.flatnonzero((sides[1:, :3] == sides[:-1, :3]).all(1))
    both = np.stack([sides[meet], sides[meet + 1]], 1)
    return SeamPoints(both[:, :, 4:].reshape(-1, 2, 2, 2), both[:, :, 3].astype(np.int64))


def place_points(seams: SeamPoints, sizes: Sequence[tuple[int, int]]) -> SeamPoints:
    """Points about a texel apart along the seams of `find_seams`, on their longer side; `sizes`: height and width of
    each texture."""
    if not len(seams):
        return SeamPoints(np.zeros((0, 2, 2)), np.zeros((0, 2), np.int64))
    scale = np.array([(width, height) for height, width in sizes], np.float64)[seams.texture]
    length = np.linalg.norm((seams.uv[:, :, 1] - seams.uv[:, :, 0]) * scale, axis=2).max(1)
    counts = np.ceil(length).clip(1, 4096).astype(np.int64)
    which = np.repeat(np.arange(len(counts)), counts)
    step = (np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + 0.5) / counts[which]
    start, end = seams.uv[which, :, 0], seams.uv[which, :, 1]
    return SeamPoints(start + (end - start) * step[:, None, None], seams.texture[which])


def sample(pixels: Floats, uv: Floats, wrap: Sequence[Wrap]) -> Floats:
    """`(N, C)`: what a renderer shows of `(H, W, C)` at `uv` `(N, 2)`, mixed from the four nearest texels."""
    height, width = pixels.shape[:2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    columns = [fold(left + i, width, wrap[0]) for i in (0, 1)]
    rows = [fold(top + i, height, wrap[1]) for i in (0, 1)]
    right, low = (x - left)[:, None], (y - top)[:, None]
    upper = pixels[rows[0], columns[0]] * (1 - right) + pixels[rows[0], columns[1]] * right
    lower = pixels[rows[1], columns[0]] * (1 - right) + pixels[rows[1], columns[1]] * right
    mixed: Floats = upper * (1 - low) + lower * low
    return mixed


def _jumps(pictures: Sequence[Floats], points: SeamPoints, wraps: Sequence[Sequence[Wrap]]) -> Floats:
    """`(N, 3)`: the color of the second side less that of the first."""
    colors = np.zeros((len(points), 2, 3))
    for texture, picture in enumerate(pictures):
        here = points.texture == texture
        colors[here] = sample(picture[:, :, :3], points.uv[here], wraps[texture])
    jumps: Floats = colors[:, 1] - colors[:, 0]
    return jumps


def seam_jump(
    pictures: Sequence[Floats],
    points: SeamPoints,
    wraps: Sequence[Sequence[Wrap]],
    originals: Sequence[Floats] | None = None,
) -> float:
    """The mean jump of color across seams, of 255: of the absolute difference of R, G and B, over all points.

    `pictures`: of each texture `(H, W, 3)`, in [0, 1]. With `originals`, only what a jump is larger than it was in
    them: a real edge, white beside yellow, is no fault. 0 where there is no seam.
    """
    if not len(points):
        return 0.0
    jump = np.abs(_jumps(pictures, points, wraps)).mean(1)
    if originals is not None:
        jump = (jump - np.abs(_jumps(originals, points, wraps)).mean(1)).clip(0)
    return float(jump.mean() * 255)


def heal(
    pictures: Sequence[Floats],
    originals: Sequence[Floats],
    coverages: Sequence[Coverage],
    points: SeamPoints,
    wraps: Sequence[Sequence[Wrap]],
) -> list[Floats]:
    """Stylized pictures, `(H, W, 3)` in [0, 1], whose jumps across seams are no larger than in the `originals`.

    Each side takes half of what is too much, fading over `RADIUS` texels into its own island; then over less of them,
    for what is left: where one texel lies on several seams, they agree step by step. All are dilated, as the originals
    should be.
    """
    pictures = [c.dilated(p) for p, c in zip(pictures, coverages, strict=True)]
    if not len(points):
        return pictures
    allowed = np.abs(_jumps(originals, points, wraps)).mean(1)
    for share in _SHARES:
        jumps = _jumps(pictures, points, wraps)
        size = np.abs(jumps).mean(1)
        extra = jumps * (1 - allowed / np.maximum(size, 1e-6)).clip(0)[:, None] / 2
        if np.abs(extra).mean() * 2 < _ENOUGH:
            break
        for texture, coverage in enumerate(coverages):
            radius = max(1, round(RADIUS * max(1, max(pictures[texture].shape[:2]) / 512) / share))
            change = _spread(extra, points, texture, coverage, wraps[texture], radius)
            pictures[texture] = coverage.dilated((pictures[texture] + change).clip(0, 1))
    return pictures


def _spread(
    extra: Floats, points: SeamPoints, texture: int, coverage: Coverage, wrap: Sequence[Wrap], radius: int
) -> Floats:
    """What is added to a texture, `(H, W, 3)`: at seams `extra` on the first side, less it on the second; near them,
    within their island, a mean of what is nearest, fading to nothing at `radius` texels."""
    height, width = coverage.used.shape
    change = np.zeros((height, width, 3))
    sums, counts = np.zeros((height, width, 3)), np.zeros((height, width))
    for side, sign in ((0, 1.0), (1, -1.0)):
        here = points.texture[:, side] == texture
        uv = points.uv[here, side]
        columns = fold(np.floor(uv[:, 0] * width).astype(np.int64), width, wrap[0])
        rows = fold(np.floor(uv[:, 1] * height).astype(np.int64), height, wrap[1])
        if coverage.nearest is not None:  # beyond the border by rounding
            rows, columns = coverage.nearest[0][rows, columns], coverage.nearest[1][rows, columns]
        np.add.at(sums, (rows, columns), sign * extra[here])
        np.add.at(counts, (rows, columns), 1)
    places = np.argwhere(counts > 0)
    labels = coverage.islands[places[:, 0], places[:, 1]]
    order = np.argsort(labels, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else ():
        near = _around(places[some], radius)
        own = coverage.islands[near] == labels[some[0]]
        spread = _mean_of_nearest(sums[near], counts[near] * own, radius)
        change[near][own] = spread[own]
    return change


def _around(places: NDArray[np.int64], radius: int) -> tuple[slice, slice]:
    low, high = places.min(0) - radius - 1, places.max(0) + radius + 2
    return slice(max(0, low[0]), high[0]), slice(max(0, low[1]), high[1])


def _mean_of_nearest(sums: Floats, counts: Floats, radius: int) -> Floats:
    """At each texel the mean of what is known along the nearest part of the seam, times a fade with the distance."""
    ndimage: Any = need_scipy().ndimage
    sigma, known = max(0.5, radius / 4), counts > 0
    mean = np.where(known[..., None], sums / np.maximum(counts, 1)[..., None], 0)
    distance, (rows, columns) = ndimage.distance_transform_edt(~known, return_indices=True)
    # along the seam first, so that what is carried inwards is smooth
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma / 2)
    smooth = np.stack([ndimage.gaussian_filter(mean[..., c], sigma / 2) for c in range(3)], -1)
    smooth /= np.maximum(weight, 1e-9)[..., None]
    carried = smooth[rows, columns]
    carried = np.stack([ndimage.gaussian_filter(carried[..., c], sigma / 2) for c in range(3)], -1)
    fade = 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance / radius, 1))
    result: Floats = carried * fade[..., None]
    return result

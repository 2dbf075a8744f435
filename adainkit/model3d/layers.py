"""Layers: islands that lie side by side and differ are painted apart, so that none has a halo of its neighbor's edge.

An unwrapping puts a white eye beside a yellow back, which the model does not. On a layer of its own each of them is
surrounded by its own border's colors, out to where the next island of that layer begins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scene import Floats
from .uvs import Coverage

__all__ = ["MOST", "island_layers"]

MOST = 3
"""Layers of a texture, each at most as much work as the texture alone. Khronos's Duck has use for three."""
_VISIBLE = 8 / 255  # the mean step between two islands' colors that makes a halo
_MOST_ISLANDS = 4096  # beyond them a texture is a palette, or confetti: no layer would part it


def island_layers(pixels: Floats, coverage: Coverage) -> NDArray[np.int32]:
    """The layer of each texel `(H, W)`, from 0: the larger islands first, each where its neighbors differ least.

    `pixels` `(H, W, 3)`, in [0, 1], dilated, so that islands meet half way.
    """
    islands = coverage.islands
    count = int(islands.max()) + 1
    none = np.zeros(islands.shape, np.int32)
    if count > _MOST_ISLANDS:
        return none
    steps, lengths = _borders(pixels, islands, count)
    loud = steps * (steps > _VISIBLE * lengths)
    if not loud.any():
        return none
    areas = np.bincount(islands[coverage.used], minlength=count)
    layer = np.full(count, -1)
    for island in np.argsort(-areas, kind="stable"):
        clashes = [loud[island, layer == number].sum() for number in range(MOST)]
        layer[island] = int(np.argmin(clashes))
    found: NDArray[np.int32] = layer[islands].astype(np.int32)
    return found


def _borders(pixels: Floats, islands: NDArray[np.int32], count: int) -> tuple[Floats, Floats]:
    """For each two islands `(count, count)`: the sum of the steps of color along their border, and its length."""
    steps, lengths = np.zeros((count, count)), np.zeros((count, count))
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        meet = islands[a] != islands[b]
        pair = islands[a][meet], islands[b][meet]
        np.add.at(steps, pair, np.abs(pixels[a][meet] - pixels[b][meet]).mean(1))
        np.add.at(lengths, pair, 1)
    return steps + steps.T, lengths + lengths.T

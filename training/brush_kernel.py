"""The inner loops of `brush.brushed`, compiled by numba: one picture, row by row, on all cores."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

__all__ = ["filtered"]

_F = np.float32
_SECTORS = 8
_HALF = _F(math.sqrt(0.5))
SHARPNESS = _F(1000)
"""A sector counts as `1 / (1 + (SHARPNESS * variance) ** 4)`, of RGB together: less from a deviation of 3 % on."""


@numba.njit(fastmath=True, inline="always")
def _positive(a: Any) -> Any:
    return a if a > _F(0) else _F(0)


@numba.njit(fastmath=True, inline="always")
def _add(sums, first, x, weight, red, green, blue):  # type: ignore[no-untyped-def]
    sums[first, x] += weight
    sums[first + 1, x] += weight * red
    sums[first + 2, x] += weight * green
    sums[first + 3, x] += weight * blue
    sums[first + 4, x] += weight * (red * red + green * green + blue * blue)


@numba.njit(fastmath=True, error_model="numpy")
def _add_row(red, green, blue, cosine, sine, along, across, dx, dy, near, steep, sums, width):  # type: ignore[no-untyped-def]
    """Adds the pixels of a row, which lie `(dx, dy)` beside those of `sums`, to their sectors: weight, RGB, squares.

    Written out, without a loop over the sectors, whose weights stay in registers so.
    """
    for x in range(width):
        u = (dx * cosine[x] + dy * sine[x]) * along[x]
        v = (dy * cosine[x] - dx * sine[x]) * across[x]
        far = u * u + v * v
        if far > _F(1):  # three of four are: no brush is as long as the longest, and as wide
            continue
        fall = _F(1) - far * _F(0.5)
        fall = fall * fall
        fall = fall * fall
        fall = fall * fall
        r, g, b = red[x], green[x], blue[x]
        up, right = near - steep * u * u, near - steep * v * v
        z0, z2, z4, z6 = _positive(u + right), _positive(v + up), _positive(right - u), _positive(up - v)
        p, q = _HALF * (u + v), _HALF * (v - u)
        up, right = near - steep * p * p, near - steep * q * q
        z1, z3, z5, z7 = _positive(p + right), _positive(q + up), _positive(right - p), _positive(up - q)
        z0, z1, z2, z3, z4, z5, z6, z7 = z0 * z0, z1 * z1, z2 * z2, z3 * z3, z4 * z4, z5 * z5, z6 * z6, z7 * z7
        share = fall / (z0 + z1 + z2 + z3 + z4 + z5 + z6 + z7 + _F(1e-9))
        z0, z1, z2, z3 = z0 * share, z1 * share, z2 * share, z3 * share
        z4, z5, z6, z7 = z4 * share, z5 * share, z6 * share, z7 * share
        _add(sums, 0, x, z0, r, g, b)
        _add(sums, 5, x, z1, r, g, b)
        _add(sums, 10, x, z2, r, g, b)
        _add(sums, 15, x, z3, r, g, b)
        _add(sums, 20, x, z4, r, g, b)
        _add(sums, 25, x, z5, r, g, b)
        _add(sums, 30, x, z6, r, g, b)
        _add(sums, 35, x, z7, r, g, b)


@numba.njit(fastmath=True, error_model="numpy")
def _mixed(sums, x):  # type: ignore[no-untyped-def]
    """The sectors' means, each by how flat it is."""
    r, g, b, total = _F(0), _F(0), _F(0), _F(0)
    for first in range(0, 5 * _SECTORS, 5):
        one = _F(1) / (sums[first, x] + _F(1e-9))
        red, green, blue = sums[first + 1, x] * one, sums[first + 2, x] * one, sums[first + 3, x] * one
        spread = _positive(sums[first + 4, x] * one - red * red - green * green - blue * blue)
        edge = (SHARPNESS * spread) ** 2
        weight = _F(1) / (_F(1) + edge * edge)
        r, g, b, total = r + weight * red, g + weight * green, b + weight * blue, total + weight
    return r / total, g / total, b / total


@numba.njit(parallel=True, fastmath=True, error_model="numpy")
def filtered(around, cosine, sine, drawn, margin, radius):  # type: ignore[no-untyped-def]
    """`(3, H, W)` of `around` `(3, H + 2 * margin, W + 2 * margin)`; the others, `(H, W)`, are of `brush._outlines`."""
    height, width = cosine.shape
    result = np.empty((3, height, width), _F)
    near = _F(2 / radius)  # how far a sector reaches over the point that it begins in
    steep = _F((near + math.cos(math.pi / _SECTORS)) / math.sin(math.pi / _SECTORS) ** 2)
    for y in numba.prange(height):
        sums = np.zeros((5 * _SECTORS, width), _F)
        along, across, longest = np.empty(width, _F), np.empty(width, _F), _F(1)
        for x in range(width):
            stretch = _F(1) + drawn[y, x]
            along[x], across[x] = _F(1) / (_F(radius) * stretch), stretch / _F(radius)
            longest = max(longest, stretch)
        reach = min(math.ceil(radius * longest), margin)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                if dx * dx + dy * dy <= (radius * longest) ** 2:
                    line, first = y + margin + dy, margin + dx
                    red, green, blue = around[:, line, first : first + width]
                    _add_row(
                        red,
                        green,
                        blue,
                        cosine[y],
                        sine[y],
                        along,
                        across,
                        _F(dx),
                        _F(dy),
                        near,
                        steep,
                        sums,
                        width,
                    )
        for x in range(width):
            result[0, y, x], result[1, y, x], result[2, y, x] = _mixed(sums, x)
    return result

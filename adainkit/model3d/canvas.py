"""A texture as the network gets it: layer by layer, with what surrounds it, and with a weight for each texel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layers import island_layers
from .scene import Floats, Model, Texture
from .texture import crop, decode, rejoin, surround
from .uvs import Coverage, cover, nearest_used

__all__ = ["BORDER", "STRIDE", "Canvas"]

BORDER = 96
"""Texels beyond a border of a repeating texture that the network sees: what `lite` sees, 5 + 7 cells of 8 pixels."""
STRIDE = 8
"""Texels of a cell of the network, on whose grid pictures begin."""
_WEIGHTLESS = 1e-6  # of a texel that counts for nothing, and yet is seen: what is of alpha 0 would be taken for hidden


@dataclass(frozen=True, eq=False)
class Canvas:
    """A texture to paint on: `pixels` `(H, W, 3)`, dilated, and `alpha` `(H, W, 1)` if it has any, float32 in [0, 1];
    `layers` `(H, W)`, the layer of each texel."""

    texture: Texture
    pixels: Floats
    alpha: Floats | None
    coverage: Coverage
    layers: NDArray[np.int32]

    @staticmethod
    def of(model: Model, index: int, max_pixels: int | None) -> Canvas:
        """That of a model's texture. `Model3DError` where it is damaged or too large."""
        texture = model.textures[index]
        pixels = (decode(texture, max_pixels) / np.float32(255)).astype(np.float32)
        rgb, alpha = pixels[:, :, :3], pixels[:, :, 3:] if pixels.shape[2] == 4 else None
        visible = alpha[:, :, 0] > 0 if texture.cutout and alpha is not None else None
        here = [surface for surface in model.surfaces if surface.texture == index]
        height, width = pixels.shape[:2]
        coverage = cover(here, height, width, texture.wrap, visible)
        dilated = coverage.dilated(rgb)
        return Canvas(texture, dilated, alpha, coverage, island_layers(dilated, coverage))

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return int(self.layers.max()) + 1

    @property
    def borders(self) -> tuple[int, int]:
        """How many texels it goes on above and below, and beside it: none where no triangle can reach over there."""
        used, (across, down) = self.coverage.used, self.texture.wrap
        rows = down != "clamp" and used[0].any() and used[-1].any()
        columns = across != "clamp" and used[:, 0].any() and used[:, -1].any()
        return BORDER * int(rows), BORDER * int(columns)

    def shown(self, layer: int) -> Floats:
        """`(H, W, 4)` of a layer, with its surroundings, and in place of alpha how much each texel counts. What the
        network would not see from the layer's islands is cut off."""
        here = self._window(layer)
        used = (self.coverage.used & (self.layers == layer))[here]
        pixels = nearest_used(used, self.coverage.islands[here]).dilated(self.pixels[here])
        weight: Floats = used[:, :, None].astype(np.float32)
        if self.texture.cutout and self.alpha is not None:
            weight = weight * self.alpha[here]
        wide = surround(np.concatenate([pixels, weight], 2), self.texture.wrap, self.borders)
        wide[:, :, 3] = _WEIGHTLESS
        crop(wide, self.borders)[:, :, 3:] = weight.clip(_WEIGHTLESS)
        return wide

    def put(self, onto: Floats, result: Floats, layer: int) -> None:
        """Put a layer's `result`, which has the size of `shown`, where the layer's texels are in `onto` `(H, W, 3)`."""
        here = self._window(layer)
        mine = (self.layers == layer)[here]
        onto[here][mine] = rejoin(result, self.texture.wrap, self.borders)[mine]

    def _window(self, layer: int) -> tuple[slice, slice]:
        used = self.coverage.used & (self.layers == layer)
        down, across = self.borders
        return _seen(used.any(1), down > 0), _seen(used.any(0), across > 0)


def _seen(used: NDArray[np.bool_], whole: bool) -> slice:
    """What the network sees from lines that are used; it begins where the cells of the whole picture do."""
    places = np.flatnonzero(used)
    if whole:
        return slice(None)
    return slice(max(0, places[0] - BORDER) // STRIDE * STRIDE, places[-1] + 1 + BORDER)

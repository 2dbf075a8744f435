"""A texture as the network gets it: layer by layer, with what surrounds it, and with a weight for each texel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layers import island_layers, only
from .scene import Floats, Model, Texture
from .texture import crop, decode, surround
from .uvs import Coverage, cover

__all__ = ["BORDER", "Canvas"]

BORDER = 96
"""Texels beyond a border of a repeating texture that the network sees: what `lite` sees, 5 + 7 cells of 8 pixels."""
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
        """`(H, W, 4)` of a layer, with its surroundings, and in place of alpha how much each texel counts."""
        coverage = only(self.coverage, self.layers, layer)
        weight: Floats = coverage.used[:, :, None].astype(np.float32)
        if self.texture.cutout and self.alpha is not None:
            weight = weight * self.alpha
        wide = surround(np.concatenate([coverage.dilated(self.pixels), weight], 2), self.texture.wrap, self.borders)
        wide[:, :, 3] = _WEIGHTLESS
        crop(wide, self.borders)[:, :, 3:] = weight.clip(_WEIGHTLESS)
        return wide

    def put(self, onto: Floats, result: Floats, layer: int) -> None:
        """Put a layer's `result`, which has the size of `shown`, where its texels are in `onto` `(H, W, 3)`."""
        mine = self.layers == layer
        onto[mine] = crop(result, self.borders)[mine]

"""What a 3D model is to style transfer, whatever its file: pictures, and triangles that lie on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Model", "Surface", "Texture", "Wrap"]

Floats: TypeAlias = "NDArray[np.floating[Any]]"
Wrap: TypeAlias = Literal["repeat", "mirror", "clamp"]


@dataclass(frozen=True)
class Texture:
    """A picture that colors a model: the bytes of its file, and how it goes on beyond its borders."""

    name: str
    """For messages."""
    data: bytes = field(repr=False)
    wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")
    """Along u, which is the width, and along v, the height."""
    cutout: bool = False
    """Whether alpha hides what lies under it: not so for materials that are opaque, which ignore it."""


@dataclass(frozen=True)
class Surface:
    """Triangles on a texture: `positions` `(N, 3, 3)` in the space of their mesh, `uv` `(N, 3, 2)`, v downwards, where
    [0, 1] is the picture. `mesh` tells in which space; `texture` is an index."""

    texture: int
    mesh: int
    positions: Floats = field(repr=False)
    uv: Floats = field(repr=False)


class Model(Protocol):
    """A model that was read: what its pictures are, and what its files would be with others in their place."""

    @property
    def textures(self) -> Sequence[Texture]:
        """The pictures to paint."""

    @property
    def surfaces(self) -> Sequence[Surface]:
        """What lies on them."""

    @property
    def notes(self) -> Sequence[str]:
        """What is left as it is though one might expect otherwise, a sentence each."""

    def files(self, target: Path, pictures: Mapping[int, bytes]) -> dict[Path, bytes]:
        """The files of the model at `target`, which comes first; `pictures` are encoded, by the index of a texture."""

"""Maps for tests of networks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from adainkit.net.adain import AffineMap


def identity(features: Sequence[Tensor], shift: float = 0) -> list[AffineMap]:
    """Of every level one that changes nothing, or that adds `shift` to everything."""
    zeros = [torch.zeros(1, f.shape[1], device=f.device) for f in features]
    return [AffineMap(z, torch.ones_like(z), z + shift) for z in zeros]

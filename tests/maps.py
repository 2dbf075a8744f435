"""Maps for tests of networks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from adainkit.net.adain import AffineMap
from adainkit.net.config import Level


def identity(features: Sequence[Tensor], shift: float = 0, more: Sequence[Level] = ()) -> list[AffineMap]:
    """Of every level one that changes nothing, or that adds `shift` to everything; of `more` places, too."""
    widths = [*(f.shape[1] for f in features), *(place.channels for place in more)]
    zeros = [torch.zeros(1, width, device=features[0].device) for width in widths]
    return [AffineMap(z, torch.ones_like(z), z + shift) for z in zeros]

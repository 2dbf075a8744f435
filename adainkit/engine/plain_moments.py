"""Channel statistics of whole features on the CPU by torch's own loops, several times as fast as by its operators."""

from __future__ import annotations

import torch
from torch import Tensor

from ..net.adain import Moments, merge_moments

__all__ = ["has_plain_moments", "plain_moments"]


def has_plain_moments(features: Tensor) -> bool:
    """Whether `plain_moments` is for these: of 16 bits, on the CPU, in one of torch's two layouts. float32's sums stay
    exact to the last bits."""
    if features.device.type != "cpu" or features.requires_grad or features.element_size() != 2:
        return False
    return features.is_contiguous() or _channels_last(features)


def plain_moments(features: Tensor, strip: int) -> Moments:
    """What `net.adain.moments` computes without weights, by the loop that measures batches in trainings: it reads each
    value as it is, means first, and adds up in float32. `strip`: values of the parts in which sums stay exact enough
    where the channels are last; with channels first the loop adds up in many parts itself."""
    found = []
    for one in torch.split(features, 1):
        _, channels, height, width = one.shape
        rows = max(1, strip // (channels * width)) if _channels_last(one) else height
        found.append(merge_moments([_measured(one[:, :, top : top + rows]) for top in range(0, height, rows)]))
    return Moments(*(torch.cat(parts) for parts in zip(*((m.count, m.mean, m.m2) for m in found), strict=True)))


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _measured(x: Tensor) -> Moments:
    # What a training would keep is unused, but its type is that of the sums.
    kept = [torch.zeros(x.shape[1], dtype=torch.float32) for _ in range(2)]
    mean, variance = torch.ops.aten.batch_norm_update_stats(x, *kept, 0.0)
    count = x.shape[2] * x.shape[3]
    return Moments(torch.full((1, 1), float(count)), mean.float()[None], variance.float()[None] * count)

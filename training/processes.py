"""The processes of one run, as torchrun starts them; one process alone needs nothing of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Processes"]


@dataclass(frozen=True)
class Processes:
    """This process is `rank` (from 0) of `count`, and `local` on its machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @classmethod
    def of_environment(cls) -> Processes:
        """As torchrun's variables say."""
        return cls(*(int(os.environ.get(n, d)) for n, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))))

    def join(self, device: torch.device) -> None:
        """Join the group, if there are several: by nccl on CUDA, else by gloo."""
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def leave(self) -> None:
        """Leave the group, if there is one."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether `flag` holds in any process."""
        if self.count == 1:
            return flag
        value = torch.tensor(float(flag), device=device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return bool(value)

    def agree(self, number: int, device: torch.device) -> bool:
        """Whether all processes have the same number."""
        if self.count == 1:
            return True
        ends = torch.tensor([number, -number], device=device)
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return bool(ends[0] == -ends[1])

    def mean(self, values: Mapping[str, Tensor], device: torch.device) -> dict[str, float]:
        """Each value's mean over the processes."""
        together = torch.stack([v.detach().float().to(device) for v in values.values()])
        if self.count > 1:
            dist.all_reduce(together)
            together /= self.count
        return dict(zip(values, together.tolist(), strict=True))

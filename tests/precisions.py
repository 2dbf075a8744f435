"""What this torch can compute with."""

import pytest
import torch


def skip_without(dtype: torch.dtype | str, device: torch.device | str) -> None:
    """Skip the test where this torch cannot compute with `dtype` (float16 on the CPU, before 2.5 or so)."""
    kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    try:
        torch.nn.functional.pad(torch.zeros(1, 1, 2, 2, dtype=kind, device=device), (1, 1, 1, 1), mode="reflect")
    except RuntimeError as error:
        pytest.skip(str(error))

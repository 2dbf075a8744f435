"""The sum by which encoders and decoders are told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["digest"]


def digest(tensors: Mapping[str, np.ndarray[Any, Any]], prefix: str) -> str:
    """sha256 of the float32 values whose names begin with `prefix`: independent of the type that they are kept in."""
    total = hashlib.sha256()
    for name in sorted(n for n in tensors if n.startswith(prefix)):
        value = np.asarray(tensors[name], np.float32)
        total.update(f"{name} {value.shape}\n".encode())
        total.update(value.tobytes())
    return total.hexdigest()

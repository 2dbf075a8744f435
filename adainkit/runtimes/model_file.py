"""A model's file, read without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import ModelError, WeightsError
from ..net.config import ModelConfig
from ..net.digest import digest
from .graph import Array

__all__ = ["FORMATS", "ModelFile", "read_model"]

FORMATS = ("1", "2")
"""Of the files that can be read, as `net.model` writes them."""


@dataclass(frozen=True)
class ModelFile:
    """An architecture, its float32 tensors by the names of the torch modules, and the encoder's digest."""

    config: ModelConfig
    tensors: Mapping[str, Array] = field(repr=False)
    digest: str


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """What `AdaINModel.load` reads. `WeightsError` if it is missing, damaged or something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(Path(path), "np") as file:
            facts = file.metadata() or {}
            tensors = {name: np.asarray(file.get_tensor(name), np.float32) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError) as error:
        raise WeightsError(f"{path}: cannot be read as a model file ({error})") from error
    if "config" not in facts or facts.get("format_version") not in FORMATS:
        raise WeightsError(f"{path}: is no model file of this release; expected a file written by adainkit")
    for part in ("encoder", "decoder"):
        if digest(tensors, f"{part}.") != facts.get(f"{part}_sha256"):
            raise WeightsError(f"{path}: the {part}'s checksum differs from its metadata; the file is damaged")
    try:
        config = ModelConfig.from_json(facts["config"])
    except ModelError as error:
        raise WeightsError(f"{path}: unusable model configuration: {error}") from error
    return ModelFile(config, tensors, str(facts["encoder_sha256"]))

"""ComfyUI's side: where a model is now, how far a node is, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import comfy.model_management as mm
import torch
from comfy.model_patcher import ModelPatcher
from comfy.utils import ProgressBar

from .core import activations_per_pixel, adainkit
from .files import stamp

if TYPE_CHECKING:
    from adainkit import Stylizer
    from adainkit.errors import Progress

__all__ = ["LoadedModel", "Steps", "load_model", "out_of_memory"]

_STEPS = 100  # of the bar for one picture
_TILE = 1024  # pixels a side for which memory is asked: larger work goes through in tiles


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """What an ADAIN_MODEL wire carries: the Stylizer, and the patcher by which ComfyUI loads and offloads its model."""

    name: str
    stylizer: Stylizer
    patcher: ModelPatcher

    def on_device(self, pixels: int) -> Stylizer:
        """The Stylizer, on ComfyUI's device, where there is room for work on `pixels` at once."""
        device = self.patcher.load_device
        per_pixel = activations_per_pixel(self.stylizer.model.config) * self.stylizer.dtype.itemsize
        mm.load_models_gpu([self.patcher], memory_required=3 * per_pixel * min(pixels, _TILE**2))
        return self.stylizer.to(device)  # low-VRAM modes load a part of it; nothing moves when all of it is there


def load_model(name: str, path: str, precision: str = "auto", runtime: str = "auto") -> LoadedModel:
    """The model of a .safetensors file, loaded once per server and settings until the file is written again."""
    device = mm.get_torch_device()
    if precision == "auto":
        precision = "float16" if mm.should_use_fp16(device) else "auto" if device.type == "cpu" else "float32"
    return _load(name, path, stamp(path), device, precision, runtime)


@lru_cache(maxsize=4)
def _load(name: str, path: str, stamp: object, device: torch.device, precision: str, runtime: str) -> LoadedModel:
    offload = mm.unet_offload_device()
    stylizer = adainkit.Stylizer(path, device=device, dtype=precision, runtime=runtime).to(offload)
    return LoadedModel(name, stylizer, ModelPatcher(stylizer.model, load_device=device, offload_device=offload))


class Steps:
    """The node's progress bar over `pictures`. Its hook is also where ComfyUI stops an interrupted prompt."""

    def __init__(self, pictures: int) -> None:
        self._bar = ProgressBar(_STEPS * pictures)
        self._shown = self._before = 0

    def after(self, pictures: int) -> Steps:
        """The same bar, counting from here on those that come after so many."""
        self._before = pictures
        return self

    def follow(self, first: int, pictures: int) -> Progress:
        """The library's progress callback for `pictures` from number `first` on: half is encoding, half decoding."""

        def progress(stage: str, done: int, total: int) -> None:
            share = (done / max(total, 1) + (stage != "encode")) / 2
            self.show(first + pictures * share)

        return progress

    def show(self, pictures: float) -> None:
        """So many are done; the bar never goes back. `InterruptProcessingException` if the user wants no more."""
        mm.throw_exception_if_processing_interrupted()
        self._shown = max(self._shown, int(_STEPS * (self._before + pictures)))
        self._bar.update_absolute(self._shown)


def out_of_memory() -> tuple[type[BaseException], ...]:
    """What to catch when a chunk of a batch does not fit, the library's own word for it and ComfyUI's."""
    return adainkit.OutOfMemoryError, mm.OOM_EXCEPTION

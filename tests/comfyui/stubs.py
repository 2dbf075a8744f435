"""As much of ComfyUI as the node pack calls, for tests without a server; `host` is what they look at and turn."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch


class InterruptProcessingException(Exception):
    """What ComfyUI raises where a prompt was interrupted."""


@dataclass
class Host:
    """The stub's state."""

    base: Path = Path()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    free_memory: int = 16 << 30
    interrupt_at: int | None = None  # the call of the progress bar that stops the prompt
    loads: list[Any] = field(default_factory=list)
    bars: list[Any] = field(default_factory=list)
    emptied: int = 0


host = Host()


class ProgressBar:
    def __init__(self, total: int) -> None:
        self.total, self.values = total, []
        host.bars.append(self)

    def update_absolute(self, value: int, total: int | None = None) -> None:
        self.values.append(value)


class ModelPatcher:
    def __init__(self, model: Any, load_device: torch.device, offload_device: torch.device) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device


class _Input:
    def __init__(self, id: str, *, optional: bool = False, tooltip: str = "", lazy: bool = False, **facts: Any) -> None:
        self.id, self.optional, self.tooltip, self.lazy, self.facts = id, optional, tooltip, lazy, facts


class _Output:
    def __init__(self, id: str | None = None, *, display_name: str = "", tooltip: str = "") -> None:
        self.id, self.display_name, self.tooltip = id, display_name, tooltip


def _type(name: str) -> type:
    kind = {"io_type": name}
    return type(name, (), {**kind, "Input": type("Input", (_Input,), kind), "Output": type("Output", (_Output,), kind)})


@dataclass
class Schema:
    """The fields of 0.3.64 that the pack may use."""

    node_id: str
    display_name: str
    category: str
    inputs: list[Any]
    outputs: list[Any]
    description: str = ""
    is_output_node: bool = False


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui


class VideoFromFile:
    def __init__(self, file: Any) -> None:
        self.file = file

    def get_stream_source(self) -> Any:
        return self.file

    def get_container_format(self) -> str:
        return "mov,mp4,m4a,3gp,3g2,mj2"


def _interrupted() -> None:
    if host.interrupt_at is not None:
        host.interrupt_at -= 1
        if host.interrupt_at < 0:
            raise InterruptProcessingException


def _empty_cache() -> None:
    host.emptied += 1


def _folders() -> ModuleType:
    module = ModuleType("folder_paths")
    known: dict[str, list[Path]] = {}

    def add(kind: str, folder: str) -> None:
        known.setdefault(kind, []).append(Path(folder))

    def names(kind: str) -> list[str]:
        return sorted(
            str(f.relative_to(folder)) for folder in known.get(kind, []) for f in folder.rglob("*") if f.is_file()
        )

    def full(kind: str, name: str) -> str | None:
        return next((str(folder / name) for folder in known.get(kind, []) if (folder / name).is_file()), None)

    def full_or_raise(kind: str, name: str) -> str:
        if (found := full(kind, name)) is None:
            raise FileNotFoundError(f"Model in folder '{kind}' with filename '{name}' not found.")
        return found

    def save_path(prefix: str, folder: str) -> tuple[str, str, int, str, str]:
        target = Path(folder, prefix).resolve()
        if Path(folder).resolve() not in target.parents:
            raise ValueError("outside the output folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        number = len(list(target.parent.glob(f"{target.name}_*_.*"))) + 1
        return str(target.parent), target.name, number, "", prefix

    module.add_model_folder_path, module.get_filename_list = add, names
    module.get_full_path, module.get_full_path_or_raise, module.get_save_image_path = full, full_or_raise, save_path
    module.get_output_directory = lambda: str(host.base / "output")
    module.get_temp_directory = lambda: str(host.base / "temp")
    module.models_dir, module.known = str(host.base / "models"), known
    return module


def install(base: Path) -> dict[str, ModuleType]:
    """Make them importable; the modules by name, as they are then in `sys.modules`."""
    host.base = base
    management, patcher, utils = (ModuleType(f"comfy.{n}") for n in ("model_management", "model_patcher", "utils"))
    management.OOM_EXCEPTION = torch.cuda.OutOfMemoryError
    management.InterruptProcessingException = InterruptProcessingException
    management.throw_exception_if_processing_interrupted = _interrupted
    management.get_torch_device = lambda: host.device
    management.unet_offload_device = management.intermediate_device = lambda: torch.device("cpu")
    management.should_use_fp16 = lambda device: device.type == "cuda"
    management.get_free_memory = lambda device: host.free_memory
    management.soft_empty_cache = _empty_cache
    management.load_models_gpu = lambda models, memory_required: host.loads.append((models, memory_required))
    patcher.ModelPatcher, utils.ProgressBar = ModelPatcher, ProgressBar
    names = ("Image", "Mask", "Video", "Int", "Float", "String", "Boolean", "Combo")
    latest = ModuleType("comfy_api.latest")
    latest.ComfyExtension = type("ComfyExtension", (), {})
    latest.InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile)
    latest.io = SimpleNamespace(
        **{name: _type(name.upper()) for name in names},
        Custom=_type,
        ComfyNode=type("ComfyNode", (), {}),
        Schema=Schema,
        NodeOutput=NodeOutput,
        Input=_Input,
        Output=_Output,
    )
    comfy, api = ModuleType("comfy"), ModuleType("comfy_api")
    comfy.model_management, comfy.model_patcher, comfy.utils, api.latest = management, patcher, utils, latest
    modules = [comfy, management, patcher, utils, api, latest, _folders()]
    found = {module.__name__: module for module in modules}
    sys.modules.update(found)
    return found

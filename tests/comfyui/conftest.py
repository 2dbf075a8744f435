"""The node pack on stubs of ComfyUI. Test modules import it inside of fixtures and tests: the stubs come first."""

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import stubs
import torch
from stubs import Host, host


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package `comfyui_nodes` beside an installed `adainkit`."""
    before = set(sys.modules)
    stubs.install(tmp_path_factory.mktemp("comfyui"))
    import comfyui_nodes

    comfyui_nodes.register_folders()
    yield comfyui_nodes
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"comfy", "comfy_api", "folder_paths", "comfyui_nodes"}:
            del sys.modules[name]


@pytest.fixture
def comfy(pack: ModuleType) -> Host:
    """The stub's state, reset, and nothing kept from other tests."""
    fresh = Host(base=host.base)
    vars(host).update(vars(fresh))
    pack.apply_nodes._CONTENTS.clear()
    pack.apply_nodes._FILM.__init__()
    return host


@pytest.fixture
def model(pack: ModuleType, comfy: Host):
    """The embedded model as AdaIN Load Model gives it."""
    return pack.AdaINLoadModel.execute("lite", False, "auto").args[0]


@pytest.fixture
def image() -> torch.Tensor:
    """An IMAGE: two smooth pictures of 48 x 64."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(2, 3, 6, 8, generator=generator)
    big = torch.nn.functional.interpolate(small, (48, 64), mode="bicubic").clamp(0, 1)
    return big.movedim(1, -1).contiguous()

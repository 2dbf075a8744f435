"""A clone of this repository in ComfyUI's custom_nodes is a node pack: ComfyUI reads these names."""

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

if __name__ == "adainkit":  # Python runs in the folder above a clone: what is meant is the library in it
    _inner = Path(__file__).parent / "adainkit"
    _spec = spec_from_file_location(__name__, _inner / "__init__.py", submodule_search_locations=[str(_inner)])
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[__name__] = module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[__name__])
elif __package__ and ("comfy_api" in sys.modules or find_spec("comfy_api")):  # pytest meets this file, too
    from .comfyui_nodes import comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
    WEB_DIRECTORY = "./comfyui_nodes/web"

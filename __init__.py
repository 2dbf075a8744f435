"""A clone of this repository in ComfyUI's custom_nodes is a node pack: ComfyUI reads these names."""

import sys
from importlib.util import find_spec

# pytest and type checkers meet this file, too, at the top of a checkout
if __package__ and ("comfy_api" in sys.modules or find_spec("comfy_api")):
    from .comfyui_nodes import comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
    WEB_DIRECTORY = "./comfyui_nodes/web"

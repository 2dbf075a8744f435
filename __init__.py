"""A clone of this repository in ComfyUI's custom_nodes is a node pack: ComfyUI reads these names."""

if __package__:  # none where pytest or a type checker meets this file at the top of the checkout
    from .comfyui_nodes import comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
    WEB_DIRECTORY = "./comfyui_nodes/web"

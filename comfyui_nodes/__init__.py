"""ComfyUI nodes of adainkit: an adapter that converts, calls and reports. What computes is in `adainkit`."""

from comfy_api.latest import ComfyExtension, io

from .apply_nodes import AdaINApply, AdaINApplyToFrames, AdaINRegions, AdaINStylize
from .files import register_folders, serve_help
from .model_nodes import AdaINLoadModel
from .style_nodes import AdaINEncodeStyle, AdaINLoadStyle, AdaINMixStyles, AdaINPresetStyle, AdaINSaveStyle

__all__ = ["NODES", "WEB_DIRECTORY", "comfy_entrypoint"]

WEB_DIRECTORY = "./web"
NODES: list[type[io.ComfyNode]] = [
    AdaINStylize,
    AdaINLoadModel,
    AdaINEncodeStyle,
    AdaINPresetStyle,
    AdaINMixStyles,
    AdaINSaveStyle,
    AdaINLoadStyle,
    AdaINApply,
    AdaINRegions,
    AdaINApplyToFrames,
]


class AdaINExtension(ComfyExtension):
    """The pack as ComfyUI's loader sees it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes, the one for the first minute first."""
        return NODES


async def comfy_entrypoint() -> AdaINExtension:
    """Called once by ComfyUI's loader, which asks every node for its lists next: the folders must be known."""
    register_folders()
    serve_help()
    return AdaINExtension()

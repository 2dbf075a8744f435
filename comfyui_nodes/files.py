"""The pack's folders of ComfyUI: models/adain, models/adain_styles and output/adain_styles."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import folder_paths

__all__ = ["MODELS", "STYLES", "list_files", "register_folders", "serve_help", "stamp", "style_target"]

MODELS, STYLES = "adain", "adain_styles"


def register_folders() -> None:
    """Tell ComfyUI of them, so that its lists, its extra_model_paths.yaml and its Refresh know them, too."""
    for kind in (MODELS, STYLES):
        folder_paths.add_model_folder_path(kind, str(Path(folder_paths.models_dir, kind)))
    folder_paths.add_model_folder_path(STYLES, _saved_styles())


def list_files(kind: str) -> list[str]:
    """The .safetensors files of a folder and all below, as they are chosen in a node."""
    return [name for name in folder_paths.get_filename_list(kind) if name.lower().endswith(".safetensors")]


def stamp(path: str | None) -> tuple[int, int] | None:
    """What changes when a file is written again; None where there is no file."""
    if path is None:
        return None
    facts = Path(path).stat()
    return facts.st_mtime_ns, facts.st_size


def style_target(prefix: str) -> Path:
    """A new file in output/adain_styles, numbered as ComfyUI numbers pictures; never one outside of it."""
    folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix.strip() or "style", _saved_styles())
    return Path(folder, f"{name}_{counter:05}_.safetensors")


def _saved_styles() -> str:
    return str(Path(folder_paths.get_output_directory(), STYLES))


def serve_help() -> None:
    """Let the help pages be found in a folder with a dot or an @ in its name, a release's perhaps.

    ComfyUI serves them under the whole name, while its editor asks for what is before the first dot and the first @.
    """
    folders = getattr(sys.modules.get("nodes"), "EXTENSION_WEB_DIRS", None)  # ComfyUI's own module
    if folders is not None:
        name = Path(__file__).parents[1].name
        folders.setdefault(re.split(r"[.@]", name)[0], str(Path(__file__).parent / "web"))

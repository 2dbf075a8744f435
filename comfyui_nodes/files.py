"""The pack's folders of ComfyUI: models/adain, models/adain_styles and output/adain_styles."""

from __future__ import annotations

import secrets
from pathlib import Path

import folder_paths

__all__ = ["MODELS", "STYLES", "film_target", "list_files", "register_folders", "stamp", "style_target"]

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


def film_target(suffix: str) -> Path:
    """A new name in the folder that ComfyUI clears when it starts."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"adain-{secrets.token_hex(8)}{suffix}"


def _saved_styles() -> str:
    return str(Path(folder_paths.get_output_directory(), STYLES))

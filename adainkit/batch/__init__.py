"""Many files: which are meant, what becomes of each, and how they are read, computed and written side by side."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .jobs import Job, plan_jobs
    from .manifest import Manifest
    from .pipeline import Outcome, run_pipeline
    from .random_styles import RandomStyles, choose
    from .run import stylize_files

_HOME = {
    "Job": "jobs",
    "Manifest": "manifest",
    "Outcome": "pipeline",
    "RandomStyles": "random_styles",
    "choose": "random_styles",
    "plan_jobs": "jobs",
    "run_pipeline": "pipeline",
    "stylize_files": "run",
}

__all__ = ["Job", "Manifest", "Outcome", "RandomStyles", "choose", "plan_jobs", "run_pipeline", "stylize_files"]


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used: `run` loads torch, which the command's help does not need."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)

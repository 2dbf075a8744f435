"""What a run tells of itself: log.jsonl, curves.png and, if asked for, TensorBoard's files."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

from adainkit.atomic import temporary_beside

from .config import ConfigError

__all__ = ["Journal", "draw_curves", "read_log"]

log = logging.getLogger("adainkit.training")
_COUNTERS = ("step", "seconds", "skipped", "broken", "steps_per_second", "pictures_per_second", "waiting_share")


class Journal:
    """Rows of figures by step, in the run's folder; null for what is not finite."""

    def __init__(self, folder: Path, tensorboard: bool = False) -> None:
        self.folder = folder
        self.writer: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ConfigError('tensorboard: is not installed; run pip install "adainkit[train]"') from error
            self.writer = SummaryWriter(str(folder / "tensorboard"))

    def add(self, step: int, counters: dict[str, float], figures: dict[str, float]) -> None:
        """One row; figures are rounded to five significant digits."""
        rounded = {k: float(f"{v:.5g}") if math.isfinite(v) else None for k, v in figures.items()}
        path = self.folder / "log.jsonl"
        torn = path.exists() and not path.read_bytes().endswith(b"\n")  # by a kill, or a full disk
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps({"step": step, **counters, **rounded}) + "\n")
        if self.writer is not None:
            for name, value in figures.items():
                kind = "validation" if name.startswith("validation_") else "training"
                self.writer.add_scalar(f"{kind}/{name.removeprefix('validation_')}", value, step)

    def close(self) -> None:
        """Draw the curves and let go of TensorBoard's file."""
        try:
            draw_curves(self.folder)
        except Exception:  # whatever a drawing meets, the run's own end is what counts
            log.warning("curves.png could not be drawn", exc_info=True)
        if self.writer is not None:
            self.writer.close()


def read_log(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's log; after a stop the steps that were done again replace those that were lost, and a line
    that was cut off is passed over."""
    rows: dict[tuple[bool, int], dict[str, float]] = {}
    path = folder / "log.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[any(k.startswith("validation_") for k in row), row["step"]] = row
    return sorted(rows.values(), key=lambda r: r["step"])


def draw_curves(folder: Path) -> Path | None:
    """Draw curves.png: every figure of the log over the steps. None, and a line in the log, without matplotlib."""
    rows = read_log(folder)
    names = [n for n in dict.fromkeys(key for row in rows for key in row) if n not in _COUNTERS]
    if not names:
        return None
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        log.info('no curves.png: matplotlib is not installed; run pip install "adainkit[train]"')
        return None
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for index, name in enumerate(names):
        points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        axes = figure.add_subplot(lines, columns, index + 1)
        axes.plot(*zip(*points, strict=True), linewidth=1, marker="." if len(points) < 40 else "")
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    with temporary_beside(folder / "curves.png") as path:
        figure.savefig(path, dpi=100)
    return folder / "curves.png"

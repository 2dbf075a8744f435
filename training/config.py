"""The settings of a run: a YAML file, every key of which is also a flag of the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import yaml
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('training needs pyyaml; run pip install "adainkit[train]"', name="yaml") from error

from adainkit.network import LITE

__all__ = ["ConfigError", "Stage", "TrainConfig", "load_config"]

PACKAGED = Path(__file__).parent / "configs"


class ConfigError(ValueError):
    """A setting is unknown or impossible; says which and what there is."""


@dataclass(frozen=True)
class Stage:
    """`steps` steps with batches of `batch` square crops of `crop` pixels."""

    steps: int
    crop: int
    batch: int


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run. Losses are normalized (see `losses`), so that weights mean the same for every picture."""

    # the model
    name: str = LITE.name
    encoder: str = LITE.encoder
    decoder: str = LITE.decoder
    gain_cap: float | None = LITE.gain_cap
    # how long, and on what sizes
    stages: tuple[Stage, ...] = (Stage(2000, 128, 8), Stage(7000, 160, 4), Stage(5850, 224, 4))
    # losses
    content_weight: float = 1.0
    style_weight: float = 70.0
    style_layers: tuple[float, ...] = (0.6, 1.0, 1.0, 1.5)  # relu1_1 to relu4_1; the first has the largest gradient
    gram_weight: float = 0.0
    ssim_weight: float = 0.03
    reconstruction_weight: float = 4.0
    ripple_weight: float = 150.0
    ripple_octaves: int = 1
    grid_weight: float = 0.0
    total_variation_weight: float = 0.0
    reconstruction_share: float = 0.2  # of every batch: alpha 0, judged by reconstruction alone
    # optimizer: Adam; warm-up, constant rate, linear decay to zero over the last part
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_steps: int = 200
    decay_share: float = 0.5
    clip_norm: float = 10.0
    ema: float = 0.999
    # data
    content_zoom: tuple[float, float] = (1.0, 1.8)
    style_zoom: tuple[float, float] = (0.8, 2.4)
    flat_share: float = 0.05
    validation_every: int = 20
    keep_decoded: bool = True  # in the workers' memory, about 0.5 MB a picture of 320 x 480
    workers: int = 1
    # execution
    seed: int = 0
    device: str = "auto"
    amp: str = "bfloat16"  # or "none"
    checkpoint_every: int = 250
    sample_every: int = 500

    def __post_init__(self) -> None:
        # YAML knows lists and mappings only
        stages = tuple(s if isinstance(s, Stage) else _make(Stage, s, "stages") for s in self.stages)
        object.__setattr__(self, "stages", stages)
        for name in ("betas", "content_zoom", "style_zoom", "style_layers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not stages or min(min(s.steps, s.batch, s.crop - 15) for s in stages) < 1:
            raise ConfigError(
                f"stages: each needs 1 or more steps and pictures, and crops of 16 px or more, got {stages}"
            )
        if not 0 <= self.reconstruction_share < 1:
            raise ConfigError(f"reconstruction_share: expected 0 or more and under 1, got {self.reconstruction_share}")
        if len(self.style_layers) != 4 or min(self.style_layers) < 0 or not sum(self.style_layers):
            raise ConfigError(f"style_layers: expected 4 weights, 0 or more and not all zero, got {self.style_layers}")
        if self.amp not in ("bfloat16", "none"):
            raise ConfigError(f"amp: expected bfloat16 or none, got {self.amp!r}")

    @property
    def steps(self) -> int:
        """Steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> Stage:
        """The stage that `step` (from 0) belongs to; the last one beyond the end."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]

    def rate_at(self, step: int) -> float:
        """Learning rate at `step`: linear warm-up, constant, linear decay to zero over the last `decay_share` of the
        run."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        left = (self.steps - step) / max(1.0, self.decay_share * self.steps)
        return self.learning_rate * min(warm, left, 1.0)

    def to_yaml(self) -> str:
        """Every setting written out."""
        return yaml.safe_dump(_plain(dataclasses.asdict(self)), sort_keys=False)


def load_config(source: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Defaults, over them a YAML file (a path, or the name of a packaged one: `lite`), over that `overrides`.
    `ConfigError` if unknown."""
    values: dict[str, Any] = {}
    if source is not None:
        path = Path(source) if Path(source).is_file() else PACKAGED / f"{source}.yaml"
        if not path.is_file():
            names = ", ".join(sorted(p.stem for p in PACKAGED.glob("*.yaml")))
            raise ConfigError(f"{source}: neither a file nor a packaged configuration ({names})")
        loaded = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if not isinstance(loaded, dict):
            raise ConfigError(f"{path}: expected settings as 'name: value' lines")
        values.update(loaded)
    values.update(overrides or {})
    config: TrainConfig = _make(TrainConfig, values, str(source or "settings"))
    return config


def _make(kind: type, values: Any, where: str) -> Any:
    known = {f.name for f in dataclasses.fields(kind)}
    if not isinstance(values, Mapping) or set(values) - known:
        bad = sorted(set(values) - known) if isinstance(values, Mapping) else values
        raise ConfigError(f"{where}: unknown {bad}; known are {', '.join(sorted(known))}")
    values = dict(values)
    for field in dataclasses.fields(kind):
        if isinstance(field.default, float) and isinstance(values.get(field.name), str):
            with suppress(ValueError):  # to YAML 1.1, 1e-3 without a point is a word
                values[field.name] = float(values[field.name])
        if field.name in values and not _fits(values[field.name], field.default):
            raise ConfigError(f"{where}: {field.name} is {values[field.name]!r}, expected one like {field.default!r}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error


def _fits(value: Any, default: Any) -> bool:
    """Whether a setting is of the default's kind: a number for a number, a list of numbers for one."""
    if isinstance(default, (bool, str)):
        return isinstance(value, type(default))
    if isinstance(default, tuple) and not isinstance(default[0], Stage):
        return isinstance(value, (list, tuple)) and all(_fits(v, 0.0) for v in value)
    if isinstance(default, tuple):
        return isinstance(value, (list, tuple))
    if isinstance(default, int):
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value

"""The settings of a run: a YAML file, every key of which is also a flag of the command line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

try:
    import yaml
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('training needs pyyaml; run pip install "adainkit[train]"', name="yaml") from error

from adainkit.net.config import LITE

from .loss_network import DEEP_LAYERS, LAYERS
from .losses import CONTENT_NORMS, STYLE_NORMS

__all__ = ["EXECUTION", "ConfigError", "Stage", "TrainConfig", "load_config", "packaged_names"]

PACKAGED = Path(__file__).parent / "configs"
_CHOICES = {
    "content_target": ("features", "adain"),
    "content_norm": CONTENT_NORMS,
    "style_norm": STYLE_NORMS,
    "gram_norm": STYLE_NORMS,
    "covariance_norm": STYLE_NORMS,
    "space": ("own", "vgg19"),
    "teachers": ("turn", "together"),
    "schedule": ("linear", "cosine", "inverse"),
    "amp": ("none", "bfloat16", "float16"),
    "data_on_device": ("auto", "always", "never"),
}
_INF = math.inf
_LAYER_WEIGHTS = ("content_layers", "style_layers", "gram_layers", "covariance_layers")
_RANGES = {
    "reconstruction_share": (0, 1),
    "reconstruction_steps": (0, _INF),
    "learning_rate": (0, _INF),
    "encoder_learning_rate": (0, _INF),
    "betas": (0, 1),
    "decay_share": (0, 1),
    "inverse_decay": (0, _INF),
    "clip_norm": (1e-12, _INF),
    "ema": (0, 1),
    "content_zoom": (0.01, 100),
    "style_zoom": (0.01, 100),
    "flat_share": (0, 1),
    "palette_share": (0, 1),
    "content_dark_share": (0, 1),
    "style_hue_share": (0, 1),
    "style_invert_share": (0, 1),
    "minutes": (0, _INF),
    "checkpoint_minutes": (0, _INF),
    "scales": (1, 16),
    "look_shift": (0, 64),
    "noise_share": (0, 1),
    "noise_sigma": (0, 255),
    "noise_shift": (0, 64),
    "brush_radius": (1, 32),
    "brush_passes": (0, 8),
    "brush_reach": (0, 256),
    "brush_light": (0, 256),
    "brush_detail": (0, 8),
    "brush_strokes": (0, 1),
    "brush_sharpness": (0, 4),
    "brush_features": (0, _INF),
    "brush_noise": (0, 255),
    "ripple_octaves": (1, 8),
    "ripple_smooth": (1e-6, _INF),
    "workers": (0, _INF),
    "validation_every": (0, _INF),
    "checkpoint_every": (1, _INF),
    "keep_checkpoints": (1, _INF),
    "sample_every": (1, _INF),
}
EXECUTION = (
    "device",
    "amp",
    "channels_last",
    "compile",
    "cuda_graphs",
    "data_on_device",
    "checkpoint_minutes",
    "workers",
    "keep_decoded",
    "checkpoint_every",
    "keep_checkpoints",
    "sample_every",
    "tensorboard",
)
"""Settings of how, not of what: a run may go on with others."""


class ConfigError(ValueError):
    """A setting is unknown or impossible; says which and what there is."""


@dataclass(frozen=True)
class Stage:
    """`steps` steps (or `epochs` passes over as many pictures as there are contents) with batches of `batch` square
    crops of `crop` pixels; `batch` is that of one process."""

    steps: int = 0
    crop: int = 0
    batch: int = 0
    epochs: float = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run. Losses with `relative` norms are normalized (see `losses`), so that weights mean the same
    for every picture; layer weights are those of relu1_1, relu2_1, relu3_1, relu4_1, and are scaled to sum 1. A fifth
    is of relu5_1, for loss networks that have it; for others, it is left out."""

    init: str = ""  # the model to begin with, its file or its name, as --init; empty: random weights
    # the model; replaced by that of init
    name: str = LITE.name
    license: str = "unspecified"  # of the weights, for the file's metadata
    encoder: str = LITE.encoder
    decoder: str = LITE.decoder
    gain_cap: float | None = LITE.gain_cap
    code: int | None = (
        None  # how many numbers sum a style up; None: 256 where the decoder has a word with a map, else 0
    )
    palette: bool = False  # results are brought to their styles' colors: `ModelConfig`
    freeze_encoder: bool = False  # a decoder for an encoder that is there: its styles stay valid
    # how long, and on what sizes
    stages: tuple[Stage, ...] = (Stage(2000, 128, 8), Stage(7000, 160, 4), Stage(5850, 224, 4))
    minutes: float = 0.0  # above 0: so long, by the clock; steps of stages and warm-up are shares of the time then
    # losses: where and how the loss networks look
    space: str = "own"  # or "vgg19": slim features where the file's maps lead, see `spaces`
    teachers: str = "turn"  # of several: one a step, or all "together"
    scales: tuple[int, ...] = (1,)  # also at a half, a quarter ...: 2, 4
    look_shift: int = 0  # up to so many pixels, another shift every step, and see `look_flip`
    look_flip: bool = False
    # losses
    content_weight: float = 1.0
    content_target: str = "features"  # or "adain": the content's features with the style's statistics (the paper's)
    content_norm: str = "relative"
    content_layers: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)
    style_weight: float = 70.0
    style_norm: str = "relative"
    style_layers: tuple[float, ...] = (0.6, 1.0, 1.0, 1.5)  # the first has the largest gradient
    gram_weight: float = 0.0
    gram_norm: str = "relative"
    gram_layers: tuple[float, ...] = (0.6, 1.0, 1.0, 1.5)
    covariance_weight: float = 0.0
    covariance_norm: str = "relative"
    covariance_layers: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    color_weight: float = 0.0
    ssim_weight: float = 0.03
    ripple_weight: float = 150.0
    ripple_octaves: int = 1
    ripple_smooth: float = 0.02  # Laplacian of luma up to which content counts as smooth
    grid_weight: float = 0.0
    calm_weight: float = 0.0
    excess_weight: float = 0.0
    total_variation_weight: float = 0.0
    noise_weight: float = 0.0  # the gain of noise: results of pictures and of their noisy, shifted copies
    noise_share: float = 0.25  # of every batch, at least one picture
    noise_sigma: float = 2.0  # of 255
    noise_shift: int = 0  # up to so many pixels
    brush_weight: float = 0.0  # results as the model of init paints them, drawn with a brush: see `brush`
    brush_radius: float = 4.0  # pixels
    brush_passes: int = 2
    brush_reach: int = 32  # pixels from which colors that it spilled are taken back; 0: they stay
    brush_light: int = 0  # pixels over which light goes by the content's, without marks and rims; 0: as it is
    brush_detail: float = 0.0  # of the content's fine luma, drawn with a fine brush, that is wanted as well
    brush_strokes: float = 0.008  # what strokes that follow forms add, a deviation; 0: none
    brush_sharpness: float = 0.4  # by which edges are wanted steeper: a regression makes them softer
    brush_features: float = 0.15  # what differences of the loss networks' features count beside those of pixels
    brush_noise: float = 5.0  # of 255, at most, in half of the contents, and not in what is wanted of them
    palette_share: float = 0.0  # of every batch's results: they are brought to their styles' colors and judged then
    reconstruction_weight: float = 4.0
    reconstruction_share: float = 0.2  # of every batch: alpha 0, judged by reconstruction alone
    reconstruction_steps: int = 0  # warm-up: of the first steps, all samples are reconstructions
    # optimizer: Adam; warm-up, constant rate, decay by the schedule
    learning_rate: float = 1e-3
    encoder_learning_rate: float | None = None  # None: the same
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_steps: int = 200
    schedule: str = (
        "linear"  # or "cosine", both to zero over the last decay_share; or "inverse": 1 / (1 + decay * step)
    )
    decay_share: float = 0.5
    inverse_decay: float = 5e-5
    clip_norm: float | None = 10.0
    ema: float = 0.999
    # data
    content_zoom: tuple[float, float] = (1.0, 1.8)
    style_zoom: tuple[float, float] = (0.8, 2.4)
    flat_share: float = 0.05  # of contents: tiny details enlarged
    content_dark_share: float = 0.0  # of contents: brought down to a half to an eighth
    style_hue_share: float = 0.0  # of styles: channels that change places, or hues rotated
    style_invert_share: float = 0.0  # of styles: luma inverted
    style_turn: bool = False  # styles are turned by quarters
    validation_every: int = 20
    keep_decoded: bool = True  # in the workers' memory, about 0.5 MB a picture of 320 x 480
    workers: int = 1
    # execution
    seed: int = 0
    device: str = "auto"
    amp: str = "bfloat16"  # or "float16", or "none"
    channels_last: bool = True
    compile: bool = False
    cuda_graphs: bool = True  # a step is recorded once and replayed, where that can be
    data_on_device: str = "auto"  # pictures decoded once into the device's memory: "always", "never", "auto" on CUDA
    checkpoint_every: int = 250
    checkpoint_minutes: float = 0.0  # above 0: also so often, with a sheet and model.safetensors
    keep_checkpoints: int = 3
    sample_every: int = 500
    tensorboard: bool = False

    def __post_init__(self) -> None:
        # YAML knows lists and mappings only
        stages = tuple(s if isinstance(s, Stage) else _make(Stage, s, "stages") for s in self.stages)
        object.__setattr__(self, "stages", stages)
        for name in ("betas", "content_zoom", "style_zoom", *_LAYER_WEIGHTS):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "scales", tuple(int(v) for v in self.scales))
        if not stages or any(s.crop < 16 or s.batch < 1 or (s.steps < 1) == (s.epochs <= 0) for s in stages):
            raise ConfigError(
                "stages: each needs crops of 16 px or more, 1 or more pictures, and either steps or epochs above 0, "
                f"got {stages}"
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}: expected {' or '.join(choices)}, got {getattr(self, name)!r}")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not all(low <= v <= high for v in (value if isinstance(value, tuple) else (value,)) if v is not None):
                raise ConfigError(f"{name}: expected {low} to {high}, got {value}")
        for name in ("betas", "content_zoom", "style_zoom"):
            if len(getattr(self, name)) != 2:
                raise ConfigError(f"{name}: expected 2 numbers, got {getattr(self, name)}")
        self._check_losses()

    def _check_losses(self) -> None:
        smallest = min(s.crop for s in self.stages)
        if self.ripple_weight and smallest < 8 * 2**self.ripple_octaves:
            raise ConfigError(
                f"ripple_octaves: {self.ripple_octaves} need crops of {8 * 2**self.ripple_octaves} px or more"
            )
        if self.calm_weight and smallest < 36:
            raise ConfigError("calm_weight: needs crops of 36 px or more")
        if not any(getattr(self, name) for name in vars(self) if name.endswith("_weight")):
            raise ConfigError("every loss has weight 0: there is nothing to learn")
        for name in _LAYER_WEIGHTS:
            layers = getattr(self, name)
            if len(layers) not in (len(LAYERS), len(DEEP_LAYERS)) or min(layers) < 0 or not sum(layers[: len(LAYERS)]):
                raise ConfigError(
                    f"{name}: expected 4 weights, or 5 with relu5_1's, 0 or more and the first 4 not all zero, "
                    f"got {layers}"
                )
        least = 32 if self.deep else 16
        if not self.scales or smallest < least * max(self.scales):
            raise ConfigError(
                f"scales: {self.scales} need crops of {least * max(self.scales or (1,))} px or more, as the loss "
                f"networks see {least} px or more"
            )
        if max(self.look_shift, self.noise_shift) * 2 > smallest:
            raise ConfigError(f"look_shift, noise_shift: half of the smallest crop, {smallest} px, at most")

    @property
    def deep(self) -> bool:
        """Whether a loss asks for relu5_1."""
        return any(len(layers) > len(LAYERS) and layers[-1] for layers in (getattr(self, n) for n in _LAYER_WEIGHTS))

    @property
    def steps(self) -> int:
        """Steps of all stages together; `resolve` first where some are in epochs."""
        return sum(stage.steps for stage in self.stages)

    @property
    def largest(self) -> int:
        """Shorter side in pixels beyond which no crop goes: larger pictures would only fill the memory."""
        return round(max(s.crop for s in self.stages) * max(*self.content_zoom, *self.style_zoom))

    def resolve(self, contents: int, processes: int = 1) -> TrainConfig:
        """The same run with all epochs as steps, for so many content pictures."""
        stages = tuple(
            s if s.steps else Stage(math.ceil(s.epochs * contents / (s.batch * processes)), s.crop, s.batch)
            for s in self.stages
        )
        return dataclasses.replace(self, stages=stages)

    def shorten(self, steps: int) -> TrainConfig:
        """A run of so many steps, on the crops and batches of the last stage."""
        return dataclasses.replace(self, stages=(Stage(steps, self.stages[-1].crop, self.stages[-1].batch),))

    def reconstructions(self, step: int, batch: int) -> int:
        """How many of so many samples are reconstructions at `step`: of a fraction, now none and now one."""
        if step < self.reconstruction_steps:
            return batch
        wanted = Fraction(self.reconstruction_share).limit_denominator(10_000) * batch
        return math.floor(wanted * (step + 1)) - math.floor(wanted * step)

    def stage_at(self, step: float) -> Stage:
        """The stage that `step` (from 0) belongs to; the last one beyond the end."""
        return self.stages[self.stage_number(step)]

    def stage_number(self, step: float) -> int:
        """The place of `stage_at` among the stages."""
        for number, stage in enumerate(self.stages):
            if step < stage.steps:
                return number
            step -= stage.steps
        return len(self.stages) - 1

    def rate_at(self, step: float) -> float:
        """The share of the learning rates at `step`: linear warm-up, then what the schedule says."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        if self.schedule == "inverse":
            return warm / (1 + self.inverse_decay * step)
        left = min(1.0, (self.steps - step) / max(1.0, self.decay_share * self.steps))
        return min(warm, left if self.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2)

    def to_yaml(self) -> str:
        """Every setting written out."""
        return yaml.safe_dump(_plain(dataclasses.asdict(self)), sort_keys=False, default_flow_style=None, width=120)


def load_config(source: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Defaults, over them a YAML file (a path, or the name of a packaged one: `lite`), over that `overrides`.
    `ConfigError` if unknown."""
    values: dict[str, Any] = {}
    if source is not None:
        path = Path(source) if Path(source).is_file() else PACKAGED / f"{source}.yaml"
        if not path.is_file():
            raise ConfigError(f"{source}: neither a file nor a packaged configuration ({packaged_names()})")
        loaded = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if not isinstance(loaded, dict):
            raise ConfigError(f"{path}: expected settings as 'name: value' lines")
        values.update(loaded)
    values.update(overrides or {})
    config: TrainConfig = _make(TrainConfig, values, str(source or "settings"))
    return config


def packaged_names() -> str:
    """The packaged configurations, for a sentence."""
    return ", ".join(sorted(path.stem for path in PACKAGED.glob("*.yaml")))


def _make(kind: type, values: Any, where: str) -> Any:
    known = {f.name for f in dataclasses.fields(kind)}
    if not isinstance(values, Mapping) or set(values) - known:
        bad = sorted(set(values) - known) if isinstance(values, Mapping) else values
        raise ConfigError(f"{where}: unknown {bad}; known are {', '.join(sorted(known))}")
    values = dict(values)
    for field in dataclasses.fields(kind):
        if "float" in str(field.type) and isinstance(values.get(field.name), str):
            with suppress(ValueError):  # to YAML 1.1, 1e-3 without a point is a word
                values[field.name] = float(values[field.name])
        if values.get(field.name) is None and "None" in str(field.type):
            continue
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
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value

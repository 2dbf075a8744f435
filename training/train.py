"""Train a model: `python -m training.train --config lite --content DIR --style DIR --teacher FILE --out RUN`.

RUN gets config.yaml, log.jsonl, checkpoints/*.pt (everything to go on from: run the same command again), sheets/*.png,
curves.png and, with every checkpoint, model.safetensors. With `--minutes N` a run takes so long, whatever a step takes.
`torchrun --nproc-per-node N -m training.train ...` trains with N processes.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import hashlib
import json
import logging
import signal
import sys
import textwrap
import time
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from adainkit.errors import AdaINKitError
from adainkit.net.config import LITE, ModelConfig
from adainkit.net.devices import find_device
from adainkit.net.layers import Canvas, Strokes
from adainkit.net.model import AdaINModel
from adainkit.net.words import WORDS, read_words
from adainkit.store.weights import resolve

from . import checkpoints, losses
from .brush import load_kernel
from .config import EXECUTION, ConfigError, TrainConfig, load_config, packaged_names
from .data import Batch, Batches, find_pictures, manifest_hash, split
from .engine import Engine
from .feeds import Feed, LoaderFeed, StoreFeed, make_feed
from .journal import Journal
from .looks import draw_looks
from .loss_network import LAYERS, LossNetwork
from .objective import Objective, has_canvas, stylize_batch, with_palette
from .pace import Pace
from .processes import Processes
from .schedule import Schedule
from .sheet import save_sheet
from .strokes import with_strokes
from .telling import Telling
from .vgg import fill_encoder, read_vgg

__all__ = ["Trainer", "main"]

log = logging.getLogger("adainkit.training")
FEW_PICTURES = 100
_PLAINLY = {  # how validation pictures are shown
    "stages": ({"steps": 1, "crop": 256, "batch": 8},),
    "seed": 1,
    "flat_share": 0.0,
    "content_dark_share": 0.0,
    "style_hue_share": 0.0,
    "style_invert_share": 0.0,
    "style_turn": False,
}
_HELP = """Train a model of your own, from a folder of photographs and one of paintings.

  first look    --config first-look --content PHOTOS --style PAINTINGS --teacher torchvision --out RUN
                half an hour on two cores: begins from the model lite, and bends it towards your paintings
  from nothing  --config lite ... : 40,000 steps, a job for a GPU; --minutes N takes N minutes instead

After a minute it says how long it takes on this machine. RUN/sheets/*.png show content, style and results while it
runs; RUN/model.safetensors is there from the first checkpoint on. Ctrl-C saves and stops, the same command goes on.
docs/training.md says what to expect."""
_LOG_EVERY = 50
_LOG_SECONDS = 2.0  # at least, in a run by the clock: reading figures waits for the device
_AHEAD = 4  # steps that may wait on a GPU's queue: then the clock is the device's, and nothing waits for Python
_SHARED_STRIDE = 8  # on such crops the loss network's floor pooling and the encoder's ceil pooling are one


class Trainer:
    """One run in one folder. `run()` trains to the end, or until SIGTERM or Ctrl-C, having saved where it is.

    It has many methods, since it holds the whole of a run, which is saved and resumed as one: the model, the engine
    that makes its steps, the clock, and what is written about it.

    `content`: a folder of photographs, or several, each with its own held-out ones. `teacher` and `vgg` as in
    `vgg.read_vgg`: the loss network (or several), and the encoder to begin with. A frozen encoder given by `vgg` is its
    own loss network when `teacher` is None. `init`: a model to begin with, its file or its name; None: what the
    settings say.
    """

    def __init__(
        self,
        config: TrainConfig,
        content: Path | Sequence[Path],
        style: Path,
        teacher: str | Path | Sequence[str | Path] | None,
        out: Path,
        init: str | Path | None = None,
        vgg: str | Path | None = None,
        allow_changes: bool = False,
    ) -> None:
        started = time.monotonic()
        self.processes = Processes.of_environment()
        self.device = _pick_device(config.device, self.processes.local)
        self.processes.join(self.device)
        self.out, self.allow_changes = out, allow_changes
        torch.manual_seed(config.seed)
        begin = resolve(init or config.init) if init or config.init else None
        config, self.model = _build(config, begin, vgg)
        self.memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        config, guide = self._guided(config) if config.brush_weight else (config, None)
        if teacher is None and not (config.freeze_encoder and vgg):
            raise ConfigError("no loss network: give --teacher FILE, or --teacher torchvision to download VGG-19")
        sources = _as_list(vgg if teacher is None else teacher)
        self.teachers = [LossNetwork(source, config.deep) for source in sources]
        every = config.validation_every
        found = [_split(_as_list(folders), every) for folders in (content, style)]
        (self.content, check_c), (self.style, check_s) = found
        for kind, pictures in (("content", self.content), ("style", self.style)):
            if not pictures:
                raise ConfigError(f"every {kind} picture is held out for validation; set validation_every to 0")
            log.info("%d %s pictures to train on", len(pictures), kind)
            if len(pictures) < FEW_PICTURES:
                log.warning("only %d %s pictures: expect a model that knows little else", len(pictures), kind)
        self.config = config = config.resolve(len(self.content), self.processes.count)
        if config.minutes and self.processes.count > 1:
            raise ConfigError("minutes: a run by the clock is one of a single process")
        self._place(guide is not None)
        self.objective: nn.Module = Objective(config, self.model, self.teachers, self._shares(teacher), guide)
        if config.compile:
            self.objective = torch.compile(self.objective)  # type: ignore[assignment]
        if self.processes.count > 1:
            self.objective = DistributedDataParallel(self.objective, broadcast_buffers=False)
        self.engine = Engine(config, self.model, self.objective, self.device, self.processes.count)
        self.batches = Batches(config, self.content, self.style, self.processes.rank, self.processes.count)
        check = dataclasses.replace(config, **_PLAINLY)  # type: ignore[arg-type]
        self.feed: LoaderFeed | StoreFeed = make_feed(config, self.batches, self.content, self.style, self.device)
        self.check = Batches(check, check_c or self.content, check_s or self.style)[0]
        self.held_out = bool(check_c and check_s)
        self.settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in (*EXECUTION, "init")}
        self.settings["sources"] = _fingerprint(
            [*sorted(self.content), *sorted(self.style), *_as_list(teacher), vgg, begin]
        )
        self.changes: list[str] = []
        self.step = 0
        self.schedule = Schedule(config, setup=time.monotonic() - started)
        self.broken: set[str] = set()
        self._read: dict[str, float] = {}  # the figures that were read last
        self._stop, self._saved = False, 0.0

    def run(self) -> None:
        """Train from where the folder's newest checkpoint is (or the beginning) to the end."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.resume()
        self._saved = self.schedule.seconds
        if not self.processes.agree(self.step, self.device):
            raise ConfigError(f"{self.out}: other processes found another step there; all need the same folder")
        leads = self.processes.leads
        if leads:
            (self.out / "config.yaml").write_text(self.config.to_yaml())
        journal = Journal(self.out, self.config.tensorboard) if leads else None
        handlers = {s: signal.signal(s, self._request_stop) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            if not self._train(journal):
                told = "stopped at step %d; %s has the averaged weights so far; the same command goes on from there"
                log.info(told, self.step, self.out / "model.safetensors")
                return
            if leads:
                self.checkpoint()
                self.export(self.sample(journal))
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            if journal is not None:
                journal.close()
            self.processes.leave()

    @property
    def average(self) -> dict[str, Tensor]:
        """The averaged weights, by name."""
        return self.engine.average

    @property
    def scaler(self) -> torch.amp.GradScaler:
        """What scales the loss under float16."""
        return self.engine.scaler

    @property
    def skipped(self) -> int:
        """How many steps changed nothing, because their loss or gradient was not finite."""
        return self.engine.skipped

    def _train(self, journal: Journal | None) -> bool:
        """All steps that are left; False if it was asked to stop before."""
        bar = tqdm(
            total=None if self.schedule.timed else self.config.steps,
            initial=self.step,
            unit="step",
            smoothing=0.02,
            disable=not sys.stderr.isatty() or journal is None,
        )
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # shapes stay the same for thousands of steps
        telling = Telling(self.config.steps, self.config.minutes, self.step, lines=bar.disable)
        queue: deque[torch.cuda.Event] = deque()
        feeds, pace = self.feed.feeds(self.step, self.schedule), Pace()
        while not self.schedule.over(self.step):
            with pace.waiting():
                feed = next(feeds)
            self._step(feed)
            self._hold_back(queue)
            pace.did(feed.count)
            bar.update()
            stop = self.processes.any(self._stop, self.device)
            if journal is not None:
                self._tell(journal, bar, pace)
                telling.at(self.step, self.schedule.seconds, self._read)
                self._keep(journal, stop)
            if stop:
                return False
        return True

    def _tell(self, journal: Journal, bar: tqdm[Any], pace: Pace) -> None:
        """A row of the log, if it is time for one."""
        if self.step % _LOG_EVERY or (self.schedule.timed and pace.seconds < _LOG_SECONDS):
            return
        parts = self._read = self.engine.read()
        journal.add(self.step, {**self._counters(), **pace.figures()}, parts)
        bar.set_postfix({k: f"{v:.3f}" for k, v in parts.items()})

    def _keep(self, journal: Journal, stop: bool) -> None:
        """A sample and a checkpoint, if it is time for one; `run` ends with both anyway."""
        if self.schedule.over(self.step) and not stop:
            return
        minutes, started = self.config.checkpoint_minutes, self.schedule.seconds
        timed = minutes > 0 and started >= self._saved + 60 * minutes
        figures: dict[str, float] = {}
        if (self.step % self.config.sample_every == 0 or timed) and not stop:
            figures = self.sample(journal)
        if self.step % self.config.checkpoint_every == 0 or stop or timed:
            self._saved = started
            self.checkpoint()
            self.export(figures)
            self.schedule.closing(self.schedule.seconds - started)

    def _hold_back(self, queue: deque[torch.cuda.Event]) -> None:
        if self.device.type == "cuda":
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            queue.append(event)
            if len(queue) > _AHEAD:
                queue.popleft().synchronize()

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step on a batch; the loss, the gradient's norm and the parts of the loss, as means over the processes. A
        loss or gradient that is not finite changes nothing and is counted."""
        self._step(LoaderFeed(self.config, self.batches, self.device).feed(batch))
        return self.engine.read()

    def _step(self, feed: Feed) -> None:
        """One step, which waits for nothing."""
        if self.config.noise_weight or self.config.brush_weight or has_canvas(self.model.config):
            # a step's noise, and its place on the canvas, are functions of seed and step, too
            torch.manual_seed(hash((self.config.seed, self.step)))
        looks = self._looks()
        inputs = feed.inputs if looks is None else {**feed.inputs, "looks": looks}
        self.engine.step(
            self.step,
            self.schedule.rate(self.step),
            inputs,
            feed.render,
            feed.key,
            plain=self.config.reconstructions(self.step, feed.count),
            turn=self.step % len(self.teachers),
        )
        self.step += 1
        self.broken.update(feed.broken)

    def averaged(self) -> AdaINModel:
        """The model of the averaged weights, rounded to the precision it is shipped in."""
        model, kind = AdaINModel(self.model.config), self._file_dtype
        model.load_state_dict({k: v.to(kind).float() for k, v in self.average.items()})
        return model.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @property
    def _file_dtype(self) -> torch.dtype:
        """Half precision, unless that would change a frozen encoder, to which styles are bound."""
        frozen = [v for k, v in self.average.items() if k.startswith("encoder.") and self.config.freeze_encoder]
        return torch.float16 if all(torch.equal(v, v.half().float()) for v in frozen) else torch.float32

    def sample(self, journal: Journal | None = None) -> dict[str, float]:
        """Write a sheet of validation pictures (content, style, alpha 1, alpha 0.5, alpha 0), or of training pictures
        where none are held out; their figures."""
        model, content, style = (
            self.averaged(),
            self._to_device(self.check.content),
            self._to_device(self.check.style),
        )
        with torch.no_grad():
            shots = [
                stylize_batch(model, content, style, torch.full((len(content), 1), a, device=self.device))
                for a in (1.0, 0.5, 0.0)
            ]
            shots = [s.clamp(0, 1) for s in shots]
            if model.config.palette:
                shots[:2] = [
                    s.lerp(with_palette(s, style, content), a).clamp(0, 1)
                    for s, a in zip(shots, (1.0, 0.5), strict=False)
                ]
            seen, c, s = (self.teachers[0](x)[: len(LAYERS)] for x in (shots[0], content, style))
            figures = {
                "content": losses.content_loss(seen[-1], c[-1]),
                "style": losses.style_loss(seen, s),
                "ssim": losses.ssim(shots[0], content),
                "psnr_alpha_0": losses.psnr(shots[2], content),
            }
        save_sheet(self.out / "sheets" / f"{self.step:06d}.png", [content, style, *shots])
        rounded = {k: round(v.item(), 4) for k, v in figures.items()}
        if journal is not None:
            journal.add(self.step, self._counters(), {f"validation_{k}": v for k, v in rounded.items()})
        return rounded

    def checkpoint(self) -> Path:
        """Write checkpoints/STEP.pt, whole or not at all; all but the newest few are removed."""
        state = {
            "architecture": self.model.config.to_json(),
            "settings": json.dumps(self.settings),
            "changes": self.changes,
            **self.engine.state(),
            "step": self.step,
            "seconds": self.schedule.seconds,
            "broken": sorted(self.broken),
            "rng": torch.get_rng_state(),
        }
        return checkpoints.write(self.out / "checkpoints", self.step, state, self.config.keep_checkpoints)

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        path = checkpoints.newest(self.out / "checkpoints")
        if path is None:
            return
        state = checkpoints.read(path, self.device)
        before = ModelConfig.from_json(state["architecture"])
        if dataclasses.replace(before, palette=self.model.config.palette) != self.model.config:  # no weights are of it
            raise ConfigError(f"{path}: is of another architecture; give the same model settings, or another --out")
        self._compare(path, json.loads(state["settings"]), state["changes"], state["step"])
        self.engine.load(state)
        self.step, self.schedule = state["step"], Schedule(self.config, state["seconds"], self.schedule.seconds)
        self.broken = set(state["broken"])
        torch.set_rng_state(state["rng"].cpu())
        log.info("going on from step %d", self.step)

    def export(self, figures: dict[str, float]) -> Path:
        """Write model.safetensors: averaged weights with the recipe, the data's hashes and the figures, which are empty
        where none were made at this step."""
        facts = {
            "license": self.config.license,
            "recipe": json.dumps(dataclasses.asdict(self.config)),
            "steps": str(self.step),
            "training_seconds": str(round(self.schedule.seconds)),
            **self._manifests,
            "validation": json.dumps(figures),
            "validation_held_out": json.dumps(self.held_out),
            **({"changes": json.dumps(self.changes)} if self.changes else {}),
        }
        path = self.averaged().save(self.out / "model.safetensors", facts, self._file_dtype)
        if self.schedule.over(self.step):
            log.info("wrote %s", path)
            for name in sorted(self.broken):
                log.warning("%s could not be read and was passed over", name)
        return path

    def _place(self, guided: bool) -> None:
        """All on the device, and the model in training; but its style head, where a guide says what is wanted."""
        self.model = self.model.to(self.device, memory_format=self.memory_format).train()
        if guided and self.model.decoder.head is not None:
            self.model.decoder.head.eval()  # what it standardizes by stays, too
        self.teachers = [t.to(self.device, memory_format=self.memory_format) for t in self.teachers]

    def _guided(self, config: TrainConfig) -> tuple[TrainConfig, AdaINModel]:
        """The model as it is now, for ever, as which a brush draws; and the settings of the one that learns it: with
        strokes, if they are wanted, and with its style head as it is."""
        if config.brush_passes or config.brush_detail:
            load_kernel()  # what is missing is told at once
        guide = copy.deepcopy(self.model).eval().requires_grad_(False)
        for layer in guide.decoder.layers:  # marks that lie in a picture would be learned at another place
            if isinstance(layer, (Canvas, Strokes)):
                (layer.conv if isinstance(layer, Canvas) else layer.mix).weight.data.zero_()
        if config.brush_strokes:
            self.model = with_strokes(self.model)
        if self.model.decoder.head is not None:
            self.model.decoder.head.requires_grad_(False)
        guide = guide.to(self.device, memory_format=self.memory_format)
        return dataclasses.replace(config, decoder=self.model.config.decoder), guide

    @cached_property
    def _manifests(self) -> dict[str, str]:
        sides = (("content", self.content), ("style", self.style))
        return {f"{name}_manifest_sha256": manifest_hash(pictures) for name, pictures in sides}

    def _compare(self, path: Path, before: dict[str, Any], changes: list[str], step: int) -> None:
        """Go on under other settings only if that was asked for, and then keep what they were before."""
        now = json.loads(json.dumps(self.settings))
        before = {**json.loads(json.dumps(dataclasses.asdict(TrainConfig()))), **before}  # settings that came since
        found = [
            "pictures or networks were others" if k == "sources" else f"{k} was {before.get(k)}"
            for k in now
            if now[k] != before.get(k)
        ]
        if found and not self.allow_changes:
            raise ConfigError(
                f"{path}: the run in this folder was begun otherwise ({'; '.join(found)}); give the same settings, "
                "another --out (and --init for its weights), or --allow-changes to go on with others"
            )
        if now["freeze_encoder"] != before.get("freeze_encoder", now["freeze_encoder"]):
            raise ConfigError(f"{path}: freeze_encoder cannot change within a run; use another --out and --init")
        self.changes = [*changes, *([f"up to step {step}: {'; '.join(found)}"] if found else [])]

    def _looks(self) -> Tensor | None:
        """How the loss networks look at this step's pictures; None: at the pictures as they are."""
        c = self.config
        if not (c.look_shift or c.look_flip or (c.noise_weight and c.noise_shift)):
            return None
        looks = draw_looks(c.seed, self.step, c.look_shift, c.look_flip, c.noise_shift)
        return looks.to(self.device, non_blocking=True)

    def _shares(self, teacher: object) -> bool:
        """Whether the loss network is the model's own encoder: then nothing needs to be encoded twice."""
        return (
            teacher is None
            and len(self.model.config.levels) == 1
            and self.config.scales == (1,)
            and not (
                self.config.look_shift
                or self.config.look_flip
                or self.config.noise_weight
                or self.config.deep
                or self.config.brush_weight
            )
            and all(stage.crop % _SHARED_STRIDE == 0 for stage in self.config.stages)
        )

    def _to_device(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device).float().div_(255).contiguous(memory_format=self.memory_format)

    def _counters(self) -> dict[str, float]:
        return {"seconds": round(self.schedule.seconds, 1), "skipped": self.skipped, "broken": len(self.broken)}

    def _request_stop(self, *_: object) -> None:
        self._stop = True


def _pick_device(name: str, local: int) -> torch.device:
    """The device of this process: "auto" and "cuda" take the GPU of its number, and "auto" the CPU where there is no
    GPU. `ConfigError` for a device that is not here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return find_device(f"cuda:{local}" if name == "cuda" else name)
    except AdaINKitError as error:
        raise ConfigError(str(error)) from error


def _build(config: TrainConfig, init: Path | None, vgg: str | Path | None) -> tuple[TrainConfig, AdaINModel]:
    """The model to begin with, and the settings with its architecture."""
    if init is not None:
        model = AdaINModel.load(init).requires_grad_(True)
        model.metadata = {}
        config = dataclasses.replace(config, **dataclasses.asdict(model.config))
    else:
        if config.brush_weight:
            raise ConfigError("brush_weight: a model of random weights paints nothing to draw after; give --init")
        model = AdaINModel(_architecture(config))
    if vgg is not None:
        fill_encoder(model.encoder, read_vgg(vgg))
    if config.freeze_encoder:
        if init is None and vgg is None:
            raise ConfigError("freeze_encoder: an encoder of random weights would stay one; give --vgg or --init")
        model.encoder.requires_grad_(False)
    return config, model


def _architecture(config: TrainConfig) -> ModelConfig:
    mapped = any("map" in WORDS[name].needs for name, _ in read_words(config.decoder))
    code = (LITE.code if mapped else 0) if config.code is None else config.code
    return ModelConfig(config.name, config.encoder, config.decoder, config.gain_cap, code, config.palette)


def _split(folders: Sequence[str | Path], every: int) -> tuple[list[Path], list[Path]]:
    parts = [split(find_pictures(folder), every) for folder in folders]
    return [p for train, _ in parts for p in train], [p for _, held in parts for p in held]


def _as_list(value: str | Path | Sequence[str | Path] | None) -> list[str | Path]:
    if value is None:
        return []
    return [value] if isinstance(value, (str, Path)) else list(value)


def _fingerprint(sources: Sequence[str | Path | None]) -> str:
    """sha256 of names and sizes: what a run was begun with, wherever it lies now, without reading it all."""
    paths = [Path(source) for source in sources if source is not None]
    return hashlib.sha256(repr([(p.name, p.stat().st_size if p.is_file() else 0) for p in paths]).encode()).hexdigest()


def _parser(program: str) -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=program, description=_HELP, formatter_class=form)
    parser.add_argument("--config", help=f"a YAML file, or the name of a packaged one ({packaged_names()})")
    parser.add_argument(
        "--content",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="folder of photographs; again for more",
    )
    parser.add_argument(
        "--style", "--style-dir", type=Path, required=True, metavar="DIR", help="folder of paintings, or a few of them"
    )
    parser.add_argument(
        "--teacher",
        action="append",
        metavar="FILE",
        help="the loss network: a VGG-19 file in a layout of training/vgg.py, or torchvision: download it; again for "
        "more, which are asked in turn; by default a frozen --vgg is its own",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="folder of the run; an earlier run there goes on"
    )
    parser.add_argument(
        "--init",
        metavar="MODEL",
        help="start from this model, a name like lite or a .safetensors, instead of random weights",
    )
    parser.add_argument("--vgg", metavar="FILE", help="take this VGG-19 as the encoder: a file, or torchvision")
    parser.add_argument(
        "--allow-changes", action="store_true", help="go on with the run in RUN under other settings or pictures"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="so many steps on the last stage's crops, no stages")
    group = parser.add_argument_group("settings (over the configuration's)")
    names = [field.name for field in dataclasses.fields(TrainConfig) if field.name != "init"]
    flags = [f"--{name.replace('_', '-')}" for name in names]
    for name, flag in zip(names, flags, strict=True):
        group.add_argument(flag, metavar="YAML", dest=f"set_{name}", help=argparse.SUPPRESS)
    parser.epilog = textwrap.fill(f"settings, each also a flag: {', '.join(flags)}", 100, break_on_hyphens=False)
    return parser


def main(argv: Sequence[str] | None = None, program: str = "python -m training.train") -> int:
    """Entry point; 0 when the run ended or stopped well, 1 when it failed. `program` is what the help calls it."""
    args = _parser(program).parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        overrides = {
            k.removeprefix("set_"): yaml.safe_load(v)
            for k, v in vars(args).items()
            if k.startswith("set_") and v is not None
        }
        config = load_config(args.config, overrides)
        if args.steps is not None:
            config = config.shorten(args.steps)
        paths = (args.content, args.style, args.teacher, args.out, args.init, args.vgg)
        Trainer(config, *paths, allow_changes=args.allow_changes).run()
    except torch.cuda.OutOfMemoryError as error:
        log.error("out of memory: smaller crops or batches in stages need less (%s)", str(error).splitlines()[0])
        return 1
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        log.error(
            "a worker died, perhaps because the memory ran out: set keep_decoded to false, or workers to 0 (%s)", error
        )
        return 1
    except (ConfigError, AdaINKitError, OSError, FloatingPointError, yaml.YAMLError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

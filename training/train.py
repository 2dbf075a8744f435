"""Train a model end to end: `python -m training.train --config lite --content DIR --style DIR --teacher FILE --out
RUN`.

RUN gets config.yaml, log.jsonl, checkpoint.pt (everything to go on from: run the same command again), sheets/*.png and,
at the end, model.safetensors.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from adainkit.adain import affine_map, moments
from adainkit.atomic import temporary_beside
from adainkit.errors import AdaINKitError
from adainkit.model import AdaINModel
from adainkit.network import ModelConfig

from . import losses
from .config import ConfigError, TrainConfig, load_config
from .data import Batch, Batches, Steps, find_pictures, manifest_hash, split
from .loss_network import LossNetwork
from .sheet import save_sheet

__all__ = ["Trainer", "main", "stylize_batch"]

log = logging.getLogger("adainkit.training")
BAD_STEPS_IN_A_ROW = 20


def stylize_batch(model: AdaINModel, content: Tensor, style: Tensor, alpha: Tensor) -> Tensor:
    """Content `(B, 3, H, W)` in the styles `(B, 3, h, w)` at `alpha` `(B, 1)`: one differentiable pass, not clamped."""
    cap = model.config.gain_cap
    if content.shape == style.shape:
        both = [f.chunk(2) for f in model.encode(torch.cat([content, style]))]
        features, styles = [f[0] for f in both], [f[1] for f in both]
    else:
        features, styles = list(model.encode(content)), list(model.encode(style))
    stats = [(moments(f), moments(s)) for f, s in zip(features, styles, strict=True)]
    maps = [affine_map(c.mean, c.std, s.mean, s.std, alpha, cap) for c, s in stats]
    output = model.decode(features, [m.center for m in maps], [m.gain for m in maps], [m.shift for m in maps])
    return output[..., : content.shape[2], : content.shape[3]]


class Objective(nn.Module):
    """The loss of one batch and its parts. The last samples of a batch are judged as reconstructions at alpha 0."""

    def __init__(self, config: TrainConfig, model: AdaINModel, teacher: LossNetwork) -> None:
        super().__init__()
        self.config, self.model, self.teacher = config, model, teacher

    def forward(self, content: Tensor, style: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures in [0, 1]; the loss, and its unweighted parts (detached)."""
        c, n = self.config, len(content)
        plain = min(n - 1, round(n * c.reconstruction_share))
        alpha = torch.ones(n, 1, device=content.device)
        alpha[n - plain :] = 0
        output = stylize_batch(self.model, content, style, alpha)
        result, original, painted = output[: n - plain], content[: n - plain], style[: n - plain]
        with torch.no_grad():
            targets = [f.chunk(2) for f in self.teacher(torch.cat([original, painted]))]
        seen = self.teacher(result)
        parts = {
            "content": losses.content_loss(seen[-1], targets[-1][0]),
            "style": losses.style_loss(seen, [t[1] for t in targets], c.style_layers),
        }
        if c.gram_weight:
            parts["gram"] = losses.gram_loss(seen, [t[1] for t in targets], c.style_layers)
        if c.ssim_weight:
            parts["ssim"] = 1 - losses.ssim(result, original)
        if plain:
            parts["reconstruction"] = losses.reconstruction_loss(output[n - plain :], content[n - plain :])
        if c.ripple_weight:
            parts["ripple"] = losses.ripple_loss(result, original, c.ripple_octaves)
        if c.grid_weight:
            parts["grid"] = losses.grid_loss(result, original)
        if c.total_variation_weight:
            parts["total_variation"] = losses.total_variation(result)
        total = torch.stack([getattr(c, f"{k}_weight") * v for k, v in parts.items()]).sum()
        return total, {k: v.detach() for k, v in parts.items()}


class Trainer:
    """One run in one folder. `run()` trains to the end, or until SIGTERM or Ctrl-C, having saved where it is."""

    def __init__(
        self,
        config: TrainConfig,
        content: Path,
        style: Path,
        teacher: Path,
        out: Path,
        init: Path | None = None,
    ) -> None:
        self.config, self.out = config, out
        self.device = torch.device(
            ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
        )
        every = config.validation_every
        (self.content, check_c), (self.style, check_s) = (
            split(find_pictures(content), every),
            split(find_pictures(style), every),
        )
        for kind, found in (("content", self.content), ("style", self.style)):
            if not found:
                raise ConfigError(f"every {kind} picture is held out for validation; set validation_every to 0")
            log.info("%d %s pictures to train on", len(found), kind)
            if len(found) < 100:
                log.warning("only %d %s pictures: expect a model that knows little else", len(found), kind)
        torch.manual_seed(config.seed)
        model_config = ModelConfig(config.name, config.encoder, config.decoder, config.gain_cap)
        self.model = AdaINModel(model_config) if init is None else AdaINModel.load(init).requires_grad_(True)
        self.model = self.model.to(self.device, memory_format=torch.channels_last).train()
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.teacher = LossNetwork(teacher).to(self.device)
        self.objective = Objective(config, self.model, self.teacher)
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.learning_rate, config.betas)
        self.batches = Batches(config, self.content, self.style)
        check = dataclasses.replace(config, stages=({"steps": 1, "crop": 256, "batch": 8},), seed=1, flat_share=0.0)  # type: ignore[arg-type]
        self.check = Batches(check, check_c or self.content, check_s or self.style)[0]
        self.step, self.skipped, self.bad_in_a_row, self.seconds = 0, 0, 0, 0.0
        self.broken: set[str] = set()
        self._stop = False

    def run(self) -> None:
        """Train from where the folder's checkpoint is (or the beginning) to the end."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.resume()
        (self.out / "config.yaml").write_text(self.config.to_yaml())
        handlers = {s: signal.signal(s, self._request_stop) for s in (signal.SIGTERM, signal.SIGINT)}
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=Steps(self.step, self.config.steps),
            num_workers=self.config.workers,
            prefetch_factor=8 if self.config.workers else None,
            worker_init_fn=_quiet_worker,
        )
        bar = tqdm(
            loader,
            total=self.config.steps,
            initial=self.step,
            unit="step",
            smoothing=0.02,
            disable=not sys.stderr.isatty(),
        )
        try:
            for batch in bar:
                started = time.monotonic()
                parts = self.train_step(batch)
                self.seconds += time.monotonic() - started
                if self.step % 50 == 0:
                    self._log(parts)
                    bar.set_postfix({k: f"{v:.3f}" for k, v in parts.items()})
                if self.step % self.config.sample_every == 0:
                    self.sample()
                if self.step % self.config.checkpoint_every == 0 or self._stop:
                    self.checkpoint()
                if self._stop:
                    log.info("stopped at step %d; the same command goes on from there", self.step)
                    return
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self.checkpoint()
        figures = self.sample()
        self.export(figures)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step; the parts of its loss. A loss or gradient that is not finite changes nothing and is counted."""
        content, style = (self._to_device(x) for x in (batch.content, batch.style))
        rate = self.config.rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.amp == "bfloat16"):
            loss, parts = self.objective(content, style)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.step += 1
        self.broken.update(batch.broken)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            self.skipped += 1
            self.bad_in_a_row += 1
            if self.bad_in_a_row >= BAD_STEPS_IN_A_ROW:
                raise FloatingPointError(
                    f"{BAD_STEPS_IN_A_ROW} steps in a row had no finite loss; lower learning_rate, or set amp to "
                    "none, and go on from the checkpoint"
                )
            return {"loss": float("nan"), "norm": float("nan")}
        self.bad_in_a_row = 0
        self.optimizer.step()
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        return {"loss": loss.item(), "norm": norm.item(), **{k: v.item() for k, v in parts.items()}}

    def averaged(self) -> AdaINModel:
        """The model of the averaged weights, rounded to the half precision it is shipped in."""
        model = AdaINModel(self.model.config)
        model.load_state_dict({k: v.half().float() for k, v in self.average.items()})
        return model.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    def sample(self) -> dict[str, float]:
        """Write a sheet of validation pictures (content, style, alpha 1, alpha 0.5, alpha 0) and log their figures."""
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
            seen, c, s = self.teacher(shots[0]), self.teacher(content), self.teacher(style)
            figures = {
                "content": losses.content_loss(seen[-1], c[-1]),
                "style": losses.style_loss(seen, s),
                "ssim": losses.ssim(shots[0], content),
                "psnr_alpha_0": losses.psnr(shots[2], content),
            }
        save_sheet(self.out / "sheets" / f"{self.step:06d}.png", [content, style, *shots])
        rounded = {k: round(v.item(), 4) for k, v in figures.items()}
        self._log({f"validation_{k}": v for k, v in rounded.items()})
        return rounded

    def checkpoint(self) -> None:
        """Write checkpoint.pt, whole or not at all."""
        state = {
            "architecture": self.model.config.to_json(),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "broken": sorted(self.broken),
            "rng": torch.get_rng_state(),
        }
        with temporary_beside(self.out / "checkpoint.pt") as path:
            torch.save(state, path)

    def resume(self) -> None:
        """Go on from checkpoint.pt, if there is one."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # torch.load raises whatever its unpickler meets in a broken file
            raise ConfigError(f"{path}: is damaged ({type(error).__name__}); remove it to begin anew") from error
        if state["architecture"] != self.model.config.to_json():
            raise ConfigError(f"{path}: is of another architecture; give the same model settings, or another --out")
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.skipped = state["step"], state["seconds"], state["skipped"]
        self.broken = set(state["broken"])
        torch.set_rng_state(state["rng"].cpu())
        log.info("going on from step %d", self.step)

    def export(self, figures: dict[str, float]) -> Path:
        """Write model.safetensors: averaged weights in half precision, with the recipe, the data's hashes and the
        figures."""
        facts = {
            "license": "MIT",
            "recipe": json.dumps(dataclasses.asdict(self.config)),
            "steps": str(self.step),
            "training_seconds": str(round(self.seconds)),
            "content_manifest_sha256": manifest_hash(self.content),
            "style_manifest_sha256": manifest_hash(self.style),
            "validation": json.dumps(figures),
        }
        path = self.averaged().save(self.out / "model.safetensors", facts)
        log.info("wrote %s", path)
        for name in sorted(self.broken):
            log.warning("%s could not be read and was passed over", name)
        return path

    def _to_device(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device).float().div_(255).contiguous(memory_format=torch.channels_last)

    def _log(self, values: dict[str, float]) -> None:
        rounded = {k: round(v, 5) for k, v in values.items()}
        row = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "skipped": self.skipped,
            "broken": len(self.broken),
            **rounded,
        }
        with open(self.out / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _request_stop(self, *_: object) -> None:
        self._stop = True


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):  # often sent to the whole group: the parent decides
        signal.signal(number, signal.SIG_IGN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="training.train", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--config", help="a YAML file, or the name of a packaged one (lite)")
    parser.add_argument("--content", type=Path, required=True, metavar="DIR", help="folder of photographs")
    parser.add_argument("--style", type=Path, required=True, metavar="DIR", help="folder of paintings")
    parser.add_argument("--teacher", type=Path, required=True, metavar="FILE", help="the loss network, .safetensors")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder of the run; an earlier run there goes on",
    )
    parser.add_argument(
        "--init", type=Path, metavar="MODEL", help="start from this .safetensors instead of random weights"
    )
    group = parser.add_argument_group("settings (over the configuration's)")
    for setting in dataclasses.fields(TrainConfig):
        group.add_argument(
            f"--{setting.name.replace('_', '-')}",
            metavar="YAML",
            dest=f"set_{setting.name}",
            help=argparse.SUPPRESS,
        )
    parser.epilog = "settings, each also a flag: " + ", ".join(
        f"--{f.name.replace('_', '-')}" for f in dataclasses.fields(TrainConfig)
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0 when the run ended or stopped well, 1 when it failed."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        overrides = {
            k.removeprefix("set_"): yaml.safe_load(v)
            for k, v in vars(args).items()
            if k.startswith("set_") and v is not None
        }
        config = load_config(args.config, overrides)
        Trainer(config, args.content, args.style, args.teacher, args.out, args.init).run()
    except (ConfigError, AdaINKitError, OSError, FloatingPointError, yaml.YAMLError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

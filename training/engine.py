"""One step of the optimizer, and the averaged weights, as functions of tensors that wait for nothing of the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from adainkit.net.model import AdaINModel

from .config import TrainConfig
from .graphs import Graphs

__all__ = ["BAD_STEPS_IN_A_ROW", "Engine", "Render"]

BAD_STEPS_IN_A_ROW = 20
_FUSED = ("cpu", "cuda")  # devices whose Adam passes a step over by a flag of the device

Render = Callable[[Mapping[str, Tensor]], tuple[Tensor, Tensor]]


class Engine:
    """Steps of Adam on `objective`, whose parameters are those of `model`, and an exponential average of the weights.

    A step whose loss or gradient is not finite changes nothing and is counted, on the device: the count is read by
    `read` alone, which raises `FloatingPointError` after `BAD_STEPS_IN_A_ROW` of them in a row.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: AdaINModel,
        objective: nn.Module,
        device: torch.device,
        processes: int = 1,
    ) -> None:
        self.config, self.model, self.objective = config, model, objective
        self.device, self.processes = device, processes
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.rates, groups = self._groups()
        self._flagged = device.type in _FUSED and config.amp != "float16"
        self._options = {"fused": self._flagged, "capturable": device.type == "cuda"}
        self.optimizer = torch.optim.Adam(groups, betas=config.betas, **self._options)
        self._place_rates()
        # a low start: the first steps must not all overflow
        self.scaler = torch.amp.GradScaler(device.type, init_scale=1024.0, enabled=config.amp == "float16")
        self.graphs = Graphs() if self._can_record else None
        self.health = torch.zeros(3, device=device)  # skipped steps, how many in a row now, and at most
        self._keep = torch.zeros((), device=device)  # what of the average a step keeps
        head = model.decoder.head
        self._followed = [] if head is None else [head.center, head.scale]  # what a pass changes in place
        self._names: dict[object, list[str]] = {}
        self._last: tuple[object, Tensor] | None = None

    @property
    def _can_record(self) -> bool:
        c = self.config
        return (
            c.cuda_graphs
            and self.device.type == "cuda"
            and self._flagged
            and self.processes == 1
            and not c.brush_weight
        )

    def step(
        self, step: int, rate: float, inputs: Mapping[str, Tensor], render: Render, key: object, plain: int, turn: int
    ) -> None:
        """One step, the `step`th from 0. `render` makes content and style of `inputs`, which `key` fixes the shapes of;
        `plain` and `turn` as in `Objective`; `rate`: the share of the learning rates."""
        for group, own in zip(self.optimizer.param_groups, self.rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(own * rate)
            else:
                group["lr"] = own * rate
        self._keep.fill_(min(self.config.ema, (2 + step) / (11 + step)))
        key = (key, plain, turn)

        def work(tensors: Mapping[str, Tensor]) -> Tensor:
            return self._work(key, tensors, render, plain, turn)

        self._last = key, work(inputs) if self.graphs is None else self.graphs.run(key, work, inputs)

    def _work(self, key: object, inputs: Mapping[str, Tensor], render: Render, plain: int, turn: int) -> Tensor:
        kind = torch.float16 if self.config.amp == "float16" else torch.bfloat16
        content, style = render(inputs)
        followed = [value.clone() for value in self._followed]
        with torch.autocast(self.device.type, kind, enabled=self.config.amp != "none"):
            loss, parts = self.objective(content, style, plain, turn, inputs.get("looks"))
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        most = math.inf if self.config.clip_norm is None else self.config.clip_norm
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), most)
        bad = 1 - (torch.isfinite(loss) & torch.isfinite(norm)).float()
        if self.processes > 1:
            dist.all_reduce(bad, dist.ReduceOp.MAX)
        self._settle(followed, bad)
        self._update(bad)
        self._names[key] = ["loss", "norm", *parts]
        figures = torch.stack([v.detach().float() for v in (loss, norm, *parts.values())])
        return torch.where(bad > 0, torch.nan, figures)

    @torch.no_grad()
    def _settle(self, before: Sequence[Tensor], bad: Tensor) -> None:
        """What a style head follows: the mean over the processes, which saw different styles; as it was if `bad`."""
        for value, old in zip(self._followed, before, strict=True):
            if self.processes > 1:
                dist.all_reduce(value)
                value /= self.processes
            value.copy_(torch.where(bad > 0, old, value))

    @torch.no_grad()
    def _update(self, bad: Tensor) -> None:
        """Adam's step and the average, unless the flag `bad` is 1."""
        if self._flagged:
            self.optimizer.found_inf, self.optimizer.grad_scale = bad, None  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not bool(bad):
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif self.scaler.is_enabled():
            self.scaler.update(self.scaler.get_scale() / 2)  # also where the loss overflowed and no gradient did
        in_a_row = (self.health[1] + 1) * bad
        self.health.copy_(torch.stack([self.health[0] + bad, in_a_row, torch.maximum(self.health[2], in_a_row)]))
        state = self.model.state_dict()
        average = list(self.average.values())
        change = torch._foreach_sub([state[name] for name in self.average], average)
        torch._foreach_mul_(change, (1 - self._keep) * (1 - bad))
        torch._foreach_add_(average, change)

    def read(self) -> dict[str, float]:
        """The last step's loss, norm of the gradient and parts of the loss; waits for the device. Not finite after a
        step that was passed over."""
        if self._last is None:
            return {}
        key, figures = self._last
        if self.health[2] >= BAD_STEPS_IN_A_ROW:
            raise FloatingPointError(
                f"{BAD_STEPS_IN_A_ROW} steps in a row had no finite loss; lower learning_rate, or set amp to none, and "
                "go on from the checkpoint"
            )
        if self.processes > 1:
            figures = figures.clone()
            dist.all_reduce(figures)
            figures /= self.processes
        return dict(zip(self._names[key], figures.tolist(), strict=True))

    @property
    def skipped(self) -> int:
        """How many steps were passed over; waits for the device."""
        return int(self.health[0])

    def state(self) -> dict[str, Any]:
        """Everything to go on from."""
        return {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped": self.skipped,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        for group in state["optimizer"]["param_groups"]:
            group.update(self._options)  # of this device, whatever the run began on
        self.optimizer.load_state_dict(state["optimizer"])
        self._place_rates()
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.health.copy_(torch.tensor([state["skipped"], 0.0, 0.0]))

    def _groups(self) -> tuple[list[float], list[dict[str, Any]]]:
        """The learning rates of the groups, and the groups."""
        base = self.config.learning_rate
        own = base if self.config.encoder_learning_rate is None else self.config.encoder_learning_rate
        encoder = {id(p) for p in self.model.encoder.parameters()}
        others = [p for p in self.model.parameters() if id(p) not in encoder]
        parts = [(own, list(self.model.encoder.parameters())), (base, others)][1 if self.config.freeze_encoder else 0 :]
        return [rate for rate, _ in parts], [{"params": parameters, "lr": rate} for rate, parameters in parts]

    def _place_rates(self) -> None:
        """Rates as tensors of the device where a graph must see them change."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = torch.tensor(float(rate), device=self.device) if self.device.type == "cuda" else float(rate)

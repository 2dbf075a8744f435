"""Training against a plain loop: one step of the classic AdaIN recipe, the same mathematics on both sides.

The frozen VGG-19 encoder is the loss network, too; the mirrored decoder is trained by Adam. The loss is the mean
squared difference from the AdaIN target at relu4_1, plus 10 times that of means and standard deviations at relu1_1 to
relu4_1, summed over the layers (Huang & Belongie 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adainkit.net.config import VGG19
from adainkit.net.model import AdaINModel
from training.config import load_config
from training.loss_network import LossNetwork
from training.objective import Objective
from training.vgg import fill_encoder

from .networks import Classic, adain, mean_std
from .report import table
from .timing import interleave, ratios, spread

__all__ = ["has_fast_bfloat16", "normalize", "own_objective", "plain_step", "run", "show", "step"]

STYLE_WEIGHT = 10.0
_PLAIN_TAPS = (3, 10, 17, 30)  # of the classic `nn.Sequential`: relu1_1, relu2_1, relu3_1, relu4_1


def plain_step(network: Classic, optimizer: torch.optim.Optimizer, content: Tensor, style: Tensor) -> float:
    """One step as most published loops write it: NCHW, float32, every picture encoded once. The loss."""
    painted = _plain_features(network, style)
    target = adain(network.encoder(content), *mean_std(painted[-1]))
    seen = _plain_features(network, network.decoder(target))
    loss = F.mse_loss(seen[-1], target)
    for a, b in zip(seen, painted, strict=True):
        (mean, std), (style_mean, style_std) = mean_std(a), mean_std(b)
        loss = loss + STYLE_WEIGHT * (F.mse_loss(mean, style_mean) + F.mse_loss(std, style_std))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def own_objective(network: Classic, bfloat16: bool = True) -> Objective:
    """What `training.train --config classic` minimizes, in channels_last, with the weights of `network`: its encoder is
    frozen and the loss network, too."""
    layers = [(c.weight.detach(), c.bias.detach()) for c in network.encoder if isinstance(c, nn.Conv2d)]
    config = load_config("classic", {"amp": "bfloat16" if bfloat16 else "none"})
    model = AdaINModel(VGG19)
    fill_encoder(model.encoder, layers)
    convs = [[m for m in part.modules() if isinstance(m, nn.Conv2d)] for part in (network.decoder, model.decoder)]
    for source, target in zip(*convs, strict=True):
        target.load_state_dict(source.state_dict())
    model.encoder.requires_grad_(False)
    return Objective(config, model, LossNetwork(layers), shared=True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def step(objective: Objective, optimizer: torch.optim.Optimizer, content: Tensor, style: Tensor) -> float:
    """The trainer's objective, its gradient and Adam, as on the other side: no clipping, no average. The loss."""
    with torch.autocast(content.device.type, torch.bfloat16, enabled=objective.config.amp == "bfloat16"):
        loss, _ = objective(content, style)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 saves time there: on a CPU only with instructions of its own, else it is emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def run(batch: int, size: int, rounds: int, device: torch.device, clock: str = "wall") -> dict[str, Any]:
    """Seconds of a step on both sides from the same weights on the same batches, their ratio, and the first losses."""
    torch.manual_seed(0)
    content, style = (torch.rand(batch, 3, size, size, device=device) for _ in range(2))
    network, bfloat16 = Classic(), has_fast_bfloat16(device)
    normalize(network, content.cpu()[:1])
    objective = own_objective(network, bfloat16).to(device)
    network.to(device).encoder.requires_grad_(False)
    plain = torch.optim.Adam(network.decoder.parameters(), 1e-4)
    optimizer = torch.optim.Adam(objective.model.decoder.parameters(), 1e-4)
    fast = [x.contiguous(memory_format=torch.channels_last) for x in (content, style)]
    losses: dict[str, list[float]] = {"plain": [], "adainkit": []}
    calls: dict[str, Callable[[], object]] = {
        "plain": lambda: losses["plain"].append(plain_step(network, plain, content, style)),
        "adainkit": lambda: losses["adainkit"].append(step(objective, optimizer, *fast)),
    }
    seconds = interleave(calls, rounds, device, clock)
    return {
        "batch": batch,
        "size": size,
        "bfloat16": bfloat16,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "first_loss": {name: values[0] for name, values in losses.items()},
        "times_as_fast": spread(ratios(seconds["plain"], seconds["adainkit"])),
    }


def show(results: dict[str, Any]) -> str:
    """The table of a run."""
    rows = []
    for name, seconds in results["seconds"].items():
        ratio = f"{results['times_as_fast']:.2f}" if name == "adainkit" else "-"
        rows.append([name, f"{seconds:.2f}", f"{1 / seconds.median:.3f}", f"{results['first_loss'][name]:.5g}", ratio])
    title = (
        f"batch {results['batch']} of {results['size']} px, adainkit in {'bfloat16' * results['bfloat16'] or 'float32'}"
    )
    return f"{title}\n\n" + table(["loop", "seconds", "steps/s", "first loss", "times as fast"], rows)


def _plain_features(network: Classic, x: Tensor) -> list[Tensor]:
    found = []
    for index, layer in enumerate(network.encoder):
        x = layer(x)
        if index in _PLAIN_TAPS:
            found.append(x)
    return found


@torch.no_grad()
def normalize(network: Classic, sample: Tensor) -> None:
    """Scale random convolutions to outputs of variance 1, as normalized VGG-19 has about: else losses leave float32's
    comfort."""
    for part in (network.encoder, network.decoder):
        for layer in part:
            if isinstance(layer, nn.Conv2d):
                layer.weight.div_(layer(sample).std())
            sample = layer(sample)

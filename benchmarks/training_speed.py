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

from adainkit.adain import affine_map, apply_affine, moments
from adainkit.model import AdaINModel
from adainkit.network import VGG19

from .networks import Classic, adain, mean_std
from .report import table
from .timing import interleave, ratios, spread

__all__ = ["copy_weights", "has_fast_bfloat16", "normalize", "plain_step", "run", "show", "step"]

STYLE_WEIGHT = 10.0
_TAPS = (0, 3, 6, 11)  # of the encoder's layers: relu1_1, relu2_1, relu3_1, relu4_1
_PLAIN_TAPS = (3, 10, 17, 30)  # the same in the classic `nn.Sequential`


def plain_step(network: Classic, optimizer: torch.optim.Optimizer, content: Tensor, style: Tensor) -> float:
    """One step as most published loops write it: NCHW, float32, every picture encoded where it is needed. The loss."""
    target = adain(network.encoder(content), *mean_std(network.encoder(style)))
    result = network.decoder(target)
    loss = F.mse_loss(_plain_features(network, result)[-1], target)
    for a, b in zip(_plain_features(network, result), _plain_features(network, style), strict=True):
        (mean, std), (style_mean, style_std) = mean_std(a), mean_std(b)
        loss = loss + STYLE_WEIGHT * (F.mse_loss(mean, style_mean) + F.mse_loss(std, style_std))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


# Stands for the step of training's own Trainer until that takes a frozen VGG-19 encoder.
def step(
    model: AdaINModel, optimizer: torch.optim.Optimizer, content: Tensor, style: Tensor, bfloat16: bool = True
) -> float:
    """One step in adainkit's way: channels_last, bfloat16 if asked for, one encoding of each picture. The loss."""
    with torch.autocast(content.device.type, torch.bfloat16, enabled=bfloat16):
        with torch.no_grad():
            # The pictures go one after another: of the content only relu4_1 is needed, and half as much is held.
            wanted = [moments(f) for f in _features(model, style)]
            features = _features(model, content)[-1]
            own = moments(features)
            affine = affine_map(own.mean, own.std, wanted[-1].mean, wanted[-1].std)
            target = apply_affine(features, affine)
        seen = _features(model, model.decoder([target]))
        loss = F.mse_loss(seen[-1].float(), target.float())
        for f, w in zip(seen, wanted, strict=True):
            got = moments(f)
            loss = loss + STYLE_WEIGHT * (F.mse_loss(got.mean, w.mean) + F.mse_loss(got.std, w.std))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def copy_weights(network: Classic, model: AdaINModel) -> None:
    """The classic network's weights into `model`, the 1x1 input map folded in. In place."""
    encoder, decoder = (
        [layer for layer in part if isinstance(layer, nn.Conv2d)] for part in (network.encoder, network.decoder)
    )
    ours = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        for source, target in zip([*encoder[1:], *decoder], ours, strict=True):
            target.weight.copy_(source.weight)
            target.bias.copy_(source.bias)
        # W(Ax + a) + b = (WA)x + (b + sum Wa), exact behind reflection padding.
        ours[0].weight.copy_(torch.einsum("omhw,mi->oihw", encoder[1].weight, encoder[0].weight[:, :, 0, 0]))
        ours[0].bias.add_(torch.einsum("omhw,m->o", encoder[1].weight, encoder[0].bias))


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 saves time there: on a CPU only with instructions of its own, else it is emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def run(batch: int, size: int, rounds: int, device: torch.device, clock: str = "wall") -> dict[str, Any]:
    """Seconds of a step on both sides from the same weights on the same batches, their ratio, and the first losses."""
    torch.manual_seed(0)
    content, style = (torch.rand(batch, 3, size, size, device=device) for _ in range(2))
    network, model = Classic(), AdaINModel(VGG19)
    normalize(network, content.cpu()[:1])
    copy_weights(network, model)
    network.to(device).encoder.requires_grad_(False)
    model.to(device, memory_format=torch.channels_last).encoder.requires_grad_(False)  # type: ignore[call-overload]
    bfloat16 = has_fast_bfloat16(device)
    plain = torch.optim.Adam(network.decoder.parameters(), 1e-4)
    optimizer = torch.optim.Adam(model.decoder.parameters(), 1e-4)
    fast = [x.contiguous(memory_format=torch.channels_last) for x in (content, style)]
    losses: dict[str, list[float]] = {"plain": [], "adainkit": []}
    calls: dict[str, Callable[[], object]] = {
        "plain": lambda: losses["plain"].append(plain_step(network, plain, content, style)),
        "adainkit": lambda: losses["adainkit"].append(step(model, optimizer, *fast, bfloat16)),
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


def _features(model: AdaINModel, x: Tensor) -> list[Tensor]:
    found = []
    for index, layer in enumerate(model.encoder.layers):
        x = layer(x)
        if index in _TAPS:
            found.append(x)
    return found


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

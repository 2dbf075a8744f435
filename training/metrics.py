"""The figures of `training.evaluate` that are no losses: two judges that share no network with the training, the
Fréchet distance, and LPIPS and Inception features from networks that are fetched.

`load_lpips` and `load_inception` need the extra `train` and download their networks once, to where torch.hub keeps its
files; what cannot be had is an `AdaINKitError` that says how to get it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from adainkit.errors import AdaINKitError, WeightsError
from adainkit.look.color import luma
from adainkit.store.weights import is_offline

from . import losses
from .loss_network import LossNetwork

__all__ = [
    "Judge",
    "art_fid_inception",
    "border_line",
    "color_distance",
    "frechet_distance",
    "grid_energy",
    "load_inception",
    "load_lpips",
    "noise_gain",
]

T = TypeVar("T")


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Squared 2-Wasserstein distance of the Gaussians with the mean and covariance of two sets of samples, `(N, D)` and
    `(M, D)`, 2 or more each; of Inception features it is FID (Heusel et al. 2017).

    `|mean difference|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)`. The last trace is the sum of the singular values of the
    product of any roots of A and B, and a root falls out of the QR of the samples: no covariance is formed, so that few
    samples of many dimensions are quick and exact. In float64, with unbiased covariances.
    """
    (x_mean, x_root), (y_mean, y_root) = (_gaussian(samples) for samples in (x, y))
    cross = torch.linalg.svdvals(x_root @ y_root.mT).sum()
    distance = (x_mean - y_mean).square().sum() + x_root.square().sum() + y_root.square().sum() - 2 * cross
    return max(0.0, distance.item())


def _gaussian(samples: Tensor) -> tuple[Tensor, Tensor]:
    """The mean `(D,)` and an upper root R `(min(N, D), D)` of the covariance, `R.T @ R`."""
    if len(samples) < 2:
        raise ValueError(f"a covariance needs 2 or more samples, got {len(samples)}")
    samples = samples.detach().cpu().double()
    mean = samples.mean(0)
    return mean, torch.linalg.qr((samples - mean) / (len(samples) - 1) ** 0.5, mode="r").R


def color_distance(x: Tensor, y: Tensor) -> float:
    """How far the colors of two pictures `(1, 3, H, W)`, sizes apart, lie from each other: the 2-Wasserstein distance
    of the Gaussians of their pixels, in units of RGB in [0, 1]. Two flat pictures: the distance of their colors."""
    return frechet_distance(x[0].flatten(1).T, y[0].flatten(1).T) ** 0.5


def grid_energy(picture: Tensor) -> float:
    """How far lines and checkerboards of exactly 2, 4 and 8 px stand out of `(1, 3, H, W)`, sides 40 or more.

    The power of the luma's spectrum at these periods, along rows and along columns, over the mean power around them
    (up to 4 places off in each axis, 3 or more in city blocks); log10, the mean of the six. White noise is near 0.
    Sides are cut to multiples of 8, where the periods are places of the spectrum; from 40 px on, none of what is around
    a period is the picture's mean.
    """
    gray = luma(picture.detach().cpu(), torch.float64)[0, 0]
    height, width = (side // 8 * 8 for side in gray.shape)
    gray = gray[:height, :width]
    power = torch.fft.fft2(gray - gray.mean()).abs().square()
    steps = torch.arange(-4, 5).abs()
    around = steps[:, None] + steps >= 3
    ratios = []
    for period in (2, 4, 8):
        for row, column in ((height // period, 0), (0, width // period)):
            patch = power.roll((4 - row, 4 - column), (0, 1))[:9, :9]
            ratios.append(patch[4, 4] / (patch[around].mean() + 1e-9))
    return (torch.stack(ratios) + 1e-3).log10().mean().item()


def border_line(picture: Tensor, apart: int = 3) -> float:
    """How far the border of `(1, 3, H, W)`, sides 40 or more, stands out as a line: the largest, over the four borders,
    of log2 of the mean absolute difference between the outermost row and the one `apart` px inside, over the median of
    that of all pairs of rows so far apart. A picture that goes on to its border has about 0."""
    found = []
    for dim in (2, 3):
        x = picture.detach().float()
        side = x.shape[dim]
        across = (x.narrow(dim, apart, side - apart) - x.narrow(dim, 0, side - apart)).abs().mean((0, 1, 5 - dim))
        usual = across[apart:-apart].median() + 1 / 255  # a flat picture has none
        found += [(across[0] + 1 / 255) / usual, (across[-1] + 1 / 255) / usual]
    return torch.stack(found).max().log2().item()


def noise_gain(render: Callable[[Tensor], Tensor], content: Tensor, sigma: float = 2 / 255, seed: int = 0) -> float:
    """How much `render` amplifies noise: mean absolute difference of the results of `content` `(1, 3, H, W)` in [0, 1]
    and of its copy with Gaussian noise, over that of the two. It is what makes films shimmer and skies weave."""
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(seed)).to(content)
    noisy = (content + sigma * noise).clamp(0, 1)
    change = (render(noisy) - render(content)).abs().mean() / (noisy - content).abs().mean().clamp_min(1e-8)
    return change.item()


def art_fid_inception(lpips: float, fid: float) -> float:
    """`(1 + LPIPS) * (1 + FID)`: ArtFID (Wright & Ommer 2022) but for the network of FID, here the ordinary Inception
    and there one trained on paintings. Not to be compared with published ArtFIDs."""
    return (1 + lpips) * (1 + fid)


def load_lpips(device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """LPIPS (Zhang et al., CVPR 2018; AlexNet): of two `(1, 3, H, W)` in [0, 1], sides 31 or more; lower is more alike.

    Errors: `AdaINKitError` without torchmetrics, `WeightsError` when AlexNet's weights are neither here nor to be had.
    """
    with _packages():
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity as Lpips
        from torchvision.models import AlexNet_Weights
    return _fetch(AlexNet_Weights.DEFAULT.url, partial(Lpips, net_type="alex", normalize=True)).to(device)


def load_inception(device: torch.device) -> Callable[[Tensor], Tensor]:
    """The Inception features of FID: `(1, 3, H, W)` in [0, 1] -> `(1, 2048)`; it scales to 299 px itself.

    Errors: `AdaINKitError` without torchmetrics or torch-fidelity, `WeightsError` when the weights cannot be had.
    """
    with _packages():
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
        from torchmetrics.image.fid import FrechetInceptionDistance as Fid
    network = _fetch(URL_INCEPTION_V3, partial(Fid, feature=2048)).inception.to(device)
    return lambda picture: network(picture.mul(255).round().byte())


@contextmanager
def _packages() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        told = f"{error.name.partition('.')[0]} is not installed" if error.name else str(error)
        raise AdaINKitError(f'{told}; run pip install "adainkit[train]"') from error


def _fetch(url: str, make: Callable[[], nn.Module]) -> nn.Module:
    """The network of `make`, which looks in torch.hub's folder for the file of `url` and downloads it otherwise."""
    file = Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    remedy = f"run once with a network, or save {url} as {file}"
    if is_offline() and not file.is_file():
        raise WeightsError(f"{file.name} is not here and ADAINKIT_OFFLINE is set; {remedy}")
    try:
        return make().eval()
    except Exception as error:  # urllib, torch.hub and torch.load raise each their own
        had = "is damaged" if file.is_file() else "could not be downloaded"
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise WeightsError(f"{file.name} {had} ({told}); {remedy}") from error


class Judge:
    """Everything that is measured of a result. `missing`: figures that cannot be had here, and why."""

    def __init__(self, teacher: Path | None, device: torch.device) -> None:
        self.device, self.missing = device, dict[str, str]()
        self.teacher = None if teacher is None else LossNetwork(teacher).to(device)
        if teacher is None:
            self.missing["content_loss, style_loss"] = "give the loss network with --teacher FILE"
        self.lpips = self._load("lpips", load_lpips)
        self.inception = self._load("fid", load_inception)

    def _load(self, figure: str, load: Callable[[torch.device], T]) -> T | None:
        try:
            return load(self.device)
        except AdaINKitError as error:
            self.missing[figure] = str(error)
            return None

    def prepare(self, content: Tensor, style: Tensor) -> dict[str, Any]:
        """What all results of a pair are held against."""
        return {
            "content": content,
            "style": style,
            "features": None if self.teacher is None else (self.teacher(content), self.teacher(style)),
            "grid": grid_energy(content),
        }

    def __call__(self, pair: Mapping[str, Any], result: Tensor, alpha: float) -> dict[str, float]:
        """The figures of one result, `(1, 3, H, W)` in [0, 1], but for FID, which is one of many pictures."""
        figures = {
            "ssim": losses.ssim(result, pair["content"]).item(),
            "color_distance": color_distance(result, pair["style"]),
            "grid": grid_energy(result) - pair["grid"],
            "blotch": 255 * losses.calm_loss(result, pair["content"]).item(),
        }
        if self.teacher is not None:
            content, style = pair["features"]
            seen = self.teacher(result)
            figures["content_loss"] = losses.content_loss(seen[-1], content[-1]).item()
            figures["style_loss"] = losses.style_loss(seen, style).item()
        if alpha == 0:
            figures["psnr_alpha_0"] = losses.psnr(result, pair["content"]).item()
        if self.lpips is not None:
            figures["lpips"] = self.lpips(result, pair["content"]).item()
        return figures

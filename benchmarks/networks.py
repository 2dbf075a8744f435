"""The rivals, written out in plain eager PyTorch: the classic AdaIN pipeline, and MicroAST's published shape.

Both take `(B, 3, H, W)` RGB in [0, 1] and the cached style as means and standard deviations `(B, C, 1, 1)`; both give
`(B, 3, h, w)`, not clamped. Weights are random: only their speed is of interest.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Classic", "MicroAST", "adain", "count_parameters", "mean_std"]


def mean_std(features: Tensor) -> tuple[Tensor, Tensor]:
    """Biased statistics of every channel, `(B, C, 1, 1)`, with the paper's 1e-5 inside the root."""
    mean = features.mean((2, 3), keepdim=True)
    variance = features.var((2, 3), keepdim=True, unbiased=False)
    return mean, (variance + 1e-5).sqrt()


def adain(features: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """`features` with the statistics `mean` and `std` in place of their own (Huang & Belongie 2017)."""
    own_mean, own_std = mean_std(features)
    return (features - own_mean) / own_std * std + mean


class Classic(nn.Module):
    """VGG-19 to relu4_1 with the 1x1 input map of the published weights, AdaIN, and the mirrored decoder.

    The layers and their indices are those of the published `nn.Sequential`s, so that their state dicts fit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 3, 1),
            *_conv(3, 64),
            *_conv(64, 64),
            nn.MaxPool2d(2, ceil_mode=True),
            *_conv(64, 128),
            *_conv(128, 128),
            nn.MaxPool2d(2, ceil_mode=True),
            *_conv(128, 256),
            *(layer for _ in range(3) for layer in _conv(256, 256)),
            nn.MaxPool2d(2, ceil_mode=True),
            *_conv(256, 512),
        )
        self.decoder = nn.Sequential(
            *_conv(512, 256),
            nn.Upsample(scale_factor=2, mode="nearest"),
            *(layer for _ in range(3) for layer in _conv(256, 256)),
            *_conv(256, 128),
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_conv(128, 128),
            *_conv(128, 64),
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_conv(64, 64),
            *_conv(64, 3)[:-1],
        )

    def forward(self, content: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Run it; see the module."""
        output: Tensor = self.decoder(adain(self.encoder(content), mean, std))
        return output


class MicroAST(nn.Module):
    """The layers of MicroAST (Wang et al., AAAI 2023): two micro encoders of one shape, modulators, a micro decoder.

    With the style cached, its encoder and the modulators have run already, and what they do to the decoder's filters
    is folded into these: one encoder, AdaIN at its end and the decoder are left to be timed. 472,995 parameters, about
    as many as published.
    """

    def __init__(self) -> None:
        super().__init__()
        self.content_encoder, self.style_encoder = _micro_encoder(), _micro_encoder()
        self.filter_scale, self.filter_shift = nn.Conv2d(64, 64, 1), nn.Conv2d(64, 64, 1)
        self.decoder = nn.Sequential(
            _Residual(64),
            _Residual(64),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *_separable(64, 32),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *_separable(32, 16),
            *_conv(16, 3, kernel=9)[:-1],
        )

    def forward(self, content: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Run it; see the module."""
        output: Tensor = self.decoder(adain(self.content_encoder(content), mean, std))
        return output


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_conv(channels, channels), *_conv(channels, channels)[:-1])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


def _conv(channels: int, width: int, kernel: int = 3) -> list[nn.Module]:
    """A convolution behind reflection padding, and its ReLU."""
    return [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(channels, width, kernel), nn.ReLU()]


def _separable(channels: int, width: int, stride: int = 1) -> list[nn.Module]:
    """A depthwise 3x3 convolution and a 1x1 one, and their ReLU."""
    depthwise = nn.Conv2d(channels, channels, 3, stride, groups=channels)
    return [nn.ReflectionPad2d(1), depthwise, nn.Conv2d(channels, width, 1), nn.ReLU()]


def _micro_encoder() -> nn.Sequential:
    return nn.Sequential(
        *_conv(3, 16, kernel=9),
        *_separable(16, 32, stride=2),
        *_separable(32, 64, stride=2),
        _Residual(64),
        _Residual(64),
    )


def count_parameters(network: nn.Module) -> int:
    """Numbers that training would set."""
    return sum(p.numel() for p in network.parameters())

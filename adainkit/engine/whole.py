"""One picture, or a batch of one size, whole in memory: encoded, then rendered under styles, regions and controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import Progress
from ..images import Picture
from ..look.controls import Controls
from ..look.guided import upsample, working_size
from ..look.masks import counting, fitted, resize
from ..look.regions import region_maps, region_shares, steady_moments, total_cover
from ..net.adain import Moments
from ..style import Style
from .finish import Finish, Measured, gathered, shown
from .memory import memory_guard, ordinary_tensors
from .two_pass import Executor

__all__ = ["Content", "encode_picture", "joined_pictures", "paint", "render", "without_pixels"]


@dataclass(frozen=True, eq=False)
class Content:
    """A picture that is encoded already, so that another style or alpha costs only a decoder pass.

    `features` and `statistics` are those of each AdaIN level, finest first, on the device; they belong to the picture
    at 1 / `scale` of its size.
    """

    picture: Picture
    features: tuple[Tensor, ...] = field(repr=False)
    statistics: tuple[Moments, ...] = field(repr=False)
    digest: str
    scale: float = 1.0


def encode_picture(
    executor: Executor, picture: Picture, scale: float, digest: str, progress: Progress | None = None
) -> Content:
    """The `Content` of a picture; `digest` is the encoder's."""
    with ordinary_tensors(), memory_guard("the picture"):
        rgb, weight = shown(picture), picture.alpha
        size = working_size(picture.height, picture.width, scale)
        if size != rgb.shape[2:]:
            rgb, weight = resize(rgb, size), None if weight is None else resize(weight, size)
        return Content(picture, *executor.encode(rgb, weight, progress), digest, scale)


def render(
    executor: Executor,
    content: Content,
    styles_of: Sequence[Sequence[Style]],
    controls: Controls,
    covers: Tensor | None = None,
    steady: bool = False,
    held: Measured | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """The result `(B, 3, H, W)`, float32, in [0, 1].

    `styles_of`: of every region one style for all of the batch, or one for each picture; `covers` `(B or 1, R, H, W)`.
    `steady`: the content's statistics count for all regions, too. `held`: what counts as the colors of the result, by
    regions, instead of its own, where it takes its styles' palettes.
    """
    picture = content.picture
    with ordinary_tensors(), memory_guard("the result"):
        size = working_size(picture.height, picture.width, content.scale)
        small, visible = (None if x is None else fitted(x, size) for x in (covers, picture.alpha))
        alphas = controls.alphas(len(content.features))
        output = paint(
            executor, content.features, content.statistics, styles_of, alphas, size, small, visible, steady, progress
        )
        original = picture.rgb.to(output.device, torch.float32)
        alpha = None if picture.alpha is None else picture.alpha.to(output.device)
        finish = Finish.of(controls, styles_of, executor.model.config)
        there = None if covers is None else covers.to(output.device)
        return _finished(output, replace(picture, rgb=original, alpha=alpha), there, finish, held)


def without_pixels(content: Content, finish: Finish, covers: Tensor | None) -> Content:
    """The same for `render`, without the picture's floats, 12 bytes a pixel, where nothing of them is in the result."""
    picture = content.picture
    if covers is not None or content.scale != 1 or finish.reach or finish.needs_content:
        return content
    one = picture.rgb[:, :, :1, :1].clone().expand(picture.rgb.shape)  # what is left of them is their shape and device
    return replace(content, picture=replace(picture, rgb=one))


def paint(
    executor: Executor,
    features: Sequence[Tensor],
    statistics: Sequence[Moments],
    styles_of: Sequence[Sequence[Style]],
    alphas: Sequence[float],
    size: Sequence[int],
    covers: Tensor | None = None,
    visible: Tensor | None = None,
    steady: bool = False,
    progress: Progress | None = None,
) -> Tensor:
    """Decode features under the styles of their regions, to `(B, 3, *size)`. `covers` and `visible` (alpha) have that
    size; `statistics` are those of the whole picture."""
    features = [f.to(executor.device, executor.kept) for f in features]  # they may have been moved since
    by_region, shares = [tuple(statistics)] * len(styles_of), []
    if covers is not None and not steady:
        by_region = [
            tuple(map(steady_moments, executor.statistics(features, weight), statistics))
            for weight in (counting(cover, visible) for cover in covers.chunk(len(styles_of), 1))
        ]
    if covers is not None and len(styles_of) > 1:
        shares = region_shares(covers, executor.model.config, features[-1].shape[2:], executor.halo.decode)
    maps = [executor.modulate(s, styles, alphas) for s, styles in zip(by_region, styles_of, strict=True)]
    height, width = size
    return executor.decode(features, region_maps(maps, shares, executor.device), height, width, progress)


def _finished(output: Tensor, picture: Picture, covers: Tensor | None, finish: Finish, held: Measured | None) -> Tensor:
    """Bring a result to the picture's size and finish it; `covers` say where each region counts."""
    content, larger = picture.rgb, output.shape[2:] != picture.rgb.shape[2:]
    if larger or finish.reach or finish.needs_content:
        content = shown(picture)
    if larger:
        output = upsample(output, content)
    output = finish.detail(output, content)
    maps = [] if held is None else finish.maps_of([held])
    if finish.matches and held is None:
        clear = picture.alpha is not None and bool((picture.alpha < 1).any())
        bands = finish.bands(picture.height, picture.width, covers, picture.alpha if clear else None)
        out, own = gathered(output, *bands), gathered(content, *bands)
        alpha = None if picture.alpha is None else gathered(picture.alpha, *bands)
        maps = finish.maps_of([finish.measure(out, own, covers, alpha)])
    output = finish.colors(output, content, maps, covers)
    return finish.cover(output, picture.rgb, None if covers is None else total_cover(covers))


def joined_pictures(pictures: Sequence[Picture], device: torch.device) -> Picture:
    """Pictures of one size as a batch; a single one as it is."""
    if len(pictures) == 1:
        return pictures[0]
    rgb = torch.cat([p.rgb.to(device) for p in pictures])
    alphas = [p.alpha.to(device) for p in pictures if p.alpha is not None]
    return Picture(rgb, torch.cat(alphas) if alphas else None, "tensor", torch.float32)

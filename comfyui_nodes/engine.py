"""A batch of images through the library, chunk by chunk in bounded memory; encoded contents are kept for the next
run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import torch
from torch import Tensor

from .core import adainkit, style_key
from .host import LoadedModel, Steps, out_of_memory
from .layout import check_image, count_for, from_image, from_mask, to_image

if TYPE_CHECKING:
    from adainkit import Content, Style, Stylizer
    from adainkit.stylizer import TileSize

__all__ = ["Contents", "Film", "Styles", "identity_style", "stylize_images"]

Styles = tuple["Style", ...]
"""What an ADAIN_STYLE wire carries: one style for all images, or one for each."""

_CHUNK = 1 << 20  # pixels of a batch that run together on a GPU, four of 512 x 512; a CPU gains nothing by it
_SHARE = 8  # encoded contents may take this part of the free memory


def stylize_images(
    model: LoadedModel,
    image: Tensor,
    styles: Styles | None,
    *,
    mask: Tensor | None = None,
    regions: Sequence[tuple[Tensor, Styles]] = (),
    contents: Contents | None = None,
    steps: Steps | None = None,
    **options: Any,
) -> Tensor:
    """`(B, H, W, C)` -> `(B, H, W, 3)`, or 4 where there was alpha: the same dtype, on ComfyUI's intermediate device.

    Either `styles`, or `regions` of masks and styles. `contents` keeps what was encoded; `steps` is a bar that is
    under way; `options` are those of `Stylizer.stylize`. A chunk of the batch that does not fit into memory is halved.
    """
    check_image(image)
    count, height, width, channels = image.shape
    covers = [from_mask(m) for m in ([mask] if mask is not None else [m for m, _ in regions])]
    found = [styles] if styles is not None else [s for _, s in regions]
    for things, what in [(c, "masks") for c in covers] + [(s, "styles") for s in found]:
        count_for(len(things), count, what)
    size = 1 if any(len(s) > 1 for s in found) else max(1, min(count, _CHUNK // (height * width)))
    stylizer = model.on_device(size * height * width)
    if stylizer.device.type == "cpu":
        size = 1
    steps = steps or Steps(count)

    def paint(start: int, stop: int) -> Tensor:
        chunk, progress = image[start:stop], steps.follow(start, stop - start)
        here, now = [_part(c, start, stop) for c in covers], [_part(s, start, stop)[0] for s in found]
        where = {"regions": list(zip(here, now, strict=True))} if regions else {"mask": here[0] if here else None}
        if contents is None:
            picture: Any = from_image(chunk)
        else:
            encode = {name: options[name] for name in ("scale", "tile") if name in options}
            picture = contents.encode(stylizer, chunk, count, progress=progress, **encode)
        return stylizer.stylize(picture, None if regions else now[0], progress=progress, **where, **options)

    out = torch.empty(
        (count, height, width, 4 if channels == 4 else 3), dtype=image.dtype, device=mm.intermediate_device()
    )
    start = 0
    while start < count:
        stop = min(count, start + size)
        try:
            out[start:stop] = to_image(paint(start, stop))
        except out_of_memory():
            if stop - start == 1:
                raise
            size = (stop - start) // 2
        else:
            start = stop
            steps.show(start)
            continue
        mm.soft_empty_cache()  # not before the error is gone, whose frames hold the chunk
    return out


class Contents:
    """Pictures encoded in the last runs: with only alpha changed, a run then decodes and nothing else.

    On the CPU, in an eighth of the free memory; a batch that would need more is not kept at all. Keys are hashes of the
    pixels, so that it does not matter which node made them.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Content] = OrderedDict()

    def encode(self, stylizer: Stylizer, chunk: Tensor, count: int, *, scale: float = 1.0, **options: Any) -> Content:
        """The Content of `chunk`, a part of a batch of `count` images; options as of `Stylizer.encode_content`."""
        key = _key(stylizer, chunk, scale)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self._shrink()
        content = stylizer.encode_content(from_image(chunk), scale=scale, **options)
        if _bytes(content) * count // len(chunk) <= self._limit():
            self._kept[key] = replace(content, features=tuple(f.cpu() for f in content.features))
        self._shrink()
        return content

    def _shrink(self) -> None:
        """Forget the oldest until the others fit into their share of what is free now, with them or without."""
        while self._kept and sum(map(_bytes, self._kept.values())) > self._limit():
            self._kept.popitem(last=False)

    @staticmethod
    def _limit() -> int:
        return int(mm.get_free_memory(torch.device("cpu"))) // _SHARE

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()


class Film:
    """The statistics of the last film, a few kilobytes: none of its frames is held."""

    def __init__(self) -> None:
        self._key: list[str] = []
        self._statistics: Any = None

    def statistics(self, model: LoadedModel, frames: Tensor, steps: Steps, scale: float, tile: TileSize) -> Any:
        """Of all frames as if they were one picture; what `stylize` takes as `content_statistics`."""
        stylizer, key, index = model.on_device(frames.shape[1] * frames.shape[2]), [], 0
        for i in range(len(frames)):
            key.append(_key(stylizer, frames[i : i + 1], scale))
            steps.show(0)
        if key == self._key:
            return self._statistics

        def follow(stage: str, done: int, total: int) -> None:
            steps.show(index + done / max(total, 1))

        def each() -> Iterator[Tensor]:
            nonlocal index
            for index in range(len(frames)):
                yield from_image(frames[index : index + 1])

        self._statistics = stylizer.content_statistics(each(), scale=scale, tile=tile, progress=follow)
        self._key = key
        return self._statistics


def _key(stylizer: Stylizer, image: Tensor, scale: float) -> str:
    key = style_key([image.float()], None, stylizer.digest, stylizer.dtype)  # NumPy has no bfloat16 to hash
    return f"{key} {image.dtype} {scale:g}"


def _bytes(content: Content) -> int:
    return sum(t.nbytes for t in (content.picture.rgb, *content.features))


def _part(things: Any, start: int, stop: int) -> Any:
    """Those of a chunk; the one for all."""
    return things if len(things) == 1 else things[start:stop]


def identity_style(model: LoadedModel) -> Style:
    """Any style of the model will do where every alpha is 0."""
    levels = model.stylizer.model.config.levels
    zeros, ones = (tuple(make(level.channels) for level in levels) for make in (torch.zeros, torch.ones))
    return adainkit.Style(zeros, ones, model.stylizer.digest)

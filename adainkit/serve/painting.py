"""One request's work: from files and fields to a picture in a file, or to a preview in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..engine.file_to_file import fits_whole
from ..engine.two_pass import Executor
from ..errors import ImageError, Progress
from ..formats import KINDS
from ..images import FILM_KINDS, Picture, check_target, close_image, find_film, open_image, picture_size, save_image
from ..images.describe import describe
from ..look.previews import bounded, reduced, strokes_of
from ..style import Style
from .desk import Alike, Lane
from .pictures import Held
from .problems import Refusal
from .service import Service
from .shelf import blend, style_of_file

__all__ = ["MEDIA", "Order", "paint_file", "preview", "target_name"]

MEDIA = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "AVIF": "image/avif",
    "TIFF": "image/tiff", "BMP": "image/bmp", "JPEG2000": "image/jp2", "HEIF": "image/heic", "JXL": "image/jxl",
}  # fmt: skip
"""The media type of each format that can be written."""
SMALL = 1 << 20
"""Pixels of the largest picture that is computed, and so held, together with others."""


@dataclass
class Order:
    """What is asked for, besides the picture: checked fields and files in the request's folder."""

    caller: str
    model: str
    names: Sequence[tuple[str, float]] = ()
    """Styles by name, with their weights."""
    files: Sequence[tuple[Path, float]] = ()
    """Styles as files, with their weights."""
    options: dict[str, Any] = field(default_factory=dict)
    mask: Path | None = None
    format: str | None = None
    quality: int | None = None
    metadata: bool = False
    size: int | None = None
    """The longest side of the result, where it is to be a preview."""

    def checked(self, service: Service) -> Order:
        """Itself. Errors for what can be told before any of the work: the names and the number of styles."""
        if len(self.names) + len(self.files) > service.settings.styles:
            raise Refusal(422, f"more than {service.settings.styles} styles are not mixed", "name fewer styles")
        shares = [(service.shelf.style(self.caller, name, self.model), weight) for name, weight in self.names]
        if not self.files:
            blend(shares)
        return self

    def style(self, service: Service, max_pixels: int) -> Style:
        """The mix of the styles; to be called at the desk."""
        stylizer = service.stylizer(self.model)
        size = self.options.get("style_size", 512)
        parts = [(service.shelf.style(self.caller, name, self.model), weight) for name, weight in self.names]
        for path, weight in self.files:
            parts.append((style_of_file(stylizer, path, style_size=size, max_pixels=max_pixels), weight))
        return blend(parts)


def can_write(format: str) -> bool:
    """Whether this installation writes a format."""
    try:
        check_target(f"picture.{format}")
    except ImageError:
        return False
    return True


def target_name(source: Path, format: str | None) -> str:
    """The name of a result: in the format that is asked for, else in the source's own, else as PNG. `ImageError` for
    what is no picture."""
    if format is not None:
        return f"result.{format}"
    kind = describe(source)["format"]
    return f"result.{next((ending for ending, name in KINDS.items() if name == kind), 'png')}"


def is_moving(service: Service, source: Path, target: Path) -> bool:
    """Whether a file is an animation, and its result too. `Refusal` for one that is too long."""
    limits = service.settings
    film = find_film(source, limits.pixels) if KINDS[target.suffix[1:]] in FILM_KINDS else None
    if film is not None and film.frames > limits.frames:
        raise Refusal(422, f"more than {limits.frames} frames", "send a shorter film")
    return film is not None


@dataclass(frozen=True)
class _Opened:
    """A picture that waits for the desk: where its result goes, and with which options it is stylized. `picture` is
    None for what goes from file to file: an animation, or what does not fit into the memory."""

    target: Path
    picture: Picture | None
    options: dict[str, Any]
    saving: dict[str, Any]


def _is_small(service: Service, source: Path) -> bool:
    height, width = picture_size(source, service.settings.pixels)
    return height * width <= SMALL


def _open(service: Service, source: Path, order: Order, folder: Path) -> _Opened:
    limit = service.settings.pixels
    target = folder / target_name(source, order.format)
    saving: dict[str, Any] = {"format": order.format, "quality": order.quality, "strip": not order.metadata}
    options: dict[str, Any] = {**order.options, "max_pixels": limit}
    if order.mask is not None:
        options["mask"] = order.mask
    moving = is_moving(service, source, target)
    if moving and order.size is not None:
        raise Refusal(422, "an animation keeps its size", "leave `size` out, or ask for a JPEG")
    if order.size is not None:
        picture = open_image(source, max_pixels=limit)
        small = reduced(picture, bounded(picture, order.size))
        share = max(small.height, small.width) / max(picture.height, picture.width)
        numbers = strokes_of(options.get("scale", 1.0), options.get("detail", 0.0), share)
        options["scale"], options["detail"] = numbers
        return _Opened(target, replace(small, kind="file"), options, saving)
    stylizer = service.stylizer(order.model)
    executor = Executor(stylizer.model, stylizer.device, stylizer.dtype)
    if moving or not fits_whole(executor, *picture_size(source, limit), options.get("scale", 1.0)):
        return _Opened(target, None, options, saving)
    return _Opened(target, replace(open_image(source, max_pixels=limit), kind="file"), options, saving)


def _alike(service: Service, order: Order, opened: _Opened) -> Alike | None:
    """With which others a picture may be computed at once: those of its size and look, in any style, as many as are
    fast together; None for none."""
    picture, options = opened.picture, opened.options
    if service.desk.batch == 1 or picture is None or order.mask is not None or picture.height * picture.width > SMALL:
        return None
    most = service.stylizer(order.model).executor().fast_batch(picture.height, picture.width)

    def together(items: Sequence[tuple[Order, Picture]], progress: Progress) -> list[Any]:
        progress("stylize", 0, len(items))
        orders, pictures = zip(*items, strict=True)
        styles = [each.style(service, service.settings.pixels) for each in orders]
        stylizer = service.stylizer(order.model)
        return stylizer.stylize_batch(pictures, styles, batch_size=len(items), progress=progress, **options)

    look = tuple(sorted((name, repr(value)) for name, value in options.items()))
    return Alike((order.model, picture.height, picture.width, look), (order, picture), together, most)


def _store(service: Service, opened: _Opened, result: Any) -> int:
    """Encode what the desk made, unless it is in the file already; how many pixels that has."""
    if opened.picture is not None:
        save_image(result, opened.target, info=opened.picture.info, **opened.saving)
    service.space.check(anew=True)
    height, width = picture_size(opened.target, None)
    return height * width


async def paint_file(
    service: Service, source: Path, order: Order, folder: Path, lane: Lane = Lane.WHOLE, tell: Progress | None = None
) -> Path:
    """The stylized picture as a file in the folder. Three pictures are in work side by side, and two of
    jobs; others wait. Small ones of one size and look are computed together, where that is faster."""
    small = service.desk.batch > 1 and lane is Lane.WHOLE and await service.aside("decode", _is_small, service, source)
    async with service.small if small else service.beside[lane]:
        opened = await service.aside("decode", _open, service, source, order, folder)

        def compute(progress: Progress) -> Any:
            stylizer, style = service.stylizer(order.model), order.style(service, service.settings.pixels)
            if opened.picture is not None:
                return stylizer.stylize(opened.picture, style, progress=progress, **opened.options)
            saving = opened.saving | opened.options
            return stylizer.stylize_file(source, opened.target, style, progress=progress, **saving)

        result = await service.desk.compute(compute, lane, tell, _alike(service, order, opened))
        pixels = await service.aside("encode", _store, service, opened, result)
    service.metrics.painted(pixels)
    return opened.target


async def preview(
    service: Service, held: Held, order: Order, mask: Held | None, lane: Lane = Lane.SHORT
) -> Image.Image:
    """What the result will look like, seen small: its colors and shapes, and strokes in their size to it."""
    side = min(order.size or 512, service.settings.preview)
    scale, detail = order.options.get("scale", 1.0), order.options.get("detail", 0.0)
    small = bounded(held.small, side)
    scale, detail = strokes_of(scale, detail, max(small) / max(held.size))
    options = {name: value for name, value in order.options.items() if name not in ("scale", "style_size")}
    options["detail"] = detail

    def compute(progress: Progress) -> Image.Image:
        stylizer = service.stylizer(order.model)
        content = service.pictures.content(
            held, side, scale, lambda picture, at: stylizer.encode_content(picture, scale=at, progress=progress)
        )
        style = order.style(service, service.settings.pixels)
        covering: dict[str, Any] = {} if mask is None else {"mask": close_image(mask.small.rgb, mask.small)}
        shown: Image.Image = stylizer.stylize(content, style, progress=progress, **covering, **options)
        return shown

    return await service.desk.compute(compute, lane)

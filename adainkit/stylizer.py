"""Stylizer: the whole pipeline of one picture, on a device, in a precision; `verb.stylize` is over it."""

from __future__ import annotations

import copy
import os
import reprlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, TypeAlias

import torch
from torch import Tensor

from .batch.jobs import may_replace
from .batch.pipeline import END, Outcome, run_pipeline
from .engine.content_statistics import ContentStatistics, check_binding
from .engine.file_to_file import fits_whole, stream_file
from .engine.film import check_film_size, stylize_film
from .engine.finish import Finish
from .engine.held import Samples, held_colors
from .engine.memory import ordinary_tensors
from .engine.two_pass import Executor, TileSize
from .engine.whole import Content, encode_picture, joined_pictures, render, without_pixels
from .errors import AdaINKitError, BatchError, ImageError, Progress, StyleError
from .images import (
    FILM_KINDS,
    MAX_PIXELS,
    ImageLike,
    Picture,
    Target,
    check_target,
    close_image,
    find_film,
    open_image,
    picture_size,
    save_image,
)
from .look.color import color_statistics, palette_tensors, premix
from .look.controls import Alpha, Controls, PreserveColor
from .look.masks import fitted, resize
from .look.previews import bounded, limited, prepare_preview, reduced
from .look.regions import RegionPlan
from .net.adain import Moments, merge_moments, split_moments
from .net.devices import find_device, find_precision
from .net.model import AdaINModel
from .runtimes.choice import find_runtime
from .runtimes.network import CompiledNetwork
from .store.style_cache import StyleCache, style_key
from .store.weights import cache_dir, load_model
from .style import Style, has_palette
from .style_sources import find_style, fits

__all__ = ["Content", "Progress", "Regions", "StyleLike", "Stylizer", "TileSize"]

StyleLike: TypeAlias = "Style | ImageLike | Sequence[Style | ImageLike]"
Regions: TypeAlias = "Sequence[tuple[ImageLike, StyleLike]]"


_OPEN = 2  # batches of pictures of different sizes that may be open at once


class Stylizer:
    """A model on a device. May be used from several threads, and as a context manager.

    It has many methods, since it is the one object that users hold: each is a short way into a room of the package.

    `model`: a name of `models()`, a .safetensors file, or an `AdaINModel` (copied). `device`: "auto" is cuda, else mps,
    else cpu. `dtype`: "float32", "float16", "bfloat16", or "mixed": the encoder in float32, its coarsest level and the
    decoder in bfloat16, but for styles and the last layer; "auto" is float16 on cuda; on a CPU with instructions for
    bfloat16 it is "mixed" for models with a `gain_cap`, as `lite` is; else float32. `cache`: where encoded styles are
    kept; None keeps none.

    `runtime`: what the convolutions run in: "torch", or on a CPU "openvino" or "onnxruntime", of the extras `openvino`
    and `onnx`. "auto" is OpenVINO where it is installed and faster (`runtimes.choice.gains`), else torch. OpenVINO's
    "auto" precision is then "bfloat16", with AdaIN and the last layer in float32 all the same (`runtimes.coders`).
    "tensorrt", of the extra `tensorrt`, is for NVIDIA GPUs; nobody has tried it on one yet (docs/runtimes.md).
    Styles are encoded by torch, in float32.
    """

    dtype: torch.dtype
    """The encoder's type, but for what "mixed" says. Styles are encoded in it wholly."""
    decoder_dtype: torch.dtype

    def __init__(
        self,
        model: str | os.PathLike[str] | AdaINModel = "lite",
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        cache: StyleCache | Literal["auto"] | None = "auto",
        runtime: str = "auto",
    ) -> None:
        with ordinary_tensors():
            loaded = copy.deepcopy(model) if isinstance(model, AdaINModel) else load_model(model)
        self.digest = loaded.digest  # before any rounding to another dtype
        self.cache = StyleCache() if cache == "auto" else cache
        self._model: AdaINModel | None = loaded.eval().requires_grad_(False)
        self._exact: AdaINModel | None = None  # under mixed precision the float32 one, for styles
        self._rounded: dict[bool, frozenset[str]] = {False: frozenset(), True: frozenset()}  # of the model, of `_exact`
        self.device: torch.device = find_device("cpu")
        self.dtype = self.decoder_dtype = torch.float32
        self._wanted = runtime
        self._compiled: CompiledNetwork | None = None
        self._beside: dict[int, Stylizer] = {}
        self.to(device, dtype)

    @property
    def model(self) -> AdaINModel:
        """The model, on the device. `AdaINKitError` after `close`."""
        if self._model is None:
            raise AdaINKitError("this Stylizer is closed; make another one")
        return self._model

    @property
    def precision(self) -> str:
        """The name of what it runs in, as `dtype` takes it: never "auto"."""
        if self._compiled is not None:
            return self._compiled.precision
        return str(self.dtype).removeprefix("torch.") if self.dtype == self.decoder_dtype else "mixed"

    @property
    def runtime(self) -> str:
        """The name of what the convolutions run in: never "auto"."""
        return "torch" if self._compiled is None else self._compiled.engine

    def to(self, device: str | torch.device | None = None, dtype: str | torch.dtype | None = None) -> Stylizer:
        """Move to a device and precision, as in the constructor; returns itself. None keeps the present one.

        Weights that were rounded stay rounded: for more precision than a Stylizer has, make a new one.
        """
        target = self.device if device is None else find_device(device)
        if dtype is None and self._compiled is not None and target == self.device:
            return self  # it is there, as it was chosen
        dtype = self.precision if dtype is None else dtype
        engine, precision = find_runtime(self._wanted, target, dtype, self.model.config)
        kinds = find_precision(dtype if engine == "torch" else torch.float32, target, self.model.config)
        with ordinary_tensors():
            if kinds[0] == kinds[1]:
                self._exact = None
            elif self._exact is None:
                self._exact = copy.deepcopy(self.model)
                self._exact.cast(kinds[0], kinds[0])
                self._rounded[True] = self._rounded[False] | {str(kinds[0])}
            self._rounded[False] |= {str(kind) for kind in kinds}
            for own in (self.model, *([] if self._exact is None else [self._exact])):
                own.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.model.cast(*kinds)
        moved, self.device, (self.dtype, self.decoder_dtype) = target != self.device, target, kinds
        self._let_go()
        if engine == "torch":
            self._compiled = None
        elif moved or (self.runtime, self.precision) != (engine, precision):
            threads, kept = torch.get_num_threads(), cache_dir() / engine
            self._compiled = CompiledNetwork(self.model, engine, precision, threads, kept)
        return self

    def side_by_side(self, calls: int) -> Stylizer:
        """The same for so many `calls` at a time, from as many threads, which share the CPU. Of use until this one
        moves or is closed; made once. Torch knows no difference: there it is for the threads to set their number.
        """
        if self._compiled is None or calls == self._compiled.calls:
            return self
        if calls not in self._beside:
            self._beside[calls] = made = copy.copy(self)
            made._beside, made._compiled = {}, replace(self._compiled, calls=calls)
            _ = made._compiled.encoder, made._compiled.decoder  # compiled here, and not in each of the threads
        return self._beside[calls]

    def close(self) -> None:
        """Release the model and its memory. It is safe to call this twice."""
        self._let_go()
        self._model = self._exact = self._compiled = None

    def _let_go(self) -> None:
        for made in self._beside.values():
            made.close()
        self._beside = {}

    def __enter__(self) -> Stylizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def encode_style(
        self,
        image: ImageLike | Sequence[ImageLike],
        *,
        style_size: int | None = 512,
        name: str = "",
        max_pixels: int | None = MAX_PIXELS,
    ) -> Style:
        """The style of a picture, or of several with equal shares.

        The shorter side is scaled down to `style_size` pixels: a smaller one gives finer strokes. A smaller picture is
        never enlarged, None takes it as it is. What is transparent does not count. `ImageError` for bad pictures.
        """
        if style_size is not None and style_size < 1:
            raise StyleError(f"style_size must be 1 or more, or None, got {style_size}")
        if isinstance(image, Sequence) and not isinstance(image, (str, bytes, bytearray, memoryview)):
            parts = [self.encode_style(i, style_size=style_size, max_pixels=max_pixels) for i in image]
            mixed = Style.blend([(part, 1.0) for part in parts])
            return replace(mixed, name=name or mixed.name)
        picture = open_image(image, max_pixels=max_pixels)
        encoder = self.digest
        # weights that were rounded once stay so, whatever they are now: their styles are others
        if coarser := self._rounded[self._exact is not None] - {str(self.dtype), "torch.float32"}:
            encoder += " rounded by " + " ".join(sorted(coarser))
        key = style_key([t for t in (picture.rgb, picture.alpha) if t is not None], style_size, encoder, self.dtype)
        style = self.cache.get(key) if self.cache is not None else None
        if (
            style is None
            or not fits(style, self.model.config)
            or (self.model.config.palette and not has_palette(style))
        ):
            style = self._new_style(picture, style_size)
            if self.cache is not None:
                self.cache.put(key, style)
        if not name and isinstance(image, (str, os.PathLike)):
            name = Path(image).stem
        return replace(style, name=name, description="")

    def _new_style(self, picture: Picture, style_size: int | None) -> Style:
        with ordinary_tensors():
            rgb, alpha = picture.rgb, picture.alpha
            if alpha is not None:
                if not bool(alpha.any()):
                    raise ImageError("the style picture is transparent all over: there is nothing to take a style from")
                rgb = premix(rgb, alpha)
            short = min(picture.height, picture.width)
            if style_size is not None and short > style_size:
                size = [max(1, round(side * style_size / short)) for side in (picture.height, picture.width)]
                rgb, alpha = resize(rgb, size), None if alpha is None else resize(alpha, size)
            executor = Executor(self._exact or self.model, self.device, self.dtype)
            tensors = executor.model.style_tensors(*executor.encode(rgb, alpha))
            if self.model.config.palette:
                tensors |= palette_tensors(color_statistics(rgb, alpha))
            return Style(tensors={name: v.cpu() for name, v in tensors.items()}, digest=self.digest)

    def encode_content(
        self,
        image: ImageLike,
        *,
        scale: float = 1.0,
        tile: TileSize = "auto",
        max_pixels: int | None = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Content:
        """Encode a picture once for many `stylize` calls, each then a decoder pass. `ImageError` for a bad one.

        `scale`: as in `stylize`, which takes it from the `Content`.
        """
        Controls(scale=scale)
        with ordinary_tensors():
            picture = open_image(image, max_pixels=max_pixels)
            return encode_picture(self._executor(tile), picture, scale, self.digest, progress)

    def content_statistics(
        self,
        images: Iterable[ImageLike],
        *,
        scale: float = 1.0,
        tile: TileSize = "auto",
        max_pixels: int | None = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> ContentStatistics:
        """The statistics of several pictures as if they were one: for `content_statistics=` in `stylize`.

        A film whose frames are all stylized with those of the film, or of some of its frames, keeps one tone. Its
        strokes still move with it, and its noise is still there.
        `images`: any that `stylize` takes, batches too. `ImageError` for none. They belong to this model and `scale`:
        with another one they are an `ImageError`.
        """
        Controls(scale=scale)
        merged: list[Moments] = []
        samples = Samples()
        for image in images:
            content = self.encode_content(image, scale=scale, tile=tile, max_pixels=max_pixels, progress=progress)
            with ordinary_tensors():
                for found in zip(*map(split_moments, content.statistics), strict=True):
                    # at once: what is kept of every picture, small as it is, holds the heap apart, which then grows
                    merged = [merge_moments(pair) for pair in zip(merged, found, strict=True)] if merged else [*found]
                samples.add(content.picture, scale)
            del content, found  # before the next one is made
        if not merged:
            raise ImageError("statistics of at least one picture are expected, got none")
        return ContentStatistics(merged, self.digest, float(scale), samples.kept)

    def stylize(
        self,
        image: ImageLike | Content,
        style: StyleLike | None,
        *,
        alpha: Alpha = 1.0,
        preserve_color: PreserveColor = None,
        color_strength: float = 1.0,
        mask: ImageLike | None = None,
        regions: Regions | None = None,
        scale: float = 1.0,
        detail: float = 0.0,
        content_statistics: Sequence[Moments] | None = None,
        style_size: int | None = 512,
        tile: TileSize = "auto",
        max_pixels: int | None = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Any:
        """The picture in the style: the type, size, bit depth and alpha channel of `image` (a PIL image for a path).

        - `image`: path, PIL image, array, tensor (a batch, too) or `Content`.
        - `style`: a `Style`, a picture, a list of them (equal shares), a path (of a picture or of a saved style), or a
          preset's name: an existing file first. None where there are `regions`.
        - `alpha`: 0 (the content as the decoder gives it back) to 1 (the style); or one number for each of the model's
          AdaIN levels, finest first: in `lite`, palette and contrast, then strokes, then larger patches.
        - `preserve_color`: None or "none" brings colors to the style's palette (`look.color.toward`), in which things
          keep some of their own hues (`LocalColor`), where the model does that and the style knows its colors; "luma"
          keeps the content's chroma, "match" the mean and covariance of its colors. `color_strength`: how far, 0 (the
          network's own colors) to 1.
        - `mask`: where to stylize, 1, and where to keep the content's own pixels, 0; soft, of any size; only what it
          covers counts as content. A gray picture, a path, a `(H, W)` array or tensor in [0, 1], or a tensor `(B,
          H, W)`.
        - `regions`: `[(mask, style), ...]`, a style of its own where each mask is; only what a mask covers counts as
          content there. Masks that sum to more than 1 share in proportion; what none covers keeps its pixels.
        - `scale`: how many times as bold strokes are, from 1. The picture is stylized at 1 / `scale` of its size, then
          its own edges are brought back (`look.guided.upsample`).
        - `detail`: 0 to 1, how much of the content's fine structure comes back: legible text and faces.
        - `content_statistics`: what `Stylizer.content_statistics` gave, instead of the picture's own; colors then
          come to the style's by its samples.
        - `tile`: pixels a side that are worked on at once, without any effect on the result: "auto" as many as fit into
          `engine.memory.memory_budget` (halved when memory runs out all the same) and on the CPU no more than is fast,
          None the whole picture.

        Errors: `ImageError`, `StyleError` (the style and the numbers), `OutOfMemoryError`.
        """
        controls = self._controls(alpha, preserve_color, color_strength, scale, detail)
        check_binding(content_statistics, self.digest, _scale_of(image, scale))
        plan = self._plan(style, regions, mask, style_size, max_pixels)
        result, picture = self._painted(image, plan, controls, content_statistics, tile, max_pixels, progress)
        with ordinary_tensors():
            return close_image(result, picture)

    def preview(
        self,
        image: ImageLike | Content,
        style: StyleLike | None,
        *,
        size: int = 256,
        alpha: Alpha = 1.0,
        preserve_color: PreserveColor = None,
        color_strength: float = 1.0,
        mask: ImageLike | None = None,
        regions: Regions | None = None,
        scale: float = 1.0,
        detail: float = 0.0,
        content_statistics: Sequence[Moments] | None = None,
        style_size: int | None = 512,
        max_pixels: int | None = MAX_PIXELS,
    ) -> Any:
        """A thumbnail of what `stylize` would give, its longer side at most `size` pixels, of the type of `image`.

        The picture is stylized at no more than twice that size, whatever its own, so colors and shapes are those of the
        full result, but single strokes only where `scale` makes them large enough to be seen. Options and errors
        are those of `stylize`.
        """
        self._controls(alpha, preserve_color, color_strength, scale, detail)
        if size < 1:
            raise ImageError(f"the size of a preview must be 1 pixel or more, got {size}")
        picture = image.picture if isinstance(image, Content) else open_image(image, max_pixels=max_pixels)
        scale = _scale_of(image, scale)
        check_binding(content_statistics, self.digest, scale)
        with ordinary_tensors():
            small, scale, detail = prepare_preview(picture, size, scale, detail)
            controls = Controls(alpha, preserve_color, color_strength, scale, detail)
            plan = self._plan(style, regions, mask, style_size, max_pixels)
            content = encode_picture(self._executor("auto"), small, controls.scale, self.digest)
            covers = plan.covers(small, max_pixels)
            result = self._render(content, plan.styles, controls, covers, content_statistics, "auto", None)
            thumbnail = reduced(small, bounded(picture, size))
            return close_image(fitted(result, (thumbnail.height, thumbnail.width)), thumbnail)

    def stylize_batch(
        self,
        images: Sequence[ImageLike],
        style: StyleLike | Sequence[Style],
        *,
        alpha: Alpha = 1.0,
        preserve_color: PreserveColor = None,
        color_strength: float = 1.0,
        scale: float = 1.0,
        detail: float = 0.0,
        content_statistics: Sequence[Moments] | None = None,
        style_size: int | None = 512,
        batch_size: int = 8,
        tile: TileSize = "auto",
        max_pixels: int | None = MAX_PIXELS,
        return_errors: bool = False,
        progress: Progress | None = None,
    ) -> list[Any]:
        """`stylize` for many pictures: one style for all, or one `Style` for each. Results in the order of `images`.

        Pictures of equal size run together, `batch_size` at most and on the CPU no more than is fast; the others alone.
        They are opened as their turn comes: no more than a few batches of them are held.

        A picture that cannot be used stops nothing: the others are made. Then its `ImageError` is at its place in the
        results with `return_errors`, else a `BatchError` is raised, which has the results and the errors.
        """
        controls = self._controls(alpha, preserve_color, color_strength, scale, detail)
        check_binding(content_statistics, self.digest, scale)
        styles_of = self._style_of_each(style, len(images), style_size, max_pixels)
        results: list[Any] = [None] * len(images)
        errors: dict[int, ImageError] = {}
        count = _Count(progress, len(images))

        def failed(place: int, error: ImageError) -> None:
            errors[place] = results[place] = error
            count.add(1)

        def work(group: list[tuple[int, Picture]]) -> None:
            chosen, pictures = [index for index, _ in group], [picture for _, picture in group]
            with ordinary_tensors():
                joined = joined_pictures(pictures, self.device)
                content = encode_picture(self._executor(tile), joined, scale, self.digest)
            of_each = [[styles_of[i] for i in chosen]]
            together = self._render(content, of_each, controls, None, content_statistics, tile, None)
            outputs = [together] if len(chosen) == 1 else together.chunk(len(chosen))
            with ordinary_tensors():
                for i, picture, output in zip(chosen, pictures, outputs, strict=True):
                    results[i] = close_image(output, picture)
            count.add(len(chosen))

        for group in _alike(images, max(1, batch_size), self._executor(tile).fast_batch, max_pixels, failed):
            work(group)
            del group  # its pictures need not stay while the next ones are opened
        if errors and not return_errors:
            raise BatchError(results, errors)
        return results

    def _style_of_each(
        self, style: StyleLike | Sequence[Style], pictures: int, style_size: int | None, max_pixels: int | None
    ) -> list[Style]:
        if not (isinstance(style, (list, tuple)) and all(isinstance(s, Style) for s in style)):
            return [self.as_style(style, style_size=style_size, max_pixels=max_pixels)] * pictures
        if len(style) != pictures:
            raise StyleError(f"{pictures} pictures and {len(style)} styles; give one style, or one for each picture")
        return [self.as_style(s) for s in style]

    def stylize_frames(
        self,
        frames: Iterable[ImageLike],
        style: StyleLike | None,
        *,
        alpha: Alpha = 1.0,
        preserve_color: PreserveColor = None,
        color_strength: float = 1.0,
        mask: ImageLike | None = None,
        regions: Regions | None = None,
        scale: float = 1.0,
        detail: float = 0.0,
        content_statistics: Sequence[Moments] | None = None,
        style_size: int | None = 512,
        tile: TileSize = "auto",
        max_pixels: int | None = MAX_PIXELS,
    ) -> Generator[Any, None, None]:
        """`stylize` for the frames of a film, one after the other: an iterator of results, in the order of `frames`.

        A frame is taken from `frames`, in another thread, while the one before is computed, and never more than two are
        waiting, so that a film of any length takes the memory of a few pictures. Give `content_statistics`, those of
        the film or of some of its frames, for one tone; `stylize_film` does more. Errors in the options are raised at
        once, those of a frame when it is its turn. Close the iterator to stop earlier.
        """
        controls = self._controls(alpha, preserve_color, color_strength, scale, detail)
        if content_statistics is not None:
            check_binding(content_statistics, self.digest, scale)
            self._checked_statistics(content_statistics)
        plan, source = self._plan(style, regions, mask, style_size, max_pixels), iter(frames)

        def read(number: int) -> Any:
            try:
                return open_image(next(source), max_pixels=max_pixels)
            except StopIteration:
                return END

        def work(number: int, picture: Picture) -> Any:
            result, _ = self._painted(picture, plan, controls, content_statistics, tile, max_pixels, None)
            with ordinary_tensors():
                return close_image(result, picture)

        return self._results(run_pipeline(count(1), read, work, lambda _, result: result, name=_frame, ordered=True))

    @staticmethod
    def _results(outcomes: Generator[Outcome[int], None, None]) -> Generator[Any, None, None]:
        with closing(outcomes):
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
                yield outcome.value

    def stylize_file(
        self,
        source: str | os.PathLike[str] | bytes | IO[bytes],
        target: Target,
        style: StyleLike | None,
        *,
        alpha: Alpha = 1.0,
        preserve_color: PreserveColor = None,
        color_strength: float = 1.0,
        mask: ImageLike | None = None,
        regions: Regions | None = None,
        scale: float = 1.0,
        detail: float = 0.0,
        content_statistics: Sequence[Moments] | None = None,
        style_size: int | None = 512,
        tile: TileSize = "auto",
        format: str | None = None,
        quality: int | None = None,
        overwrite: bool | None = None,
        strip: bool = False,
        record: Mapping[str, Any] | None = None,
        max_size: int | None = None,
        max_pixels: int | None = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Path:
        """`stylize` from file to file, 16 bits where both have them. The target appears when it is complete;
        its path is returned.

        A picture that does not fit into `engine.memory.memory_budget` with its features and its result goes through in
        strips, unless `tile` is None: the same result, in memory that does not grow with its height where both files
        are TIFF (`engine.file_to_file.stream_file`). `progress` then has one stage, "stylize".

        An animated GIF, PNG or WebP becomes a film in any of the three: every frame under the statistics of all of them
        (`engine.film.stylize_film`). Into another format goes its first frame, and the log says so.

        `format`, `quality`, `strip`, `record` and a file object as `target` as in `images.save_image`; a `source` of
        bytes or a file object is held whole, and of an animation it is the first frame. `max_size`: a picture whose
        longer side has more pixels is scaled down to that first. What exists is an `ImageError` with `overwrite` False,
        and with None is replaced for one release more, with a `FutureWarning`; what is read here is replaced for
        `overwrite=True` alone.
        """
        controls = self._controls(alpha, preserve_color, color_strength, scale, detail)
        check_binding(content_statistics, self.digest, scale)
        _check_source(source)
        saving: dict[str, Any] = {"format": format, "quality": quality}
        saving["overwrite"] = may_replace(target, overwrite, [source, mask, *_named(style, regions)])
        kind = check_target(target, **saving)  # before the work, not after it
        saving |= {"strip": strip, "record": record}
        limits: dict[str, Any] = {"max_pixels": max_pixels, "progress": progress}
        from_file = isinstance(source, (str, os.PathLike))
        film = find_film(source, max_pixels) if from_file and kind in FILM_KINDS else None  # type: ignore[arg-type]
        if film is not None:
            check_film_size(film, max_size)
            where: dict[str, Any] = {"mask": mask, "regions": regions, "style_size": style_size, "tile": tile}
            numbers = {"color_strength": color_strength, "scale": scale, "detail": detail}
            where |= {"content_statistics": content_statistics, "preserve_color": preserve_color, **numbers}
            return stylize_film(self, film, target, style, alpha=alpha, **where, **saving, **limits)
        plan = self._plan(style, regions, mask, style_size, max_pixels)
        picture = source if max_size is None else _limited(source, max_size, max_pixels)
        return self._to_file(picture, target, plan, controls, content_statistics, tile, saving, limits)

    def _to_file(
        self,
        source: ImageLike,
        target: Target,
        plan: RegionPlan,
        controls: Controls,
        fixed: Sequence[Moments] | None,
        tile: TileSize,
        saving: Mapping[str, Any],
        limits: Mapping[str, Any],
    ) -> Path:
        """A picture, in strips where it and `target` are files and it doesn't fit into the memory."""
        executor, max_pixels = self._executor(tile), limits["max_pixels"]
        if (
            isinstance(source, (str, os.PathLike))
            and isinstance(target, (str, os.PathLike))
            and tile is not None
            and not fits_whole(executor, *picture_size(source, max_pixels), controls.scale)
        ):
            known = None if fixed is None else self._checked_statistics(fixed)
            with ordinary_tensors():
                held = held_colors(executor, fixed, plan.styles, controls)
            saving = {"content_statistics": known, "held": held, **saving}
            return stream_file(executor, source, target, plan, controls, **saving, **limits)
        result, picture = self._painted(source, plan, controls, fixed, tile, max_pixels, limits["progress"])
        closed = close_image(result, picture, deep=True)
        assert not isinstance(closed, Tensor)  # a path gives an image, or an array where it has 16 bits
        return save_image(closed, target, info=picture.info, **saving)

    def stylize_film(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        style: StyleLike | Mapping[float, StyleLike],
        **options: Any,
    ) -> Path:
        """A film in a style, from file to file, with its sound; the path of the result, which appears when it is whole.

        In: MP4, MOV, MKV, WebM, AVI; animated GIF, PNG, WebP; numbered pictures like `frames/%05d.png`. Out: the same
        but AVI. Every frame keeps its time; colors, pixel aspect, more than 8 bits and alpha are kept, frames stand
        upright; sound, subtitles, chapters and texts are copied as they are. Needs the extra `film`.

        - `style`: as in `stylize`, or `{seconds: style, ...}`, between which it fades; `alpha`: likewise.
        - `preserve_color`, `color_strength`, `scale`, `detail`, `style_size`: as in `stylize`. `mask`: too, or a film.
        - `statistics`: of the content, "scene" (default: two passes, cuts are found), "clip", "frame" (each frame its
          own) or "live" (one pass, running, a few frames of delay).
        - `steady`: 0 to 1, how much of the last frame is kept along the content's motion (the extra `steady`).
          `keep_noise`: the network sees the camera's noise, too, which is otherwise taken out of what stands still.
        - `start`, `stop`: seconds, of video files. `fps`: of numbered pictures (25).
        - `codec`: "h264", "h265", "vp9", "av1", "prores", "ffv1" (None: what suits the name and the film); `crf`,
          `preset`: of the encoder; `quality`: 1 to 100 in the place of a crf, of whose default it is 90.
          `sound`: False leaves it out; `strip`: True leaves out texts (places, titles, dates) and attached files.
        - `resume`: go on where a run that was stopped or killed has come to; its pictures are the same, bit for bit.
        - `overwrite`: as in `stylize_file`, but files of the film itself and of its mask are never replaced.
        - `max_pixels` of a frame (2^26), `max_frames` (2^20); `progress`: stages "scan", "measure" and
          "stylize", in frames.

        Errors: `FilmError` for films that are damaged, hold no pictures or are HDR, and where PyAV is missing;
        `StyleError`, `ImageError` as `stylize`. Damage that can be passed over is told in the log.
        """
        from .film import stylize_film

        return stylize_film(self, source, target, style, **options)

    def as_style(self, style: StyleLike, *, style_size: int | None = 512, max_pixels: int | None = MAX_PIXELS) -> Style:
        """A `Style` of this model from anything that `stylize` takes as one. `StyleError` if it is none, or another
        encoder's."""
        if isinstance(style, (str, os.PathLike)):
            found = find_style(style, self.model.config.name, self.digest)
            if isinstance(found, Path):
                return self.encode_style(found, style_size=style_size, max_pixels=max_pixels)
            style = found
        if isinstance(style, (list, tuple)):
            parts = [self.as_style(part, style_size=style_size, max_pixels=max_pixels) for part in style]
            return Style.blend([(part, 1.0) for part in parts])
        if not isinstance(style, Style):
            return self.encode_style(style, style_size=style_size, max_pixels=max_pixels)  # type: ignore[arg-type]
        if style.digest != self.digest:
            raise StyleError(
                f"the style {style.name or '(without a name)'} belongs to another encoder: expected "
                f"{self.digest[:12]}, got {style.digest[:12]}; encode its picture with this model"
            )
        if not fits(style, self.model.config):
            raise StyleError(f"the style {style.name or '(without a name)'} is damaged; encode its picture again")
        return style

    def executor(self, tile: TileSize = "auto") -> Executor:
        """What encodes and decodes, on tensors; `tile` as in `stylize`. Of use until this one moves."""
        return self._executor(tile)

    def _executor(self, tile: TileSize) -> Executor:
        return Executor(self._compiled or self.model, self.device, self.dtype, tile)

    def _controls(self, *options: Any) -> Controls:
        """Checked, and their number of alphas too, before any of the work."""
        controls = Controls(*options)
        controls.alphas(len(self.model.config.levels))
        return controls

    def _painted(
        self,
        image: ImageLike | Content,
        plan: RegionPlan,
        controls: Controls,
        fixed: Sequence[Moments] | None,
        tile: TileSize,
        max_pixels: int | None,
        progress: Progress | None,
    ) -> tuple[Tensor, Picture]:
        """The result for a picture that is whole in memory, and what closes it."""
        content = image
        if not isinstance(content, Content):
            more = {"scale": controls.scale, "tile": tile, "max_pixels": max_pixels, "progress": progress}
            content = self.encode_content(content, **more)  # type: ignore[arg-type]
        covers = plan.covers(content.picture, max_pixels)
        content = without_pixels(content, Finish.of(controls, plan.styles, self.model.config), covers)
        return self._render(content, plan.styles, controls, covers, fixed, tile, progress), content.picture

    def _render(
        self,
        content: Content,
        styles_of: Sequence[Sequence[Style]],
        controls: Controls,
        covers: Tensor | None,
        fixed: Sequence[Moments] | None,
        tile: TileSize,
        progress: Progress | None,
    ) -> Tensor:
        if content.digest != self.digest:
            raise ImageError("this Content was encoded by another model; encode the picture again with this one")
        executor, held = self._executor(tile), None
        if fixed is not None:
            content = replace(content, statistics=self._checked_statistics(fixed))
            with ordinary_tensors():
                held = held_colors(executor, fixed, styles_of, controls)
        return render(executor, content, styles_of, controls, covers, fixed is not None, held, progress)

    def _checked_statistics(self, fixed: Sequence[Moments]) -> tuple[Moments, ...]:
        channels = [level.channels for level in self.model.config.levels]
        if [m.mean.shape[-1] for m in fixed] != channels:
            raise ImageError("these content_statistics are of another model; make them with this one")
        return tuple(Moments(*(v.to(self.device) for v in (m.count, m.mean, m.m2))) for m in fixed)

    def _plan(
        self,
        style: StyleLike | None,
        regions: Regions | None,
        mask: ImageLike | None,
        style_size: int | None,
        max_pixels: int | None,
    ) -> RegionPlan:
        """Which style counts where. A mask and a style are one region; a style alone is everywhere."""
        if regions is None:
            if style is None:
                raise StyleError("a style is missing: give one, or regions=[(mask, style), ...]")
            found = self.as_style(style, style_size=style_size, max_pixels=max_pixels)
            return RegionPlan([] if mask is None else [mask], [[found]])
        if style is not None:
            raise StyleError("style and regions exclude each other: give None as the style")
        pairs = list(regions)
        if not pairs or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
            raise StyleError(f"regions must be one or more pairs (mask, style), got {reprlib.repr(regions)}")
        styles_of = [[self.as_style(s, style_size=style_size, max_pixels=max_pixels)] for _, s in pairs]
        return RegionPlan([m for m, _ in pairs], styles_of, mask)


class _Count:
    """How many pictures of a batch are done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, done: int) -> None:
        self._done += done
        if self._progress is not None:
            self._progress("stylize", self._done, self._total)


def _alike(
    images: Sequence[ImageLike],
    most: int,
    fast_batch: Callable[[int, int], int],
    max_pixels: int | None,
    failed: Callable[[int, ImageError], None],
) -> Iterator[list[tuple[int, Picture]]]:
    """Groups of pictures of one size, `most` at most, each picture with its place in `images`; it is opened when its
    turn comes, or `failed` is told. `fast_batch(height, width)`: how many of a size should run together."""
    waiting: dict[tuple[Any, ...], list[tuple[int, Picture]]] = {}
    for index, image in enumerate(images):
        try:
            p = open_image(image, max_pixels=max_pixels)
        except ImageError as error:
            failed(index, error)
            continue
        alone = -1 if len(p.rgb) == 1 else index  # a batch tensor runs by itself
        kind = (p.height, p.width, p.alpha is None, alone)
        waiting.setdefault(kind, []).append((index, p))
        if len(waiting[kind]) >= min(most, fast_batch(p.height, p.width)) or alone >= 0:
            yield waiting.pop(kind)
        while sum(map(len, waiting.values())) > _OPEN * most:  # of many sizes, the one that waits longest
            yield waiting.pop(next(iter(waiting)))
    while waiting:
        yield waiting.pop(next(iter(waiting)))


def _scale_of(image: ImageLike | Content, scale: float) -> float:
    """The scale to work at: that of a `Content`, which has one already."""
    if not isinstance(image, Content):
        return scale
    if scale not in (1, image.scale):
        raise ImageError(f"this Content is of scale {image.scale:g}, not {scale:g}; encode it with this one")
    return image.scale


def _check_source(source: object) -> None:
    if not isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) and not hasattr(source, "read"):
        given = type(source).__name__
        raise ImageError(f"stylize_file expects the path or the bytes of a picture, got {given}; use stylize")


def _limited(source: Any, max_size: int, max_pixels: int | None) -> Any:
    """A picture that is small enough as it was given, which may be too much for the memory; another one smaller."""
    if isinstance(source, (str, os.PathLike)) and max(picture_size(source, max_pixels)) <= max_size:
        return source
    return limited(open_image(source, max_pixels=max_pixels), max_size)


def _named(style: Any, regions: Any) -> list[Any]:
    """What may be files of styles and of masks; `Stylizer._plan` says what is wrong with any of them."""
    flat: list[Any] = []
    waiting: list[Any] = [style, regions]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (list, tuple)):
            waiting.extend(each)
        else:
            flat.append(each)
    return flat


def _frame(number: int) -> str:
    return f"frame {number}"

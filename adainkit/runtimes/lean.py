"""A stylizer without torch: NumPy, Pillow, and OpenVINO or ONNX Runtime."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np

from ..engine.bands import measured_bands
from ..engine.tiles import Tile, plan_tiles
from ..errors import AdaINKitError, StyleError
from ..look.controls import Alpha, Controls, PreserveColor
from ..net.demands import halo
from ..store.weights import cache_dir, resolve
from . import arrays, coders
from .coders import Precision
from .engines import here, load_program
from .graph import Array
from .model_file import read_model
from .pictures import Source, as_given, opened, opened_mask

__all__ = ["LeanStyle", "LeanStylizer", "with_graphs"]

Styled: TypeAlias = "LeanStyle | Source"
_PRESETS = Path(__file__).parent.parent / "presets"


@dataclass(frozen=True)
class LeanStyle:
    """Channel statistics of a style's picture, "mean0", "std0" and so on, and the digest of the encoder.

    "color_mean" and "color_covariance", where they are, are its palette, to which results are brought.
    """

    tensors: Mapping[str, Array] = field(repr=False)
    digest: str
    name: str = ""

    @property
    def palette(self) -> list[Array] | None:
        """Mean and covariance of its colors; None if it does not know them."""
        known = all(name in self.tensors for name in arrays.PALETTE)
        return [self.tensors[name] for name in arrays.PALETTE] if known else None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LeanStyle:
        """Read a style file, as `Style.save` writes it. `StyleError` if it is none."""
        facts, tensors = _read(Path(path))
        if "mean0" not in tensors or "encoder_sha256" not in facts:
            raise StyleError(f"{path}: is not a style; expected a file that Style.save wrote")
        return cls(tensors, facts["encoder_sha256"], facts.get("name", ""))

    @classmethod
    def preset(cls, name: str, model: str = "lite") -> LeanStyle:
        """A style that comes with the package. `StyleError` for an unknown name."""
        facts, tensors = _read(_PRESETS / f"{model}.safetensors")
        known = [row["name"] for row in json.loads(facts["presets"])]
        if name not in known:
            raise StyleError(f"no preset is called {name!r}; there are: {', '.join(known)}")
        own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
        return cls(own, facts["encoder_sha256"], name)

    @classmethod
    def blend(cls, parts: Iterable[tuple[LeanStyle, float]]) -> LeanStyle:
        """The weighted mean of styles of one encoder; of their palettes if all have one."""
        if not parts:
            raise StyleError("there is no style to blend; give one or more")
        styles, weights = zip(*parts, strict=True)
        if len({style.digest for style in styles}) > 1:
            raise StyleError("styles of different encoders cannot be mixed; encode all of them with one model")
        colors = all(style.palette for style in styles)
        names = [key for key in styles[0].tensors if colors or key not in arrays.PALETTE]
        own = {key: arrays.mixed([s.tensors[key] for s in styles], weights) for key in names}
        return cls(own, styles[0].digest, " + ".join(f"{s.name}:{w:g}" for s, w in zip(styles, weights, strict=True)))


class LeanStylizer:
    """A model in `runtime` ("auto": OpenVINO, or else ONNX Runtime), without torch. May be used from several threads.

    `model`: a name of `models()` that is on this machine, or a .safetensors file. `precision`: "float32", or "mixed"
    and "bfloat16" in OpenVINO, for processors that multiply bfloat16 by themselves. `threads`: of the CPU; None is all.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "lite",
        *,
        runtime: str = "auto",
        precision: Precision = "float32",
        threads: int | None = None,
    ) -> None:
        if precision not in get_args(Precision):
            raise AdaINKitError(f"precision must be {', '.join(get_args(Precision))}, got {precision!r}")
        if runtime == "auto":
            runtime = "openvino" if here("openvino") else "onnxruntime"
        if runtime != "openvino" and precision != "float32":
            raise AdaINKitError(f"the runtime {runtime!r} computes in float32, not in {precision}")
        found = read_model(resolve(model))
        self.config, self.digest, self.runtime = found.config, found.digest, runtime
        self._halo = halo(found.config)
        more: dict[str, Any] = {"threads": threads or os.cpu_count() or 1, "cache": cache_dir() / runtime}
        graphs = (make(found.config, found.tensors, precision) for make in (coders.encoder, coders.decoder))
        self._encoder, self._decoder = (load_program(runtime, g.SerializeToString(), **more) for g in graphs)
        self._maps = load_program(runtime, coders.maps(found.config, found.tensors).SerializeToString(), **more)
        exact = coders.encoder(found.config, found.tensors).SerializeToString()
        self._exact = self._encoder if precision == "float32" else load_program(runtime, exact, **more)

    def encode_style(self, image: Source | Sequence[Source], *, style_size: int | None = 512) -> LeanStyle:
        """The style of a picture, or of several with equal shares: as `Stylizer.encode_style`."""
        if isinstance(image, Sequence) and not isinstance(image, str):
            return LeanStyle.blend([(self.encode_style(each, style_size=style_size), 1.0) for each in image])
        picture = opened(image)
        rgb, alpha = picture.shown, picture.alpha
        if alpha is not None and not alpha.any():
            raise StyleError("the style picture is transparent all over: there is nothing to take a style from")
        short = min(rgb.shape[2:])
        if style_size is not None and short > style_size:
            size = [max(1, round(side * style_size / short)) for side in rgb.shape[2:]]
            rgb, alpha = arrays.resized(rgb, size), None if alpha is None else arrays.resized(alpha, size)
        weight = None if alpha is None else alpha[0, 0]
        features = self._features(rgb, 1024, exact=True)
        found = self._statistics(features, weight)
        own = {f"mean{i}": m.mean.astype(np.float32) for i, m in enumerate(found)}
        own |= {f"std{i}": m.std for i, m in enumerate(found)}
        if self.config.palette:
            colors = arrays.Colors.of(rgb, alpha)
            values = (colors.mean.astype(np.float32), colors.covariance.astype(np.float32))
            own |= dict(zip(arrays.PALETTE, values, strict=True))
        name = Path(image).stem if isinstance(image, (str, os.PathLike)) else ""
        return LeanStyle(own, self.digest, name)

    def as_style(self, style: Styled | Sequence[Styled], *, style_size: int | None = 512) -> LeanStyle:
        """A style of this model from a style, a picture, a list of them, a style file or a preset's name."""
        if isinstance(style, (list, tuple)):
            return LeanStyle.blend([(self.as_style(each, style_size=style_size), 1.0) for each in style])
        if isinstance(style, str) and not Path(style).exists():
            style = LeanStyle.preset(style, self.config.name)
        elif isinstance(style, (str, os.PathLike)) and Path(style).suffix == ".safetensors":
            style = LeanStyle.load(style)
        if not isinstance(style, LeanStyle):
            return self.encode_style(style, style_size=style_size)  # type: ignore[arg-type]
        if style.digest != self.digest:
            raise StyleError(f"the style {style.name!r} belongs to another encoder; encode its picture with this model")
        return style

    def stylize(
        self,
        image: Source,
        style: Styled | Sequence[Styled],
        *,
        alpha: Alpha = 1.0,
        preserve_color: PreserveColor = None,
        color_strength: float = 1.0,
        mask: Source | None = None,
        style_size: int | None = 512,
        tile: int | None = 1024,
    ) -> Any:
        """The picture in the style, as `Stylizer.stylize` gives it: an array of its type for an array, else a PIL
        image. Sources are paths, PIL images and arrays `(H, W)` or `(H, W, 1 | 3 | 4)`; `tile` in pixels, None is all.
        """
        controls = Controls(alpha, preserve_color, color_strength)
        alphas = controls.alphas(len(self.config.levels))
        chosen, picture = self.as_style(style, style_size=style_size), opened(image)
        rgb = picture.shown
        cover = None if mask is None else opened_mask(mask, rgb.shape[2:])
        if cover is not None and (cover == 1).all():
            cover = None
        visible = picture.alpha
        counts = visible if cover is None else cover if visible is None else cover * visible
        features = self._features(rgb, tile)
        found = self._statistics(features, None if visible is None else visible[0, 0])
        if cover is not None and counts is not None:
            own = self._statistics(features, counts[0, 0])
            found = [part.steadied(whole) for part, whole in zip(own, found, strict=True)]
        maps = self._modulated(found, chosen, alphas)
        output = self._painted(features, maps, rgb.shape[2:], tile)
        palette = chosen.palette if self.config.palette else None
        some = cover is not None or (visible is not None and bool((visible < 1).any()))
        bands = [] if some else [measured_bands(side, self.config.stride) for side in rgb.shape[2:]]
        output = _colored(output, rgb, controls, palette, counts, bands)
        if cover is not None:
            output = np.where(cover > 0, _between(picture.rgb, output, cover), picture.rgb)
        return as_given(output, picture)

    def _features(self, rgb: Array, tile: int | None, exact: bool = False) -> list[Array]:
        stride, program = self.config.stride, self._exact if exact else self._encoder
        missing = [(0, max(0, self.config.min_size - side)) for side in rgb.shape[2:]]
        rgb = np.pad(rgb, [(0, 0), (0, 0), *missing], mode="edge")
        height, width = rgb.shape[2:]
        parts = self._plan(-(-height // stride), -(-width // stride), tile, self._halo.encode)
        whole: list[Array] = []
        for part in parts:
            rows, columns = part.rows.seen(stride, height), part.columns.seen(stride, width)
            seen = list(program({"picture": np.ascontiguousarray(rgb[:, :, rows, columns])}).values())
            if len(parts) == 1:
                return seen
            for i, (level, new) in enumerate(zip(self.config.levels, seen, strict=True)):
                sides = [-(-side // level.stride) for side in (height, width)]
                if len(whole) <= i:
                    whole.append(np.empty((1, level.channels, *sides), new.dtype))
                scale = stride // level.stride
                rows, columns = part.rows.given(scale, sides[0]), part.columns.given(scale, sides[1])
                top, left = part.rows.inside(scale).start, part.columns.inside(scale).start
                high, wide = rows.stop - rows.start, columns.stop - columns.start
                whole[i][:, :, rows, columns] = new[:, :, top : top + high, left : left + wide]
        return whole

    def _plan(self, rows: int, columns: int, tile: int | None, reach: int) -> list[Tile]:
        size = max(rows, columns) if tile is None else max(1, tile // self.config.stride)
        return plan_tiles(rows, columns, size, reach)

    def _statistics(self, features: Sequence[Array], weight: Array | None) -> list[arrays.Moments]:
        found = []
        for level, f in zip(self.config.levels, features, strict=True):
            cells = None if weight is None else arrays.cell_means(weight, level.stride, f.shape[2:])
            found.append(arrays.moments(f, cells))
        return found

    def _modulated(
        self, found: Sequence[arrays.Moments], style: LeanStyle, alphas: Sequence[float]
    ) -> dict[str, Array]:
        inputs = {f"style_{name}": style.tensors[name][None] for name in self.config.style_shapes}
        inputs["alpha"] = np.array(alphas, np.float32)
        for i, m in enumerate(found):
            inputs |= {f"content_mean{i}": m.mean.astype(np.float32)[None], f"content_std{i}": m.std[None]}
        return self._maps(inputs)

    def _painted(
        self, features: Sequence[Array], maps: Mapping[str, Array], size: Sequence[int], tile: int | None
    ) -> Array:
        stride, levels = self.config.stride, self.config.levels
        output = np.empty((1, 3, *size), np.float32)
        rows, columns = features[-1].shape[2:]
        for part in self._plan(rows, columns, tile, self._halo.decode):
            inputs = dict(maps)
            for i, (level, f) in enumerate(zip(levels, features, strict=True)):
                scale = stride // level.stride
                inputs[f"level{i}"] = np.ascontiguousarray(f[:, :, part.rows.seen(scale), part.columns.seen(scale)])
            if coders.moves(self.config):
                inputs["origin"] = np.array([part.rows.first, part.columns.first], np.int64)
            found = self._decoder(inputs)["picture"]
            found = found[:, :, part.rows.inside(stride), part.columns.inside(stride)]
            top, left = part.rows.start * stride, part.columns.start * stride
            found = found[:, :, : max(0, size[0] - top), : max(0, size[1] - left)]
            output[:, :, top : top + found.shape[2], left : left + found.shape[3]] = np.clip(found, 0, 1)
        return output


def with_graphs(stylizer: LeanStylizer, graphs: Mapping[str, bytes]) -> LeanStylizer:
    """The same with other graphs of its architecture: `encoder`, `maps` and `decoder`."""
    made, threads = copy(stylizer), os.cpu_count() or 1
    loaded = {name: load_program(stylizer.runtime, data, threads=threads) for name, data in graphs.items()}
    made._encoder = made._exact = loaded["encoder"]
    made._maps, made._decoder = loaded["maps"], loaded["decoder"]
    return made


def _colored(
    output: Array,
    rgb: Array,
    controls: Controls,
    palette: Sequence[Array] | None,
    counts: Array | None,
    bands: Sequence[Sequence[slice]],
) -> Array:
    """A result in the colors that are wanted: the content's, or those of the style, whose `palette` that is."""
    if controls.color == "luma":
        return _between(output, arrays.keep_luma(output, rgb), controls.color_strength)
    if controls.color == "match":
        return _between(output, arrays.match_color(output, rgb, counts), controls.color_strength)
    if palette is None or not controls.palette_strength:
        return output
    return arrays.bring_to_palette(output, rgb, palette, controls.palette_strength, counts, bands)


def _between(first: Array, second: Array, share: Array | float) -> Array:
    return np.asarray(first + (second - first) * np.asarray(share, np.float32))


def _read(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            tensors = {key: np.array(file.get_tensor(key), np.float32) for key in file.keys()}  # noqa: SIM118
            return dict(file.metadata() or {}), tensors
    except (OSError, SafetensorError, TypeError) as error:
        raise StyleError(f"{path}: cannot be read as a style ({error})") from error

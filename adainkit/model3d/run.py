"""stylize_model3d: the verb. Every color texture of a model, under shared statistics, so that one hand painted it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batch.jobs import may_replace
from ..errors import Model3DError
from .canvas import Canvas
from .files import check_free, reading_model, write_together
from .gltf import GltfModel
from .obj import ObjModel
from .scene import Floats, Model
from .seams import find_seams, heal, place_points, seam_jump
from .texture import MAX_PIXELS, encode
from .uvs import need_scipy

if TYPE_CHECKING:
    from ..errors import Progress
    from ..look.controls import Alpha, PreserveColor
    from ..stylizer import StyleLike, Stylizer

__all__ = ["stylize_model3d"]

log = logging.getLogger("adainkit")


def stylize_model3d(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    style: StyleLike,
    *,
    alpha: Alpha = 1.0,
    preserve_color: PreserveColor = None,
    color_strength: float = 1.0,
    scale: float = 1.0,
    detail: float = 0.0,
    style_size: int | None = 512,
    emissive: bool = False,
    overwrite: bool | None = None,
    max_pixels: int | None = MAX_PIXELS,
    stylizer: Stylizer | None = None,
    progress: Progress | None = None,
) -> Path:
    """A 3D model in the style of a picture: `stylize_model3d("duck.glb", "out.glb", "painting.jpg")`.

    Returns the path of the result. `source` and `target` are both .glb, .gltf (glTF 2.0) or .obj (with its MTL).
    Base-color textures are painted, and with `emissive` also what the model emits. Each stays a PNG, JPEG or WebP of
    its size, with 8 bits and its alpha. Everything else is kept: other textures, geometry, animations, extensions. A
    warning in the log names what cannot be painted.

    Only texels that triangles use count as content, all textures of a model share their statistics, and cuts of the
    unwrapping are healed: across them colors jump no more than they did.

    Files that a .gltf or an .obj names keep their names, so `target` must then lie in another folder. All files appear
    when all are complete. `alpha` to `style_size`: as in `Stylizer.stylize`; `overwrite`: as in its `stylize_file`.
    `stylizer`: None takes the model `lite`. `max_pixels`: of a texture. `progress`: stages "statistics" and "stylize",
    counted in pictures that the network gets.

    Errors: `Model3DError` for models that are damaged, hold nothing to paint or name files outside of their folder,
    for textures that are too large, and where SciPy is missing; `StyleError`, `ImageError` as `stylize`.
    """
    need_scipy()
    source, target = Path(source), Path(target)
    _check_paths(source, target, overwrite is not False)
    overwrite = may_replace(target, overwrite, [style])
    model, canvases = _open(source, target, emissive, overwrite, max_pixels)
    look: dict[str, Any] = {"alpha": alpha, "preserve_color": preserve_color, "color_strength": color_strength}
    look |= {"scale": scale, "detail": detail}
    if stylizer is None:
        from ..stylizer import Stylizer

        with Stylizer() as own:
            painted = _paint(own, canvases, own.as_style(style, style_size=style_size), look, progress)
    else:
        painted = _paint(stylizer, canvases, stylizer.as_style(style, style_size=style_size), look, progress)
    encoded = _encoded(model, canvases, _healed(model, canvases, painted))
    with reading_model(source):
        files = model.files(target, encoded)
    write_together(files, overwrite)
    return target


def _check_paths(source: Path, target: Path, overwrite: bool) -> None:
    kinds = (".glb", ".gltf", ".obj")
    if source.suffix.lower() not in kinds:
        raise Model3DError(f"{source}: expected a model, {', '.join(kinds)}; convert it, with Blender for example")
    if target.suffix.lower() != source.suffix.lower():
        raise Model3DError(f"{target}: a model keeps its type; expected a name that ends with {source.suffix}")
    if os.path.realpath(source) == os.path.realpath(target):
        raise Model3DError(f"{target} is the model itself; choose another name for the result")
    if not overwrite and os.path.lexists(target):
        raise Model3DError(f"{target} exists already; overwrite it, or choose another name")


def _open(
    source: Path, target: Path, emissive: bool, overwrite: bool, max_pixels: int | None
) -> tuple[Model, list[Canvas]]:
    """The model and what is painted of it; all that can be wrong with them is told here, before the work."""
    kind = ObjModel if source.suffix.lower() == ".obj" else GltfModel
    with reading_model(source):
        model: Model = kind(source, emissive=emissive)
        if not model.textures:
            raise Model3DError(" ".join(["it has no texture of its colors: nothing to paint.", *model.notes]))
        check_free(model.files(target, {i: texture.data for i, texture in enumerate(model.textures)}), overwrite)
        canvases = [Canvas.of(model, index, max_pixels) for index in range(len(model.textures))]
    for note in model.notes:
        log.warning("%s: %s", source, note)
    return model, canvases


def _paint(
    stylizer: Stylizer, canvases: Sequence[Canvas], style: Any, look: dict[str, Any], progress: Progress | None
) -> list[Floats]:
    """Each canvas in the style, `(H, W, 3)`, under the statistics of all."""
    works = [(canvas, layer) for canvas in canvases for layer in range(canvas.depth)]

    def shown() -> Iterator[Floats]:
        for number, (canvas, layer) in enumerate(works):
            yield canvas.shown(layer)
            if progress is not None:
                progress("statistics", number + 1, len(works))

    statistics = stylizer.content_statistics(shown(), scale=look["scale"], max_pixels=None)
    painted = [np.zeros_like(canvas.pixels) for canvas in canvases]
    for number, (canvas, layer) in enumerate(works):
        result = stylizer.stylize(canvas.shown(layer), style, content_statistics=statistics, max_pixels=None, **look)
        canvas.put(painted[canvases.index(canvas)], result[:, :, :3], layer)
        if progress is not None:
            progress("stylize", number + 1, len(works))
    return painted


def _healed(model: Model, canvases: Sequence[Canvas], painted: Sequence[Floats]) -> list[Floats]:
    sizes = [canvas.coverage.used.shape for canvas in canvases]
    points = place_points(find_seams(model.surfaces), sizes)
    originals, wraps = [canvas.pixels for canvas in canvases], [canvas.texture.wrap for canvas in canvases]
    healed = heal(painted, originals, [canvas.coverage for canvas in canvases], points, wraps)
    if log.isEnabledFor(logging.DEBUG):
        jumps = [seam_jump(pictures, points, wraps, originals) for pictures in (painted, healed)]
        log.debug("%d points on seams: painting adds jumps of %.1f of 255, of which %.1f stay", len(points), *jumps)
    return healed


def _encoded(model: Model, canvases: Sequence[Canvas], healed: Sequence[Floats]) -> dict[int, bytes]:
    found = {}
    for index, (canvas, rgb) in enumerate(zip(canvases, healed, strict=True)):
        pixels = rgb if canvas.alpha is None else np.concatenate([rgb, canvas.alpha], 2)
        found[index] = encode((pixels * 255).round().astype(np.uint8), model.textures[index].data)
    return found

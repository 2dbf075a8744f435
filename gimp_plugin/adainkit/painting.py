"""From arguments and layers to a request of the worker, and from its answer to a layer."""

from functools import lru_cache
from pathlib import Path

import gi
import layers
from worker_link import Failure, for_preview

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, Gio  # noqa: E402

__all__ = ["PREVIEW_SIDE", "THUMBNAIL_SIDE", "Preview", "read_options", "read_styles", "stylize"]

_STYLE_SIDE = 1024  # the worker looks at 512 pixels for the shorter side
PREVIEW_SIDE = 360
THUMBNAIL_SIDE = 96
_PREVIEW_SENT = 2 * PREVIEW_SIDE  # strokes may be finer than the thumbnail's pixels
_WORKER_READS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".safetensors"}  # GIMP loads the rest
_PAGES = {".tif", ".tiff"}  # GIMP makes layers of pages, the first one lowest; one may be a thumbnail
_OPTIONS = {
    "alpha": "strength",
    "preserve_color": "keep-colors",
    "color_strength": "color-strength",
    "scale": "stroke-scale",
    "detail": "detail",
}


def stylize(worker, source, in_place, options, styles, to_color=False):
    """Stylize a `layers.Source` by the worker; the layer that has the result. `Failure` with the remedy.

    `to_color`: a gray image becomes one of colors.
    """
    described, pictures = styles
    alpha = source.layer.has_alpha() or not in_place
    pixel = (3 + alpha) * (1 if source.eight_bits else 4)
    picture = layers.shape(source.width, source.height, 3 + alpha, source.type)
    header = {"do": "stylize", "picture": picture, "styles": described, **options}
    if source.selected:
        header["mask"] = layers.shape(source.width, source.height, 1)

    def pieces():
        with source.shown() as shown:
            yield from layers.strips(shown, source.within(shown), source.format(alpha), pixel)
        yield from pictures
        if source.selected:
            yield from source.selection()

    Gimp.progress_init("AdaIN Style Transfer")
    answer = worker.request(header, pieces(), Gimp.progress_update, Gimp.progress_set_text)
    try:
        if in_place:
            return layers.replace_pixels(source, answer.read, to_color)
        return layers.add_layer(source, f"{source.layer.get_name()} ({_names(described)})", answer.read, to_color)
    finally:
        answer.close()
        Gimp.progress_end()


def read_options(config):
    """The arguments that are not styles, as a header has them."""
    model = config.get_property("model")
    if model == "file":
        model = _path(config.get_property("model-file"), "a model file")
    return {"model": model, "options": {key: config.get_property(name) for key, name in _OPTIONS.items()}}


def read_styles(config, from_script=False):
    """The styles as a header has them, and the pixels of those that are pictures. `Failure` where one is missing.

    From a script, a file or a layer that is given is taken though "style-from" or "second-from" was left alone.
    """
    first, second = (_style_kind(config, name, from_script) for name in ("style", "second"))
    mix = 0.0 if second == "none" else config.get_property("mix")
    described, pictures = [], []
    for name, kind, weight in (("style", first, 1 - mix), ("second", second, mix)):
        if weight:
            described.append({**_style(config, name, kind, pictures), "weight": weight})
    return described, pictures


class Preview:
    """Draws a thumbnail of what the filter would give: `prepare` in GIMP's thread, the call in another."""

    def __init__(self, worker, source):
        self.worker = worker
        with source.shown() as shown:
            self.original = layers.thumbnail(shown, source.within(shown), _PREVIEW_SENT)
            self._small = layers.thumbnail(shown, source.within(shown), 2 * THUMBNAIL_SIDE)
        self.gray = source.gray
        self._longest = max(source.width, source.height)

    def prepare(self, config):
        """What GIMP knows for a call. `Failure` where a setting lacks."""
        request = read_options(config)
        request["options"] = for_preview(request["options"], max(self.original[:2]) / self._longest)
        return request, read_styles(config)

    def __call__(self, prepared):
        """(width, height, RGBA bytes). `Failure` with the remedy."""
        request, (described, pictures) = prepared
        return self._draw(self.original, {"styles": described, "size": PREVIEW_SIDE, **request}, pictures)

    def preset(self, name):
        """A preset on the layer at hand, as the call gives it, but small."""
        options = for_preview({}, max(self._small[:2]) / self._longest)
        return self._draw(self._small, {"styles": [{"preset": name}], "size": THUMBNAIL_SIDE, "options": options})

    def _draw(self, content, header, pictures=()):
        width, height, pixels = content
        picture = layers.shape(width, height, 4)
        answer = self.worker.request({"do": "preview", "picture": picture, **header}, [pixels, *pictures])
        try:
            found = answer.header["result"]
            return found["width"], found["height"], answer.read(answer.header["bytes"])
        finally:
            answer.close()


def _style_kind(config, name, from_script):
    kind = config.get_property(f"{name}-from")
    if from_script and kind in ("preset", "none"):
        for other in ("layer", "file"):
            if config.get_property(f"{name}-{other}") is not None:
                return other
    return kind


def _style(config, name, kind, pictures):
    if kind == "preset":
        return {"preset": config.get_property("preset" if name == "style" else "second-preset")}
    if kind == "file":
        return _style_of_file(_path(config.get_property(f"{name}-file"), "a picture for the style"), pictures)
    return _style_of_layer(config.get_property(f"{name}-layer"), pictures)


def _path(file, what):
    path = file.get_path() if file else None
    if not path:
        raise Failure("style", f"Choose {what}.")
    return path


def _style_of_file(path, pictures):
    """By its path where the worker can read it, else by the pixels that GIMP loads."""
    if Path(path).suffix.lower() in _WORKER_READS or not Path(path).is_file():
        return {"file": path}
    shape, pixels = _load_style(path, Path(path).stat().st_mtime_ns)
    pictures.append(pixels)
    return {"picture": shape}


@lru_cache(maxsize=4)
def _load_style(path, stamp):
    """A file's shape and pixels; kept, for every preview asks for them."""
    image, pictures = None, []
    try:
        image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(path))
        if Path(path).suffix.lower() in _PAGES:
            layer = image.get_layers()[-1]
        else:
            layer = image.merge_visible_layers(Gimp.MergeType.CLIP_TO_IMAGE)
        style = _style_of_layer(layer, pictures)
    except Exception as error:  # whatever a loader of GIMP's says
        raise Failure("style", f"GIMP cannot read the style {path} ({error}). Choose another picture.") from error
    finally:
        if image is not None:
            image.delete()
    return style["picture"], pictures[0]


def _style_of_layer(layer, pictures):
    if layer is None or not layer.is_valid():
        raise Failure("style", "Choose a layer for the style.")
    width, height, pixels = layers.thumbnail(layer, (0, 0, layer.get_width(), layer.get_height()), _STYLE_SIDE)
    pictures.append(pixels)
    return {"picture": layers.shape(width, height, 4)}


def _names(described):
    """For the new layer's name."""
    return " + ".join(s.get("preset") or Path(s.get("file", "layer")).stem for s in described)

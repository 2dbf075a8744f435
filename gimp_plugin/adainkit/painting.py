"""From arguments and layers to a request of the worker, and from its answer to a layer."""

import os

import gi
import layers
from worker_link import Failure

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp  # noqa: E402

__all__ = ["Preview", "read_options", "read_styles", "stylize"]

_STYLE_SIDE = 1024  # the worker looks at 512 pixels for the shorter side
_PREVIEW_SIDE = 360
_WORKER_READS = {"png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "avif", "safetensors"}


def stylize(worker, source, in_place, options, styles):
    """Stylize a `layers.Source` by the worker; the layer that has the result. `Failure` with the remedy."""
    described, pictures = styles
    alpha = source.drawable.has_alpha() or not in_place
    row = 4 * (1 if source.eight_bits else 4)
    shape = layers.describe(source.width, source.height, 3 + alpha, source.type)
    header = {"do": "stylize", "picture": shape, "styles": described, **options}

    def pieces():
        yield from layers.strips(source.shown, source.rectangle, source.format(alpha), row)
        yield from pictures
        if source.selected:
            yield from source.selection()

    if source.selected:
        header["mask"] = layers.describe(source.width, source.height, 1, "u8")
    Gimp.progress_init("AdaIN Style Transfer")
    answer = worker.request(header, pieces(), Gimp.progress_update, Gimp.progress_set_text)
    try:
        if in_place:
            return layers.replace_pixels(source, answer.read)
        return layers.add_layer(source, f"{source.drawable.get_name()} ({_style_name(described)})", answer.read)
    finally:
        answer.close()
        Gimp.progress_end()


def read_options(config):
    """The arguments that are not styles, as a header has them."""
    model = config.get_property("model")
    if model == "file":
        model = _path(config.get_property("model-file"), "a model file")
    names = {"alpha": "strength", "preserve_color": "keep-colors", "color_strength": "color-strength"}
    names |= {"scale": "stroke-scale", "detail": "detail"}
    return {"model": model, "options": {key: config.get_property(name) for key, name in names.items()}}


def read_styles(config, from_script=False):
    """The styles as a header has them, and the pixels of those that are pictures. `Failure` where one is missing.

    From a script, a file or a layer that is given is taken though "style-from" was left alone.
    """
    shares = [("style", "style-from", "preset", 1.0)]
    mix = config.get_property("mix")
    second = _kind(config, "second", "second-from", from_script)
    if second != "none":
        shares = [("style", "style-from", "preset", 1 - mix), ("second", "second-from", "second-preset", mix)]
    described, pictures = [], []
    for name, source, preset, weight in shares:
        if not weight and len(shares) > 1:
            continue
        kind = _kind(config, name, source, from_script)
        if kind == "preset":
            style = {"preset": config.get_property(preset)}
        elif kind == "file":
            style = _file_style(_path(config.get_property(f"{name}-file"), "a picture for the style"), pictures)
        else:
            style = _layer_style(config.get_property(f"{name}-layer"), pictures)
        described.append({**style, "weight": weight})
    return described, pictures


class Preview:
    """Draws a thumbnail of what the filter would give: `prepare` in GIMP's thread, the call in another."""

    def __init__(self, worker, source):
        self.worker = worker
        self.width, self.height, self.pixels = layers.thumbnail(source.shown, source.rectangle, _PREVIEW_SIDE)
        self._styles = {}

    @property
    def original(self):
        """The thumbnail itself."""
        return self.width, self.height, self.pixels

    def prepare(self, config):
        """What GIMP knows for a call. `Failure` where a setting lacks."""
        return read_options(config), read_styles(config)

    def __call__(self, prepared):
        """(width, height, RGBA pixels), or `Failure`."""
        options, (described, pictures) = prepared
        shape = layers.describe(self.width, self.height, 4, "u8")
        header = {"do": "preview", "picture": shape, "styles": described, "size": _PREVIEW_SIDE, **options}
        answer = self.worker.request(header, [self.pixels, *pictures])
        try:
            found = answer.header["result"]
            return found["width"], found["height"], answer.read(answer.header["bytes"])
        finally:
            answer.close()


def _kind(config, name, source, from_script):
    kind = config.get_property(source)
    if from_script and kind in ("preset", "none"):
        if config.get_property(f"{name}-layer") is not None:
            return "layer"
        if config.get_property(f"{name}-file") is not None:
            return "file"
    return kind


def _path(file, what):
    path = file.get_path() if file else None
    if not path:
        raise Failure("style", f"Choose {what}.")
    return path


def _file_style(path, pictures):
    """By its path where the worker can read it, else by the pixels that GIMP loads."""
    if path.rpartition(".")[2].lower() in _WORKER_READS or not os.path.isfile(path):
        return {"file": path}
    from gi.repository import Gio

    try:
        image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(path))
        layer = image.flatten()
    except Exception as error:
        raise Failure("style", f"GIMP cannot read the style {path} ({error}). Choose another picture.") from error
    try:
        return _layer_style(layer, pictures)
    finally:
        image.delete()


def _layer_style(layer, pictures):
    if layer is None or not layer.is_valid():
        raise Failure("style", "Choose a layer for the style.")
    size = layer.get_width(), layer.get_height()
    width, height, pixels = layers.thumbnail(layer, (0, 0, *size), _STYLE_SIDE)
    pictures.append(pixels)
    return {"picture": layers.describe(width, height, 4, "u8")}


def _style_name(described):
    names = [s.get("preset") or os.path.splitext(os.path.basename(s.get("file", "layer")))[0] for s in described]
    return " + ".join(names)

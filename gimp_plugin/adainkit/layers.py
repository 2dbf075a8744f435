"""Pixels out of GIMP and back: which layers can be stylized, what of them, and where the result goes."""

import gc
from contextlib import contextmanager

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp  # noqa: E402

__all__ = ["Source", "add_layer", "problem", "replace_pixels", "shape", "strips", "thumbnail"]

_STRIP_BYTES = 1 << 25
_ANY = bytes([0] + [255] * 255)
_EIGHT_BITS = (Gimp.Precision.U8_NON_LINEAR, Gimp.Precision.U8_PERCEPTUAL)
# GIMP 3.2 has the last two.
_MADE_ANEW = {
    "is_group": "a layer group",
    "is_text_layer": "a text layer",
    "is_link_layer": "a link layer",
    "is_vector_layer": "a vector layer",
}


class Source:
    """What is to be stylized: a layer as far as the selection reaches; `left` and `top` in the image."""

    def __init__(self, image, layer):
        self.image, self.layer = image, layer
        _, x, y, self.width, self.height = layer.mask_intersect()
        _, left, top = layer.get_offsets()
        self.left, self.top = left + x, top + y
        self.selected = not Gimp.Selection.is_empty(image)
        self.gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
        self.eight_bits = any(image.get_precision() == p for p in _EIGHT_BITS)

    @property
    def type(self):
        """Of a sample, in the protocol's words: no precision is lost."""
        return "u8" if self.eight_bits else "f32"

    def format(self, alpha):
        """The pixel format: sRGB, converted through the image's color profile by GIMP."""
        return f"R'G'B'{'A' * alpha} {'u8' if self.eight_bits else 'float'}"

    def within(self, drawable):
        """The rectangle (x, y, width, height) in the coordinates of a drawable of this image, or of a copy of it."""
        _, left, top = drawable.get_offsets()
        return self.left - left, self.top - top, self.width, self.height

    @contextmanager
    def shown(self):
        """The layer as it is seen: with its filters, which its own pixels do not have."""
        if not self.layer.get_filters() or self.layer.is_group():
            yield self.layer
            return
        size = self.image.get_width(), self.image.get_height()
        aside = Gimp.Image.new_with_precision(*size, self.image.get_base_type(), self.image.get_precision())
        try:
            aside.set_color_profile(self.image.get_effective_color_profile())
            copy = Gimp.Layer.new_from_drawable(self.layer, aside)
            aside.insert_layer(copy, None, 0)
            copy.set_offsets(*self.layer.get_offsets()[1:])
            copy.merge_filters()
            yield copy
        finally:
            gc.collect()  # a buffer that is still referred to would keep the image
            aside.delete()

    def selection(self):
        """What is selected of the rectangle, in pieces of bytes: 255 where anything is. GIMP makes it soft later."""
        for piece in strips(self.image.get_selection(), (self.left, self.top, self.width, self.height), "Y u8", 1):
            yield piece.translate(_ANY)


def problem(image, layer, in_place):
    """Why this cannot be stylized, as a sentence, or an empty text."""
    if not layer.is_valid():
        return "The layer is not there any more. Select another one and try again."
    if isinstance(layer, Gimp.LayerMask):
        return "A layer mask is selected. Click on the picture of the layer, beside its mask, and try again."
    if not isinstance(layer, Gimp.Layer):
        return "A channel is selected. Select a layer and try again."
    if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        return "The image has indexed colors. Choose Image > Mode > RGB first."
    if layer.is_floating_sel():
        return "A floating selection is active. Anchor it, or make it a layer (Layer > To New Layer), and try again."
    if not layer.mask_intersect()[0]:
        return "The selection does not touch the layer. Choose Select > None, or select a part of the layer."
    if not in_place:
        return ""
    name = layer.get_name()
    for test, kind in _MADE_ANEW.items():
        if hasattr(layer, test) and getattr(layer, test)():
            return f"“{name}” is {kind}: GIMP draws its pixels anew. Choose the result “New layer”."
    item = layer
    while item is not None:
        if item.get_lock_content():
            return f"The pixels of “{item.get_name()}” are locked. Unlock them, or choose the result “New layer”."
        item = item.get_parent()
    return ""


def shape(width, height, channels, kind="u8"):
    """A picture as the protocol describes it."""
    return {"width": width, "height": height, "channels": channels, "type": kind}


def strips(drawable, rectangle, pixel_format, pixel_bytes):
    """The pixels of a rectangle in pieces of some megabytes, from the top."""
    x, y, width, height = rectangle
    buffer = drawable.get_buffer()
    rows = max(1, _STRIP_BYTES // (width * pixel_bytes))
    for top in range(0, height, rows):
        part = Gegl.Rectangle.new(x, y + top, width, min(rows, height - top))
        yield buffer.get(part, 1.0, pixel_format, Gegl.AbyssPolicy.NONE)


def thumbnail(drawable, rectangle, size):
    """(width, height, RGBA bytes) of a rectangle, its longer side scaled down to `size` pixels; never up."""
    x, y, width, height = rectangle
    scale = min(1.0, size / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    part = Gegl.Rectangle.new(round(x * scale), round(y * scale), width, height)
    return width, height, drawable.get_buffer().get(part, scale, "R'G'B'A u8", Gegl.AbyssPolicy.CLAMP)


def add_layer(source, name, read, to_color=False):
    """Put the result, RGBA, into a new layer above the source, with the selection as its mask; the layer.

    `read(count)` gives the next bytes of the result; where it fails, nothing is changed. `to_color`: a gray image
    becomes one of colors. One step to undo.
    """
    source.image.undo_group_start()
    try:
        return _add_layer(source, name, read, to_color and source.gray)
    finally:
        source.image.undo_group_end()
        gc.collect()  # references to buffers keep GIMP from letting go of an image


def replace_pixels(source, read, to_color=False):
    """Put the result, with alpha if the layer has it, in the place of the layer's pixels, within the selection, soft
    where that is soft; the layer. Where `read` fails, nothing is changed. `to_color` as in `add_layer`. One step to
    undo."""
    layer = source.layer
    source.image.undo_group_start()
    try:
        pixel_format = source.format(layer.has_alpha())
        pieces = _pieces(source, pixel_format, read)
        if layer.get_filters() or (to_color and source.gray):
            pieces = list(pieces)  # merging cannot be taken back, and may move the layer
            layer.merge_filters()  # they are in the result
            if to_color and source.gray:
                source.image.convert_rgb()
        rectangle = source.within(layer)
        _write(layer.get_shadow_buffer(), rectangle, pixel_format, pieces)
        layer.merge_shadow(True)
        layer.update(*rectangle)
        return layer
    finally:
        source.image.undo_group_end()
        gc.collect()


def _add_layer(source, name, read, to_color):
    image, below = source.image, source.layer
    kind = Gimp.ImageType.GRAYA_IMAGE if source.gray and not to_color else Gimp.ImageType.RGBA_IMAGE
    layer = Gimp.Layer.new(image, name, source.width, source.height, kind, below.get_opacity(), below.get_mode())
    layer.set_offsets(source.left, source.top)
    whole = (0, 0, source.width, source.height)
    try:  # before the image has it
        _write(layer.get_buffer(), whole, source.format(True), _pieces(source, source.format(True), read))
    except BaseException:
        layer.delete()
        raise
    if to_color:
        image.convert_rgb()
    if not image.insert_layer(layer, below.get_parent(), image.get_item_position(below)):
        raise RuntimeError("GIMP does not take a new layer there")
    layer.update(*whole)
    if source.selected:
        layer.add_mask(layer.create_mask(Gimp.AddMaskType.SELECTION))
    mask = below.get_mask()
    if mask is not None and below.get_apply_mask():
        if source.selected:
            layer.remove_mask(Gimp.MaskApplyMode.APPLY)  # into the alpha: a layer has one mask
        own = layer.create_mask(Gimp.AddMaskType.WHITE)
        layer.add_mask(own)
        pixels = b"".join(strips(mask, source.within(below), "Y float", 4))
        own.get_buffer().set(Gegl.Rectangle.new(*whole), "Y float", pixels)
        own.update(*whole)
    return layer


def _pieces(source, pixel_format, read):
    """The result's rows, some megabytes at a time: how many, and their bytes."""
    row = source.width * (4 if "A" in pixel_format else 3) * (1 if source.eight_bits else 4)
    rows = max(1, _STRIP_BYTES // row)
    for top in range(0, source.height, rows):
        count = min(rows, source.height - top)
        yield count, read(count * row)


def _write(buffer, rectangle, pixel_format, pieces):
    x, y, width, _ = rectangle
    for count, pixels in pieces:
        buffer.set(Gegl.Rectangle.new(x, y, width, count), pixel_format, pixels)
        y += count
    buffer.flush()

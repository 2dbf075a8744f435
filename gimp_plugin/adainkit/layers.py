"""Pixels out of GIMP and back: which layers can be stylized, what of them, and where the result goes."""

import gc

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp  # noqa: E402

__all__ = ["Source", "add_layer", "describe", "problem", "replace_pixels", "strips", "thumbnail"]

_STRIP_BYTES = 1 << 25
_ANY = bytes([0] + [255] * 255)
_EIGHT_BITS = (Gimp.Precision.U8_NON_LINEAR, Gimp.Precision.U8_PERCEPTUAL)


class Source:
    """The part of a drawable that lies in the selection, in the drawable's own coordinates."""

    def __init__(self, image, drawable):
        self.image, self.drawable = image, drawable
        _, self.x, self.y, self.width, self.height = drawable.mask_intersect()
        self.selected = not Gimp.Selection.is_empty(image)
        self.eight_bits = any(image.get_precision() == p for p in _EIGHT_BITS)
        self.shown = drawable

    @property
    def type(self):
        """Of a sample, in the protocol's words."""
        return "u8" if self.eight_bits else "f32"

    def format(self, alpha):
        """The pixel format: sRGB, converted through the image's profile by GIMP."""
        return f"R'G'B'{'A' * alpha} {'u8' if self.eight_bits else 'float'}"

    @property
    def rectangle(self):
        """Position and size in the drawable."""
        return self.x, self.y, self.width, self.height

    def selection(self):
        """What is selected of the rectangle, in pieces of bytes: 255 where anything is. How soft it is, GIMP sees to."""
        _, left, top = self.drawable.get_offsets()
        rectangle = left + self.x, top + self.y, self.width, self.height
        for piece in strips(self.image.get_selection(), rectangle, "Y u8", 1):
            yield piece.translate(_ANY)


def problem(image, drawable, in_place):
    """Why this cannot be stylized, as a sentence, or an empty text."""
    if not isinstance(drawable, Gimp.Layer):
        if isinstance(drawable, Gimp.LayerMask):
            return "A layer mask is selected. Click on the picture of the layer, beside its mask, and try again."
        return "A channel is selected. Select a layer and try again."
    if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        return "The image has indexed colors. Choose Image > Mode > RGB first."
    if not drawable.mask_intersect()[0]:
        return "The selection does not touch the layer. Choose Select > None, or select a part of the layer."
    if not in_place:
        return ""
    kinds = (("is_group", "a layer group"), ("is_text_layer", "a text layer"))
    kinds += (("is_link_layer", "a link layer"), ("is_vector_layer", "a vector layer"))  # GIMP 3.2 has these two
    for test, name in kinds:
        if hasattr(drawable, test) and getattr(drawable, test)():
            return f"“{drawable.get_name()}” is {name}: its pixels cannot be replaced. Choose the result “New layer”."
    item = drawable
    while item is not None:
        if item.get_lock_content():
            return f"The pixels of “{item.get_name()}” are locked. Unlock them, or choose the result “New layer”."
        item = item.get_parent()
    return ""


def strips(drawable, rectangle, pixel_format, sample_bytes):
    """The pixels of a rectangle in pieces of some megabytes, from the top."""
    x, y, width, height = rectangle
    buffer = drawable.get_buffer()
    rows = max(1, _STRIP_BYTES // (width * sample_bytes))
    for top in range(0, height, rows):
        part = Gegl.Rectangle.new(x, y + top, width, min(rows, height - top))
        yield buffer.get(part, 1.0, pixel_format, Gegl.AbyssPolicy.NONE)


def thumbnail(drawable, rectangle, size, pixel_format="R'G'B'A u8"):
    """(width, height, pixels) of a rectangle scaled down to `size` pixels on its longer side; never up."""
    x, y, width, height = rectangle
    scale = min(1.0, size / max(width, height))
    small = Gegl.Rectangle.new(
        round(x * scale), round(y * scale), max(1, round(width * scale)), max(1, round(height * scale))
    )
    pixels = drawable.get_buffer().get(small, scale, pixel_format, Gegl.AbyssPolicy.CLAMP)
    return small.width, small.height, pixels


def describe(width, height, channels, kind):
    """A picture as the protocol has it."""
    return {"width": width, "height": height, "channels": channels, "type": kind}


def add_layer(source, name, read):
    """Put the result, RGBA, into a new layer above the source, with the selection as its mask; the layer.

    `read(count)` gives the next bytes of the result. One step to undo.
    """
    image, drawable = source.image, source.drawable
    image.undo_group_start()
    try:
        return _new_layer(image, drawable, source, name, read)
    finally:
        image.undo_group_end()
        gc.collect()  # references to buffers keep GIMP from letting go of an image


def _new_layer(image, drawable, source, name, read):
    gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
    kind = Gimp.ImageType.GRAYA_IMAGE if gray else Gimp.ImageType.RGBA_IMAGE
    layer = Gimp.Layer.new(image, name, source.width, source.height, kind, drawable.get_opacity(), drawable.get_mode())
    _, left, top = drawable.get_offsets()
    layer.set_offsets(left + source.x, top + source.y)
    if not image.insert_layer(layer, drawable.get_parent(), image.get_item_position(drawable)):
        raise RuntimeError("GIMP did not take the new layer; is the group that it belongs to locked?")
    _write(layer.get_buffer(), (0, 0, source.width, source.height), source.format(True), source, read)
    layer.update(0, 0, source.width, source.height)
    if source.selected:
        layer.add_mask(layer.create_mask(Gimp.AddMaskType.SELECTION))
    mask = drawable.get_mask()
    if mask is not None:
        if source.selected:
            layer.remove_mask(Gimp.MaskApplyMode.APPLY)  # into the alpha: a layer has one mask
        own = layer.create_mask(Gimp.AddMaskType.WHITE)
        layer.add_mask(own)
        pixels = b"".join(strips(mask, source.rectangle, "Y float", 4))
        own.get_buffer().set(Gegl.Rectangle.new(0, 0, source.width, source.height), "Y float", pixels)
        own.update(0, 0, source.width, source.height)
    return layer


def replace_pixels(source, read):
    """Put the result in the place of the source's pixels, within the selection, soft where it is soft; the layer.

    One step to undo.
    """
    drawable = source.drawable
    _write(drawable.get_shadow_buffer(), source.rectangle, source.format(drawable.has_alpha()), source, read)
    drawable.merge_shadow(True)
    drawable.update(*source.rectangle)
    gc.collect()
    return drawable


def _write(buffer, rectangle, pixel_format, source, read):
    x, y, width, height = rectangle
    row = width * (4 if "A" in pixel_format else 3) * (1 if source.eight_bits else 4)
    rows = max(1, _STRIP_BYTES // row)
    for top in range(0, height, rows):
        count = min(rows, height - top)
        buffer.set(Gegl.Rectangle.new(x, y + top, width, count), pixel_format, read(count * row))
    buffer.flush()

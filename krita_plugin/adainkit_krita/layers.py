"""Pixels out of Krita and back: which layers can be stylized, what of them, and where the result goes.

Krita's Python has no NumPy: samples change places by slices. All of this is for Krita's main thread.
"""

from array import array

from .qt import QtCore, QtGui
from .worker_link import Failure

__all__ = ["Source", "add_layer", "choose", "file_picture", "shape"]

_SRGB = "sRGB-elle-V2-srgbtrc.icc"
_LINEAR = "sRGB-elle-V2-g10.icc"  # what Krita takes for floats
_WITH_PIXELS = {"paintlayer", "grouplayer", "filelayer", "filllayer", "clonelayer", "vectorlayer"}
# Krita's depth, for which a sample is neither rounded nor clipped: the protocol's word and Python's code.
_TYPES = {"U8": ("u8", "B"), "U16": ("u16", "H"), "F32": ("f32", "f")}
_ANY = bytes([0] + [255] * 255)


class Source:
    """What is to be stylized: a layer as it is seen, as far as the image and the selection reach.

    `rectangle`: x, y, width, height in the image. `selection`: a byte for each pixel of it, or None. `Failure` for a
    layer that cannot be stylized, with the remedy.
    """

    def __init__(self, document, node):
        self.document, self.node = document, node
        if node is None or node.type() not in _WITH_PIXELS:
            what = "no layer" if node is None else "no layer with pixels of its own"
            raise Failure("layer", f"What is selected is {what}. Click on a layer with a picture and try again.")
        area = node.bounds().intersected(document.bounds())
        if area.isEmpty():
            raise Failure("layer", f"“{node.name()}” is empty. Click on a layer with a picture and try again.")
        selected = document.selection()
        if selected is not None:
            area = area.intersected(QtCore.QRect(selected.x(), selected.y(), selected.width(), selected.height()))
            if area.isEmpty():
                raise Failure(
                    "layer", "The selection does not touch the layer. Choose Select > Deselect and try again."
                )
        self.rectangle = area.x(), area.y(), area.width(), area.height()
        self.selection = None if selected is None else bytes(selected.pixelData(*self.rectangle).data())
        self.depth = node.colorDepth() if node.colorDepth() in _TYPES else "F32"

    @property
    def gray(self):
        """Whether the image is gray, so that a new layer loses its color."""
        return self.document.colorModel() == "GRAYA"

    @property
    def type(self):
        """Of a sample, in the protocol's words: no precision is lost."""
        return _TYPES[self.depth][0]

    def mask(self):
        """255 where anything is selected. The result's alpha makes it soft later."""
        return self.selection.translate(_ANY)

    def pixels(self, depth):
        """RGBA of sRGB, converted by Krita, samples of `depth`."""
        aside = self.document.createNode("adainkit", "paintlayer")  # never comes into the image
        node = self.node
        _convert(aside, node.colorModel(), node.colorDepth(), node.colorProfile())
        aside.setPixelData(node.projectionPixelData(*self.rectangle), *self.rectangle)
        _convert(aside, "RGBA", depth, _SRGB)
        return _swapped(aside.pixelData(*self.rectangle).data(), depth)

    def picture(self, side):
        """(width, height, RGBA bytes), the longer side scaled down to `side` pixels; never up."""
        data = self.pixels("U8")
        return scaled(QtGui.QImage(data, *self.rectangle[2:], QtGui.QImage.Format.Format_RGBA8888), side)


def choose(document, node, side):
    """A whole layer as the picture of a style: (width, height, RGBA bytes). `Failure` where it has none."""
    whole = Source.__new__(Source)
    whole.document, whole.node = document, node
    area = node.bounds().intersected(document.bounds())
    if node.type() not in _WITH_PIXELS or area.isEmpty():
        raise Failure("style", f"The layer “{node.name()}” has no picture. Choose another layer for the style.")
    whole.rectangle = area.x(), area.y(), area.width(), area.height()
    return whole.picture(side)


def file_picture(krita, path, side):
    """What Krita sees in a file that it alone can read. `Failure` where it cannot."""
    document = krita.openDocument(path)
    if document is None:
        raise Failure("style", f"Krita cannot read the style {path}. Choose another picture.")
    try:
        return scaled(document.projection(0, 0, document.width(), document.height()), side)
    finally:
        document.setModified(False)
        document.close()


def scaled(image, side):
    """(width, height, RGBA bytes) of a QImage, its longer side scaled down to `side` pixels; never up."""
    if max(image.width(), image.height()) > side:
        keep, smooth = QtCore.Qt.AspectRatioMode.KeepAspectRatio, QtCore.Qt.TransformationMode.SmoothTransformation
        image = image.scaled(side, side, keep, smooth)
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGBA8888)
    return image.width(), image.height(), image.constBits().asstring(image.sizeInBytes())


def shape(width, height, channels, kind="u8"):
    """A picture as the protocol describes it."""
    return {"width": width, "height": height, "channels": channels, "type": kind}


def add_layer(source, name, pixels, color=False):
    """Put the result, RGBA of `source.depth`, into a new layer above the source; the layer. One step to undo.

    What is softly selected is softly covered. `color`: a gray image is made one of colors first, a step of its own.
    """
    document, below = source.document, source.node
    if color and source.gray:
        deep = document.colorDepth()
        document.setColorSpace("RGBA", deep, _LINEAR if deep.startswith("F") else _SRGB)
        document.waitForDone()
    layer = document.createNode(name, "paintlayer")
    _convert(layer, "RGBA", source.depth, _SRGB)
    layer.setPixelData(_swapped(_covered(pixels, source), source.depth), *source.rectangle)
    _convert(layer, document.colorModel(), document.colorDepth(), document.colorProfile())
    if below.opacity() != layer.opacity():  # each is a step to undo
        layer.setOpacity(below.opacity())
    if below.blendingMode() != layer.blendingMode():
        layer.setBlendingMode(below.blendingMode())
    if not (below.parentNode() or document.rootNode()).addChildNode(layer, below):
        raise Failure("layer", "Krita does not take a new layer there. Unlock the layer's group and try again.")
    document.setActiveNode(layer)
    document.refreshProjection()
    return layer


def _convert(node, model, depth, profile):
    if not node.setColorSpace(model, depth, profile):
        raise Failure("layer", f"Krita cannot convert {model} {depth} ({profile}). Convert the image to RGB first.")


def _swapped(data, depth):
    """Red and blue in each other's place: Krita has BGRA, but RGBA of floats."""
    if depth == "F32":
        return bytes(data)
    samples = array(_TYPES[depth][1], bytes(data))
    samples[0::4], samples[2::4] = samples[2::4], samples[0::4]
    return samples.tobytes()


def _covered(pixels, source):
    """The result with the selection in its alpha."""
    selection = source.selection
    if selection is None or selection.count(255) == len(selection):
        return pixels
    samples = array(_TYPES[source.depth][1], pixels)
    whole = source.depth != "F32"
    parts = zip(samples[3::4], selection)  # noqa: B905 (Krita 5 may have Python 3.8)
    samples[3::4] = array(samples.typecode, ((a * s + 127) // 255 if whole else a * s / 255 for a, s in parts))
    return samples.tobytes()

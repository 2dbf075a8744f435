"""Runs inside a real Krita (test_krita_real.py starts it): every `check_...` stylizes layers by the plug-in's own code.

    kritarunner -s krita_inside -f main

ADAINKIT_INSIDE names a folder with photo.png and painting.png and, in "pykrita", the plug-in, and the checks to run
after it; results.json in the folder then has an empty text, or what went wrong, for every check.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from array import array
from pathlib import Path

from krita import InfoObject, Krita, Selection

FOLDER, *CHECKS = os.environ["ADAINKIT_INSIDE"].split(os.pathsep)
FOLDER = Path(FOLDER)
PHOTO, PAINTING = FOLDER / "photo.png", FOLDER / "painting.png"
PLUGIN = FOLDER / "pykrita" / "adainkit_krita"
STATE = PLUGIN / "worker-state.json"
SRGB, LINEAR = "sRGB-elle-V2-srgbtrc.icc", "sRGB-elle-V2-g10.icc"
CALANQUE = [{"preset": "calanque"}]
krita = Krita.instance()
seconds = {}

# The plug-in is a package that adds itself to Krita's menus; here only its modules are wanted.
sys.path.insert(0, str(FOLDER / "pykrita"))


def plugin(name):
    import importlib

    return importlib.import_module(f"adainkit_krita.{name}")


def load(path=PHOTO):
    document = krita.openDocument(str(path))
    assert document is not None, path
    return document, document.topLevelNodes()[0]


def stylized(document, node, styles=None, **options):
    made = plugin("action").stylize(krita, document, node, styles or CALANQUE, **options)
    siblings = [each.name() for each in node.parentNode().childNodes()]
    assert siblings.index(made.name()) == siblings.index(node.name()) + 1, siblings
    document.waitForDone()
    return made


def refused(words, document, node, styles=None, **options):
    before = [each.name() for each in document.topLevelNodes()]
    try:
        stylized(document, node, styles, **options)
    except plugin("worker_link").Failure as failure:
        told = str(failure)
    else:
        raise AssertionError(f"it was not refused: {words}")
    assert words in told, told
    assert [each.name() for each in document.topLevelNodes()] == before, "something was left behind"


def rgba(node, rectangle, depth="U8"):
    """Of sRGB, by a way of its own: a copy of the layer in a document of its own."""
    aside = krita.createDocument(rectangle[0] + rectangle[2], rectangle[1] + rectangle[3], "", "RGBA", depth, SRGB, 72)
    for each in aside.topLevelNodes():
        each.remove()
    aside.rootNode().addChildNode(node.clone(), None)
    (copy,) = aside.topLevelNodes()
    copy.setOpacity(255)
    copy.setBlendingMode("normal")
    aside.waitForDone()
    aside.refreshProjection()
    aside.waitForDone()
    data = aside.pixelData(*rectangle).data()
    aside.close()
    samples = array({"U8": "B", "U16": "H", "F32": "f"}[depth], data)
    if depth != "F32":
        samples[0::4], samples[2::4] = samples[2::4], samples[0::4]
    return samples


def colors(samples):
    found = array(samples.typecode, samples[0::4])
    return found + samples[1::4] + samples[2::4]


def whole(document):
    return 0, 0, document.width(), document.height()


def difference(one, other):
    """The mean over some thousand samples."""
    assert len(one) == len(other), (len(one), len(other))
    step = max(1, len(one) // 5000)
    pairs = list(zip(one[::step], other[::step], strict=True))
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def select(document, left=100, top=60, width=200, height=150, soft=0):
    chosen = Selection()
    chosen.select(left, top, width, height, 255)
    if soft:
        chosen.feather(soft)
    document.setSelection(chosen)
    return chosen


# ---- what comes out


def check_rgb_of_8_bits():
    document, layer = load()
    before = rgba(layer, whole(document))
    made = stylized(document, layer)
    assert "calanque" in made.name()
    after = rgba(made, whole(document))
    assert set(after[3::4]) == {255}
    assert difference(colors(after), colors(before)) > 10
    assert rgba(layer, whole(document)) == before
    (FOLDER / "rgb8.bin").write_bytes(after.tobytes())  # the other side holds it against the core's
    shown = document.pixelData(*whole(document)).data()
    assert difference(shown[0::4], after[2::4]) == 0, "the new layer is not what is seen"


def check_precision_is_kept():
    eight = None
    for depth, profile in (("U8", SRGB), ("U16", SRGB), ("F16", LINEAR), ("F32", LINEAR)):
        document, layer = load()
        document.setColorSpace("RGBA", depth, profile)
        document.waitForDone()
        made = stylized(document, layer)
        assert (made.colorModel(), made.colorDepth(), made.colorProfile()) == ("RGBA", depth, profile)
        values = colors(rgba(made, (0, 0, document.width(), 40), "F32"))
        eight = eight or values
        assert difference(values, eight) < 0.02, depth  # it looks the same ...
        fine = sum(abs(v * 255 - round(v * 255)) > 0.05 for v in values)
        assert (fine > len(values) / 2) == (depth != "U8"), depth  # ... but is finer


def check_other_color_spaces():
    document, layer = load()
    expected = rgba(stylized(document, layer), whole(document))
    for model, depth in (("CMYKA", "U8"), ("LABA", "U16")):
        document, layer = load()
        document.setColorSpace(model, depth, krita.profiles(model, depth)[0])
        document.waitForDone()
        made = stylized(document, layer)
        assert (made.colorModel(), made.colorDepth()) == (model, depth)
        found = rgba(made, whole(document))
        assert difference(colors(found), colors(expected)) < 25, model  # a press has fewer colors


def check_gray_stays_gray_or_becomes_color():
    for color in (False, True):
        document, layer = load()
        document.setColorSpace("GRAYA", "U8", "Gray-D50-elle-V2-srgbtrc.icc")
        document.waitForDone()
        assert plugin("layers").Source(document, layer).gray
        made = stylized(document, layer, color=color)
        assert (document.colorModel(), made.colorModel()) == (("RGBA", "RGBA") if color else ("GRAYA", "GRAYA"))
        found = rgba(made, whole(document))
        assert (difference(found[0::4], found[2::4]) > 5) == color


def check_alpha_is_kept():
    document, layer = load()
    width, height = document.width(), document.height()
    data = bytearray(layer.pixelData(0, 0, width, height).data())
    ramp = bytes(x * 255 // (width - 1) for x in range(width)) * height
    data[3::4] = ramp
    layer.setPixelData(bytes(data), 0, 0, width, height)
    made = stylized(document, layer)
    assert made.pixelData(0, 0, width, height).data()[3::4] == ramp


def check_a_soft_selection():
    for depth in ("U8", "U16", "F32"):
        document, layer = load()
        document.setColorSpace("RGBA", depth, LINEAR if depth == "F32" else SRGB)
        document.waitForDone()
        before = rgba(layer, whole(document))
        chosen = select(document, soft=12)
        made = stylized(document, layer)
        box = chosen.x(), chosen.y(), chosen.width(), chosen.height()
        bounds = made.bounds()
        assert (bounds.x(), bounds.y(), bounds.width(), bounds.height()) == box
        alpha, selected = rgba(made, box)[3::4], chosen.pixelData(*box).data()
        assert len(set(alpha)) > 20, "the edge is not soft"
        assert max(abs(a - s) for a, s in zip(alpha, selected, strict=True)) <= 1, depth
        assert difference(colors(rgba(made, (160, 100, 40, 40))), colors(rgba(layer, (160, 100, 40, 40)))) > 8
        assert rgba(layer, whole(document)) == before
        document.setSelection(None)


def check_place_opacity_and_mode_are_kept():
    document, layer = load()
    layer.move(37, -21)
    layer.setOpacity(150)
    layer.setBlendingMode("multiply")
    made = stylized(document, layer)
    assert (made.opacity(), made.blendingMode()) == (150, "multiply")
    assert (made.bounds().x(), made.bounds().y()) == (37, 0)  # as far as the image reaches


def check_groups():
    document, layer = load()
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, None)
    inner = layer.duplicate()
    inner.setName("inner")
    group.addChildNode(inner, None)
    document.refreshProjection()
    made = stylized(document, inner)
    assert made.parentNode().name() == "group"
    made.remove()
    document.refreshProjection()
    over = stylized(document, group)
    assert [each.name() for each in document.topLevelNodes()] == [layer.name(), "group", over.name()]
    assert difference(rgba(over, whole(document)), rgba(made, whole(document))) < 1


def check_masks_of_the_layer_are_seen():
    document, layer = load()
    everything = Selection()
    everything.select(0, 0, document.width(), document.height(), 255)
    mask = document.createFilterMask("blur", krita.filter("blur"), everything)
    layer.addChildNode(mask, None)
    document.refreshProjection()
    document.waitForDone()
    plain, other = load()
    seen = plugin("layers").Source(document, layer).pixels("U8")
    bare = plugin("layers").Source(plain, other).pixels("U8")
    assert difference(seen, bare) > 0.3, "the filter was ignored"


def check_styles_of_every_source():
    document, layer = load()
    by_file = rgba(stylized(document, layer, [{"file": str(PAINTING)}]), whole(document))
    painting, other = load(PAINTING)
    by_layer = rgba(stylized(document, layer, [{"layer": (painting, other)}]), whole(document))
    assert difference(by_file, by_layer) < 2
    for suffix in ("kra", "tif"):
        native = FOLDER / f"painting.{suffix}"
        krita.setBatchmode(True)
        painting.setBatchmode(True)
        assert painting.exportImage(str(native), InfoObject())
        by_native = rgba(stylized(document, layer, [{"file": str(native)}]), whole(document))
        assert difference(by_file, by_native) < 2, suffix


def check_a_second_style_and_every_option():
    document, layer = load()
    area = whole(document)
    plain = rgba(stylized(document, layer), area)
    other = rgba(stylized(document, layer, [{"preset": "ukiyo-e"}]), area)
    halves = [{"preset": "calanque", "weight": 0.5}, {"preset": "ukiyo-e", "weight": 0.5}]
    mixed = rgba(stylized(document, layer, halves), area)
    assert min(difference(mixed, plain), difference(mixed, other)) > 2
    only = [{"preset": "calanque", "weight": 0.0}, {"preset": "ukiyo-e", "weight": 1.0}]
    assert rgba(stylized(document, layer, only), area) == other
    changes = ({"alpha": 0.3}, {"scale": 3.0}, {"detail": 1.0}, {"preserve_color": "luma"}, {"color_strength": 0})
    for change in changes:
        assert difference(rgba(stylized(document, layer, **change), area), plain) > 0.7, change


# ---- what is refused


def check_refusals():
    document, layer = load()
    mask = document.createNode("mask", "transparencymask")
    layer.addChildNode(mask, None)
    refused("no layer with pixels of its own", document, mask)
    refused("no layer", document, None)
    empty = document.createNode("empty", "paintlayer")
    document.rootNode().addChildNode(empty, None)
    refused("“empty” is empty", document, empty)
    broken = FOLDER / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    refused("broken.png", document, layer, [{"file": str(broken)}])
    refused("neither an existing file", document, layer, [{"file": str(FOLDER / "gone.png")}])
    refused("adainkit download vgg19", document, layer, model="vgg19")
    refused("alpha must be from 0", document, layer, alpha=2.0)
    layer.move(0, 290)
    select(document, 0, 0, 50, 50)
    refused("does not touch the layer", document, layer)


# ---- the worker


def when_it_has_begun(do):
    """Stylize four megapixels and call `do(worker)`, from another thread, when the worker is at it; how that ended."""
    painting, action, link = plugin("painting"), plugin("action"), plugin("worker_link")
    document, layer = big(2400, 1600)
    request = painting.prepare(krita, plugin("layers").Source(document, layer), {"styles": CALANQUE})
    worker, began = link.Worker(PLUGIN, action.KRITA), []

    def progress(_):
        if not began:
            began.append(time.monotonic())
            threading.Thread(target=do, args=(worker,)).start()

    try:
        painting.answer_of(worker, request, progress)
    except link.Failure as failure:
        return failure, time.monotonic() - began[0]
    raise AssertionError("it went through")


def check_a_killed_worker_is_told_and_replaced():
    document, layer = load()
    stylized(document, layer)
    first = json.loads(STATE.read_text())["pid"]
    failure, _ = when_it_has_begun(lambda _: os.kill(first, signal.SIGKILL))
    assert "try again: that starts it anew" in str(failure)
    stylized(document, layer)
    assert json.loads(STATE.read_text())["pid"] != first


def check_a_canceled_request_ends_at_once():
    document, layer = load()
    failure, seconds["from cancel to the end"] = when_it_has_begun(lambda worker: worker.cancel())
    assert failure.code == "canceled", str(failure)
    assert seconds["from cancel to the end"] < 2
    stylized(document, layer)  # the worker goes on with others


def check_a_layer_of_24_megapixels():
    document, layer = big(6000, 4000)
    layers, painting = plugin("layers"), plugin("painting")
    source = layers.Source(document, layer)
    started = time.monotonic()
    request = painting.prepare(krita, source, {"styles": CALANQUE})
    seconds["24 MP: Krita reads"] = time.monotonic() - started
    started = time.monotonic()
    layers.add_layer(source, "written", request.pieces[0])
    document.waitForDone()
    seconds["24 MP: Krita writes"] = time.monotonic() - started
    assert document.nodeByName("written").pixelData(100, 100, 9, 9) == layer.pixelData(100, 100, 9, 9)


def big(width, height):
    document, _ = load()
    document.scaleImage(width, height, 72, 72, "Bilinear")
    document.waitForDone()
    return document, document.topLevelNodes()[0]


def main(*_):
    krita.setBatchmode(True)
    checks = {name: value for name, value in globals().items() if name.startswith("check_")}
    results = {}
    for name in CHECKS:
        results[name] = "Krita ended in it"
        (FOLDER / "results.json").write_text(json.dumps({"results": results, "seconds": seconds}))
        try:
            checks[name]()
            results[name] = ""
        except Exception:
            results[name] = traceback.format_exc()
        for document in krita.documents():
            document.setModified(False)
            document.close()
        (FOLDER / "results.json").write_text(json.dumps({"results": results, "seconds": seconds}))

"""Runs inside a real GIMP (test_gimp_real.py starts it): every `check_...` stylizes layers by the procedure.

    gimp3 py gimp_inside.py FOLDER [CHECK...]

FOLDER has photo.png and painting.png; results.json in it then has an empty text, or what went wrong, for every check.
"""

import gc
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp, Gio  # noqa: E402

FOLDER = Path(sys.argv[1])
PHOTO, PAINTING = FOLDER / "photo.png", FOLDER / "painting.png"
STATE = Path(Gimp.directory()) / "plug-ins" / "adainkit" / "worker-state.json"
SUCCESS, CLIP = Gimp.PDBStatusType.SUCCESS, Gimp.MergeType.CLIP_TO_IMAGE
seconds = {}


def load(path=PHOTO):
    image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(path)))
    return image, image.get_layers()[0]


def call(image, layer, **arguments):
    """The procedure's status, the message of an error, and the layer that it made."""
    procedure = Gimp.get_pdb().lookup_procedure("adainkit-stylize")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    for name, value in arguments.items():
        config.set_property(name.replace("_", "-"), value)
    result = procedure.run(config)
    error = "" if result.index(0) == SUCCESS else Gimp.get_pdb().get_last_error()
    return result.index(0), error, result.index(1) if result.length() > 1 else None


def stylized(image, layer, **arguments):
    status, error, made = call(image, layer, **arguments)
    assert status == SUCCESS, error
    assert made is not None
    return made


def refused(words, image, layer, **arguments):
    before = [each.get_id() for each in image.get_layers()]
    status, error, _ = call(image, layer, **arguments)
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR, status
    assert words in error, error
    assert [each.get_id() for each in image.get_layers()] == before, "something was left behind"


def pixels(drawable, form="R'G'B' u8", rectangle=None):
    area = rectangle or (0, 0, drawable.get_width(), drawable.get_height())
    return drawable.get_buffer().get(Gegl.Rectangle.new(*area), 1.0, form, Gegl.AbyssPolicy.NONE)


def difference(one, other):
    """Of bytes: the mean over some thousand of them."""
    assert len(one) == len(other)
    step = max(1, len(one) // 5000)
    pairs = list(zip(one[::step], other[::step], strict=True))
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def select(image, left=100, top=60, width=200, height=150, soft=20.0):
    Gimp.context_set_feather(soft > 0)
    Gimp.context_set_feather_radius(max(soft, 1), max(soft, 1))
    image.select_ellipse(Gimp.ChannelOps.REPLACE, left, top, width, height)


# ---- what comes out


def check_rgb_of_8_bits():
    image, layer = load()
    made = stylized(image, layer)
    assert [each.get_id() for each in image.get_layers()] == [made.get_id(), layer.get_id()]
    assert made.has_alpha()
    assert (made.get_width(), made.get_height()) == (layer.get_width(), layer.get_height())
    assert "calanque" in made.get_name(), made.get_name()
    assert made.get_mask() is None
    assert difference(pixels(made), pixels(layer)) > 10
    (FOLDER / "rgb8.bin").write_bytes(pixels(made))  # the other side holds it against the core's


def check_precision_is_kept():
    for precision in (Gimp.Precision.U16_NON_LINEAR, Gimp.Precision.FLOAT_LINEAR, Gimp.Precision.FLOAT_NON_LINEAR):
        image, layer = load()
        image.convert_precision(precision)
        before = pixels(layer)
        for result in ("layer", "in-place"):
            made = stylized(image, layer, result=result)
            assert image.get_precision() == precision
            area = (0, 0, made.get_width(), 40)
            values = struct.unpack(f"<{area[2] * area[3] * 3}f", pixels(made, "R'G'B' float", area))
            assert sum(abs(v * 255 - round(v * 255)) > 0.05 for v in values) > len(values) / 2, "8 bits only"
            assert difference(pixels(made), before) > 10


def check_gray_stays_gray():
    image, layer = load()
    image.convert_grayscale()
    for result in ("layer", "in-place"):
        before = pixels(layer, "Y' u8")
        made = stylized(image, layer, result=result)
        assert made.is_gray()
        assert difference(pixels(made, "Y' u8"), before) > 5


def check_gray_becomes_color_where_that_is_wanted():
    for result in ("layer", "in-place"):
        image, layer = load()
        image.convert_grayscale()
        made = stylized(image, layer, result=result, to_color=True)
        assert image.get_base_type() == Gimp.ImageBaseType.RGB
        assert made.is_rgb()
        rgb = pixels(made)
        assert difference(rgb[0::3], rgb[2::3]) > 5, "it has no color"
    image, layer = load()
    assert stylized(image, layer, to_color=True).is_rgb()  # which it was


def check_alpha_is_kept():
    image, layer = load()
    layer.add_alpha()
    width, height = layer.get_width(), layer.get_height()
    ramp = bytes(x * 255 // (width - 1) for x in range(width)) * height
    rgba = bytearray(pixels(layer, "R'G'B'A u8"))
    rgba[3::4] = ramp
    layer.get_buffer().set(Gegl.Rectangle.new(0, 0, width, height), "R'G'B'A u8", bytes(rgba))
    rgb = pixels(layer)
    for result in ("layer", "in-place"):
        made = stylized(image, layer, result=result)
        assert pixels(made, "R'G'B'A u8")[3::4] == ramp
        assert difference(pixels(made), rgb) > 5


def check_selection_as_a_layer():
    image, layer = load()
    before = pixels(layer)
    select(image)
    made = stylized(image, layer)
    _, x, y, width, height = layer.mask_intersect()
    assert list(made.get_offsets())[1:] == [x, y]
    assert (made.get_width(), made.get_height()) == (width, height)
    mask = pixels(made.get_mask(), "Y u8")
    assert len(set(mask)) > 50, "the mask is not soft"
    assert pixels(layer) == before
    Gimp.Selection.none(image)
    merged = image.merge_visible_layers(CLIP)
    after = pixels(merged)
    assert after[: 3 * image.get_width() * 20] == before[: 3 * image.get_width() * 20]  # rows above the selection
    center = (x + width // 3, y + height // 3, 40, 40)
    assert difference(pixels(merged, "R'G'B' u8", center), pixels(load()[1], "R'G'B' u8", center)) > 8


def check_selection_in_place():
    image, layer = load()
    before = pixels(layer)
    select(image)
    made = stylized(image, layer, result="in-place")
    assert made.get_id() == layer.get_id()
    after, width = pixels(layer), image.get_width()
    assert after[: 3 * width * 20] == before[: 3 * width * 20]
    center = 3 * (width * 130 + 160)
    assert difference(after[center : center + 120], before[center : center + 120]) > 8
    # soft: the left end of the ellipse changes little, more toward its middle
    rows = [difference(after[i : i + 24], before[i : i + 24]) for i in (3 * (width * 135 + x) for x in (96, 160))]
    assert rows[0] < rows[1], rows


def check_offsets_opacity_and_mode_are_kept():
    image, layer = load()
    layer.set_offsets(37, -21)
    layer.set_opacity(60)
    layer.set_mode(Gimp.LayerMode.MULTIPLY)
    made = stylized(image, layer)
    assert list(made.get_offsets())[1:] == [37, -21]
    assert abs(made.get_opacity() - 60) < 0.5
    assert made.get_mode() == Gimp.LayerMode.MULTIPLY


def check_a_layer_mask_is_carried_over():
    for selected in (False, True):
        image, layer = load()
        mask = layer.create_mask(Gimp.AddMaskType.BLACK)
        layer.add_mask(mask)
        half = layer.get_width() // 2
        mask.get_buffer().set(Gegl.Rectangle.new(0, 0, half, 300), "Y u8", b"\xff" * (half * 300))
        if selected:
            select(image)
        made = stylized(image, layer)
        carried = pixels(made.get_mask(), "Y u8")
        left = made.get_offsets()[1]
        row = carried[: made.get_width()]
        assert row == bytes(255 if x + left < half else 0 for x in range(made.get_width()))
        if selected:
            assert len(set(pixels(made, "R'G'B'A u8")[3::4])) > 50, "the selection is lost"


def check_a_layer_in_a_group_stays_there():
    image, layer = load()
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(layer, group, 0)
    made = stylized(image, layer)
    assert made.get_parent().get_id() == group.get_id()
    assert image.get_item_position(made) == 0
    over = stylized(image, group)  # a group itself, as a new layer above it
    assert over.get_parent() is None


def check_filters_are_seen():
    image, layer = load()
    blur = Gimp.DrawableFilter.new(layer, "gegl:gaussian-blur", "blur")
    for side in ("x", "y"):
        blur.get_config().set_property(f"std-dev-{side}", 12.0)
    layer.append_filter(blur)
    images = len(Gimp.get_images())
    made = stylized(image, layer)
    plain_image, plain = load()
    blurred = stylized(plain_image, plain)
    assert difference(pixels(made), pixels(blurred)) > 5, "the filter was ignored"
    assert len(Gimp.get_images()) == images + 1, "an image was left around"
    assert len(layer.get_filters()) == 1
    place = stylized(image, layer, result="in-place")
    assert not place.get_filters()
    assert difference(pixels(place), pixels(made)) < 1


def check_the_color_profile_is_respected():
    image, layer = load()
    expected = pixels(stylized(image, layer))
    wide, layer = load()
    wide.convert_color_profile(
        Gimp.ColorProfile.new_rgb_adobe(), Gimp.ColorRenderingIntent.RELATIVE_COLORIMETRIC, False
    )
    made = stylized(wide, layer)
    assert difference(pixels(made), expected) < 4  # looks the same ...


def check_styles_of_every_source():
    image, layer = load()
    file = Gio.File.new_for_path(str(PAINTING))
    by_file = stylized(image, layer, style_file=file)
    assert "painting" in by_file.get_name()
    _, painting = load(PAINTING)
    by_layer = stylized(image, layer, style_layer=painting)
    assert difference(pixels(by_file), pixels(by_layer)) < 2
    assert difference(pixels(by_file), pixels(stylized(image, layer))) > 5
    for suffix in ("xcf", "tif"):
        native = Gio.File.new_for_path(str(FOLDER / f"painting.{suffix}"))
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, painting.get_image(), native, None)
        by_native = stylized(image, layer, style_file=native)
        assert difference(pixels(by_file), pixels(by_native)) < 2, suffix
    deep, painting = load(PAINTING)
    deep.convert_precision(Gimp.Precision.FLOAT_NON_LINEAR)
    native = Gio.File.new_for_path(str(FOLDER / "deep.tif"))
    Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, deep, native, None)
    assert difference(pixels(by_file), pixels(stylized(image, layer, style_file=native))) < 2


def check_a_second_style_is_mixed_in():
    image, layer = load()
    first, second = (pixels(stylized(image, layer, preset=name)) for name in ("calanque", "ukiyo-e"))
    mixed = pixels(stylized(image, layer, second_from="preset", second_preset="ukiyo-e", mix=0.5))
    assert min(difference(mixed, first), difference(mixed, second)) > 2
    only = pixels(stylized(image, layer, second_from="preset", second_preset="ukiyo-e", mix=1.0))
    assert only == second


def check_every_option_does_something():
    image, layer = load()
    plain = pixels(stylized(image, layer))
    for name, value in (("strength", 0.3), ("stroke_scale", 3.0), ("detail", 1.0), ("keep_colors", "luma")):
        assert difference(pixels(stylized(image, layer, **{name: value})), plain) > 1, name
    assert difference(pixels(stylized(image, layer, color_strength=0)), plain) > 0.5, "the style's palette"
    half = stylized(image, layer, keep_colors="match", color_strength=0.5)
    assert difference(pixels(half), pixels(stylized(image, layer, keep_colors="match"))) > 0.5


# ---- what is refused


def check_refusals():
    image, layer = load()
    indexed, flat = load()
    indexed.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, "")
    refused("Image > Mode > RGB", indexed, flat)
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(mask)
    refused("layer mask is selected", image, mask)
    refused("channel is selected", image, Gimp.Channel.new(image, "c", 10, 10, 50, Gegl.Color.new("red")))
    layer.remove_mask(Gimp.MaskApplyMode.DISCARD)
    layer.set_lock_content(True)
    refused("are locked", image, layer, result="in-place")
    stylized(image, layer)  # as a layer it may be
    layer.set_lock_content(False)
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(layer, group, 0)
    refused("layer group", image, group, result="in-place")
    group.set_lock_content(True)
    refused("are locked", image, layer, result="in-place")
    group.set_lock_content(False)
    small = Gimp.Layer.new(image, "small", 10, 10, Gimp.ImageType.RGB_IMAGE, 100, Gimp.LayerMode.NORMAL)
    image.insert_layer(small, None, 0)
    select(image, soft=0)
    refused("does not touch", image, small)
    Gimp.Selection.none(image)
    select(image, soft=0)
    refused("floating selection", image, Gimp.Selection.float(image, [layer], 5, 5))


def check_a_link_layer_is_refused_in_place_and_taken_as_a_layer():
    if not hasattr(Gimp, "LinkLayer"):
        return  # GIMP 3.0
    image, _ = load()
    link = Gimp.LinkLayer.new(image, Gio.File.new_for_path(str(PAINTING)))
    image.insert_layer(link, None, 0)
    refused("link layer", image, link, result="in-place")
    stylized(image, link)


def check_bad_styles_are_told():
    image, layer = load()
    broken = FOLDER / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    refused("broken.png", image, layer, style_file=Gio.File.new_for_path(str(broken)))
    broken = broken.rename(FOLDER / "broken.xcf")
    refused("GIMP cannot read", image, layer, style_file=Gio.File.new_for_path(str(broken)))
    gone = Gio.File.new_for_path(str(FOLDER / "gone.png"))
    assert call(image, layer, style_file=gone)[0] == Gimp.PDBStatusType.CALLING_ERROR  # GIMP looks itself
    refused("Choose a picture for the style", image, layer, style_from="file")
    refused("Choose a layer for the style", image, layer, style_from="layer")
    refused("adainkit download vgg19", image, layer, model="vgg19")
    refused("Choose a model file", image, layer, model="file")


# ---- the worker


def check_a_killed_worker_is_told_and_replaced():
    image, layer = load()
    stylized(image, layer)
    first = json.loads(STATE.read_text())["pid"]
    big = Gimp.Image.new(4000, 3000, Gimp.ImageBaseType.RGB)
    wide = Gimp.Layer.new(big, "wide", 4000, 3000, Gimp.ImageType.RGB_IMAGE, 100, Gimp.LayerMode.NORMAL)
    big.insert_layer(wide, None, 0)
    threading.Timer(1.5, os.kill, (first, signal.SIGKILL)).start()
    refused("scale the picture down", big, wide)
    stylized(image, layer)
    assert json.loads(STATE.read_text())["pid"] != first


def check_a_worker_that_dies_with_half_of_the_result_changes_nothing():
    image, layer = load()
    stylized(image, layer)
    image.remove_layer(image.get_layers()[0])
    layer.append_filter(Gimp.DrawableFilter.new(layer, "gegl:gaussian-blur", "blur"))
    before, place, images = pixels(layer), (layer.get_width(), list(layer.get_offsets())), len(Gimp.get_images())
    state = STATE.read_text()
    for result, channels in (("layer", 4), ("in-place", 3)):
        with socket.create_server(("127.0.0.1", 0)) as server:
            STATE.write_text(json.dumps({**json.loads(state), "port": server.getsockname()[1]}))
            dying = threading.Thread(target=die_with_half_of_the_result, args=(server, channels))
            dying.start()
            try:
                refused("ended in the middle", image, layer, result=result)
            finally:
                STATE.write_text(state)
            dying.join(10)
        assert pixels(layer) == before
        assert (layer.get_width(), list(layer.get_offsets())) == place
        assert len(layer.get_filters()) == 1
        assert len(Gimp.get_images()) == images
    stylized(image, layer, result="in-place")
    assert not layer.get_filters()


def die_with_half_of_the_result(server, channels):
    stream, _ = server.accept()
    with stream, stream.makefile("rb") as file:
        picture = json.loads(file.readline())["picture"]
        assert picture["channels"] == channels
        count = picture["width"] * picture["height"] * channels
        stream.sendall(b'{"ready": true}\n')
        file.read(count)
        stream.sendall(json.dumps({"result": picture, "bytes": count}).encode() + b"\n" + bytes(count // 2))


def check_a_layer_of_24_megapixels():
    image, layer = load()
    image.scale(6000, 4000)
    time_gimp_alone(image, layer)
    started = time.monotonic()
    made = stylized(image, layer)
    seconds["24 MP, RGB of 8 bits"] = time.monotonic() - started
    assert (made.get_width(), made.get_height()) == (6000, 4000)
    area = (5000, 3000, 200, 200)
    assert difference(pixels(made, "R'G'B' u8", area), pixels(layer, "R'G'B' u8", area)) > 5


def time_gimp_alone(image, layer):
    """What of the seconds GIMP itself takes, by the plug-in's own code: pixels out of it, and a new layer of them."""
    sys.path.insert(0, str(STATE.parent))
    import layers

    source = layers.Source(image, layer)
    started = time.monotonic()
    found = b"".join(layers.strips(layer, source.within(layer), source.format(True), 4))
    seconds["24 MP: GIMP reads"] = time.monotonic() - started
    read = iter([found[start : start + (1 << 25)] for start in range(0, len(found), 1 << 25)])
    rest = [b""]

    def give(count):
        while len(rest[0]) < count:
            rest[0] += next(read)
        piece, rest[0] = rest[0][:count], rest[0][count:]
        return piece

    started = time.monotonic()
    made = layers.add_layer(source, "written", give)
    seconds["24 MP: GIMP writes"] = time.monotonic() - started
    assert pixels(made, "R'G'B'A u8", (100, 100, 9, 9)) == pixels(layer, "R'G'B'A u8", (100, 100, 9, 9))
    image.remove_layer(made)


def check_a_warm_call_of_2_megapixels():
    image, layer = load()
    image.scale(1732, 1155)
    found = []
    for _ in range(3):
        started = time.monotonic()
        stylized(image, layer)
        found.append(time.monotonic() - started)
    seconds["2 MP, warm"] = min(found)


def check_calls_beside_another_gimp():
    """Run by two GIMPs at once."""
    image, layer = load()
    for _ in range(3):
        assert difference(pixels(stylized(image, layer)), pixels(layer)) > 10


# ---- with a display: fonts, and a person who undoes


def check_text_is_refused_in_place_and_taken_as_a_layer():
    image, _ = load()
    text = Gimp.TextLayer.new(image, "Style", Gimp.context_get_font(), 80, Gimp.Unit.pixel())
    image.insert_layer(text, None, 0)
    refused("text layer", image, text, result="in-place")
    made = stylized(image, text)
    assert made.get_width() == text.get_width()


def check_one_step_undoes_it():
    """The photograph is open in a window; the other side types Ctrl+Z, once, when the window's title asks for it."""
    (image,) = Gimp.get_images()
    (layer,) = image.get_layers()
    for result in ("layer", "in-place"):
        before = pixels(layer)
        select(image)
        stylized(image, layer, result=result)
        Gimp.displays_flush()
        count = 2 if result == "layer" else 1
        assert len(image.get_layers()) == count
        image.set_file(Gio.File.new_for_path(str(FOLDER / f"undo {result}.xcf")))
        deadline = time.monotonic() + 60
        while len(image.get_layers()) != 1 or pixels(layer) != before:
            assert time.monotonic() < deadline, f"{result}: it was not undone"
            time.sleep(0.2)


def check_the_cross_of_the_dialog_changes_nothing():
    """The photograph is open in a window; the other side closes the dialog as soon as it is there."""
    (image,) = Gimp.get_images()
    (layer,) = image.get_layers()
    procedure = Gimp.get_pdb().lookup_procedure("adainkit-stylize")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.INTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    assert procedure.run(config).index(0) == Gimp.PDBStatusType.CANCEL
    assert [each.get_id() for each in image.get_layers()] == [layer.get_id()]


def main():
    Gegl.init(None)
    checks = {name: value for name, value in globals().items() if name.startswith("check_")}
    results = {}
    for name in sys.argv[2:]:
        try:
            checks[name]()
            results[name] = ""
        except Exception:
            results[name] = traceback.format_exc()
        gc.collect()
        for image in Gimp.get_images() if name != "check_one_step_undoes_it" else ():
            image.delete()
        (FOLDER / f"results-{os.getpid()}.json").write_text(json.dumps({"results": results, "seconds": seconds}))


main()

"""The dialog: GIMP's own widgets for every argument, and a preview that the worker draws beside them."""

import threading

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
gi.require_version("GdkPixbuf", "2.0")
from gi.repository import GdkPixbuf, GimpUi, GLib, GObject, Gtk  # noqa: E402
from painting import PREVIEW_SIDE, THUMBNAIL_SIDE  # noqa: E402

__all__ = ["ask"]

_PAUSE_MS = 150
_STYLE = ("style-from", "preset", "style-file", "style-layer")
_SECOND = ("second-from", "second-preset", "second-file", "second-layer", "mix")
_PAINT = ("strength", "stroke-scale", "detail", "keep-colors", "color-strength")
_RESULT = ("result", "to-color", "model", "model-file")
_SLIDERS = ("mix", "strength", "stroke-scale", "detail", "color-strength")
_CHOICES = ("style-from", "preset", "second-from", "second-preset", "keep-colors", "result", "model")
_SHOWN_FOR = {
    "preset": ("style-from", ("preset",)),
    "style-file": ("style-from", ("file",)),
    "style-layer": ("style-from", ("layer",)),
    "second-preset": ("second-from", ("preset",)),
    "second-file": ("second-from", ("file",)),
    "second-layer": ("second-from", ("layer",)),
    "mix": ("second-from", ("preset", "file", "layer")),
    "model-file": ("model", ("file",)),
}


def ask(procedure, config, render, presets):
    """Show the dialog; whether the user wants the filter. `config` then holds what was chosen.

    `render`: a `painting.Preview`; `presets`: name, title and description of each.
    """
    GimpUi.init("adainkit")
    dialog = GimpUi.ProcedureDialog.new(procedure, config, "AdaIN Style Transfer")
    for name in _SLIDERS:
        dialog.get_spin_scale(name, 1.0).set_digits(2)
    for name in _CHOICES:
        dialog.get_widget(name, Gtk.ComboBox)  # GIMP 3.2 would make long lists of radio buttons
    columns = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=18, border_width=12)
    presets = _Presets(config, render, presets)
    preview = _Preview(config, render, presets.start)
    left = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=12)
    left.pack_start(preview.widget, False, False, 0)
    left.pack_start(presets.widget, True, True, 0)
    left.show()
    columns.pack_start(left, True, True, 0)
    right = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=12)
    groups = (("Style", _STYLE), ("Second Style", _SECOND), ("Painting", _PAINT), ("Result", _RESULT))
    for title, names in groups:
        key = title.lower().replace(" ", "-")
        dialog.get_label(f"{key}-title", title, False, False)
        dialog.fill_box(f"{key}-box", list(names)).show()
        frame = dialog.fill_frame(f"{key}-frame", f"{key}-title", False, f"{key}-box")
        frame.show()
        right.pack_start(frame, False, False, 0)
    right.set_size_request(340, -1)
    columns.pack_start(right, False, False, 0)
    dialog.get_content_area().pack_start(columns, True, True, 0)
    columns.show()
    right.show()
    _align_labels(dialog)
    _show_what_matters(dialog, config)
    dialog.get_widget("to-color", GObject.TYPE_NONE).set_visible(render.gray)
    preview.start()
    try:
        return dialog.run()
    finally:
        preview.stop()
        presets.stop()
        dialog.destroy()


def _align_labels(dialog):
    labels = Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL)
    for name in (*_STYLE, *_SECOND, *_PAINT, *_RESULT):
        widget = dialog.get_widget(name, GObject.TYPE_NONE)
        if isinstance(widget, GimpUi.Labeled):
            labels.add_widget(widget.get_label())


def _show_what_matters(dialog, config):
    def update(*_):
        for name, (choice, values) in _SHOWN_FOR.items():
            dialog.get_widget(name, GObject.TYPE_NONE).set_visible(config.get_property(choice) in values)

    for choice in {choice for choice, _ in _SHOWN_FOR.values()}:
        config.connect(f"notify::{choice}", update)
    update()


class _Presets:
    """The presets painted on the layer at hand, one after another; a click chooses one."""

    def __init__(self, config, render, presets):
        self.config, self.render = config, render
        self.names = [name for name, _, _ in presets]
        self.rows = Gtk.ListStore(GdkPixbuf.Pixbuf, str, str)
        empty = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, True, 8, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        empty.fill(0x80808040)
        for _, title, description in presets:
            self.rows.append([empty, title, description])
        self.icons = Gtk.IconView(model=self.rows, pixbuf_column=0, text_column=1, tooltip_column=2)
        self.icons.set_columns(3)
        self.icons.set_item_padding(3)
        self.widget = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER, shadow_type=Gtk.ShadowType.IN)
        self.widget.set_size_request(PREVIEW_SIDE, THUMBNAIL_SIDE + 60)
        self.widget.add(self.icons)
        self.widget.show_all()
        self._begun = self._stopped = False
        self._select()
        self._handlers = [(self.icons, self.icons.connect("selection-changed", self._chosen))]
        self._handlers += [
            (config, config.connect(f"notify::{name}", self._select)) for name in ("preset", "style-from")
        ]

    def start(self):
        """Begin to draw, once: when the worker is known to answer."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._draw, daemon=True).start()

    def stop(self):
        self._stopped = True
        for each, handler in self._handlers:
            each.disconnect(handler)

    def _draw(self):
        for row, name in enumerate(self.names):
            if self._stopped:
                return
            try:
                found = self.render.preset(name)
            except Exception:  # the preview tells what is wrong
                return
            GLib.idle_add(self._show, row, found)

    def _show(self, row, found):
        if not self._stopped:
            self.rows[row][0] = _pixbuf(found, THUMBNAIL_SIDE)
        return GLib.SOURCE_REMOVE

    def _chosen(self, icons):
        for path in icons.get_selected_items():
            name = self.names[path.get_indices()[0]]
            if (self.config.get_property("style-from"), self.config.get_property("preset")) != ("preset", name):
                self.config.set_property("preset", name)
                self.config.set_property("style-from", "preset")

    def _select(self, *_):
        self.icons.unselect_all()
        name = self.config.get_property("preset")
        if self.config.get_property("style-from") == "preset" and name in self.names:
            self.icons.select_path(Gtk.TreePath.new_from_indices([self.names.index(name)]))


class _Preview:
    """A picture that follows the settings, a moment after they rest. The newest settings win.

    `works` is called when one has been drawn.
    """

    def __init__(self, config, render, works):
        self.config, self.render, self.works = config, render, works
        self.picture = Gtk.Image()
        self.picture.set_size_request(PREVIEW_SIDE, PREVIEW_SIDE)
        self.status = Gtk.Label(label="Starting AdaINKit …", xalign=0.5, wrap=True, max_width_chars=44)
        frame = Gtk.Frame(shadow_type=Gtk.ShadowType.IN)
        frame.add(self.picture)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        self.widget.pack_start(frame, True, True, 0)
        self.widget.pack_start(self.status, False, False, 0)
        self.widget.show_all()
        self._show(render.original)
        self._timer = 0
        self._busy = self._again = self._stopped = False
        self._handler = 0

    def start(self):
        self._handler = self.config.connect("notify", self._changed)
        self._begin()

    def stop(self):
        self._stopped = True
        self.config.disconnect(self._handler)
        if self._timer:
            GLib.source_remove(self._timer)

    def _changed(self, *_):
        if self._timer:
            GLib.source_remove(self._timer)
        self._timer = GLib.timeout_add(_PAUSE_MS, self._begin)

    def _begin(self):
        self._timer = 0
        if self._busy:
            self._again = True
        else:
            self._busy, self._again = True, False
            try:
                prepared = self.render.prepare(self.config)
            except Exception as error:
                self._end(None, str(error))
            else:
                threading.Thread(target=self._draw, args=(prepared,), daemon=True).start()
        return GLib.SOURCE_REMOVE

    def _draw(self, prepared):
        try:
            found, text = self.render(prepared), ""
        except Exception as error:
            found, text = None, str(error)
        GLib.idle_add(self._end, found, text)

    def _end(self, found, text):
        self._busy = False
        if not self._stopped:
            if found:
                self._show(found)
                self.works()
            self.status.set_text(text or "Preview")
            if self._again:
                self._begin()
        return GLib.SOURCE_REMOVE

    def _show(self, found):
        self.picture.set_from_pixbuf(_pixbuf(found, PREVIEW_SIDE))


def _pixbuf(found, side):
    width, height, pixels = found
    data = GLib.Bytes.new(pixels)
    pixbuf = GdkPixbuf.Pixbuf.new_from_bytes(data, GdkPixbuf.Colorspace.RGB, True, 8, width, height, width * 4)
    scale = min(side / width, side / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return pixbuf.composite_color_simple(*size, GdkPixbuf.InterpType.BILINEAR, 255, 8, 0x999999, 0x666666)

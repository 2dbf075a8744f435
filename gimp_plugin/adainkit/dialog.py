"""The dialog: GIMP's own widgets for every argument, and a preview that the worker draws beside them."""

import threading

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
gi.require_version("GdkPixbuf", "2.0")
from gi.repository import GdkPixbuf, GimpUi, GLib, GObject, Gtk  # noqa: E402
from painting import PREVIEW_SIDE  # noqa: E402

__all__ = ["ask"]

_PAUSE_MS = 150
_STYLE = ("style-from", "preset", "style-file", "style-layer")
_SECOND = ("second-from", "second-preset", "second-file", "second-layer", "mix")
_PAINT = ("strength", "stroke-scale", "detail", "keep-colors", "color-strength")
_RESULT = ("result", "model", "model-file")
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
    "color-strength": ("keep-colors", ("luma", "match")),
    "model-file": ("model", ("file",)),
}


def ask(procedure, config, render):
    """Show the dialog; whether the user wants the filter. `config` then holds what was chosen.

    `render`: a `painting.Preview`.
    """
    GimpUi.init("adainkit")
    dialog = GimpUi.ProcedureDialog.new(procedure, config, "AdaIN Style Transfer")
    for name in _SLIDERS:
        dialog.get_spin_scale(name, 1.0).set_digits(2)
    for name in _CHOICES:
        dialog.get_widget(name, Gtk.ComboBox)  # GIMP 3.2 would make long lists of radio buttons
    columns = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=18, border_width=12)
    preview = _Preview(config, render)
    columns.pack_start(preview.widget, True, True, 0)
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
    preview.start()
    try:
        return dialog.run()
    finally:
        preview.stop()
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


class _Preview:
    """A picture that follows the settings, a moment after they rest. The newest settings win."""

    def __init__(self, config, render):
        self.config, self.render = config, render
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
            self.status.set_text(text or "Preview")
            if self._again:
                self._begin()
        return GLib.SOURCE_REMOVE

    def _show(self, found):
        width, height, pixels = found
        data = GLib.Bytes.new(pixels)
        pixbuf = GdkPixbuf.Pixbuf.new_from_bytes(data, GdkPixbuf.Colorspace.RGB, True, 8, width, height, width * 4)
        scale = min(PREVIEW_SIDE / width, PREVIEW_SIDE / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixbuf = pixbuf.composite_color_simple(*size, GdkPixbuf.InterpType.BILINEAR, 255, 8, 0x999999, 0x666666)
        self.picture.set_from_pixbuf(pixbuf)

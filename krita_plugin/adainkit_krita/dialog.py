"""The dialog: where the style comes from, the presets painted on the layer at hand, the controls, and a preview."""

from .drawing import Drawer
from .layers import scaled
from .painting import PREVIEW_SIDE, prepare_preview
from .qt import QtCore, QtGui, QtWidgets
from .worker_link import Failure

__all__ = ["StyleDialog"]

_PAUSE_MS = 150
_THUMBNAIL = 96
_STEPS = 100
_SLIDER_TOP = 8.0  # larger numbers are typed


class StyleDialog(QtWidgets.QDialog):
    """Asks for the choices of `painting.prepare`: `choices()` tells them, `color()` whether gray becomes color.

    `others`: the documents whose layers may be styles.
    """

    def __init__(self, krita, worker, source, others, parent=None):
        super().__init__(parent)
        self.setWindowTitle("AdaIN Style Transfer")
        self.krita, self.source = krita, source
        self.original = source.picture(2 * PREVIEW_SIDE)  # strokes may be finer than the thumbnail's pixels
        self._reduced = max(self.original[:2]) / max(source.rectangle[2:])
        config = worker.config
        self.first = _StylePicker(config.get("presets", []), others, grid=True)
        self.second = _StylePicker(config.get("presets", []), others, nothing=True)
        self.mix = _Number({"low": 0.0, "high": 1.0, "default": 0.5})
        self.controls = {each["name"]: _field(each) for each in config.get("controls", [])}
        self.model = _Model(config.get("models", ["lite"]))
        self.to_color = QtWidgets.QCheckBox("Make the gray image one of colors")
        self.to_color.setToolTip("A step of its own when you undo. Else the new layer is gray as the image is.")
        self._lay_out(config)
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw)
        for field in (self.first, self.second, self.mix, self.model, *self.controls.values()):
            field.changed.connect(self._changed)
        self._show(self.original)
        self._enable()
        self.drawer = Drawer(worker)
        self.drawer.drawn.connect(self._drawn)
        self._draw()
        self._draw_presets(config.get("presets", []))

    def choices(self):
        """As `painting.prepare` takes them."""
        styles, second = [self.first.style()], self.second.style()
        if second:
            share = self.mix.value()
            styles = [{**styles[0], "weight": 1 - share}, {**second, "weight": share}]
        options = {name: field.value() for name, field in self.controls.items()}
        return {"styles": styles, "options": options, "model": self.model.value()}

    def color(self):
        """Whether a gray image is to become one of colors."""
        return self.source.gray and self.to_color.isChecked()

    def done(self, result):
        """Qt calls this however the dialog ends."""
        self._timer.stop()
        self.drawer.stop()
        super().done(result)

    def _lay_out(self, config):
        self.picture = QtWidgets.QLabel(alignment=QtCore.Qt.AlignmentFlag.AlignCenter)
        self.picture.setFixedSize(PREVIEW_SIDE, PREVIEW_SIDE)
        self.picture.setFrameShape(QtWidgets.QFrame.Shape.StyledPanel)
        self.status = QtWidgets.QLabel("Starting AdaINKit …", wordWrap=True)
        left = QtWidgets.QVBoxLayout()
        left.addWidget(self.picture)
        left.addWidget(self.status)
        _group(left, "Painting", [(_title(name), field) for name, field in self.controls.items()])
        left.addStretch()
        right = QtWidgets.QVBoxLayout()
        _group(right, "Style", [("", self.first)])
        _group(right, "Second style", [("", self.second), ("Share of the second", self.mix)])
        rows = [("Model", self.model)] + ([("", self.to_color)] if self.source.gray else [])
        _group(right, "Result: a new layer", rows)
        for each in config.get("controls", []):
            self.controls[each["name"]].setToolTip(each.get("tip", ""))
        kinds = QtWidgets.QDialogButtonBox.StandardButton
        buttons = QtWidgets.QDialogButtonBox(kinds.Ok | kinds.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        columns = QtWidgets.QHBoxLayout()
        columns.addLayout(left)
        columns.addLayout(right, 1)
        whole = QtWidgets.QVBoxLayout(self)
        whole.addLayout(columns)
        whole.addWidget(buttons)

    def _changed(self):
        self._enable()
        self._timer.start(_PAUSE_MS)

    def _enable(self):
        """What has no effect cannot be changed."""
        self.mix.setEnabled(bool(self.second.source.currentData()))

    def _draw(self):
        try:
            self.drawer.draw("preview", prepare_preview(self.krita, self.original, self._reduced, self.choices()))
        except Failure as failure:
            self.status.setText(str(failure))

    def _draw_presets(self, presets):
        small = QtGui.QImage(self.original[2], *self.original[:2], QtGui.QImage.Format.Format_RGBA8888)
        small = scaled(small, 2 * _THUMBNAIL)
        reduced = max(small[:2]) / max(self.source.rectangle[2:])
        for preset in presets:
            choices = {"styles": [{"preset": preset["name"]}]}
            self.drawer.draw(preset["name"], prepare_preview(self.krita, small, reduced, choices, _THUMBNAIL))

    def _drawn(self, key, found, text):
        if key != "preview":
            if found:
                self.first.show_preset(key, _pixmap(found, _THUMBNAIL))
            return
        self.status.setText(text or "Preview")
        if found:
            self._show(found)

    def _show(self, found):
        self.picture.setPixmap(_pixmap(found, PREVIEW_SIDE - 4))


class _StylePicker(QtWidgets.QWidget):
    """A preset, a file, a layer, or (`nothing`) none. `grid`: presets are a list of pictures."""

    changed = QtCore.pyqtSignal()

    def __init__(self, presets, documents, grid=False, nothing=False):
        super().__init__()
        self.source = QtWidgets.QComboBox()
        for key, title in (("", "Nothing"),) * nothing + _SOURCES:
            self.source.addItem(title, key)
        self.preset = _PresetList(presets) if grid else _PresetBox(presets)
        self.file = _File("Pictures and saved styles (*)")
        self.layer = QtWidgets.QComboBox()
        for document in documents:
            for node in _nodes(document.rootNode()):
                title = document.name() or document.fileName().rsplit("/", 1)[-1] or "Unnamed"
                self.layer.addItem(f"{title}: {node.name()}", (document, node))
        self._fields = {"preset": self.preset, "file": self.file, "layer": self.layer}
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for field in (self.source, *self._fields.values()):
            column.addWidget(field)
        self.source.currentIndexChanged.connect(self._choose)
        self.layer.currentIndexChanged.connect(lambda *_: self.changed.emit())
        self.preset.changed.connect(self.changed)
        self.file.changed.connect(self.changed)
        self._choose()

    def style(self):
        """What is chosen, as `painting.prepare` takes it, or None."""
        kind = self.source.currentData()
        if kind == "preset":
            return {"preset": self.preset.value()}
        if kind == "file":
            if not self.file.value():
                raise Failure("style", "Choose a picture for the style.")
            return {"file": self.file.value()}
        if kind == "layer":
            if self.layer.currentData() is None:
                raise Failure("style", "Open a picture whose layer is to be the style.")
            return {"layer": self.layer.currentData()}
        return None

    def show_preset(self, name, pixmap):
        """Let a preset be seen on the layer at hand."""
        self.preset.show_preset(name, pixmap)

    def _choose(self, *_):
        for kind, field in self._fields.items():
            field.setVisible(kind == self.source.currentData())
        self.changed.emit()


_SOURCES = (("preset", "Preset"), ("file", "Picture file"), ("layer", "Open layer"))


class _PresetList(QtWidgets.QListWidget):
    """The presets as pictures."""

    changed = QtCore.pyqtSignal()

    def __init__(self, presets):
        super().__init__()
        self.setViewMode(QtWidgets.QListView.ViewMode.IconMode)
        self.setResizeMode(QtWidgets.QListView.ResizeMode.Adjust)
        self.setMovement(QtWidgets.QListView.Movement.Static)
        self.setIconSize(QtCore.QSize(_THUMBNAIL, _THUMBNAIL))
        self.setGridSize(QtCore.QSize(_THUMBNAIL + 16, _THUMBNAIL + 28))
        self.setMinimumSize(4 * (_THUMBNAIL + 16) + 28, 2 * (_THUMBNAIL + 28) + 8)
        empty = QtGui.QPixmap(_THUMBNAIL, _THUMBNAIL)
        empty.fill(QtGui.QColor(128, 128, 128, 60))
        self._items = {}
        for preset in presets:
            item = QtWidgets.QListWidgetItem(QtGui.QIcon(empty), _title(preset["name"]))
            item.setData(QtCore.Qt.ItemDataRole.UserRole, preset["name"])
            item.setToolTip(preset.get("description", ""))
            self.addItem(item)
            self._items[preset["name"]] = item
        self.setCurrentRow(0)
        self.currentItemChanged.connect(lambda *_: self.changed.emit())

    def value(self):
        """The chosen preset's name."""
        item = self.currentItem()
        if item is None:
            raise Failure("style", "No preset is installed. Choose a picture for the style.")
        return item.data(QtCore.Qt.ItemDataRole.UserRole)

    def show_preset(self, name, pixmap):
        """Its picture."""
        self._items[name].setIcon(QtGui.QIcon(pixmap))


class _PresetBox(QtWidgets.QComboBox):
    """The presets by their names."""

    changed = QtCore.pyqtSignal()

    def __init__(self, presets):
        super().__init__()
        for preset in presets:
            self.addItem(_title(preset["name"]), preset["name"])
        self.setCurrentIndex(self.count() - 1)
        self.currentIndexChanged.connect(lambda *_: self.changed.emit())

    def value(self):
        """The chosen preset's name."""
        return self.currentData()


class _File(QtWidgets.QWidget):
    """A path, typed or looked for."""

    changed = QtCore.pyqtSignal()

    def __init__(self, kinds):
        super().__init__()
        self.kinds = kinds
        self.path = QtWidgets.QLineEdit()
        self.path.textChanged.connect(lambda *_: self.changed.emit())
        button = QtWidgets.QPushButton("Browse …")
        button.clicked.connect(self._browse)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path)
        row.addWidget(button)

    def value(self):
        """The path, or an empty text."""
        return self.path.text().strip()

    def _browse(self, *_):
        path, _ = QtWidgets.QFileDialog.getOpenFileName(self, "Choose a file", self.value(), self.kinds)
        if path:
            self.path.setText(path)


class _Model(QtWidgets.QWidget):
    """The network: by its name, or a file."""

    changed = QtCore.pyqtSignal()

    def __init__(self, names):
        super().__init__()
        self.name, self.file = QtWidgets.QComboBox(), _File("Models (*.safetensors)")
        for name in names:
            self.name.addItem(name, name)
        self.name.addItem("Model file", "")
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.name)
        column.addWidget(self.file)
        self.file.hide()
        self.name.currentIndexChanged.connect(self._choose)
        self.file.changed.connect(self.changed)

    def value(self):
        """A name or a path. `Failure` where it lacks."""
        found = self.name.currentData() or self.file.value()
        if not found:
            raise Failure("model", "Choose a model file.")
        return found

    def _choose(self, *_):
        self.file.setVisible(not self.name.currentData())
        self.changed.emit()


class _Number(QtWidgets.QWidget):
    """A slider and its number."""

    changed = QtCore.pyqtSignal()

    def __init__(self, control):
        super().__init__()
        low, high = control["low"], control["high"]
        self.slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.slider.setRange(round(low * _STEPS), round(min(high, _SLIDER_TOP) * _STEPS))
        self.number = QtWidgets.QDoubleSpinBox(decimals=2, singleStep=0.05)
        self.number.setRange(low, high)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        self.number.valueChanged.connect(self._typed)
        self.slider.valueChanged.connect(self._moved)
        self.number.setValue(control["default"])
        self._typed(self.number.value())

    def value(self):
        """The number."""
        return self.number.value()

    def _typed(self, value):
        self.slider.blockSignals(True)
        self.slider.setValue(round(value * _STEPS))
        self.slider.blockSignals(False)
        self.changed.emit()

    def _moved(self, value):
        self.number.setValue(value / _STEPS)


class _Choice(QtWidgets.QComboBox):
    """One of some words."""

    changed = QtCore.pyqtSignal()

    def __init__(self, control):
        super().__init__()
        self.addItems(control["choices"])
        self.setCurrentText(control["default"])
        self.currentIndexChanged.connect(lambda *_: self.changed.emit())

    def value(self):
        """The word."""
        return self.currentText()


class _Pixels(QtWidgets.QSpinBox):
    """A number of pixels; 0 is as many as there are."""

    changed = QtCore.pyqtSignal()

    def __init__(self, control):
        super().__init__()
        self.setRange(0, 8192)
        self.setSingleStep(64)
        self.setSpecialValueText("as it is")
        self.setValue(control["default"])
        self.valueChanged.connect(lambda *_: self.changed.emit())

    def value(self):
        """The number, None for 0."""
        return super().value() or None


_FIELDS = {"number": _Number, "choice": _Choice, "pixels": _Pixels}


def _field(control):
    return _FIELDS[control["kind"]](control)


def _title(name):
    return name.replace("_", " ").replace("-", " ").capitalize()


def _group(column, title, rows):
    box = QtWidgets.QGroupBox(title)
    form = QtWidgets.QFormLayout(box)
    for label, field in rows:
        if label:
            form.addRow(label, field)
        else:
            form.addRow(field)
    column.addWidget(box)


def _nodes(parent):
    for node in reversed(parent.childNodes()):
        if not node.type().endswith("mask"):
            yield node
            yield from _nodes(node)


def _pixmap(found, side):
    """A picture in the middle of a square."""
    width, height, pixels = found
    image = QtGui.QImage(pixels, width, height, QtGui.QImage.Format.Format_RGBA8888)
    keep, smooth = QtCore.Qt.AspectRatioMode.KeepAspectRatio, QtCore.Qt.TransformationMode.SmoothTransformation
    image = image.scaled(side, side, keep, smooth)
    square = QtGui.QPixmap(side, side)
    square.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(square)
    painter.drawImage((side - image.width()) // 2, (side - image.height()) // 2, image)
    painter.end()
    return square

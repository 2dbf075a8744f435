"""A plug-in of a real Krita (test_krita_real.py puts it there): it clicks what a person would, and tells what it saw.

ADAINKIT_INSIDE names a folder with photo.png; it then has driven.json and the screenshots dialog.png and result.png.
"""

import json
import os
import time
import traceback
from pathlib import Path

from adainkit_krita.qt import QtCore, QtWidgets
from krita import Krita

FOLDER = Path(os.environ["ADAINKIT_INSIDE"])
SECONDS = 240
krita = Krita.instance()
told = {}


def names(document):
    return [node.name() for node in document.topLevelNodes()]


def modal(kind):
    found = QtWidgets.QApplication.activeModalWidget()
    return found if isinstance(found, kind) else None


def no_dialog():
    return QtWidgets.QApplication.activeModalWidget() is None


def click():
    """Choose the menu's entry; it returns when all of its dialogs are closed, so another event does it."""
    QtCore.QTimer.singleShot(0, krita.action("adainkit_stylize").trigger)


def shot(name):
    QtWidgets.QApplication.primaryScreen().grabWindow(0).save(str(FOLDER / name))


def open_photo(name="photo.png"):
    document = krita.openDocument(str(FOLDER / name))
    krita.activeWindow().addView(document)
    return document


def steps():
    """What a person does; what is yielded must come true before the next step."""
    from adainkit_krita.dialog import StyleDialog

    yield krita.activeWindow
    document = open_photo()
    yield lambda: krita.activeDocument() is not None and document.activeNode() is not None
    told["where"] = krita.action("adainkit_stylize").text().replace("&", "")

    drawn = told["drawn"] = []
    original = StyleDialog._drawn

    def note(dialog, key, found, text):
        drawn.append(key if found else f"{key}: {text}")
        original(dialog, key, found, text)

    StyleDialog._drawn = note  # before there is a dialog: a warm worker's first pictures come at once
    click()
    yield lambda: modal(StyleDialog)
    dialog = modal(StyleDialog)
    presets = [preset["name"] for preset in dialog.drawer.worker.config["presets"]]
    yield lambda: {"preview", *presets} <= set(drawn)
    told["status"] = dialog.status.text()
    told["color is offered for colors"] = dialog.to_color.isVisible()
    dialog.grab().save(str(FOLDER / "dialog.png"))  # docs/krita.png
    dialog.close()  # the cross
    yield no_dialog
    told["after the cross"] = names(document)

    click()
    yield lambda: modal(StyleDialog)
    modal(StyleDialog).accept()
    yield lambda: len(names(document)) == 2 and no_dialog()
    told["after OK"] = names(document)
    until = time.monotonic() + 2
    yield lambda: time.monotonic() > until
    shot("result.png")
    krita.action("edit_undo").trigger()
    yield lambda: len(names(document)) == 1
    told["after one undo"] = names(document)

    large = open_photo("large.png")
    yield lambda: krita.activeDocument() == large and large.activeNode() is not None
    click()
    yield lambda: modal(StyleDialog)
    modal(StyleDialog).accept()
    yield lambda: modal(QtWidgets.QProgressDialog) and modal(QtWidgets.QProgressDialog).value() > 0
    modal(QtWidgets.QProgressDialog).cancel()
    yield no_dialog
    told["after cancel"] = names(large)

    gray = open_photo("gray.png")
    yield lambda: krita.activeDocument() == gray and gray.activeNode() is not None
    click()
    yield lambda: modal(StyleDialog)
    told["color is offered for gray"] = modal(StyleDialog).to_color.isVisible()
    modal(StyleDialog).to_color.setChecked(True)
    modal(StyleDialog).accept()
    yield lambda: len(names(gray)) == 2 and no_dialog()
    told["gray became"] = gray.colorModel()

    (FOLDER / "pykrita" / "adainkit_krita" / "worker.json").rename(FOLDER / "worker.json")
    click()
    yield lambda: modal(QtWidgets.QMessageBox)
    told["message"] = modal(QtWidgets.QMessageBox).text()
    modal(QtWidgets.QMessageBox).accept()
    yield no_dialog


class Driver(QtCore.QObject):
    """Takes the steps, one after another."""

    def __init__(self):
        super().__init__()
        self.steps, self.condition, self.began = steps(), None, time.monotonic()
        self.timer = QtCore.QTimer(self)
        self.timer.timeout.connect(self.tick)
        self.timer.start(200)

    def tick(self):
        try:
            if self.condition is None or self.condition():
                self.condition = next(self.steps)
            elif time.monotonic() - self.began > SECONDS:
                raise TimeoutError(f"nothing comes after {told}")
        except StopIteration:
            self.end("")
        except Exception:
            shot("stuck.png")
            self.end(traceback.format_exc())

    def end(self, error):
        (FOLDER / "driven.json").write_text(json.dumps({"error": error, **told}))
        os._exit(0)  # open pictures would ask whether to be saved


driver = Driver()

"""Builds the Krita plug-in's dialog without a Krita: `python krita_dialog_alone.py BINDING FOLDER` (PyQt5 or PyQt6).

FOLDER holds the installed plug-in in "pykrita". It prints what the dialog would ask the worker for.
"""

import importlib
import json
import sys
import types
from pathlib import Path

binding, folder = sys.argv[1], Path(sys.argv[2])
widgets = importlib.import_module(f"{binding}.QtWidgets")  # as Krita's own module has loaded it
package = types.ModuleType("adainkit_krita")
package.__path__ = [str(folder / "pykrita" / "adainkit_krita")]
sys.modules["adainkit_krita"] = package
application = widgets.QApplication([])
dialog_module = importlib.import_module("adainkit_krita.dialog")
link = importlib.import_module("adainkit_krita.worker_link")
asked = []


class Source:
    """A small picture."""

    rectangle, gray = (0, 0, 40, 30), True

    def picture(self, side):
        return 40, 30, bytes([200, 100, 50, 255]) * 1200


class Worker:
    """Notes what it is asked for."""

    config = json.loads((folder / "pykrita" / "adainkit_krita" / "worker.json").read_text())

    def request(self, header, pieces, *_):
        asked.append(header["size"])
        raise link.Failure("none", "there is no worker here")

    def cancel(self):
        pass


dialog = dialog_module.StyleDialog(None, Worker(), Source(), [])
dialog.controls["alpha"].number.setValue(0.5)
dialog.second.source.setCurrentIndex(1)
dialog.to_color.setChecked(True)
free = [name for name, field in dialog.controls.items() if field.isEnabled()]
choices = dialog.choices()
application.processEvents()
dialog.done(0)
told = {"choices": choices, "color": dialog.color(), "free": free, "binding": dialog_module.QtCore.__name__}
sys.stdout.write(json.dumps(told))

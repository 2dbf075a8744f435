"""Qt under one name: Krita up to 5 comes with PyQt5, Krita 6 with PyQt6, and one process must not load both."""

import importlib
import sys

__all__ = ["QtCore", "QtGui", "QtWidgets"]

# The one that Krita's own module has loaded. Enums are named in full everywhere: both know them so.
_BINDING = "PyQt6" if "PyQt6.QtCore" in sys.modules else "PyQt5"
QtCore = importlib.import_module(f"{_BINDING}.QtCore")
QtGui = importlib.import_module(f"{_BINDING}.QtGui")
QtWidgets = importlib.import_module(f"{_BINDING}.QtWidgets")

"""Tools > Scripts > AdaIN Style Transfer: a layer in the style of a painting, another layer or a preset.

Krita's own Python has no torch: the work is done by AdaINKit's worker, which `adainkit krita install` made known here.
"""

from krita import Extension, Krita

__all__ = ["AdaINKit"]


class AdaINKit(Extension):
    """The menu entry."""

    def setup(self):
        """Nothing is needed before a window is there."""

    def createActions(self, window):
        """Krita calls this for each window."""
        action = window.createAction("adainkit_stylize", "AdaIN Style Transfer...", "tools/scripts")
        action.setToolTip("Paint the layer in the style of a picture, another layer or a preset")
        action.triggered.connect(self._run)

    def _run(self, *_):
        from .action import run

        run(Krita.instance())


Krita.instance().addExtension(AdaINKit(Krita.instance()))

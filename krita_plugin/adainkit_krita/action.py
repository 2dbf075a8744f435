"""What the menu entry does, and `stylize`, the same for scripts."""

from pathlib import Path

from . import layers, painting
from .qt import QtWidgets
from .worker_link import Editor, Failure, Worker

__all__ = ["KRITA", "ask_and_stylize", "run", "stylize"]

KRITA = Editor("Krita", "adainkit krita install", "org.kde.krita")
FOLDER = Path(__file__).absolute().parent
TITLE = "AdaIN Style Transfer"


def stylize(krita, document, node, styles, color=False, model="lite", **options):
    """Stylize a layer without a word; the new layer above it. `Failure` with the remedy.

    `styles`: as in `painting.prepare`; `options`: alpha, preserve_color, ... as in PROTOCOL.md. From a script:

        from adainkit_krita.action import stylize
        stylize(Krita.instance(), document, document.activeNode(), [{"preset": "ukiyo-e"}], alpha=0.8)
    """
    source = layers.Source(document, node)
    request = painting.prepare(krita, source, {"styles": styles, "options": options, "model": model})
    *_, pixels = painting.answer_of(Worker(FOLDER, KRITA), request)
    return layers.add_layer(source, f"{node.name()} ({request.name})", pixels, color)


def run(krita):
    """What the menu entry calls. Whatever happens, the user reads a sentence and no stack trace."""
    window = krita.activeWindow()
    parent = window.qwindow() if window else None
    try:
        ask_and_stylize(krita, parent)
    except Failure as failure:
        QtWidgets.QMessageBox.warning(parent, TITLE, str(failure))
    except Exception as error:
        text = f"AdaINKit has a fault ({type(error).__name__}: {error}). Please report it."
        QtWidgets.QMessageBox.critical(parent, TITLE, text)


def ask_and_stylize(krita, parent=None):
    """Show the dialog, then do it; the new layer, or None if the user canceled. `Failure` with the remedy."""
    from .dialog import StyleDialog
    from .drawing import work

    document = krita.activeDocument()
    if document is None:
        raise Failure("layer", "Open a picture first.")
    worker = Worker(FOLDER, KRITA)
    source = layers.Source(document, document.activeNode())
    dialog = StyleDialog(krita, worker, source, krita.documents(), parent)
    try:
        if not dialog.exec():
            return None
        request, color = painting.prepare(krita, source, dialog.choices()), dialog.color()
    finally:
        dialog.deleteLater()
    pixels = work(worker, request, parent)
    if pixels is None:
        return None
    return layers.add_layer(source, f"{source.node.name()} ({request.name})", pixels, color)

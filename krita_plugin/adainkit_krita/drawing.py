"""Work that must not hold Krita up: small pictures by a thread of their own, and the filter behind a progress dialog.

Python's threads run in Krita while one of its event loops does that Python has started, that of a dialog.
"""

import threading

from .painting import answer_of
from .qt import QtCore, QtWidgets
from .worker_link import Failure

__all__ = ["Drawer", "work"]


class Drawer(QtCore.QObject):
    """Draws previews, the newest of each key alone, "preview" before all others. `drawn` tells key, picture, error."""

    drawn = QtCore.pyqtSignal(str, object, str)

    def __init__(self, worker):
        super().__init__()
        self.worker = worker
        self._wanted, self._some, self._stopped = {}, threading.Condition(), False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def draw(self, key, request):
        """Draw this in the place of what waits under the same key."""
        with self._some:
            self._wanted[key] = request
            self._some.notify()

    def stop(self):
        """Let go of all that waits, and of what is drawn now."""
        with self._some:
            self._stopped = True
            self._wanted.clear()
            self._some.notify()
        self.worker.cancel()
        self._thread.join(5)

    def _run(self):
        while True:
            with self._some:
                while not (self._wanted or self._stopped):
                    self._some.wait()
                if self._stopped:
                    return
                key = "preview" if "preview" in self._wanted else next(iter(self._wanted))
                request = self._wanted.pop(key)
            try:
                found, text = answer_of(self.worker, request), ""
            except Exception as error:
                found, text = None, str(error)
                with self._some:  # a worker that does not start would be waited for again and again
                    self._wanted = {k: r for k, r in self._wanted.items() if k == "preview"}
            if not self._stopped:
                self.drawn.emit(key, found, text)


class _Work(QtCore.QObject):
    """One request in a thread."""

    told = QtCore.pyqtSignal(object)
    ended = QtCore.pyqtSignal()

    def __init__(self, worker, request):
        super().__init__()
        self.worker, self.request = worker, request
        self.found = self.error = None
        self.thread_ = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            self.found = answer_of(self.worker, self.request, self.told.emit, self.told.emit)
        except BaseException as error:
            self.error = error
        self.ended.emit()


def work(worker, request, parent=None):
    """The pixels that a request gives, behind a dialog with a bar; None if the user canceled. `Failure` as it comes."""
    job = _Work(worker, request)
    dialog = QtWidgets.QProgressDialog("Starting AdaINKit …", "Cancel", 0, 1000, parent)
    dialog.setWindowTitle("AdaIN Style Transfer")
    dialog.setWindowModality(QtCore.Qt.WindowModality.ApplicationModal)
    dialog.setAutoClose(False)
    dialog.setAutoReset(False)
    dialog.setMinimumDuration(0)
    dialog.setMinimumWidth(360)

    def tell(what):
        if isinstance(what, str):
            dialog.setLabelText(f"{what} …")
        else:
            dialog.setValue(round(what * 1000))

    job.told.connect(tell)
    job.ended.connect(dialog.accept)
    job.thread_.start()
    dialog.exec()
    if job.thread_.is_alive():
        worker.cancel()
        job.thread_.join(10)
    canceled = dialog.wasCanceled()
    dialog.deleteLater()
    if canceled or getattr(job.error, "code", "") == "canceled":
        return None
    if job.error is not None:
        raise job.error
    if job.found is None:
        raise Failure("internal", "The AdaINKit worker gave no picture.")
    return job.found[2]

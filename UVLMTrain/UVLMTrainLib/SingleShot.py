"""Something done a bit later."""

import qt
import slicer


def later(milliseconds, function):
    """Calls a function once, 0 for the next turn of the event loop, and then lets go of it.

    Slicer's own qt.QTimer.singleShot keeps its timer, and with it all that the function holds, until Slicer ends.
    """
    timer = qt.QTimer(slicer.app.moduleManager())  # nobody else holds it
    timer.setSingleShot(True)
    timer.connect("timeout()", function)
    timer.connect("timeout()", timer.deleteLater)
    timer.start(milliseconds)

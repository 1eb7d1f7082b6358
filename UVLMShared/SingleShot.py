"""Pauses: something that happens once, a while after the last time it was asked for; and something done a bit later."""

import qt
import slicer


def singleShot(milliseconds, function):
    """A stopped timer; each `start()` begins the pause anew, `stop()` calls it off."""
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", function)
    return timer


def later(milliseconds, function):
    """Calls a function once, 0 for the next turn of the event loop, and then lets go of it.

    Slicer's own qt.QTimer.singleShot keeps its timer, and with it all that the function holds, until Slicer ends.
    """
    timer = qt.QTimer(slicer.app.moduleManager())  # nobody else holds it
    timer.setSingleShot(True)
    timer.connect("timeout()", function)
    timer.connect("timeout()", timer.deleteLater)
    timer.start(milliseconds)

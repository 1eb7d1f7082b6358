"""Pauses: something that happens once, a while after the last time it was asked for."""

import qt


def singleShot(milliseconds, function):
    """A stopped timer; each `start()` begins the pause anew, `stop()` calls it off."""
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", function)
    return timer

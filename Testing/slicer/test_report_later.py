"""What UVLMReport does a bit later: nothing of it stays afterwards. Slicer's own QTimer.singleShot would keep it."""

from __future__ import annotations

import qt
import slicer


def timers():
    return sum(child.className() == "QTimer" for child in slicer.app.moduleManager().children())


def test_timers_go_when_their_work_is_done(openModule, app):
    openModule("UVLMReport")
    from UVLMShared.InSteps import InSteps

    def work():
        yield
        return "done"

    app.processEvents(0.5)  # what opening the module does later
    slicer.app.sendPostedEvents(None, qt.QEvent.DeferredDelete)
    before, results, errors = timers(), [], []
    for _number in range(5):
        InSteps(work(), results.append, errors.append)
    assert app.processUntil(lambda: len(results) == 5) and not errors

    def gone():
        slicer.app.sendPostedEvents(None, qt.QEvent.DeferredDelete)
        return timers() <= before

    assert app.processUntil(gone)


def test_a_long_step_gets_a_tick_of_its_own(openModule, app):
    openModule("UVLMReport")
    from UVLMShared.InSteps import ALONE, InSteps

    beats, seen, results = [], [], []
    beat = qt.QTimer()
    beat.connect("timeout()", lambda: beats.append(1))
    beat.start(0)

    def work():
        for step in (None, None, ALONE):
            seen.append(len(beats))
            yield step
        seen.append(len(beats))
        return "done"

    InSteps(work(), results.append, results.append)
    assert app.processUntil(lambda: results) and results == ["done"]
    beat.stop()
    assert seen[0] == seen[1] == seen[2] < seen[3], "short steps share a tick, the long one waits for the next"

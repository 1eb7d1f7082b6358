"""Long work on the main thread in short steps, so that the window stays alive."""

import logging
import time

import qt

from UVLMShared.SingleShot import later

SLICE_SECONDS = 0.03  # of each tick of the event loop
ALONE = object()  # yielded before a step that takes longer than that: it gets a tick of its own


class InSteps:
    """Runs a generator that yields between steps of a few milliseconds each, and ALONE before a longer one.

    Slicer's scene must only be touched by the main thread; so big arrays are copied, and many segments made, in parts.
    `done(result)` gets what the generator returns, `failed(error)` what it raises; after `stop()` neither is called.
    """

    def __init__(self, steps, done, failed):
        self._steps, self._done, self._failed = steps, done, failed
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()

    @property
    def running(self):
        return self._steps is not None

    def stop(self):
        """Ends the work where it stands; the generator's `finally` blocks run."""
        steps = self._steps
        if steps is not None:
            self._finish()
            steps.close()

    def _tick(self):
        end = time.perf_counter() + SLICE_SECONDS
        try:
            while self._steps is not None and time.perf_counter() < end:
                if next(self._steps) is ALONE:
                    break
        except StopIteration as finished:
            self._finish()
            self._call(self._done, finished.value)
        except Exception as error:
            self._finish()
            self._call(self._failed, error)

    def _call(self, function, value):
        """A `done` that fails is a failure of the work too: its owner must not wait for ever."""
        try:
            function(value)
        except Exception as error:
            logging.exception("UVLM: ending a longer work failed")
            if function is self._done:
                self._failed(error)

    def _finish(self):
        """Lets the timer go, but not from within its own signal, which may run now."""
        timer, self._steps = self._timer, None
        timer.stop()
        timer.disconnect("timeout()", self._tick)
        later(0, lambda: timer)

"""Who wants to know: plain Python callbacks, called on the main thread."""

import logging


class Listeners:
    """A list of functions that are called with the same arguments; one that fails is logged and stops no other."""

    def __init__(self):
        self._functions = []

    def connect(self, function):
        """Adds a function; a second time does nothing."""
        if function not in self._functions:
            self._functions.append(function)

    def disconnect(self, function):
        """Removes a function; an unknown one does nothing."""
        if function in self._functions:
            self._functions.remove(function)

    def clear(self):
        self._functions.clear()

    def __call__(self, *arguments):
        for function in list(self._functions):
            try:
                function(*arguments)
            except Exception:
                logging.exception("UVLM: a listener failed")

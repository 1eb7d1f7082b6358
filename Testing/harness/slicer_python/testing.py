"""Stand-in for `slicer.testing`."""

from __future__ import annotations

import sys
import unittest


def exitSuccess():
    """Nothing to do: the process goes on."""


def exitFailure(message=""):
    """Ends a self test."""
    raise Exception(message)


def runUnitTest(path, testname):
    """Run a module's test classes, found in the folder or folders `path`."""
    sys.path.extend([path] if isinstance(path, str) else path)
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromName(testname))
    if not result.wasSuccessful():
        exitFailure()

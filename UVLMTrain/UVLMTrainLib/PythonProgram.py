"""Slicer's own Python as a program."""

import os
import shutil

import slicer


def pythonSlicer():
    """Path of PythonSlicer, which Slicer puts on its PATH; else in the folder of its programs."""
    found = shutil.which("PythonSlicer")
    name = "PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"
    return found or os.path.join(slicer.app.slicerHome, "bin", name)

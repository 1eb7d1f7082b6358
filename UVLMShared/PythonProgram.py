"""Slicer's own Python as a program."""

import os
import shutil
import sys

import slicer


def pythonSlicer():
    """Path of PythonSlicer, which Slicer puts on its PATH and into its folder of programs; where there is none, as over
    a Python of the system, that Python. An error names the usual place where nothing is found."""
    ending = ".exe" if os.name == "nt" else ""
    usual = os.path.join(slicer.app.slicerHome, "bin", "PythonSlicer" + ending)
    own = sys.executable if "python" in os.path.basename(sys.executable or "").lower() else ""  # else it is Slicer
    version = "" if os.name == "nt" else "{}.{}".format(*sys.version_info)
    system = os.path.join(sys.exec_prefix, "" if os.name == "nt" else "bin", f"python{version}{ending}")
    places = [shutil.which("PythonSlicer"), usual, own, system]
    return next((place for place in places if place and os.path.isfile(place)), usual)

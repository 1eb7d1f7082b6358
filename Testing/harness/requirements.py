"""Whether the harness can run here, and why not."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import os
import subprocess
import sys
from functools import cache

# PySide6's option, read at its first import: enumerations are integers, short names are allowed
ENUM_AS_INTEGER = 0x02 | 0x04
PACKAGES = {"slicer-core": "real MRML", "PySide6-Essentials": "real Qt"}


def missing() -> str | None:
    """Why the tests with Slicer's parts cannot run here; None where they can."""
    absent = []
    for package, what in PACKAGES.items():
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            absent.append(f"{package} ({what})")
    if absent:
        return (f"not installed: {', '.join(absent)}; pip install -e '.[slicer-test]' where there are wheels, "
                f"this is Python {_python()}")
    sys.pyside6_option_python_enum = ENUM_AS_INTEGER
    try:
        from PySide6 import QtWidgets  # noqa: F401
    except ImportError as error:  # a bare machine without libEGL, libxkbcommon, ...
        return f"Qt cannot be loaded: {error}"
    return None


def _python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]} on {sys.platform}"


@cache
def no_rendering() -> str | None:
    """Why views cannot be drawn here; None where they can. Tried in a child, because without a driver VTK aborts."""
    if sys.platform == "linux" and not ctypes.util.find_library("EGL"):
        return "no libEGL for drawing without a display (apt install libegl1 libgl1-mesa-dri)"
    code = ("import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); r = vtk.vtkRenderer(); "
            "w.AddRenderer(r); r.SetBackground(0, 1, 0); w.SetSize(8, 8); w.Render(); "
            "f = vtk.vtkWindowToImageFilter(); f.SetInput(w); f.Update(); "
            "raise SystemExit(0 if f.GetOutput().GetScalarComponentAsDouble(4, 4, 0, 1) > 250 else 3)")
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60,
                              env={**os.environ, **window_kind()})
    except subprocess.TimeoutExpired:
        return "drawing with VTK does not end"
    if done.returncode:
        return "VTK cannot draw without a display (apt install libegl1 libgl1-mesa-dri)"
    return None


def window_kind() -> dict[str, str]:
    """Environment in which VTK does not look for a display that is not there."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return {}
    return {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"}

"""Slicer without Slicer: real MRML and real Qt, with stand-ins for what only the application has.

`start()` once per process; afterwards `import slicer, qt, ctk, vtk` work as in a Python console of Slicer.
README.md beside this file says what is real, what is a stand-in and what only a real Slicer can check.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .requirements import missing, no_rendering
from .start import start

__all__ = ["load_module", "missing", "no_rendering", "start", "unload_module"]


def load_module(path: Path) -> Any:
    """Load a module's .py file as Slicer does at start; the module object is returned."""
    from .module_manager import load_module

    return load_module(path)


def unload_module(name: str) -> None:
    """Take a module out again: its panel is left, cleaned up and deleted."""
    from .module_manager import unload_module

    unload_module(name)

"""The module `qt`: the names that a real Slicer has there, with the classes of PySide6."""

from __future__ import annotations

import sys
import types
from typing import Any

from . import listing
from .requirements import ENUM_AS_INTEGER

MODULES = ("QtCore", "QtGui", "QtWidgets", "QtNetwork", "QtPrintSupport", "QtSvg", "QtSvgWidgets", "QtXml", "QtUiTools")


def make_qt() -> types.ModuleType:
    """Make and register `qt`. To be called before anything else imports PySide6."""
    sys.pyside6_option_python_enum = ENUM_AS_INTEGER
    import importlib

    modules = [importlib.import_module(f"PySide6.{name}") for name in MODULES]
    names: dict[str, Any] = {}
    for name in listing.names_in_qt():
        for module in modules:
            if hasattr(module, name):
                names[name] = getattr(module, name)
                break
    qt = types.ModuleType("qt", "Qt as Slicer's Python has it")
    qt.__dict__.update(names)
    qt.__getattr__ = _no_such_name
    sys.modules["qt"] = qt
    return qt


def _no_such_name(name: str) -> Any:
    if name in listing.names_in_qt():
        raise AttributeError(f"module 'qt' has {name} with Qt 5 only")
    raise AttributeError(f"module 'qt' has no attribute '{name}'")

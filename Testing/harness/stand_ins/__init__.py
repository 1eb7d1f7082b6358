"""Stand-ins for the Qt classes of ctk and Slicer, by module of Slicer's Python."""

from __future__ import annotations

import types
from typing import Any

from .. import listing
from . import (
    collapsible,
    inputs,
    mrml_widgets,
    node_combo_box,
    plot_view,
    segment_editor,
    segments_table,
    slice_view,
    three_d_view,
)
from .stand_in import placeholder

FILES = (collapsible, inputs, mrml_widgets, node_combo_box, plot_view, segment_editor, segments_table,
         slice_view, three_d_view)


def _classes() -> dict[str, type]:
    return {name: kind for file in FILES for name, kind in vars(file).items()
            if isinstance(kind, type) and kind.__module__ == file.__name__ and listing.listing(name) is not None}


def make_ctk(qt: Any) -> types.ModuleType:
    """The module `ctk`; `qt.QUiLoader` learns all stand-ins."""
    from ..ui_loader import UiLoader

    UiLoader.classes = _classes()
    qt.QUiLoader = UiLoader
    ctk = types.ModuleType("ctk", "ctk as Slicer's Python has it")
    ctk.__dict__.update({name: placeholder(name) for name in listing.names_in("ctk")})
    ctk.__dict__.update({name: kind for name, kind in _classes().items() if name.startswith("ctk")})
    return ctk


def slicer_classes() -> dict[str, Any]:
    """The Qt classes of the module `slicer`."""
    from .. import application, io_manager, layout_manager, main_window, module_manager

    found = {name: placeholder(name) for name in listing.names_in("slicer")}
    found.update({name: kind for name, kind in _classes().items() if not name.startswith("ctk")})
    for file in (application, io_manager, layout_manager, main_window, module_manager):
        found.update({n: k for n, k in vars(file).items() if n.startswith("qSlicer") and isinstance(k, type)})
    return found

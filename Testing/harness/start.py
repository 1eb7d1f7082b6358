"""Bring the harness up, in the order in which the parts need each other."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

from .requirements import window_kind

HERE = Path(__file__).resolve().parent
# names that the wheel's __init__ leaves behind; besides it copies all of slicer.util into slicer, which Slicer does not
ITS_OWN = {"extend_path", "import_module", "info", "item_name", "iter_modules", "me", "module", "slicer_core", "sys"}


@cache
def start() -> Any:
    """Make `slicer`, `qt` and `ctk` importable with an application behind them; the module `slicer` is returned."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for name, value in window_kind().items():
        os.environ.setdefault(name, value)
    from .qt_module import make_qt

    qt = make_qt()
    from . import pythonqt

    pythonqt.patch([v for v in qt.__dict__.values() if isinstance(v, type) and v.__module__.startswith("PySide6")])
    slicer = _import_slicer()
    _register_modules(slicer)
    from .application import make_application
    from .qt_changes import change_qt
    from .scene import make_scene
    from .stand_ins import make_ctk, slicer_classes
    from .watch import quiet_qt

    change_qt(qt)
    quiet_qt()
    app = make_application()
    slicer.app = app
    mrml = make_scene(slicer, Path(app.temporaryPath))
    slicer.mrmlScene = mrml.scene
    sys.modules["ctk"] = make_ctk(qt)
    vars(slicer).update(slicer_classes())
    _fill_application(slicer, mrml)
    return slicer


def _import_slicer() -> Any:
    """slicer-core's package, found without this repository's folders on the path: it imports every file of a folder
    `slicer` that it finds there, and Testing/slicer is one."""
    path = sys.path[:]
    sys.path[:] = [p for p in path if Path(p or ".").resolve() != HERE.parent]
    try:
        import slicer
    finally:
        sys.path[:] = path
    import slicer.util

    util = vars(slicer.util)  # what was copied
    for name, value in list(vars(slicer).items()):
        if not name.startswith("__") and (name in ITS_OWN or (name in util and util[name] is value)):
            delattr(slicer, name)
    folder = _python_folder()
    slicer.__path__.append(str(folder))
    if (folder / "util.py").is_file():
        _use_own_util(slicer, folder / "util.py")
    return slicer


def _use_own_util(slicer: Any, path: Path) -> None:
    """slicer.util from Slicer's sources instead of the wheel's."""
    spec = importlib.util.spec_from_file_location("slicer.util", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["slicer.util"] = slicer.util = module
    spec.loader.exec_module(module)


def _python_folder() -> Path:
    """Slicer's own Base/Python/slicer where SLICER_SRC names it, else the stand-ins."""
    source = os.environ.get("SLICER_SRC")
    if not source:
        return HERE / "slicer_python"
    for folder in (Path(source), Path(source) / "slicer"):
        if (folder / "ScriptedLoadableModule.py").is_file():
            return folder
    raise FileNotFoundError(f"SLICER_SRC is {source}, which is no Base/Python folder of Slicer's sources")


def _register_modules(slicer: Any) -> None:
    for name in ("modules", "moduleNames"):
        module = types.ModuleType(f"slicer.{name}")
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)


def _fill_application(slicer: Any, mrml: Any) -> None:
    from .io_manager import qSlicerCoreIOManager
    from .layout_manager import qSlicerLayoutManager
    from .main_window import qSlicerMainWindow
    from .module_manager import LoadableModule
    from .subject_hierarchy import SubjectHierarchyItems

    app = slicer.app
    layout = qSlicerLayoutManager(mrml)
    app._set_parts(mrml, layout, qSlicerCoreIOManager(mrml))
    for name, logic in mrml.logics.items():
        if name in ("RemoteIO", "DataIO"):
            continue
        app.moduleManager()._add(LoadableModule(name, logic))
    app._main_window = qSlicerMainWindow()
    app._main_window.setCentralWidget(layout.viewport())
    app._subject_hierarchy = SubjectHierarchyItems(slicer, mrml.scene)
    slicer.util.delayDisplay = _delay_display
    _add_modules(slicer)


def _delay_display(message: str, autoCloseMsec: int = 1000, parent: Any = None, **keywords: Any) -> None:
    """slicer.util.delayDisplay without the delay: a test need not read the message."""
    import logging

    import slicer

    logging.info(message)
    slicer.app.processEvents()


def _add_modules(slicer: Any) -> None:
    """Slicer's own modules in Python that others use."""
    from .module_manager import load_module

    folder = HERE / "slicer_modules"
    sys.path += [*_real_sample_data(), str(folder)]
    load_module(folder / "SegmentEditor.py")


def _real_sample_data() -> list[str]:
    """The folder of Slicer's own module SampleData where SLICER_SRC lies in a checkout of Slicer."""
    source = os.environ.get("SLICER_SRC")
    folders = [parent / "Modules" / "Scripted" / "SampleData" for parent in Path(source or HERE).resolve().parents]
    return [str(folder) for folder in folders if source and (folder / "SampleData.py").is_file()]

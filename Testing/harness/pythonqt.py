"""Give the classes of PySide6 PythonQt's manners, once per process and for all of them.

Every method, property and signal is replaced in the class by a descriptor; what the listing of a real Slicer lacks
raises AttributeError. It is done in the classes themselves, because Qt also hands out objects that nobody made here.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import shiboken6
from PySide6 import QtCore, QtWidgets

from . import listing
from .calls import Call, QtMethod
from .properties import Missing, QtProperty, StandInProperty, refuse_new_attribute
from .signals import QtSignal, patch_connect

METHODS = (type(str.join), staticmethod, type(dict.__dict__["fromkeys"]), type(len))
KEEP = {"connect", "disconnect", "emit", "staticMetaObject"}
# virtual functions that Qt 6 looks up by itself: taking them away would break Qt
VIRTUAL = {"connectNotify", "disconnectNotify", "initViewItemOption", "itemDelegateForIndex", "multiData",
           "clearItemData", "skipData"}
UNDERSCORED = ("exec", "print", "raise")  # PythonQt finds a method also with an underscore behind it

# of classes without a listing: what Qt 5 lacks
QT6_ONLY = {
    "QMouseEvent": ("globalPosition", "position", "scenePosition"),
    "QSinglePointEvent": ("exclusivePointGrabber", "globalPosition", "position", "scenePosition"),
    "QEnterEvent": ("globalPosition", "position", "scenePosition"),
    "QPointerEvent": ("point", "pointCount", "points", "pointingDevice"),
    "QColor": ("fromString", "isValidColorName"),
    "QTextCharFormat": ("baselineOffset", "setBaselineOffset", "setSubScriptBaseline", "setSuperScriptBaseline",
                        "subScriptBaseline", "superScriptBaseline"),
    "QLocale": ("codeToTerritory", "setTerritory", "territory"),
    "QElapsedTimer": ("durationElapsed", "durationTo"),
}

_raw: dict[tuple[type, str], Any] = {}
_patched: set[type] = set()
_generic_setattr = shiboken6.Object.__setattr__
reading_ui: list[str] = []  # not empty while PySide6 reads a .ui file: it sets the children's names on the top widget
cpp_classes: set[type] = set()  # classes that stand for C++ ones: their objects take no new attributes


def raw_of(kind: type, name: str) -> Any:
    """The untouched attribute of a class of PySide6 or of the nearest base that has it; None where none has."""
    for base in kind.__mro__:
        if (base, name) in _raw:
            if _raw[base, name] is not None:  # None: the class itself had none, only our descriptor
                return _raw[base, name]
        elif name in base.__dict__:
            return base.__dict__[name]
    return None


def attribute_of(kind: type, name: str) -> Any:
    """The attribute of a class as it lies there, descriptors untouched; None where there is none."""
    for base in kind.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def raw(instance: Any, name: str) -> Any:
    """The untouched method of an object, for the stand-ins' own use."""
    return raw_of(type(instance), name).__get__(instance, type(instance))


def patch(classes: list[type]) -> None:
    """Patch the classes and their bases."""
    patch_connect()
    every = {base for kind in classes for base in kind.__mro__ if base.__module__.startswith("PySide6")}
    ordered = sorted(every, key=lambda kind: len(kind.__mro__))
    for kind in ordered:
        _replace_members(kind)
    for kind in ordered:
        if issubclass(kind, QtCore.QObject):
            _set_properties(kind, _own_properties(kind))
    for kind in ordered:
        found = listing.listing(kind.__name__)
        if found is not None or kind is QtWidgets.QWidget:
            make_strict(kind, found)
    for kind in ordered:
        for name in QT6_ONLY.get(kind.__name__, ()):
            _put(kind, name, Missing(name))
    _add_internal_methods()


def _replace_members(kind: type) -> None:
    own_getattribute = kind.__dict__.get("__getattribute__")
    if own_getattribute is not None:
        kind.__getattribute__ = object.__getattribute__  # without PySide6's hard-wired names
    for name, value in list(kind.__dict__.items()):
        if name.startswith("__") or name in KEEP:
            continue
        if isinstance(value, QtCore.Signal):
            _put(kind, name, QtSignal(name, value))
        elif isinstance(value, METHODS):
            static = isinstance(value, staticmethod)
            _put(kind, name, QtMethod(name, value, own_getattribute if static else None))
    for name in UNDERSCORED:
        for spelling in (name, name + "_"):
            if isinstance(kind.__dict__.get(spelling), QtMethod):
                other = name if spelling.endswith("_") else name + "_"
                setattr(kind, other, kind.__dict__[spelling])
    if issubclass(kind, QtCore.QObject):
        cpp_classes.add(kind)
        kind.__setattr__ = _set_attribute


def _put(kind: type, name: str, descriptor: Any) -> None:
    _raw.setdefault((kind, name), kind.__dict__.get(name))
    setattr(kind, name, descriptor)


def _own_properties(kind: type) -> list[str]:
    meta = kind.staticMetaObject
    return [meta.property(i).name() for i in range(meta.propertyOffset(), meta.propertyCount())]


def _set_properties(kind: type, names: list[str]) -> None:
    for name in names:
        capital = name[0].upper() + name[1:]
        getter = next((m for m in (name, "is" + capital, "has" + capital) if _is_method(raw_of(kind, m))), None)
        setter = raw_of(kind, "set" + capital)
        write = setter if _is_method(setter) else ("setProperty" if _writable(kind, name) else None)
        _put(kind, name, QtProperty(name, raw_of(kind, getter) if getter else None, write))


def _is_method(value: Any) -> bool:
    return isinstance(value, METHODS) and not isinstance(value, staticmethod)


def _writable(kind: type, name: str) -> bool:
    meta = kind.staticMetaObject
    index = meta.indexOfProperty(name)
    return index >= 0 and meta.property(index).isWritable()


def make_strict(kind: type, known: listing.ClassListing | None) -> None:
    """Leave only the attributes of the listing on a class; what is a property there is one here."""
    base = listing.base()
    names = base.names | (known.names if known else frozenset())
    properties = {**(base.properties if issubclass(kind, QtWidgets.QWidget) else {"objectName": ""}),
                  **(known.properties if known else {})}
    for name in dir(kind):
        if name.startswith("_") or name in KEEP or name.rstrip("_") in names or name in ("name",):
            continue
        value = attribute_of(kind, name)
        if isinstance(value, type) or name in VIRTUAL:
            continue
        _put(kind, name, Missing(name))
    for name in names:
        value = attribute_of(kind, name)
        if name in properties and not isinstance(value, (QtProperty, StandInProperty)) and _reads(kind, name):
            _set_properties(kind, [name])
        elif name not in properties and isinstance(value, QtProperty) and _is_method(raw_of(kind, name)):
            _put(kind, name, QtMethod(name, raw_of(kind, name)))


def _reads(kind: type, name: str) -> bool:
    return kind.staticMetaObject.indexOfProperty(name) >= 0


def _set_attribute(instance: Any, name: str, value: Any) -> None:
    kind = type(instance)
    if kind in cpp_classes and not name.startswith("_"):
        known = attribute_of(kind, name)
        if known is None or isinstance(known, Missing) or not hasattr(type(known), "__set__"):
            if reading_ui:
                return
            refuse_new_attribute(instance, name)
    _generic_setattr(instance, name, value)


def _add_internal_methods() -> None:
    """Names that every wrapped object has in PythonQt."""
    kind = QtCore.QObject
    kind.__init_subclass__ = classmethod(_keep_errors_whole)
    kind.name = QtProperty("objectName", raw_of(kind, "objectName"), raw_of(kind, "setObjectName"))
    kind.className = Internal(lambda self: _text(raw(self, "metaObject")().className()))
    kind.delete = Internal(shiboken6.delete)
    raw_emit = kind.__dict__["emit"]
    kind.emit = Internal(lambda self, *arguments: _emit(raw_emit, self, arguments))
    kind.help = Internal(lambda self: print(sorted(n for n in dir(self) if not n.startswith("_"))))


def _emit(raw_emit: Any, instance: Any, arguments: tuple) -> Any:
    """PySide6's own calls only: they name the signal with a 2 before it."""
    if not arguments or not str(arguments[0]).startswith("2"):
        raise AttributeError(f"'{type(instance).__name__}' object has no attribute 'emit' in Slicer")
    return raw_emit.__get__(instance, type(instance))(*arguments)


def _keep_errors_whole(kind: type, **keywords: Any) -> None:
    """For each new class in Python: PySide6 crashes at an error that C code raised in an override, because such an
    error is no exception object yet. One try statement on its way makes it one.
    """
    super(QtCore.QObject, kind).__init_subclass__(**keywords)
    for name, function in list(kind.__dict__.items()):
        if isinstance(function, types.FunctionType) and not name.startswith("_") and _is_method(_cpp(kind, name)):
            setattr(kind, name, _whole(function))


def _cpp(kind: type, name: str) -> Any:
    return next((_raw[base, name] for base in kind.__mro__ if _raw.get((base, name)) is not None), None)


def _whole(function: Any) -> Any:
    @functools.wraps(function)
    def override(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except BaseException:
            raise

    return override


class Internal:
    """A function given to all QObjects; no Python method, see QtMethod."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return Call(lambda *arguments: self.function(instance, *arguments), instance)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else bytes(value).decode()

"""Properties of Qt objects as attributes: `label.text`, not `label.text()`."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

from .calls import as_python, call


class QtProperty:
    """Descriptor: reads with Qt's getter, writes with its setter. A subclass in Python may hide it, as in PythonQt."""

    __slots__ = ("name", "read", "write")

    def __init__(self, name: str, read: Any, write: Any) -> None:
        self.name, self.read, self.write = name, read, write

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self.read is None:
            return as_python(_raw(instance, "property")(self.name))
        return as_python(self.read.__get__(instance, owner)())

    def __set__(self, instance: Any, value: Any) -> None:
        if self.write is None:
            raise AttributeError(f"Property '{self.name}' of {type(instance).__name__} object is not writable")
        if self.write == "setProperty":
            _raw(instance, "setProperty")(self.name, value)
            return
        try:
            call(self.write.__get__(instance, type(instance)), self.write, value)
        except TypeError as error:
            raise ValueError(f"Property '{self.name}' of {type(instance).__name__} does not accept an object of type "
                             f"{type(value).__name__} ({value!r})") from error


class StandInProperty(QtCore.Property):
    """A Qt property that a stand-in has written in Python, as an attribute. Qt itself, thus a .ui file, sees it too."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else as_python(self.fget(instance))

    def __set__(self, instance: Any, value: Any) -> None:
        if self.fset is None:
            raise AttributeError(f"This property of {type(instance).__name__} is not writable")
        self.fset(instance, value)


class Missing:
    """Descriptor of a name that PySide6 has and a real Slicer has not."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        raise AttributeError(f"'{(owner or type(instance)).__name__}' object has no attribute '{self.name}' in Slicer")


def refuse_new_attribute(instance: Any, name: str) -> None:
    """What PythonQt says when a name is set that the C++ class lacks."""
    raise AttributeError(f"'{name}' does not exist on {type(instance).__name__} and creating new attributes on C++ "
                         "objects is not allowed")


def _raw(instance: Any, name: str) -> Any:
    """A method of QObject itself, whatever the class made of the name."""
    method = QtCore.QObject.__dict__[name]
    return getattr(method, "raw", method).__get__(instance, type(instance))

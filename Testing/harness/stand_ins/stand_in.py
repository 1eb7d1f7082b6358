"""What makes a stand-in for one of Slicer's classes strict.

A stand-in may define no public name that the real class lacks, has none that it merely inherits from PySide6, and an
attribute that the real class has but nobody made here says so instead of pretending.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

from .. import listing
from ..pythonqt import cpp_classes, make_strict
from ..signals import QtSignal


class NotEmulated(Exception):
    """The real class has this attribute; its stand-in does not. Add it to the stand-in."""


class Gap:
    """Descriptor of an attribute of the real class that the stand-in lacks."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        raise NotEmulated(f"{self.kind}.{self.name} exists in Slicer, but not in the harness yet")

    def __set__(self, instance: Any, value: Any) -> None:
        self.__get__(instance)


def stand_in(kind: type) -> type:
    """Class decorator: check a stand-in against the listing of its name and close the gaps.

    Raises:
        TypeError: the stand-in has a public name that the real class lacks.
    """
    known = listing.listing(kind.__name__)
    if known is None:
        raise TypeError(f"{kind.__name__} is not in {listing.FILE.name}")
    allowed = known.names | listing.base().names | {"name", "staticMetaObject"}
    for base in kind.__mro__:
        if base.__module__.startswith("PySide6") or base is object:
            continue
        for name, value in list(base.__dict__.items()):
            if name.startswith("_"):
                continue
            if name.rstrip("_") not in allowed and base is kind:
                raise TypeError(f"the stand-in {kind.__name__} has '{name}', which the real class lacks")
            if isinstance(value, QtCore.Signal):
                setattr(base, name, QtSignal(name, value))
    make_strict(kind, known)
    for name in known.names:
        if not hasattr(kind, name):
            setattr(kind, name, Gap(kind.__name__, name))
    cpp_classes.add(kind)
    return kind


def placeholder(name: str) -> type:
    """A class that Slicer has and the harness has not: it can be named, as in annotations, but not made."""

    def refuse(self: Any, *arguments: Any) -> None:
        raise NotEmulated(f"{name} exists in Slicer, but not in the harness yet")

    return type(name, (), {"__init__": refuse, "__doc__": "No stand-in yet."})

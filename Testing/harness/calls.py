"""Methods of Qt objects as PythonQt gives them.

No keyword arguments, plain integers where Qt wants an enumeration, tuples where Qt returns a list.
"""

from __future__ import annotations

import enum
import inspect
import typing
from typing import Any


class QtMethod:
    """Descriptor in the place of a method of PySide6.

    What it gives is not a Python method on purpose: PySide6 takes a Python method for an override and would call it
    for every event.
    """

    __slots__ = ("__name__", "busy", "own_getattribute", "raw")

    def __init__(self, name: str, raw: Any, own_getattribute: Any = None) -> None:
        self.__name__ = name
        self.raw = raw
        self.own_getattribute = own_getattribute  # of a class where a name is static and not: QFile.exists
        self.busy = False

    def __get__(self, instance: Any, owner: type | None = None) -> Call:
        if instance is not None and self.own_getattribute is not None and not self.busy:
            return Call(self._of_instance(instance), instance, self.raw)
        get = getattr(type(self.raw), "__get__", None)
        bound = get(self.raw, instance, owner) if get else self.raw
        return Call(bound, owner if instance is None else instance, self.raw)

    def _of_instance(self, instance: Any) -> Any:
        self.busy = True
        try:
            found = self.own_getattribute(instance, self.__name__)
        finally:
            self.busy = False
        return found.bound if isinstance(found, Call) else found

    def __set__(self, instance: Any, value: Any) -> None:
        raise AttributeError(f"Slot '{self.__name__}' can not be overwritten on {type(instance).__name__} object")


class Call:
    """One method of one object, to be called."""

    __slots__ = ("bound", "owner", "raw")

    def __init__(self, bound: Any, owner: Any = None, raw: Any = None) -> None:
        self.bound = bound
        self.owner = owner
        self.raw = bound if raw is None else raw

    @property
    def __name__(self) -> str:
        return self.bound.__name__

    @property
    def __self__(self) -> Any:
        return self.owner

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.owner is other.owner and self.__name__ == other.__name__

    def __hash__(self) -> int:
        return hash((id(self.owner), self.__name__))

    def __repr__(self) -> str:
        return f"<method {self.__name__} of {self.owner!r}>"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if keywords:
            raise TypeError(f"{self.__name__}() takes no keyword arguments: PythonQt ignores {sorted(keywords)}")
        return as_python(call(self.bound, self.raw, *arguments))


def call(bound: Any, raw: Any, *arguments: Any) -> Any:
    """Call a method of PySide6; what it refuses is tried again as PythonQt would convert it.

    `raw` is the method as it lies in PySide6's class, which alone knows its signatures.
    """
    try:
        return bound(*arguments)
    except TypeError as error:
        if "missing signature" not in str(error) and "wrong argument" not in str(error):
            raise
        signatures = _signatures(raw)
        for converted in _converted(signatures, arguments):
            try:
                return bound(*converted)
            except TypeError:
                continue
        given = ", ".join(type(a).__name__ for a in arguments)
        known = " or ".join(str(s) for s in signatures)
        name = getattr(bound, "__name__", bound)
        raise TypeError(f"{name}({given}): it takes {known or 'other arguments'}") from error


def _signatures(raw: Any) -> list[inspect.Signature]:
    from PySide6.support.signature import get_signature

    found = get_signature(getattr(raw, "__func__", raw))
    return found if isinstance(found, list) else [found] if found else []


def _converted(signatures: list[inspect.Signature], arguments: tuple) -> list[tuple]:
    found = []
    for signature in signatures:
        parameters = [p for p in signature.parameters.values()
                      if p.name != "self" and p.kind != inspect.Parameter.KEYWORD_ONLY]
        if len(parameters) < len(arguments):
            continue
        converted = [_as_wanted(a, p.annotation) for a, p in zip(arguments, parameters, strict=False)]
        if any(c is not a for c, a in zip(converted, arguments, strict=True)):
            found.append(tuple(converted))
    return found


def _as_wanted(value: Any, annotation: Any) -> Any:
    """A plain integer as the enumeration, a text as the bytes that a parameter wants; else the value itself."""
    for kind in (annotation, *typing.get_args(annotation)):
        if type(value) is int and isinstance(kind, type) and issubclass(kind, enum.Enum):
            try:
                return kind(value)
            except ValueError:
                return value
        if type(value) is str and kind is bytes:
            return value.encode()
    return value


def as_python(value: Any) -> Any:
    """A result as PythonQt returns it: QStringList and other lists are tuples there."""
    return tuple(value) if type(value) is list else value

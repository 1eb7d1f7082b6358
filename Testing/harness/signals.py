"""Signals as PythonQt gives them: `button.connect('clicked(bool)', f)`, `button.clicked.connect(f)`."""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any

import shiboken6
from PySide6 import QtCore

from . import listing
from .calls import Call, as_python

# (C++ object, signal) to pairs of what was connected and the slot that Qt calls
_connections: dict[tuple[int, str], list[tuple[Any, Any]]] = {}
_raw_connect: Any = None
_raw_disconnect: Any = None


class QtSignal:
    """Descriptor in the place of a signal of PySide6."""

    __slots__ = ("name", "raw")

    def __init__(self, name: str, raw: Any) -> None:
        self.name, self.raw = name, raw

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else BoundSignal(instance, self.name, self.raw.__get__(instance, owner))

    def __set__(self, instance: Any, value: Any) -> None:
        if isinstance(value, QtCore.SignalInstance):  # PySide6 keeps what its own descriptor made
            instance.__dict__[self.name] = value
            return
        raise AttributeError(f"Signal '{self.name}' can not be overwritten on {type(instance).__name__} object")


class BoundSignal:
    """The signal of one object; calling it emits it, as in PythonQt."""

    __slots__ = ("name", "raw", "sender")

    def __init__(self, sender: Any, name: str, raw: Any) -> None:
        self.sender, self.name, self.raw = sender, name, raw

    def connect(self, function: Any) -> bool:
        return connect(self.sender, self._signature(function), function)

    def disconnect(self, function: Any) -> bool:
        return disconnect(self.sender, self._signature(function), function)

    def emit(self, *arguments: Any) -> None:
        self.raw.emit(*arguments)

    def __call__(self, *arguments: Any) -> None:
        self.emit(*arguments)

    def _signature(self, function: Any) -> str:
        """The one signature of the signal; default arguments are no overload, another type is.

        PythonQt takes one of the overloads, so a function that looks at the argument must say which it wants.
        """
        known = listed(type(self.sender))
        signatures = known.signatures(self.name) if known else []
        if not signatures:
            return _first_signature(self.sender, self.name)
        longest = signatures[-1]
        if not all(_arguments(longest)[: len(_arguments(s))] == _arguments(s) for s in signatures):
            if not _limit(function):
                return next(s for s in reversed(signatures) if _exists(self.sender, s))
            raise TypeError(f"{type(self.sender).__name__}.{self.name} is ambiguous in Slicer: "
                            f"{', '.join(signatures)}; use connect('name(types)', function)")
        return longest


def listed(kind: type) -> listing.ClassListing | None:
    """The listing of a class or of the nearest base that has one."""
    for base in kind.__mro__:
        found = listing.listing(base.__name__)
        if found is not None:
            return found
    return None


def _arguments(signature: str) -> list[str]:
    inside = signature.partition("(")[2].rstrip(")")
    return inside.split(",") if inside else []


def _exists(sender: Any, signature: str) -> bool:
    meta = QtCore.QObject.__dict__["metaObject"].raw(sender)
    return meta.indexOfSignal(_normal(signature)) >= 0 or not type(sender).__module__.startswith("PySide6")


def _first_signature(sender: Any, name: str) -> str:
    meta = QtCore.QObject.__dict__["metaObject"].raw(sender)
    found = [str(meta.method(i).methodSignature().data(), "ascii") for i in range(meta.methodCount())
             if str(meta.method(i).name().data(), "ascii") == name]
    if not found:
        raise AttributeError(f"{type(sender).__name__} has no signal {name}")
    return max(found, key=len)


def connect(sender: Any, signal: str, function: Any) -> bool:
    """Call `function` at each `signal`, with as many arguments as it takes. It is held until the sender is gone.

    Raises:
        AttributeError: the class has no such signal in Slicer (where connect would return False without a word).
    """
    if not callable(function):
        raise TypeError(f"connect('{signal}') needs something to call, not {function!r}")
    signature = checked(type(sender), signal)
    dispatcher = _dispatcher(function)
    _connect_in_qt(sender, signature, dispatcher)
    _connections.setdefault(_key(sender, signature), []).append((function, dispatcher))
    return True


def _connect_in_qt(sender: Any, signature: str, dispatcher: Any) -> None:
    python_signal = _python_signal(sender, signature)
    if python_signal is not None:
        python_signal.connect(dispatcher)
        return
    meta = QtCore.QObject.__dict__["metaObject"].raw(sender)
    if meta.indexOfSignal(signature) < 0:
        raise AttributeError(f"{type(sender).__name__} has {signature} in Qt 5 only: use one that Qt 6 has too")
    if not _raw_connect(sender, "2" + signature, dispatcher):
        raise RuntimeError(f"{signature} of {type(sender).__name__} could not be connected")


def _python_signal(sender: Any, signature: str) -> Any:
    """PySide6's signal of a Python class, whose types Qt need not know, as in stand-ins; None for Qt's own signals."""
    name = getattr(type(sender), "_signal_overloads", {}).get(signature) or signature.partition("(")[0]
    for base in type(sender).__mro__:
        signal = base.__dict__.get(name)
        if isinstance(signal, (QtCore.Signal, QtSignal)) and not base.__module__.startswith("PySide6"):
            return getattr(signal, "raw", signal).__get__(sender, type(sender))
    return None


def disconnect(sender: Any, signal: str, function: Any) -> bool:
    """Undo `connect`; False where `function` was not connected."""
    signature = checked(type(sender), signal)
    known = _connections.get(_key(sender, signature), [])
    for index, (connected, dispatcher) in enumerate(known):
        if connected == function:
            dispatcher.active = False  # also for a call that Qt has begun
            python_signal = _python_signal(sender, signature)
            if python_signal is not None:
                python_signal.disconnect(dispatcher)
            else:
                _raw_disconnect(sender, "2" + signature, dispatcher)
            del known[index]
            return True
    return False


def _key(sender: Any, signature: str) -> tuple[int, str]:
    pointer = shiboken6.getCppPointer(sender)[0]
    if (pointer, "") not in _connections:
        _connections[pointer, ""] = []
        _raw_connect(sender, "2destroyed()", lambda: _forget(pointer))
    return pointer, signature


def _forget(pointer: int) -> None:
    for key in [key for key in _connections if key[0] == pointer]:
        del _connections[key]


@functools.cache
def _normal(signature: str) -> str:
    """Without spaces, types spelled as Qt 6 does (QVector is QList there)."""
    return bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode("ascii")


def checked(kind: type, signal: str) -> str:
    """The signature without spaces; refused where a real Slicer does not have it."""
    signature = _normal(signal)
    name = signature.partition("(")[0]
    if any(isinstance(c.__dict__.get(name), QtCore.Signal) and not c.__module__.startswith("PySide6")
           for c in kind.__mro__):
        return signature  # a signal of a class written in Python
    known = listed(kind)
    if known is not None and signature not in {_normal(s) for s in known.signals} and name not in listing.base().other:
        raise AttributeError(f"{known.name} has no signal {signature} in Slicer; it has {sorted(known.signals)}")
    return signature


def _dispatcher(function: Any) -> Any:
    """What Qt calls: gives the function as many arguments as it takes and prints its errors, as PythonQt does."""
    limit = _limit(function)

    def slot(*arguments: Any) -> None:
        if not slot.active:
            return
        arguments = tuple(as_python(a) for a in arguments)
        try:
            if isinstance(function, Call):
                _call_slot(function, arguments)
            else:
                function(*(arguments if limit is None else arguments[:limit]))
        except Exception:
            sys.excepthook(*sys.exc_info())

    slot.active = True
    return slot


def _limit(function: Any) -> int | None:
    """How many arguments PythonQt gives: all where the code has *args or is not Python, else its positional ones."""
    bound = inspect.ismethod(function)
    code = getattr(inspect.unwrap(function.__func__ if bound else function), "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARARGS:
        return None
    return code.co_argcount - (1 if bound else 0)


def _call_slot(function: Call, arguments: tuple) -> None:
    """A slot of Qt: the overload with the most arguments that fits."""
    for count in range(len(arguments), -1, -1):
        try:
            function(*arguments[:count])
            return
        except TypeError:
            if count == 0:
                raise


def patch_connect() -> None:
    """QObject.connect and disconnect take PythonQt's forms; PySide6's own calls go through."""
    global _raw_connect, _raw_disconnect
    _raw_connect = QtCore.QObject.__dict__["connect"].__func__
    _raw_disconnect = QtCore.QObject.__dict__["disconnect"].__func__

    def connect_method(*arguments: Any) -> Any:
        return _forms(connect, _raw_connect, arguments)

    def disconnect_method(*arguments: Any) -> Any:
        return _forms(disconnect, _raw_disconnect, arguments)

    QtCore.QObject.connect = _Static(connect_method)
    QtCore.QObject.disconnect = _Static(disconnect_method)


class _Static:
    """`sender.connect(signal, f)` and `qt.QObject.connect(sender, signal, f)`; no Python method, see QtMethod."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self.function if instance is None else functools.partial(self.function, instance)


def _forms(ours: Any, raw: Any, arguments: tuple) -> Any:
    """(sender, signal, function), (sender, signal, receiver, slot), or what PySide6 itself calls."""
    if isinstance(arguments[1], QtCore.QObject):  # called on an object, with the sender named again
        arguments = arguments[1:]
    sender, signal, *rest = arguments
    if not isinstance(signal, str) or signal.startswith("2"):  # PySide6 puts a 2 before a signal
        return raw(*arguments)
    if len(rest) == 2 and isinstance(rest[1], str):
        return ours(sender, signal, slot_of(rest[0], rest[1]))
    return ours(sender, signal, *rest)


def slot_of(receiver: Any, slot: str) -> Any:
    """The method of a slot given by its signature; refused where a real Slicer does not have the slot."""
    name = slot.partition("(")[0].strip()
    known = listed(type(receiver))
    signature = _normal(slot)
    if known is not None and signature not in {_normal(s) for s in known.slots} and name not in listing.base().other:
        raise AttributeError(f"{known.name} has no slot {signature} in Slicer")
    return getattr(receiver, name)

"""Frozen dataclasses to plain JSON values and back, every value checked: a damaged file is told by its place."""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from uvlm_core.errors import EditError

_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object",
          tuple: "a list", type(None): "null"}


def plain(value: Any) -> Any:
    """Plain JSON values of a dataclass, tuple, dict or simple value."""
    if is_dataclass(value):
        return {name: plain(getattr(value, name)) for name, _, _ in _shape(type(value))}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return value


def read(kind: Any, value: Any, where: str) -> Any:
    """The value of type `kind` from JSON values.

    Args:
        kind: a dataclass, str, int, float, bool, dict, tuple[X, ...], dict[str, X] or a union of them.
        where: place of the value, for the error.

    Raises:
        EditError: something is missing, unknown or of another type.
    """
    if get_origin(kind) in (Union, types.UnionType):
        return _read_union(kind, value, where)
    if is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    if get_origin(kind) is tuple:
        entries = _checked(list, value, where)
        return tuple(read(get_args(kind)[0], entry, f"{where}[{number}]") for number, entry in enumerate(entries))
    if get_origin(kind) is dict:
        return {key: read(get_args(kind)[1], entry, f"{where}.{key}")
                for key, entry in _checked(dict, value, where).items()}
    return _checked(kind, value, where)


def _read_union(kind, value, where):
    choices = get_args(kind)
    if value is None and type(None) in choices:
        return None
    return read(next(choice for choice in choices if choice is not type(None)), value, where)


def _read_dataclass(kind, value, where):
    values = _checked(dict, value, where)
    shape = _shape(kind)
    unknown = sorted(set(values) - {name for name, _, _ in shape})
    missing = [name for name, _, needed in shape if needed and name not in values]
    if unknown or missing:
        what = f"lacks {', '.join(missing)}" if missing else f"has the unknown entry {', '.join(unknown)}"
        raise EditError(f"The saved report is damaged: {where} {what}.")
    return kind(**{name: read(part, values[name], f"{where}.{name}") for name, part, _ in shape if name in values})


def _checked(kind, value, where):
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is Any or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
        return value
    expected = _WORDS.get(tuple if kind is list else kind, str(kind))
    raise EditError(f"The saved report is damaged: {where} should be {expected}, but is {value!r:.60}.")


@cache
def _shape(kind) -> tuple[tuple[str, Any, bool], ...]:
    """(name, type, must be given) of the fields of a dataclass."""
    hints = get_type_hints(kind)
    return tuple((part.name, hints[part.name], part.default is MISSING and part.default_factory is MISSING)
                 for part in fields(kind))

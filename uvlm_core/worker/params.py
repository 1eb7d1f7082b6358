"""Checks of a request's fields: what is wrong is named with its place, what was expected and what was found."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from uvlm_core.worker.messages import PARAMS, Refusal, described

REQUIRED = object()
Check = Callable[[object, str], object]


@dataclass(frozen=True)
class Field:
    """How a field is checked, and its value where it is left out; REQUIRED where it may not be."""

    check: Check
    default: object = REQUIRED


def wrong(field: str, expected: str, found: object) -> Refusal:
    """The refusal of one field."""
    words = described(found)
    return Refusal(PARAMS, f"The field '{field}' must be {expected}; found {words}.", field=field, expected=expected,
                   found=words)


def read_params(params: object, fields: Mapping[str, Field], place: str = "") -> dict:
    """All fields with their defaults.

    Args:
        place: the field that these are in, such as "volume"; "" for the params themselves.

    Raises:
        Refusal: one is unknown, missing or wrong.
    """
    values = {} if params is None and not place else params
    if not isinstance(values, dict):
        raise wrong(place or "params", "an object", params)
    for name in values:
        if name not in fields:
            expected = f"one of {', '.join(fields)}" if fields else "left out"
            raise Refusal(PARAMS, f"There is no field '{_joined(place, name)}'; it must be {expected}.",
                          field=_joined(place, name), expected=expected, found=f"the field '{name}'")
    return {name: _value(values, name, field, place) for name, field in fields.items()}


def _value(values: Mapping, name: str, field: Field, place: str) -> object:
    if name in values:
        return field.check(values[name], _joined(place, name))
    if field.default is REQUIRED:
        raise Refusal(PARAMS, f"The field '{_joined(place, name)}' is missing.", field=_joined(place, name),
                      expected="a value", found="nothing")
    return field.default


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def text(value: object, field: str) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise wrong(field, "a text", value)
    return value


def any_text(value: object, field: str) -> str:
    """A string, also an empty one."""
    if not isinstance(value, str):
        raise wrong(field, "a text", value)
    return value


def path(value: object, field: str) -> str:
    """An absolute path; whether it exists is told later, with what it is for."""
    if not isinstance(value, str) or not os.path.isabs(value) or "\0" in value:
        raise wrong(field, "an absolute path", value)
    return value


def boolean(value: object, field: str) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise wrong(field, "true or false", value)
    return value


def integer(value: object, field: str) -> int:
    """A whole number that 64 bits hold."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise wrong(field, "a whole number", value)
    return value


def identity(value: object, field: str) -> str | int:
    """The id of a request."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise wrong(field, "the id of a request, a text or a whole number", value)
    return value


def mapping(value: object, field: str) -> dict:
    """A JSON object."""
    if not isinstance(value, dict):
        raise wrong(field, "an object", value)
    return value


def matrix(value: object, field: str) -> list[list[float]]:
    """A 4x4 of finite numbers whose last row is 0 0 0 1."""
    good = isinstance(value, list) and len(value) == 4 and all(
        isinstance(row, list) and len(row) == 4 and all(_is_number(entry) for entry in row) for row in value)
    if not good or value[3] != [0, 0, 0, 1]:
        raise wrong(field, "a 4x4 matrix as four rows of four finite numbers, the last row 0 0 0 1", value)
    return [[float(entry) for entry in row] for row in value]


def _is_number(value: object) -> bool:
    """True for what a double holds; an integer of JSON can be too large for it."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(float(value))
    except OverflowError:
        return False


def number(value: object, field: str) -> float:
    """A finite number."""
    if not _is_number(value):
        raise wrong(field, "a finite number", value)
    return float(value)


def or_null(check: Check) -> Check:
    """The check, or null."""
    return lambda value, field: None if value is None else check(value, field)


def one_of(*allowed: str) -> Check:
    """One of some texts."""
    def check(value: object, field: str) -> str:
        if value not in allowed:
            raise wrong(field, f"one of {', '.join(allowed)}", value)
        return value

    return check


def list_of(check: Check) -> Check:
    """A list whose entries all pass."""
    def check_all(value: object, field: str) -> list:
        if not isinstance(value, list):
            raise wrong(field, "a list", value)
        return [check(entry, f"{field}[{number}]") for number, entry in enumerate(value)]

    return check_all


def record(**fields: Field) -> Check:
    """An object with these fields and no others."""
    return lambda value, field: read_params(value, fields, field)


def row_with(**fields: Field) -> Check:
    """An object with at least these fields; what else it has is kept."""
    def check(value: object, field: str) -> dict:
        if not isinstance(value, dict):
            raise wrong(field, "an object", value)
        return {**value, **{name: _value(value, name, entry, field) for name, entry in fields.items()}}

    return check

"""Properties of a stand-in that only keep their value, as the many that change how a widget looks."""

from __future__ import annotations

from typing import Any

from .. import listing
from ..properties import StandInProperty

TYPES: dict[str, Any] = {"bool": bool, "int": int, "double": float, "QString": str, "QStringList": "QStringList"}


def stored(kind: str, **defaults: Any) -> dict[str, StandInProperty]:
    """Qt properties of the class `kind` for its body: `vars().update(stored(...))`. Types come from the listing."""
    known = listing.listing(kind)
    made = {}
    for name, default in defaults.items():
        qt_type = TYPES.get(known.properties[name].removesuffix(" (read-only)"), int)
        made[name] = _property(name, qt_type, default)
    return made


def _property(name: str, qt_type: Any, default: Any) -> StandInProperty:
    key = f"_stored_{name}"

    def read(self: Any) -> Any:
        return self.__dict__.get(key, default)

    def write(self: Any, value: Any) -> None:
        self.__dict__[key] = tuple(value) if qt_type == "QStringList" else value

    return StandInProperty(qt_type, read, write)

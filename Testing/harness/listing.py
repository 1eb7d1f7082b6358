"""What the classes of a real Slicer have, as read from the running application (qt_api.json).

The file lists, for each class, the properties, signals, slots and other attributes that Python sees there beyond those
of a plain QWidget. It decides whether an attribute exists in the harness.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("qt_api.json")


@dataclass(frozen=True)
class ClassListing:
    """The attributes of one class. `properties`: name to Qt type; `signals` and `slots`: signatures."""

    name: str
    properties: dict[str, str]
    signals: frozenset[str]
    slots: frozenset[str]
    other: frozenset[str]
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        methods = {signature.partition("(")[0] for signature in self.signals | self.slots}
        object.__setattr__(self, "names", frozenset(self.properties) | self.other | methods)

    def signatures(self, signal: str) -> list[str]:
        """All overloads of a signal, sorted by length."""
        return sorted((s for s in self.signals if s.partition("(")[0] == signal), key=lambda s: (len(s), s))

    def is_read_only(self, name: str) -> bool:
        """Whether a property cannot be written."""
        return self.properties.get(name, "").endswith("(read-only)")


@cache
def _content() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8"))


@cache
def base() -> ClassListing:
    """QWidget: the attributes that the other listings leave out."""
    content = _content()["base"]["QWidget"]
    return ClassListing("QWidget", dict.fromkeys(content["properties"], ""), frozenset(), frozenset(),
                        frozenset(content["other"]))


@cache
def listing(name: str) -> ClassListing | None:
    """The listing of a class without those of QWidget; None where the class was not looked at."""
    content = _content()["classes"].get(name)
    if content is None:
        return None
    return ClassListing(name, content["properties"], frozenset(content["signals"]), frozenset(content["slots"]),
                        frozenset(content["other"]))


@cache
def class_names() -> tuple[str, ...]:
    """All listed classes."""
    return tuple(_content()["classes"])


@cache
def names_in_qt() -> frozenset[str]:
    """Every name of the module `qt`."""
    return frozenset(_content()["names_in_qt"])


@cache
def names_in(module: str) -> frozenset[str]:
    """The Qt classes of the modules `ctk` or `slicer`, with or without a listing."""
    return frozenset(_content()[f"names_in_{module}"])


@cache
def not_constructible() -> frozenset[str]:
    """Classes that Python cannot make there, as `qt.QShortcut` or `ctkCheckableHeaderView`."""
    return frozenset(_content()["not_constructible"])

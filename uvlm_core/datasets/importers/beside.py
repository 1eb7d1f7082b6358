"""Which masks, texts and rows belong to which scan, told from their folders and names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from uvlm_core.datasets.layout import stem

Place = tuple[tuple[str, ...], str]  # folders below that of the data set, and the name without a suffix
# folders that tell what a file is, not whose it is
LAYOUT_FOLDER = re.compile(r"(image|scan|volume|seg|segmentation|label|mask|report|text)s?(Tr|Ts|Va)?", re.IGNORECASE)


def place_of(path: str) -> Place:
    """The place of a relative path as a table has it: "p1/ct.nii.gz" -> (("p1",), "ct")."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return tuple(parts[:-1]), stem(parts[-1]) if parts else ""


def belonging(scans: Iterable[Place], others: Iterable[Place]) -> dict[Place, Place]:
    """Scan -> what belongs to it, the nearest first.

    That is what has its name in the same folder; in a folder that differs by images/, labels/ and their like only (of
    several the last); or anywhere, where just one scan and one of the others have this name.
    """
    scans, others = set(scans), set(others)
    found = {scan: scan for scan in scans & others}
    for key in (_without_layout, _name):
        own, candidates = _grouped(scans, key), _grouped(others, key)
        for value, places in own.items():
            matching = candidates.get(value, [])
            if len(places) == 1 and matching and (len(matching) == 1 or key is _without_layout):
                found.setdefault(places[0], max(matching))
    return found


def _without_layout(place: Place) -> Place:
    return tuple(part for part in place[0] if not LAYOUT_FOLDER.fullmatch(part)), place[1]


def _name(place: Place) -> Place:
    return (), place[1]


def _grouped(places: Iterable[Place], key: Callable[[Place], Place]) -> dict[Place, list[Place]]:
    groups: dict[Place, list[Place]] = {}
    for place in places:
        groups.setdefault(key(place), []).append(place)
    return groups

"""Is a recipe well formed? Every wrong entry is named before anything starts."""

from __future__ import annotations

import re
from dataclasses import fields

from uvlm_core.errors import RecipeError

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # becomes the name of folders
COMMON = {"name": "str", "kind": "str", "weight": "float", "held_out": "bool", "licence": "str"}
COPIES = {"count": "int", "first_seed": "int", "share": "float | None"}
SCAN = {"image": "str", "labels": "str", "names": "str", "masks": "dict", "known": "list"}
TABLE = {"path": "str", "split": "str", "fold": "int", "store": "str", "mapping": "str", "same_voxels": "bool",
         "on_error": "str"}
SOURCES = {
    "phantoms": COMMON | COPIES | {"region": "str | None", "findings": "bool", "shape": "three numbers",
                                   "spacing": "three numbers"},
    "real": COMMON | SCAN, "real_with_findings": COMMON | SCAN | COPIES, "table": COMMON | TABLE,
}
NEEDED = {"phantoms": ("count", "first_seed"), "real": ("image",), "table": ("path",),
          "real_with_findings": ("image", "count", "first_seed")}
WORDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "dict": "an object",
         "list": "a list", "list[dict]": "a list of objects", "list[StageRecipe]": "a list of objects",
         "tuple[int, int, int]": "three whole numbers above 0", "tuple[str, ...]": "a list of texts",
         "three numbers": "three numbers above 0"}
SHARES = ("ema", "mirror", "label_smoothing", "cue_dropout", "recombined")


def check_entries(values: object, kind: type, where: str) -> dict:
    """The values as they are, for a dataclass of these fields.

    Raises:
        RecipeError: no object, an unknown entry, a missing one, or one of another type.
    """
    if not isinstance(values, dict):
        raise RecipeError(f"{where[0].upper()}{where[1:]} must be an object with entries; found {_shown(values)}.")
    types = {entry.name: str(entry.type) for entry in fields(kind)}
    _known(values, types, where)
    for name, value in values.items():
        _typed(name, value, types[name], where)
    for name in SHARES:
        if name in values and not 0 <= values[name] <= 1:
            raise RecipeError(f"'{name}' of {where} lies between 0 and 1; found {values[name]}.")
    return values


def check_sources(sources: list[dict]) -> None:
    """Raises RecipeError that names the first data source that cannot be used, and why."""
    names = []
    for number, source in enumerate(sources, 1):
        where = f"the data source '{source.get('name', number)}'"
        kind = source.get("kind")
        if kind not in SOURCES or not isinstance(source.get("name"), str):
            raise RecipeError(f"A data source needs a name and one of the kinds {', '.join(SOURCES)}; found kind "
                              f"{_shown(kind)}, name {_shown(source.get('name'))}.")
        _known(source, SOURCES[kind], where)
        for name, value in source.items():
            _typed(name, value, SOURCES[kind][name], where)
        if missing := [name for name in NEEDED[kind] if name not in source]:
            raise RecipeError(f"{where[0].upper()}{where[1:]} lacks {', '.join(missing)}.")
        if not NAME.fullmatch(source["name"]):
            raise RecipeError(f"The name of a data source is made of letters, digits, '.', '_' and '-'; "
                              f"found '{source['name']}'.")
        if source.get("count", 1) < 1 or source.get("first_seed", 0) < 0:
            raise RecipeError(f"'count' of {where} is at least 1 and 'first_seed' at least 0; found "
                              f"{source.get('count', 1)} and {source.get('first_seed', 0)}.")
        names.append(source["name"])
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RecipeError(f"Two data sources are named '{twice[0]}'; each needs a name of its own.")


def _known(values: dict, types: dict, where: str) -> None:
    if unknown := sorted(set(values) - set(types)):
        raise RecipeError(f"Unknown entry {', '.join(unknown)} in {where}; known are {', '.join(sorted(types))}.")


def _typed(name: str, value: object, kind: str, where: str) -> None:
    wanted, _, nothing = kind.partition(" | ")
    if value is None and nothing:
        return
    if not _fits(value, wanted):
        raise RecipeError(f"'{name}' of {where} must be {WORDS.get(wanted, wanted)}; found {_shown(value)}.")


def _fits(value: object, kind: str) -> bool:
    if kind in ("list[dict]", "list[StageRecipe]"):
        return isinstance(value, list) and all(isinstance(row, dict) for row in value)
    if kind == "tuple[str, ...]":
        return isinstance(value, (list, tuple)) and all(isinstance(row, str) for row in value)
    if kind in ("tuple[int, int, int]", "three numbers"):
        number = int if kind.startswith("tuple") else (int, float)
        return isinstance(value, (list, tuple)) and len(value) == 3 and all(
            isinstance(size, number) and not isinstance(size, bool) and size > 0 for size in value)
    types = {"str": str, "int": int, "float": (int, float), "bool": bool, "dict": dict, "list": list}
    if isinstance(value, bool) and kind in ("int", "float"):
        return False
    return isinstance(value, types[kind]) and value == value  # NaN is no number


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"

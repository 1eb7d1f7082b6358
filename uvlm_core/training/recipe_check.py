"""Is a recipe well formed? Every wrong entry is named before anything starts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
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
SHARES = ("ema", "mirror", "label_smoothing", "cue_dropout", "recombined", "share", "dropout")
ABOVE_0 = ("rate", "clip", "alpha")
AT_LEAST = {"rank": 1, "wordings": 1} | dict.fromkeys(
    ("seed", "weight", "warm_up", "weight_decay", "encoder_rate", "segmentation_weight", "rare_voxels", "absent_voxels",
     "fixed_norms", "patience"), 0)
LANGUAGE_MODEL = {"folder": "str", "lora": "dict | None"}
LORA = {"rank": "int", "alpha": "float", "dropout": "float", "targets": "tuple[str, ...]"}


def check_entries(values: object, kind: type, where: str) -> dict:
    """The values as they are, for a dataclass of these fields.

    Raises:
        RecipeError: no object, an unknown entry, a missing one, or one of another type.
    """
    if not isinstance(values, dict):
        raise RecipeError(f"{where[0].upper()}{where[1:]} must be an object with entries; found {_shown(values)}.")
    _check(values, {entry.name: str(entry.type) for entry in fields(kind)}, where)
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
        _check(source, SOURCES[kind], where)
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


def check_stage_sources(stages: Sequence, sources: list[dict]) -> None:
    """Raises RecipeError that names the first stage (a `StageRecipe`) without a source to train on, and why."""
    names = [source["name"] for source in sources]
    for stage in stages:
        if unknown := sorted(set(stage.sources or ()) - set(names)):
            raise RecipeError(f"The {stage.kind} stage trains on {', '.join(unknown)}; "
                              f"the recipe's data are {', '.join(names)}.")
        own = [source for source in sources if source["name"] in (names if stage.sources is None else stage.sources)]
        weights = [source.get("weight", 1.0) for source in own if not source.get("held_out")]
        if not weights:
            raise RecipeError(f"The {stage.kind} stage has no data source to train on: each is held out. Give it one "
                              "that is not.")
        if (stage.draws_by_weight or stage.fixed_norms) and not any(weights):  # norms are measured on cases so drawn
            raise RecipeError(f"The {stage.kind} stage has no data source to train on: each that is not held out has "
                              "the weight 0. Give one of them a weight above 0.")


def check_labels(stage: dict, where: str) -> None:
    """Raises RecipeError that names the first wrong label or number of a stage's `draw` and `plant`."""
    for name, numbers, most in (("draw", "odds, numbers from 0 on", math.inf), ("plant", "chances from 0 to 1", 1)):
        for label, value in stage.get(name, {}).items():
            if label not in (known := _labels(name)):
                raise RecipeError(f"'{name}' of {where} names '{label}', which is none of {', '.join(known)}.")
            if not _fits(value, "float") or not 0 <= value <= most:
                raise RecipeError(f"'{name}' of {where} gives labels {numbers}; found {_shown(value)} for {label}.")


def _labels(entry: str) -> list[str]:
    if entry == "draw":
        from uvlm_core.labels import labels

        return [label.name for label in labels()]
    from uvlm_core.phantom.lesions import DRAWN

    return [row[0] for row in DRAWN]


def check_language_model(values: dict) -> None:
    """Raises RecipeError that names the first wrong entry of a recipe's `language_model`."""
    _check(values, LANGUAGE_MODEL, "language_model")
    if "folder" not in values:
        raise RecipeError("language_model needs a folder, that of a causal language model of Hugging Face.")
    _check(values.get("lora") or {}, LORA, "lora of language_model")


def check_patches(stages: Sequence, stride: tuple[int, int, int]) -> None:
    """Raises RecipeError that names the first stage (a `StageRecipe`) with a patch that the encoder cannot take.

    Args:
        stride: (z, y, x) voxels per cell of the deepest stage.
    """
    for number, stage in enumerate(stages, 1):
        patch = stage.patch or tuple(2 * step for step in stride)
        cells = [max(1, round(size / step)) for size, step in zip(patch, stride, strict=True)]
        cells[2] += math.prod(cells) == 1
        fitting = [count * step for count, step in zip(cells, stride, strict=True)]
        if list(patch) != fitting:
            raise RecipeError(f"'patch' of stage {number} ({stage.kind}) is {list(patch)} voxels (z, y, x); the model "
                              f"takes multiples of {list(stride)}, together two or more. Take {fitting}.")


def _check(values: dict, types: dict, where: str) -> None:
    _known(values, types, where)
    for name, value in values.items():
        _typed(name, value, types[name], where)
        if value is None:
            continue
        if name in SHARES and not 0 <= value <= 1:
            raise RecipeError(f"'{name}' of {where} lies between 0 and 1; found {value}.")
        if name in ABOVE_0 and value <= 0:
            raise RecipeError(f"'{name}' of {where} must be above 0; found {value}.")
        if name in AT_LEAST and value < AT_LEAST[name]:
            raise RecipeError(f"'{name}' of {where} must be at least {AT_LEAST[name]}; found {value}.")


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
    return isinstance(value, types[kind]) and not (isinstance(value, float) and not math.isfinite(value))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"

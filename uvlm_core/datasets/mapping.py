"""Which of UVLM's labels and findings the names of a data set mean: built in, and from the user's mapping file.

A mapping file is JSON with up to three parts, each by source ("*": every source; the rules of a source also hold for
rows in which it was joined with others):

    {"labels":   {"my-hospital": {"tumour": "liver_lesion", "vein": null}},
     "partly":   {"my-hospital": ["bowel"]},
     "findings": {"*": {"Nodule": "Lung nodule"}}}

What it does not name is looked up in `Resources/Labels/datasets.json`, then among TotalSegmentator's and UVLM's names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from uvlm_core.datasets.table import Case
from uvlm_core.errors import CaseError
from uvlm_core.labels import findings, labels
from uvlm_core.resources import resource

PARTS = ("labels", "partly", "findings")
IGNORED = "ignore"  # a structure whose voxels are left out of every loss, as nnU-Net's ignore label


@dataclass(frozen=True)
class Mapping:
    """`own` is the content of the user's file, {} for none."""

    own: dict = field(default_factory=dict)

    def label(self, name: str, source: str = "") -> str | None:
        """UVLM's label of a structure of a source, IGNORED, or None where UVLM has none for it."""
        key = _plain(name)
        for table in (*_tables(self.own, "labels", source), *_tables(_built_in(), "labels", source)):
            if key in table:
                return table[key]
        return _known_name(key)

    def finding(self, name: str, source: str = "") -> str | None:
        """UVLM's finding of a column of a source; None where it has none."""
        key = _plain(name)
        for table in (*_tables(self.own, "findings", source), *_tables(_built_in(), "findings", source)):
            if key in table:
                return table[key]
        return {_plain(finding.name): finding.name for finding in findings()}.get(key)

    def annotated(self, case: Case) -> list[str]:
        """UVLM's labels that the case annotates completely, in the order of their ids.

        A label that is made of several structures of the source counts where all that the source has are listed.
        """
        structures = [*case.label_names.values(), *case.masks]
        known = structures if case.known_labels is None else case.known_labels
        whole = {self.label(name, case.source) for name in known}
        missing = {self.label(name, case.source) for name in structures if name not in known}
        return [label.name for label in labels() if label.name in whole - missing - self._partly(case.source)]

    def _partly(self, source: str) -> set[str]:
        # of united sources the lists of UVLM were already followed when they were joined, each in its own rows
        rows = [*_lists(self.own, _sources(source)), *_lists(_built_in(), (source, "*"))]
        return {name for row in rows for name in row}


def read_mapping(path: str | Path | None) -> Mapping:
    """The user's mapping file; None gives the built-in names alone.

    Raises:
        CaseError: no such file, no JSON of that form, or a name on the right that is not one of UVLM's.
    """
    if path is None:
        return Mapping()
    path = Path(path)
    try:
        values = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CaseError(f"The mapping {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise CaseError(f"The mapping {path} is not JSON: {error}.") from error
    if not isinstance(values, dict) or set(values) - {*PARTS, "comment"}:
        found = ", ".join(values) if isinstance(values, dict) else type(values).__name__
        raise CaseError(f"A mapping has the parts {', '.join(PARTS)}; {path.name} has {found}.")
    _check_names(values, path)
    return Mapping(values)


def _check_names(values: dict, path: Path) -> None:
    known = {"labels": {*(label.name for label in labels()), IGNORED},
             "findings": {finding.name for finding in findings()}}
    known["partly"] = known["labels"]
    for part in PARTS:
        kind, shape = (list, "a list of labels") if part == "partly" else (dict, "an object of name -> name or null")
        sources = values.get(part, {})
        _require(sources, dict, f"'{part}'", f"an object of source -> {shape}", path)
        for source, entry in sources.items():
            where = f"{part} of '{source}'"
            _require(entry, kind, where, shape, path)
            pairs = enumerate(entry, 1) if kind is list else entry.items()
            names = {name: ours for name, ours in pairs if kind is list or ours is not None}
            for name, ours in names.items():
                _require(ours, str, f"{where}, '{name}',", "a text", path)
            if unknown := sorted(set(names.values()) - known[part]):
                raise CaseError(f"{path.name}: {where} lead to {', '.join(unknown)}, which UVLM does not have. It has "
                                f"{', '.join(sorted(known[part]))}; null leaves a name out.")


def _require(value, kind: type, what: str, expected: str, path: Path) -> None:
    if not isinstance(value, kind):
        found = json.dumps(value, ensure_ascii=False)
        raise CaseError(f"{path.name}: {what} must be {expected}; found {found[:60]}. Correct it, or take it out.")


def _tables(values: dict, part: str, source: str) -> list[dict]:
    sources = values.get(part, {})
    return [{_plain(name): ours for name, ours in sources[key].items()} for key in _sources(source)
            if key in sources]


def _lists(values: dict, sources: Iterable[str]) -> Iterable[list[str]]:
    return [values.get("partly", {}).get(key, []) for key in sources]


def _sources(source: str) -> Iterable[str]:
    """Whose rules hold, the first one first: those of the source, of all that were joined ("a+b"), of every source."""
    return dict.fromkeys((source, *source.split("+"), "*"))


@cache
def _built_in() -> dict:
    return json.loads(resource("Labels", "datasets.json").read_text("utf-8"))


@cache
def _known_name(key: str) -> str | None:
    """UVLM's label of one of TotalSegmentator's or UVLM's own names."""
    own = {label.name: label.name for label in labels()}
    table = json.loads(resource("Labels", "totalsegmentator.json").read_text("utf-8")) | own
    return next((ours for pattern, ours in table.items() if fnmatch(key, pattern)), None)


def _plain(name: str) -> str:
    """Case, spaces and hyphens do not matter."""
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")

"""Several tables as one: rows of one scan are united, so that masks, labels and text may come from different sets."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

from uvlm_core.datasets.mapping import Mapping
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import Case, moved, read_table, write_table
from uvlm_core.errors import CaseError

OWN = ("case_id", "source", "root", "labels", "label_names", "masks", "known_labels", "findings", "extra")


def join_tables(paths: list[str | Path], out: str | Path, mapping: Mapping | None = None) -> tuple[list[Case],
                                                                                                 list[Problem]]:
    """Writes one table of several. Rows with one case_id become one; the first table's word counts where they differ.

    Masks and label maps of united rows get UVLM's names here, because their sources name them differently.

    Returns:
        the cases and what was contradictory.

    Raises:
        CaseError: a table cannot be read, or two sources both have a label map for one scan.
    """
    mapping, out = mapping or Mapping(), Path(out)
    joined: dict[str, Case] = {}
    problems: list[Problem] = []
    for path in paths:
        table = read_table(path)
        for case in table.cases:
            case = moved(case, table, out)
            if case.case_id not in joined:
                joined[case.case_id] = case
            else:
                joined[case.case_id] = _united(joined[case.case_id], case, mapping, problems)
    write_table(out, joined.values())
    return list(joined.values()), problems


def _united(first: Case, second: Case, mapping: Mapping, problems: list[Problem]) -> Case:
    root = second.root if second.image and not first.image else first.root  # a row's paths have one root
    first, second = _in_our_names(first, mapping, root), _in_our_names(second, mapping, root)
    if first.labels and second.labels:
        raise CaseError(f"{first.case_id} has a label map in two tables ({first.labels} and {second.labels}). "
                        "Leave one of them out: a row has one label map, and any number of single masks.")
    united = {entry.name: getattr(first, entry.name) or getattr(second, entry.name) for entry in fields(Case)
              if entry.name not in OWN}
    for name in ("patient_id", "scan_id", "split"):
        if getattr(first, name) and getattr(second, name) and getattr(first, name) != getattr(second, name):
            problems.append(Problem("warning", first.case_id, "contradiction", f"{name} is '{getattr(first, name)}' in "
                                    f"one table and '{getattr(second, name)}' in another; the first was taken"))
    for name, value in second.findings.items():
        if first.findings.get(name, value) != value:
            problems.append(Problem("warning", first.case_id, "contradiction", f"{name} is {first.findings[name]} in "
                                    f"one table and {value} in another; the first was taken", about=name))
    masks = {name: list(files) for name, files in first.masks.items()}
    for name, files in second.masks.items():
        masks[name] = [*masks.get(name, []), *(file for file in files if file not in masks.get(name, []))]
    known = [*first.known_labels, *(name for name in second.known_labels if name not in first.known_labels)]
    sources = dict.fromkeys(source for case in (first, second) for source in case.source.split("+") if source)
    return Case(first.case_id, source="+".join(sources), root=root, labels=first.labels or second.labels,
                label_names=first.label_names or second.label_names, masks=masks, known_labels=known,
                findings={**second.findings, **first.findings}, extra={**second.extra, **first.extra}, **united)


def _in_our_names(case: Case, mapping: Mapping, root: str) -> Case:
    """The same masks under UVLM's names (others keep theirs), with paths as seen from `root`."""
    def path(file: str) -> str:
        if not file or case.root == root:
            return file
        name, mark, number = file.partition("#")
        absolute = Path(case.root) / name
        here = os.path.relpath(absolute, root) if Path(root).is_absolute() == absolute.is_absolute() else absolute
        return Path(here).as_posix() + mark + number

    def ours(name: str) -> str:
        return mapping.label(name, case.source) or name

    masks: dict[str, list[str]] = {}
    for name, files in case.masks.items():
        masks.setdefault(ours(name), []).extend(path(file) for file in files)
    names = {value: ours(name) for value, name in case.label_names.items()}
    return replace(case, image=path(case.image), labels=path(case.labels), label_names=names, masks=masks,
                   known_labels=mapping.annotated(case))

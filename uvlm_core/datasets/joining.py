"""Several tables as one: rows of one scan are united, so that masks, labels and text may come from different sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
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

    Masks and label maps of united rows get UVLM's names here, because their sources name them differently; what the
    mapping has no name for keeps its own, so that a later mapping can still say what it means.

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
                joined[case.case_id] = _united(joined[case.case_id], case, mapping, problems, out.absolute().parent)
    write_table(out, joined.values())
    return list(joined.values()), problems


def _united(first: Case, second: Case, mapping: Mapping, problems: list[Problem], base: Path) -> Case:
    root = second.root if second.image and not first.image else first.root  # a row's paths have one root
    sources = dict.fromkeys(source for case in (first, second) for source in case.source.split("+") if source)
    for case in (first, second):
        problems.extend(_other_meanings(case, "+".join(sources), mapping))
    first, second = (_in_our_names(case, mapping, root, base) for case in (first, second))
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
    return Case(first.case_id, source="+".join(sources), root=root, labels=first.labels or second.labels,
                label_names=first.label_names or second.label_names, masks=masks, known_labels=known,
                findings={**second.findings, **first.findings}, extra={**second.extra, **first.extra}, **united)


def _other_meanings(case: Case, united: str, mapping: Mapping) -> Iterator[Problem]:
    """Names that a rule of another source, which holds for the whole united row, gives another meaning."""
    for name in dict.fromkeys((*case.label_names.values(), *case.masks)):
        before = mapping.label(name, case.source)
        after = mapping.label(before or name, united)
        if after != before:
            yield Problem("warning", case.case_id, "contradiction", f"{name} of {case.source} means "
                          f"{before or 'nothing'}, but {after or 'nothing'} by a rule for one of {united}, which now "
                          "holds for the whole row", advice="Give the structure another name in one of the tables.",
                          about=name)


def _in_our_names(case: Case, mapping: Mapping, root: str, base: Path) -> Case:
    """The same masks under UVLM's names (others keep theirs), with paths as seen from `root` in the folder `base`."""
    def path(file: str) -> str:
        if not file or case.root == root:
            return file
        name, mark, number = file.partition("#")
        absolute = Path(os.path.normpath(base / case.root / name))
        apart = Path(root).is_absolute() != Path(case.root).is_absolute()  # may be moved independently of each other
        return Path(absolute if apart else os.path.relpath(absolute, base / root)).as_posix() + mark + number

    def ours(name: str) -> str:
        return mapping.label(name, case.source) or name

    masks: dict[str, list[str]] = {}
    for name, files in case.masks.items():
        masks.setdefault(ours(name), []).extend(path(file) for file in files)
    names = {value: ours(name) for value, name in case.label_names.items()}
    known = [*case.label_names.values(), *case.masks] if case.known_labels is None else case.known_labels
    unnamed = [name for name in known if mapping.label(name, case.source) is None]
    return replace(case, image=path(case.image), labels=path(case.labels), label_names=names, masks=masks,
                   known_labels=[*mapping.annotated(case), *dict.fromkeys(unnamed)])

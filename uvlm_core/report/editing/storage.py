"""The editable report as one JSON object, schema "uvlm-report-edit/1", and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from uvlm_core.errors import EditError
from uvlm_core.report.editing.facts import Facts
from uvlm_core.report.editing.history import Change, Clock, History
from uvlm_core.report.editing.json_form import plain, read
from uvlm_core.report.editing.rows import (
    ANSWERED,
    DISMISSED,
    FINDING,
    ORDER,
    PRIOR,
    SECTION,
    SENTENCE,
    DismissedFlag,
    Overrule,
    SectionRow,
    Written,
)
from uvlm_core.report.editing.states import AddendumRow, Signature

SCHEMA = "uvlm-report-edit/1"


@dataclass(frozen=True)
class _StoredSection:
    name: str
    title: str
    tail: str
    sentences: tuple[Written, ...]


@dataclass(frozen=True)
class _Stored:
    """The entries of the file, in their order."""

    schema: str
    study: dict
    facts: Facts
    generated: dict[str, dict]
    sections: tuple[_StoredSection, ...]
    overruled: dict[str, Overrule]
    dismissed: tuple[DismissedFlag, ...]
    answered_offers: tuple[str, ...]
    has_prior: bool
    history: dict
    signature: Signature | None
    addenda: tuple[AddendumRow, ...]
    used_ids: int


def to_json(report) -> str:
    """One line of ASCII; equal reports give equal texts.

    The texts of rows are kept from the last time (rows never change, they are replaced), so that a report can be saved
    after every typed letter, whatever the length of its history.
    """
    cells, known = report._cells, report._texts

    def kept(key: str, row, values=plain) -> str:
        if key not in known or known[key][0] is not row:
            known[key] = (row, _text(values(row)))
        return known[key][1]

    sections = []
    for name in cells[ORDER]:
        row = cells[SECTION + name]
        sentences = ",".join(kept(SENTENCE + entry, cells[SENTENCE + entry]) for entry in row.sentences)
        sections.append(f'{{"name":{_text(name)},"title":{_text(row.title)},"tail":{_text(row.tail)},'
                        f'"sentences":[{sentences}]}}')
    history = report._history
    changes = ",".join(kept(f"change:{change.number}", change, Change.to_dict) for change in history.changes)
    overruled = {key[len(FINDING):]: row for key, row in sorted(cells.items()) if key.startswith(FINDING)}
    parts = {"schema": _text(SCHEMA), "study": kept("study", report._study), "facts": kept("facts", report._facts),
             "generated": kept("generated", report._generated), "sections": f"[{','.join(sections)}]",
             "overruled": _text(plain(overruled)), "dismissed": _text(plain(cells[DISMISSED])),
             "answered_offers": _text(cells[ANSWERED]), "has_prior": _text(cells[PRIOR]),
             "history": f'{{"changes":[{changes}],"undo":{_text(history.undo_stack)},'
                        f'"redo":{_text(history.redo_stack)}}}',
             "signature": _text(plain(report._signature)), "addenda": _text(plain(report._addenda)),
             "used_ids": _text(report._used_ids)}
    return "{" + ",".join(f'"{name}":{text}' for name, text in parts.items()) + "}"


def _text(value) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def from_json(kind, text: str, clock: Clock):
    """The report of `to_json`.

    Args:
        kind: the class to make.

    Raises:
        EditError: it is no JSON, of another schema, damaged, or its signed text was changed.
    """
    try:
        values = json.loads(text)
    except (TypeError, ValueError) as error:
        raise EditError(f"The saved report cannot be read: {error}.") from error
    found = values.get("schema") if isinstance(values, dict) else None
    if found != SCHEMA:
        raise EditError(f"The saved report has the schema {found!r}, this version reads {SCHEMA!r}. "
                        "Open it with the version of UVLM that wrote it.")
    stored = read(_Stored, values, "report")
    history = History.from_dict(stored.history, "report.history")
    return kind(stored.study, stored.facts, stored.generated, _cells(stored), clock, history, stored.signature,
                stored.addenda, stored.used_ids)


def _cells(stored: _Stored) -> dict[str, Any]:
    order = tuple(section.name for section in stored.sections)
    cells: dict[str, Any] = {ORDER: order, DISMISSED: stored.dismissed, ANSWERED: stored.answered_offers,
                             PRIOR: stored.has_prior}
    for section in stored.sections:
        ids = tuple(row.id for row in section.sentences)
        for key, value in [(SECTION + section.name, SectionRow(section.title, ids, section.tail)),
                           *((SENTENCE + row.id, row) for row in section.sentences)]:
            if key in cells:
                raise EditError(f"The saved report is damaged: {key.replace(':', ' ')} is there twice.")
            cells[key] = value
        for row in section.sentences:
            _check_ties(row)
    cells.update((FINDING + name, row) for name, row in stored.overruled.items())
    return cells


def _check_ties(row: Written) -> None:
    for tie in row.ties:
        if not 0 <= tie.start < tie.end <= len(row.text) or len(tie.known) != len(tie.quantities) or not tie.quantities:
            raise EditError(f"The saved report is damaged: a live field of the sentence {row.id} stands at "
                            f"{tie.start} to {tie.end}, but its text has {len(row.text)} characters.")

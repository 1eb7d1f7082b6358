"""The state of an editable report: cells that change together, what is derived from them, undo and redo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from uvlm_core.errors import EditError, SignedError
from uvlm_core.report.checks import report_flags
from uvlm_core.report.editing.facts import Facts
from uvlm_core.report.editing.fields import Field, fields_of
from uvlm_core.report.editing.flags import (
    FIELD_OF_VIEW,
    Flag,
    flags_of_sentence,
    located,
    mentions_of,
    of_whole_report,
    with_dismissals,
)
from uvlm_core.report.editing.history import Change, Clock, History, stamp, utc_now
from uvlm_core.report.editing.layout import Layout
from uvlm_core.report.editing.rows import (
    ANSWERED,
    DISMISSED,
    FINDING,
    ORDER,
    PRIOR,
    SECTION,
    SENTENCE,
    Overrule,
    SectionRow,
    Written,
)
from uvlm_core.report.editing.states import ADDENDUM, DRAFT, SIGNED, AddendumRow, Signature


@dataclass(frozen=True)
class Sentence(Written):
    """A sentence as it is read: what is stored, and `section`, live `fields`, `flags`."""

    section: str = ""
    fields: tuple[Field, ...] = ()
    flags: tuple[Flag, ...] = ()

    @property
    def edit(self) -> str:
        """ "generated", "edited" or "added"."""
        if self.generated_text is None:
            return "added"
        return "generated" if self.text == self.generated_text else "edited"


@dataclass(frozen=True)
class Section:
    """`name` is a region, "other", "field_of_view", "impression" or "addendum_1", …; `title` as printed."""

    name: str
    title: str
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class _View:
    """Everything that is derived, made once per revision."""

    sections: tuple[Section, ...]
    sentences: dict[str, Sentence]
    flags: tuple[Flag, ...]


class Document:
    """What can be changed stands in cells (rows.py) and is changed by `_commit` alone, which records it; what scan and
    masks say stands in `Facts`. Flags and the state of fields are derived."""

    def __init__(self, study: dict, facts: Facts, generated: dict, cells: dict[str, Any], clock: Clock = utc_now,
                 history: History | None = None, signature: Signature | None = None,
                 addenda: Sequence[AddendumRow] = (), used_ids: int = 0):
        """Use `EditableReport.from_study` or `from_json`.

        Args:
            study: what of study.json stays as it is: schema, scan, provenance, removed.
            generated: section name -> {"title", "sentences": [{"id", "text"}]}, as the model wrote it.
            clock: gives the time, with a zone.
            used_ids: numbers given to sentences and offers so far.
        """
        self._study, self._facts, self._generated, self._cells = study, facts, generated, dict(cells)
        self._clock, self._history = clock, history or History()
        self._signature, self._addenda = signature, tuple(addenda)
        self._used_ids = used_ids
        self._revision = 0
        self._facts_revision = 0
        self._derived: dict[str, tuple] = {}
        self._read: dict[str, tuple] = {}
        self._texts: dict[str, tuple] = {}
        self._cache: dict[str, tuple[int, Any]] = {}

    # ---- reading

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return self._revision

    @property
    def sections(self) -> tuple[Section, ...]:
        """All sections in reading order, addenda last; also empty ones."""
        return self._view.sections

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """All sentences in reading order."""
        return tuple(self._view.sentences.values())

    def sentence(self, sentence_id: str) -> Sentence:
        """One sentence. Raises EditError for an id that is not there."""
        found = self._view.sentences.get(sentence_id)
        if found is None:
            raise EditError(f"The report has no sentence {sentence_id!r}; it may have been removed.")
        return found

    def section_of(self, sentence_id: str) -> Section:
        """The section of a sentence. Raises EditError for an id that is not there."""
        name = self.sentence(sentence_id).section
        return next(section for section in self.sections if section.name == name)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Flags of the report as a whole."""
        return self._view.flags

    @property
    def all_flags(self) -> tuple[Flag, ...]:
        """Flags of all sentences in reading order, then those of the report as a whole."""
        return tuple(flag for sentence in self.sentences for flag in sentence.flags) + self.flags

    @property
    def stale_fields(self) -> tuple[Field, ...]:
        """Fields whose mask measures something else than the text says."""
        return tuple(field for sentence in self.sentences for field in sentence.fields if field.state == "stale")

    @property
    def findings(self) -> list[dict]:
        """Rows of study.json with the reader's state and today's masks."""
        return [dict(row) for row in self._finding_rows]

    @property
    def segments(self) -> list[dict]:
        """Rows of study.json, as the masks are now."""
        return [dict(row) for row in self._facts.segments.values()]

    @property
    def measurements(self) -> list[dict]:
        """Rows of study.json, as the masks are now."""
        return [dict(row) for row in self._facts.measurements.values()]

    def measurement(self, segment_id: str, quantity: str) -> dict | None:
        """The row of one quantity of a mask, None where it is not measured."""
        return next((row for row in self._facts.measurements.values()
                     if row["segment"] == segment_id and row["name"] == quantity), None)

    def sentences_of(self, segment_id: str) -> list[str]:
        """Ids of the sentences that are linked to a mask."""
        return [sentence.id for sentence in self.sentences if segment_id in sentence.segments]

    @property
    def scan(self) -> dict:
        """`scan` of study.json."""
        return self._study["scan"]

    @property
    def provenance(self) -> dict:
        """`provenance` of study.json."""
        return self._study["provenance"]

    @property
    def changes(self) -> list[Change]:
        """Every change in its order, those of masks and signatures too."""
        return list(self._history.changes)

    @property
    def state(self) -> str:
        """ "draft", "signed", or "addendum": signed, with at least one addendum."""
        if self._signature is None:
            return DRAFT
        return ADDENDUM if self._addenda else SIGNED

    @property
    def editable_sections(self) -> tuple[str, ...]:
        """Names of the sections that may be changed now."""
        if self._signature is None:
            return self._order
        return tuple(row.section for row in self._addenda if row.signature is None)

    def layout(self) -> Layout:
        """The report as one text with the places of its sentences."""
        return self._of_revision("layout", lambda: Layout(
            (name, self._section_row(name).title, self._rows(name), self._section_row(name).tail)
            for name in self._order))

    # ---- undo

    @property
    def can_undo(self) -> bool:
        return bool(self._history.undo_stack)

    @property
    def can_redo(self) -> bool:
        return bool(self._history.redo_stack)

    def undo(self) -> Change | None:
        """Takes the last change of text, findings or flags back; None where there is none."""
        return self._step(self._history.undo)

    def redo(self) -> Change | None:
        """Makes the change again that was undone last; None where there is none."""
        return self._step(self._history.redo)

    def _step(self, way: Callable) -> Change | None:
        step = way(self._clock())
        if step is None:
            return None
        self._write(step[1])
        return step[0]

    # ---- cells

    @property
    def _order(self) -> tuple[str, ...]:
        return self._cells[ORDER]

    @property
    def _overrules(self) -> dict[str, Overrule]:
        return {key[len(FINDING):]: value for key, value in self._cells.items() if key.startswith(FINDING)}

    def _section_row(self, name: str) -> SectionRow:
        if SECTION + name not in self._cells:
            raise EditError(f"The report has no section {name!r}. It has {', '.join(self._order)}.")
        return self._cells[SECTION + name]

    def _rows(self, section: str) -> list[Written]:
        return [self._cells[SENTENCE + name] for name in self._section_row(section).sentences]

    def _commit(self, kind: str, target: str | None, changes: Mapping[str, Any], before: str | None = None,
                after: str | None = None, typing: bool = False) -> Change | None:
        """Writes cells (None removes one) and records it; None where nothing differs."""
        patch = {key: (self._cells.get(key), value) for key, value in changes.items()
                 if self._cells.get(key) != value}
        if not patch:
            return None
        change = self._history.add(self._clock(), kind, target, before, after, patch, typing)
        self._write({key: pair[1] for key, pair in patch.items()})
        return change

    def _write(self, cells: Mapping[str, Any]) -> None:
        for key, value in cells.items():
            if value is None:
                self._cells.pop(key, None)
            else:
                self._cells[key] = value
            if key.startswith(FINDING) or key == PRIOR:
                self._facts_revision += 1
        self._revision += 1

    def _set_facts(self, facts: Facts, kind: str, target: str | None, before: str | None, after: str | None) -> None:
        """New facts from outside, recorded, but nothing that undo takes back."""
        self._facts = facts
        self._facts_revision += 1
        self._revision += 1
        self._history.add(self._clock(), kind, target, before, after)

    def _now(self) -> str:
        return stamp(self._clock())

    def _new_id(self, letter: str = "u") -> str:
        self._used_ids += 1
        return f"{letter}{self._used_ids}"

    def _need_editable(self, *sections: str) -> None:
        """Raises SignedError where one of the sections may not be changed now."""
        if all(name in self.editable_sections for name in sections) and (sections or self.editable_sections):
            return
        signature = self._signature
        signed = next((row.signature for row in self._addenda if row.section in sections and row.signature), signature)
        raise SignedError(f"The report was signed by {signed.name} on {signed.time} and stays as it is. "
                          "Add an addendum to say more.")

    # ---- what is derived

    def _of_facts(self, name: str, make: Callable[[], Any]) -> Any:
        return self._remembered(name, self._facts_revision, make)

    def _of_revision(self, name: str, make: Callable[[], Any]) -> Any:
        return self._remembered(name, self._revision, make)

    def _remembered(self, name: str, revision: int, make: Callable[[], Any]) -> Any:
        known = self._cache.get(name)
        if known is None or known[0] != revision:
            known = self._cache[name] = (revision, make())
        return known[1]

    @property
    def _finding_rows(self) -> list[dict]:
        return self._of_facts("findings", lambda: self._facts.finding_rows(self._overrules))

    @property
    def _measured(self) -> list:
        return self._of_facts("measured", lambda: self._facts.measured_segments())

    @property
    def _values(self) -> dict[str, dict[str, float]]:
        return self._of_facts("values", lambda: self._facts.values())

    @property
    def _view(self) -> _View:
        return self._of_revision("view", self._make_view)

    def _make_view(self) -> _View:
        rows = {row["name"]: row for row in self._finding_rows}
        own, said = {}, {}
        for name in self._order:
            for row in self._rows(name):
                own[row.id] = self._derive(row, name, rows)
                if name != FIELD_OF_VIEW:
                    for mention in mentions_of(row.text):
                        said.setdefault(mention.finding, []).append((row.id, mention))
        common: dict[str | None, list[Flag]] = {}
        for flag in report_flags(rows, said, self._measured):
            here = of_whole_report(flag) if flag.sentence is None else located(
                flag, self._cells[SENTENCE + flag.sentence].text)
            common.setdefault(flag.sentence, []).append(here)
        for flag in self._outside_flags():
            common.setdefault(flag.sentence, []).append(flag)
        sentences, sections = {}, []
        for name in self._order:
            made = [self._sentence(row, name, own[row.id], common.get(row.id, ())) for row in self._rows(name)]
            sentences.update((sentence.id, sentence) for sentence in made)
            sections.append(Section(name, self._section_row(name).title, tuple(made)))
        return _View(tuple(sections), sentences, with_dismissals(_unique(common.get(None, ())), self._cells[DISMISSED]))

    def _derive(self, row: Written, section: str, rows: Mapping[str, Mapping]) -> tuple:
        """(key, fields, own flags) of a sentence, made again only where it or the facts have changed."""
        known = self._derived.get(row.id)
        key = (row, section, self._facts_revision)
        if known is None or known[0][0] is not row or known[0][1:] != key[1:]:
            fields = fields_of(row, self._values)
            flags = flags_of_sentence(row, section, fields, rows, self._measured, self._facts.imaged, self._facts.gone,
                                      self._cells[PRIOR])
            known = self._derived[row.id] = (key, fields, flags)
        return known

    def _sentence(self, row: Written, section: str, own: tuple, common: Sequence[Flag]) -> Sentence:
        """The sentence as it is read: the same object as long as nothing about it has changed."""
        known, dismissed = self._read.get(row.id), self._cells[DISMISSED]
        if known is None or known[0] is not own or known[1] != common or known[2] is not dismissed:
            flags = _unique([*own[2], *common])
            made = Sentence(**vars(row), section=section, fields=own[1],
                            flags=with_dismissals(flags, dismissed) if flags else ())
            known = self._read[row.id] = (own, common, dismissed, made)
        return known[3]

    def _outside_flags(self) -> list[Flag]:
        """Flags of another checker, of sentences that still say what they said then."""
        flags = []
        for entry in self._facts.flags:
            row = self._cells.get(SENTENCE + entry["sentence"]) if entry["sentence"] is not None else None
            if row is not None and row.text == entry["text"]:
                flags.append(Flag(entry["kind"], entry["message"], entry["sentence"], 0, len(row.text),
                                  entry["finding"], entry["expected"], entry["found"], entry["suggestion"]))
            elif entry["sentence"] is None:
                flags.append(Flag(entry["kind"], entry["message"], None, None, None, entry["finding"],
                                  entry["expected"], entry["found"], entry["suggestion"]))
        return flags


def _unique(flags: Sequence[Flag]) -> tuple[Flag, ...]:
    """Each contradiction once, whoever tells it."""
    return tuple({flag.key: flag for flag in reversed(flags)}.values())[::-1] if len(flags) > 1 else tuple(flags)


def new_cells(sections: Mapping[str, SectionRow], sentences: Sequence[Written]) -> dict[str, Any]:
    """The cells of a report that nobody has edited yet."""
    return {ORDER: tuple(sections), DISMISSED: (), ANSWERED: (), PRIOR: False,
            **{SECTION + name: row for name, row in sections.items()},
            **{SENTENCE + row.id: replace(row) for row in sentences}}

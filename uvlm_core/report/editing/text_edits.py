"""Editing the text: letters in the document, whole sentences, links by hand, measurements, normal sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from uvlm_core.errors import EditError
from uvlm_core.labels import findings
from uvlm_core.report.document import Sentence as Linked
from uvlm_core.report.document import split_sentences
from uvlm_core.report.editing.document import Document
from uvlm_core.report.editing.facts import SECTION_TITLES, section_title
from uvlm_core.report.editing.fields import Carried, tie_again, tie_generated, ties_kept
from uvlm_core.report.editing.history import stamp
from uvlm_core.report.editing.rows import ORDER, SECTION, SENTENCE, SectionRow, Tie, Written
from uvlm_core.report.editing.splitting import replace_in_body, spans_of, ties_in
from uvlm_core.report.links import link_sentence as link_by_text

IMPRESSION = "impression"


@dataclass(frozen=True)
class Edit:
    """What `replace_range` did: `sentences` ids that were changed, added or removed; `as_typed` False where the
    document is not what was typed (headings stay), so that the editor has to show `layout().text` again."""

    sentences: tuple[str, ...]
    as_typed: bool


class TextEdits(Document):
    """Changes of the text; each is recorded and can be undone."""

    # ---- letters

    def replace_range(self, start: int, removed: int, text: str) -> Edit:
        """Puts `text` in the place of `removed` characters of `layout().text` from `start` on.

        Titles stay: of a selection over several sections the texts between are removed. Typing within one sentence
        is one change for undo as long as it pauses for no more than 3 seconds.

        Raises:
            EditError: the offsets are outside of the document.
            SignedError: a touched section is signed.
        """
        layout = self.layout()
        if not (start >= 0 and removed >= 0 and start + removed <= len(layout.text)):
            raise EditError(f"The edit from {start} to {start + removed} is outside of the document, which has "
                            f"{len(layout.text)} characters.")
        end, clean = start + removed, clean_text(text)
        wanted = layout.text[:start] + clean + layout.text[end:]
        touched = [(name, max(start, low), min(end, high)) for name, (low, high) in layout.bodies.items()
                   if start <= high and end >= low]
        if not touched:
            return Edit((), not clean and not removed)
        self._need_editable(*(name for name, begin, stop in touched if stop > begin or clean))
        changes: dict[str, Any] = {}
        for number, (name, begin, stop) in enumerate(touched):
            low = layout.bodies[name][0]
            changes.update(self._rewriting(name, begin - low, stop - low, "" if number else clean, typing=True))
        ids = tuple(key[len(SENTENCE):] for key in changes if key.startswith(SENTENCE)
                    and changes[key] != self._cells.get(key))
        before, after = self._words(changes)
        one = ids[0] if len(ids) == 1 else None
        self._commit("edit_sentence", one, changes, before, after, typing=one is not None)
        return Edit(ids, self.layout().text == wanted and len(clean) == len(text))

    def edit_sentence(self, sentence_id: str, text: str) -> None:
        """Gives a sentence another text; "" removes it, several sentences are taken apart.

        Raises:
            EditError: there is no such sentence.
            SignedError: its section is signed.
        """
        clean = clean_text(text).strip()
        if not clean:
            self.remove_sentence(sentence_id)
            return
        name = self.sentence(sentence_id).section
        self._need_editable(name)
        start, end = self._span(sentence_id)
        self._commit_text("edit_sentence", sentence_id, self._rewriting(name, start, end, clean))

    # ---- sentences

    def insert_sentence(self, section: str, text: str, after: str | None = None,
                        segments: Sequence[str] | None = None) -> str:
        """Adds a sentence (or several) and gives the id of the first.

        Args:
            section: name of a section; one that is not there yet is made.
            after: id of the sentence before it; "" for the first place, None for the last.
            segments: ids of masks, linked by hand; None: the links that the text tells.

        Raises:
            EditError: no text, an unknown section, sentence or segment.
            SignedError: the section is signed.
        """
        changes, names = self._inserting(section, text, after, segments)
        self._commit_text("insert_sentence", names[0], changes)
        return names[0]

    def remove_sentence(self, sentence_id: str) -> None:
        """Takes a sentence out. Raises EditError, SignedError."""
        name = self.sentence(sentence_id).section
        self._need_editable(name)
        self._commit_text("remove_sentence", sentence_id, self._removing(sentence_id))

    def move_sentence(self, sentence_id: str, section: str, after: str | None = None) -> None:
        """Puts a sentence in another place; `section` and `after` as in `insert_sentence`.

        Raises:
            EditError: there is no such sentence or section.
            SignedError: one of the sections is signed.
        """
        old = self.sentence(sentence_id).section
        if after == sentence_id:
            raise EditError(f"The sentence {sentence_id} cannot stand after itself.")
        changes = self._with_section(section)
        self._need_editable(old, *([section] if SECTION + section in self._cells else []))
        changes.update(self._removing(sentence_id))
        row = changes.get(SECTION + section) or self._section_row(section)
        rows = [changes.get(SENTENCE + name) or self._cells[SENTENCE + name] for name in row.sentences]
        moved = replace(self._cells[SENTENCE + sentence_id], changed=self._now())
        changes.update(_placed(section, row, rows, [moved], _place_after(section, row, after)))
        self._commit("move_sentence", sentence_id, changes, old, section)

    # ---- how it is done

    def _rewriting(self, name: str, start: int, end: int, text: str, typing: bool = False) -> dict[str, Any]:
        """The cells after a replacement in a section's text."""
        section = self._section_row(name)
        result = replace_in_body(self._rows(name), section.tail, start, end, text, self._new_id)
        time, changes = self._clock(), {}
        for row in result.rows:
            if row.id in result.carried:
                carried = result.carried[row.id]
                if typing and len(result.carried) == 1 and not result.removed:
                    carried = self._carried_from_before(row, carried, time)
                row = self._read_again(replace(row, changed=stamp(time)), carried)
            if self._cells.get(SENTENCE + row.id) != row:
                changes[SENTENCE + row.id] = row
        changes.update((SENTENCE + name, None) for name in result.removed)
        changes[SECTION + name] = SectionRow(section.title, tuple(row.id for row in result.rows), result.tail)
        return changes

    def _carried_from_before(self, row: Written, carried: Carried, time: datetime) -> Carried:
        """While a sentence is typed in, its ties come from what it was before: a number that is there for a moment, as
        the 3 on the way from 24 to 30, neither takes nor loses one."""
        patch = self._history.before_typing(time, "edit_sentence", row.id)
        if SENTENCE + row.id not in patch:
            return carried
        before = patch[SENTENCE + row.id][0]
        return [] if before is None else ties_in(before, row.text)

    def _read_again(self, row: Written, carried: Carried) -> Written:
        """Links and fields of a sentence with another text."""
        labels = self._facts.labels()
        kept = ties_kept(row.text, carried, self._values, labels)
        row = self._linked(row, kept)
        return replace(row, ties=tie_again(row, kept, self._values, labels))

    def _linked(self, row: Written, ties: Sequence[Tie]) -> Written:
        """Findings and masks as the text tells them; by hand, and of live fields, as they are."""
        read = Linked(row.id, row.text)
        link_by_text(read, self._measured)
        labels = self._facts.labels()
        if row.links_by_hand:
            shown = [entry.name for entry in findings() for name in row.segments
                     if entry.label is not None and entry.label == labels.get(name) and labels[name] != "heart"]
            shown += [self._facts.finding_of[name] for name in row.segments if name in self._facts.finding_of]
            return replace(row, findings=tuple(dict.fromkeys([*read.findings, *shown])))
        linked = list(read.segments)
        for label in dict.fromkeys(labels.get(tie.segment) for tie in ties):
            tied = [tie.segment for tie in ties if labels.get(tie.segment) == label]
            told = [name for name in linked if labels.get(name) == label]
            if len(told) <= len(tied):  # one number, one mask: the field knows which
                linked = [name for name in linked if name not in told]
            linked += tied
        gone = [name for name in row.segments if name in self._facts.gone]
        return replace(row, findings=tuple(read.findings), segments=tuple(dict.fromkeys([*linked, *gone])))

    def _inserting(self, section: str, text: str, after: str | None,
                   segments: Sequence[str] | None) -> tuple[dict[str, Any], list[str]]:
        """The cells with new sentences, and their ids."""
        texts = sentences_in(text)
        if not texts:
            raise EditError("A sentence needs a text.")
        self._check_segments(segments or ())
        changes = self._with_section(section)
        if SECTION + section in self._cells:
            self._need_editable(section)
        row = changes.get(SECTION + section) or self._section_row(section)
        place = _place_after(section, row, after)
        now, new = self._now(), []
        for sentence in texts:
            made = Written(self._new_id(), sentence, changed=now)
            if segments is not None:
                made = replace(made, segments=tuple(dict.fromkeys(segments)), links_by_hand=True)
            made = self._linked(made, ())
            new.append(replace(made, ties=tie_generated(made, self._values, self._facts.labels())))
        rows = [self._cells[SENTENCE + name] for name in row.sentences]
        changes.update(_placed(section, row, rows, new, place))
        return changes, [made.id for made in new]

    def _removing(self, sentence_id: str) -> dict[str, Any]:
        name = self.sentence(sentence_id).section
        section, rows = self._section_row(name), self._rows(name)
        place = section.sentences.index(sentence_id)
        changes: dict[str, Any] = {SENTENCE + sentence_id: None}
        if place == 0 and len(rows) > 1:
            changes[SENTENCE + rows[1].id] = replace(rows[1], lead=rows[0].lead)
        left = tuple(other for other in section.sentences if other != sentence_id)
        changes[SECTION + name] = SectionRow(section.title, left, section.tail if left else "")
        return changes

    def _with_section(self, name: str) -> dict[str, Any]:
        """The cells with an empty section of that name, {} where it is there."""
        if SECTION + name in self._cells:
            return {}
        title = section_title(name)
        if title is None:
            raise EditError(f"There is no section {name!r}. Known are: {', '.join(SECTION_TITLES)}.")
        self._need_editable(*([] if self._signature is None else [name]))
        known = list(SECTION_TITLES)
        place = sum(other in known and known.index(other) < known.index(name) for other in self._order)
        return {ORDER: (*self._order[:place], name, *self._order[place:]), SECTION + name: SectionRow(title)}

    def _commit_text(self, kind: str, target: str, changes: dict[str, Any]) -> None:
        before, after = self._words(changes)
        self._commit(kind, target, changes, before, after)

    def _words(self, changes: dict[str, Any]) -> tuple[str | None, str | None]:
        """The text before and after of the sentences that a change touches; None where there was or is none."""
        keys = [key for key, row in changes.items() if key.startswith(SENTENCE)
                and getattr(row, "text", None) != getattr(self._cells.get(key), "text", None)]
        before = " ".join(self._cells[key].text for key in keys if key in self._cells)
        after = " ".join(changes[key].text for key in keys if changes[key] is not None)
        return before or None, after or None

    def _span(self, sentence_id: str) -> tuple[int, int]:
        """(start, end) of a sentence in its section's text."""
        name = self.sentence(sentence_id).section
        rows = self._rows(name)
        return spans_of(rows)[[row.id for row in rows].index(sentence_id)]

    def _check_segments(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self._facts.segments]
        if unknown:
            raise EditError(f"There is no mask {', '.join(map(repr, unknown))}. Measure it, or tell that it was added, "
                            "before linking to it.")


def _place_after(section: str, row: SectionRow, after: str | None) -> int:
    """Number of the sentences before the place after a sentence; "" is the beginning, None the end."""
    if after is None:
        return len(row.sentences)
    names = ["", *row.sentences]
    if after not in names:
        raise EditError(f"The section {section} has no sentence {after!r} to stand after.")
    return names.index(after)


def _placed(section: str, row: SectionRow, rows: list[Written], new: list[Written], place: int) -> dict[str, Any]:
    """The cells of a section with rows put in; the whitespace before them as before those around them."""
    usual = next((entry.lead for entry in rows[1:] if "\n" in entry.lead), " ")
    first = rows[0].lead if rows and not place else usual if rows else ""
    made = [replace(entry, lead=usual if number else first) for number, entry in enumerate(new)]
    following = rows[place:]
    if following and not place:
        following = [replace(following[0], lead=usual), *following[1:]]
    ids = tuple(entry.id for entry in [*rows[:place], *made, *following])
    return {SECTION + section: SectionRow(row.title, ids, row.tail if following else ""),
            **{SENTENCE + entry.id: entry for entry in [*made, *following[:1]]}}


def sentences_in(text: str) -> list[str]:
    """The sentences of a text, [] for one of spaces and list marks alone. Raises EditError as `clean_text`."""
    clean = clean_text(text).strip()
    return [clean[begin:end] for begin, end in split_sentences(clean, headings=False)]


def clean_text(text: str) -> str:
    """A text as it is kept: line ends as "\\n" (Qt has its own), no half characters.

    Raises:
        EditError: it is no text.
    """
    if not isinstance(text, str):
        raise EditError(f"A text is expected, found {type(text).__name__}.")
    text = re.sub("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", "\n", text)
    return re.sub("[\ud800-\udfff\x00]", "�", text)

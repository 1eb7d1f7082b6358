"""What an editor offers: links by hand, normal sentences, findings, measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from uvlm_core.errors import EditError
from uvlm_core.labels import finding_named
from uvlm_core.report.editing.expressions import QUANTITIES, find_expressions, written
from uvlm_core.report.editing.facts import SECTION_TITLES, checked_finding, section_title
from uvlm_core.report.editing.fields import tie_generated
from uvlm_core.report.editing.phrases import IMPRESSION, finding_sentence, impression_sentence, normal_sentences
from uvlm_core.report.editing.rows import FINDING, SECTION, SENTENCE, Overrule, Tie
from uvlm_core.report.editing.splitting import spans_of
from uvlm_core.report.editing.text_edits import TextEdits


class Insertions(TextEdits):
    """Text that is not typed."""

    def link_sentence(self, sentence_id: str, segments: Sequence[str] | None) -> None:
        """Links a sentence to masks by hand; kept through edits. None goes back to the links that the text tells.

        Raises:
            EditError: there is no such sentence or segment.
            SignedError: its section is signed.
        """
        name = self.sentence(sentence_id).section
        self._need_editable(name)
        row = self._cells[SENTENCE + sentence_id]
        if segments is not None:
            self._check_segments(segments)
            linked = replace(row, segments=tuple(dict.fromkeys(segments)), links_by_hand=True)
        else:
            linked = replace(row, segments=(), links_by_hand=False)
        linked = self._linked(linked, row.ties if segments is None else ())
        kept = [tie for tie in row.ties if tie.segment in linked.segments]
        linked = replace(linked, ties=_with_new(kept, tie_generated(linked, self._values, self._facts.labels())))
        self._commit("link_sentence", sentence_id, {SENTENCE + sentence_id: linked}, ", ".join(row.segments),
                     ", ".join(linked.segments))

    def normal_sentences(self, region: str) -> list[str]:
        """Sentences for a region that contradict no finding and are not in the report yet. Raises EditError."""
        if section_title(region) is None:
            raise EditError(f"There is no region {region!r}. Known are: {', '.join(SECTION_TITLES)}.")
        rows = self._finding_rows
        said = {sentence.text for sentence in self.sentences}
        return [text for text in normal_sentences(region, rows) if text not in said]

    def insert_normal_sentence(self, region: str, after: str | None = None, text: str | None = None) -> str:
        """Adds `text` or the first of `normal_sentences`; gives its id. Raises EditError where there is none."""
        choices = [text] if text else self.normal_sentences(region)
        if not choices:
            raise EditError(f"No normal sentence for {section_title(region)} fits the findings, or all are there.")
        return self.insert_sentence(self._section_for(region), choices[0], after)

    def insert_finding(self, finding: str, segment_id: str | None = None, after: str | None = None,
                       section: str | None = None) -> str:
        """Adds a sentence that says a finding, in the section of its region, and gives its id.

        Side, place and size are those of the mask, or of the finding's largest. Who inserts it says that the finding is
        present: a finding with another state is overruled with it.

        Args:
            section: "impression" for the short form there; None for the finding's own section.

        Raises:
            EditError: there is no such finding or segment.
            SignedError: the report is signed.
        """
        checked_finding(finding)
        own = [segment_id] if segment_id is not None else self._facts.of_finding(finding)
        self._check_segments(own)
        short = section == IMPRESSION
        text = (impression_sentence if short else finding_sentence)(finding, self._segments(own))
        region = finding_named(finding).region
        place = self._section_for(section or region)
        changes, names = self._inserting(place, text, after, [segment_id] if segment_id is not None else None)
        changes.update(self._saying_present(finding))
        self._commit_text("insert_finding", names[0], changes)
        return names[0]

    def insert_measurement(self, sentence_id: str, offset: int, segment_id: str, quantity: str, unit: str | None = None,
                           decimals: int | None = None) -> None:
        """Writes a measurement of a mask into a sentence as a live field, and links the sentence to the mask.

        Args:
            offset: characters from the sentence's beginning.
            quantity: longest_diameter, short_axis, volume, mean_hu or cardiothoracic_ratio.
            unit, decimals: None for the usual ones.

        Raises:
            EditError: unknown sentence or segment, a quantity that was not measured, a unit that does not fit.
            SignedError: the section is signed.
        """
        row = self.sentence(sentence_id)
        self._need_editable(row.section)
        value = self._value(segment_id, quantity)
        if not 0 <= offset <= len(row.text):
            raise EditError(f"The place {offset} is outside of the sentence, which has {len(row.text)} characters.")
        try:
            words = written(quantity, value, unit, decimals)
        except ValueError as error:
            raise EditError(f"{error}. Choose a unit of that quantity.") from None
        lead = " " if offset and row.text[offset - 1] not in " (" else ""
        rest = " " if row.text[offset:offset + 1].isalnum() or row.text[offset:offset + 1] == "(" else ""
        start = self._span(sentence_id)[0] + offset
        changes = self._rewriting(row.section, start, start, lead + words + rest)
        self._tie_inserted(changes, row.section, start + len(lead), segment_id, quantity, value)
        self._commit_text("insert_measurement", sentence_id, changes)

    # ---- how it is done

    def _section_for(self, name: str) -> str:
        """Where new text of a section goes: after signing, into the open addendum."""
        if self._signature is None:
            return name
        self._need_editable()
        return self.editable_sections[0]

    def _saying_present(self, finding: str) -> dict[str, Any]:
        row = next((row for row in self._finding_rows if row["name"] == finding), None)
        return {} if row is None or row["state"] == "present" else {FINDING + finding: Overrule("present", self._now())}

    def _tie_inserted(self, changes: dict[str, Any], name: str, start: int, segment: str, quantity: str,
                      value: float) -> None:
        """Ties the measurement at `start` of the section's new text to its mask."""
        rows = [changes.get(SENTENCE + other) or self._cells[SENTENCE + other]
                for other in changes[SECTION + name].sentences]
        row, begin = next((row, span[0]) for row, span in zip(rows, spans_of(rows), strict=True)
                          if span[0] <= start < span[1])
        expression = next((entry for entry in find_expressions(row.text)
                           if entry.start <= start - begin < entry.end and len(entry.numbers) == 1), None)
        row = replace(row, segments=tuple(dict.fromkeys([*row.segments, segment])), links_by_hand=True)
        if expression is not None:
            tie = Tie(expression.start, expression.end, segment, (quantity,), (value,))
            row = replace(row, ties=_with_new([tie], row.ties))
        changes[SENTENCE + row.id] = self._linked(row, row.ties)

    def _segments(self, names: Sequence[str]) -> list:
        return [segment for segment in self._measured if segment.id in names]

    def _value(self, segment_id: str, quantity: str) -> float:
        if quantity not in QUANTITIES:
            raise EditError(f"There is no quantity {quantity!r}. Known are: {', '.join(QUANTITIES)}.")
        self._check_segments([segment_id])
        value = self._values[segment_id].get(quantity)
        if value is None:
            raise EditError(f"The {quantity.replace('_', ' ')} of '{segment_id}' is not measured.")
        return value


def _with_new(ties: Sequence[Tie], new: Sequence[Tie]) -> tuple[Tie, ...]:
    """The ties, and those of the new ones that stand elsewhere; in reading order."""
    free = [tie for tie in new if not any(tie.start < other.end and other.start < tie.end for other in ties)]
    return tuple(sorted([*ties, *free], key=lambda tie: tie.start))

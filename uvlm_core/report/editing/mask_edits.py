"""The text follows the masks: live fields, masks that are gone, sentences offered for new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from uvlm_core.errors import EditError
from uvlm_core.labels import finding_named
from uvlm_core.report.editing.facts import (
    OfferRow,
    checked_finding,
    checked_measurements,
    checked_segments,
)
from uvlm_core.report.editing.fields import Field
from uvlm_core.report.editing.insertions import Insertions
from uvlm_core.report.editing.phrases import finding_sentence
from uvlm_core.report.editing.rows import ANSWERED, SENTENCE, Tie, Written
from uvlm_core.report.plain_text import measurement_words


@dataclass(frozen=True)
class Offer:
    """A sentence for a new mask, with what it measures now; `section` is where it would stand."""

    id: str
    segment: str
    finding: str
    section: str
    text: str


class MaskEdits(Insertions):
    """What masks measure comes from outside and is no matter of undo; what the text takes over is."""

    # ---- facts

    def apply_measurements(self, measurements: Sequence[Mapping], segments: Sequence[Mapping] = ()) -> list[Field]:
        """Takes over what edited masks measure, and gives the fields of these masks that are stale now.

        Args:
            measurements: rows as in study.json, for example of the worker's `measure`.
            segments: rows of the same masks: side, place, volume, box.

        Raises:
            EditError: a row is damaged or of a mask that the report does not have.
        """
        rows = checked_segments(segments)
        unknown = [name for name in rows if name not in self._facts.segments]
        if unknown:
            raise EditError(f"The report has no mask {', '.join(map(repr, unknown))}; tell first that it was added.")
        values = checked_measurements(measurements, self._facts.segments)
        merged = {name: _merged(self._facts.segments[name], row) for name, row in rows.items()}
        known = self._facts.measurements
        changed = [row for name, row in values.items() if known.get(name, {}).get("value") != row["value"]]
        if not changed and all(self._facts.segments[name] == row for name, row in merged.items()):
            return []
        facts = replace(self._facts, segments={**self._facts.segments, **merged}, measurements={**known, **values})
        touched = list(dict.fromkeys([*rows, *(row["segment"] for row in values.values())]))
        self._set_facts(facts, "measure_masks", ", ".join(touched),
                        _listed(known[row["id"]] for row in changed if row["id"] in known), _listed(changed))
        return [field for field in self.stale_fields if field.segment in touched]

    def segment_removed(self, segment_id: str) -> list[str]:
        """A mask is gone: gives the ids of the sentences that are flagged now.

        Raises:
            EditError: the report never had it.
        """
        if segment_id in self._facts.gone:
            return self.sentences_of(segment_id)
        row = self._facts.segments.get(segment_id)
        if row is None:
            raise EditError(f"The report has no mask {segment_id!r}.")
        self._set_facts(self._facts.without(segment_id), "remove_mask", segment_id, row["title"], None)
        return self.sentences_of(segment_id)

    def segment_added(self, segment_id: str, finding: str | None, segment: Mapping,
                      measurements: Sequence[Mapping] = ()) -> Offer | None:
        """A mask is there (again): gives the sentence that is offered for it.

        One that comes back is linked as before; with another label or finding it is a new one, and the sentences about
        the old one stay those of a removed mask.

        Args:
            finding: what it shows, said by who drew it; None for an organ or something else: no sentence is offered.
            segment, measurements: its rows, as in study.json.

        Raises:
            EditError: there is no such finding, a row is damaged, or the mask is known already.
        """
        if finding is not None:
            checked_finding(finding)
        rows = checked_segments([segment])
        if list(rows) != [segment_id]:
            raise EditError(f"The row of the mask {segment_id!r} has the id {next(iter(rows))!r}.")
        if segment_id in self._facts.segments:
            raise EditError(f"The report has the mask {segment_id!r} already; use apply_measurements for what it "
                            "measures now.")
        values = checked_measurements(measurements, rows)
        if self._facts.shows_another(segment_id, rows[segment_id]["name"], finding):
            self._free_id(segment_id)
        came_back = segment_id in self._facts.gone and bool(self.sentences_of(segment_id))
        offer = None if finding is None or came_back else OfferRow(self._new_id("o"), segment_id, finding)
        facts = self._facts
        offers = tuple(row for row in facts.offers if row.segment != segment_id or came_back)
        facts = replace(facts, segments={**facts.segments, **rows}, measurements={**facts.measurements, **values},
                        gone={name: title for name, title in facts.gone.items() if name != segment_id},
                        finding_of={**facts.finding_of, **({segment_id: finding} if finding else {})},
                        gone_labels={name: label for name, label in facts.gone_labels.items() if name != segment_id},
                        offers=(*offers, *([offer] if offer else [])))
        self._set_facts(facts, "add_mask", segment_id, None, f"{segment['title']}: {finding}" if finding else
                        segment["title"])
        return None if offer is None else self._offer(offer)

    def _free_id(self, segment_id: str) -> None:
        """Gives a removed mask another id, in all sentences and in what undo brings back."""
        taken = {*self._facts.gone, *self._facts.segments}
        names = (f"{segment_id} (removed{f' {number}' if number > 1 else ''})" for number in count(1))
        new = next(name for name in names if name not in taken)

        def renamed(row):
            return row.with_segment_renamed(segment_id, new) if isinstance(row, Written) else row

        self._facts = self._facts.with_gone_renamed(segment_id, new)
        self._cells = {key: renamed(row) for key, row in self._cells.items()}
        self._history.change_cells(renamed)

    # ---- live fields

    def accept_field(self, sentence_id: str, index: int) -> None:
        """Writes what the mask measures now into the text. Raises EditError, SignedError."""
        field = self._field(sentence_id, index)
        if field.new is None:
            raise EditError(f"The mask of '{field.old}' is gone; there is nothing to take over.")
        row = self._with_new_values(self._cells[SENTENCE + sentence_id], [field])
        self._commit("accept_field", sentence_id, {SENTENCE + sentence_id: row}, field.old, field.new)

    def accept_all_fields(self) -> int:
        """Writes all stale fields of the sections that may be changed, as one change; gives their number."""
        changes, old, new = {}, [], []
        for sentence in self.sentences:
            stale = [field for field in sentence.fields if field.state == "stale"]
            if stale and sentence.section in self.editable_sections:
                key = SENTENCE + sentence.id
                changes[key] = self._with_new_values(self._cells[key], stale)
                old += [field.old for field in stale]
                new += [field.new for field in stale]
        if not changes:
            return 0
        self._commit("accept_fields", None, changes, ", ".join(old), ", ".join(new))
        return len(new)

    def dismiss_field(self, sentence_id: str, index: int) -> None:
        """Leaves the text as it is, until the mask changes again. Raises EditError, SignedError."""
        field = self._field(sentence_id, index)
        row = self._cells[SENTENCE + sentence_id]
        ties = tuple(replace(tie, known=field.values or tie.known) if number == index else tie
                     for number, tie in enumerate(row.ties))
        self._commit("dismiss_field", sentence_id, {SENTENCE + sentence_id: replace(row, ties=ties)}, field.new,
                     field.old)

    def _field(self, sentence_id: str, index: int) -> Field:
        sentence = self.sentence(sentence_id)
        self._need_editable(sentence.section)
        if not 0 <= index < len(sentence.fields):
            raise EditError(f"The sentence {sentence_id} has {len(sentence.fields)} live fields, but number {index} "
                            "(counted from 0) was asked for.")
        return sentence.fields[index]

    def _with_new_values(self, row: Written, fields: Sequence[Field]) -> Written:
        text, shift, carried = row.text, 0, []
        chosen = {field.index: field for field in fields}
        for index, tie in enumerate(row.ties):  # in reading order
            start, end, known = tie.start + shift, tie.end + shift, tie.known
            if index in chosen:
                new = chosen[index].new
                text = text[:start] + new + text[end:]
                shift += len(new) - (end - start)
                end, known = start + len(new), chosen[index].values
            carried.append((Tie(start, end, tie.segment, tie.quantities, known), False))
        return self._read_again(replace(row, text=text, changed=self._now()), carried)

    # ---- offers

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Sentences for new masks that were neither taken nor declined."""
        return tuple(self._offer(row) for row in self._facts.offers
                     if row.id not in self._cells[ANSWERED] and row.segment in self._facts.segments)

    def accept_offer(self, offer_id: str, after: str | None = None) -> str:
        """Inserts an offered sentence, linked to its mask, and gives its id; the finding counts as present then.

        Raises:
            EditError: there is no such open offer.
            SignedError: the report is signed.
        """
        offer = self._open_offer(offer_id)
        section = self._section_for(offer.section)
        changes, names = self._inserting(section, offer.text, after, [offer.segment])
        changes.update(self._saying_present(offer.finding))
        changes[ANSWERED] = (*self._cells[ANSWERED], offer_id)
        self._commit("accept_offer", names[0], changes, None, offer.text)
        return names[0]

    def dismiss_offer(self, offer_id: str) -> None:
        """Declines an offered sentence. Raises EditError."""
        offer = self._open_offer(offer_id)
        self._commit("dismiss_offer", offer.segment, {ANSWERED: (*self._cells[ANSWERED], offer_id)}, offer.text, None)

    def _open_offer(self, offer_id: str) -> Offer:
        found = next((offer for offer in self.offers if offer.id == offer_id), None)
        if found is None:
            raise EditError(f"There is no open offer {offer_id!r}; it was answered, or its mask is gone.")
        return found

    def _offer(self, row: OfferRow) -> Offer:
        return Offer(row.id, row.segment, row.finding, finding_named(row.finding).region,
                     finding_sentence(row.finding, self._segments([row.segment])))


def _merged(known: Mapping, row: Mapping) -> dict:
    """A row with new values; a measurement without the organs around knows no side and place, which then stay."""
    alone = row["side"] is None and row["place"] is None
    return {**known, **row, **({"side": known["side"], "place": known["place"]} if alone else {})}


def _listed(rows) -> str | None:
    words = [f"{row['segment']} {measurement_words(row)}" for row in rows]
    return ", ".join(words) or None

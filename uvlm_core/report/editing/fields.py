"""Live fields: places in a sentence that give a measurement of a linked mask, and follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from uvlm_core.labels import finding_named, findings
from uvlm_core.report.checks import LARGEST_RATIO, LEAST_MM, SIZED
from uvlm_core.report.editing.expressions import (
    DENSITY,
    DIAMETER,
    RATIO,
    SHORT_AXIS,
    VOLUME,
    Expression,
    find_expressions,
    rendered,
)
from uvlm_core.report.editing.rows import Tie, Written
from uvlm_core.report.labeler import Mention, label_sentence
from uvlm_core.report.own_words import mentions_near, of_something_else

# a number in the text may differ from the mask by so much and still mean it; a ratio's 0.05 is nearly a tenth
_LEAST = {DIAMETER: LEAST_MM, SHORT_AXIS: LEAST_MM, VOLUME: 1.0, DENSITY: 10.0, RATIO: 0.05}

Values = Mapping[str, Mapping[str, float]]  # segment id -> quantity -> value in mm, ml or HU
# ties moved along with an edit, and the words that each gave before where the edit touched it, else False
Carried = Sequence[tuple[Tie, "str | bool"]]


@dataclass(frozen=True)
class Field:
    """A live field as an editor shows it.

    `sentence` and `index` name it; `start` to `end` are characters of the sentence, `old` the text there; `new` what it
    would be now (None without its mask). `quantity` is the first of `quantities`, `values` what the mask measures now,
    `unit` as written. `state` is "current", "stale" (the mask measures something else than when the text was written)
    or "lost" (its mask is gone).
    """

    sentence: str
    index: int
    start: int
    end: int
    segment: str
    quantity: str
    quantities: tuple[str, ...]
    values: tuple[float, ...]
    unit: str
    old: str
    new: str | None
    state: str


@lru_cache(maxsize=4096)
def mentions_of(text: str) -> tuple[Mention, ...]:
    """`label_sentence`, remembered."""
    return tuple(label_sentence(text))


def fields_of(row: Written, values: Values) -> tuple[Field, ...]:
    """The fields of a sentence against what the masks measure now."""
    if not row.ties:
        return ()
    expressions = {(entry.start, entry.end): entry for entry in find_expressions(row.text)}
    return tuple(_field(row, index, tie, expressions.get((tie.start, tie.end)), values)
                 for index, tie in enumerate(row.ties))


def _field(row: Written, index: int, tie: Tie, expression: Expression | None, values: Values) -> Field:
    now = values_now(tie, values)
    old, unit = row.text[tie.start : tie.end], expression.unit if expression else ""
    state, new = "lost", None
    if now is not None and expression is not None:
        new = rendered(row.text, expression, now)
        state = "stale" if new not in (old, rendered(row.text, expression, tie.known)) else "current"
    return Field(row.id, index, tie.start, tie.end, tie.segment, tie.quantities[0], tie.quantities, now or (), unit,
                 old, new, state)


def values_now(tie: Tie, values: Values) -> tuple[float, ...] | None:
    """What the mask of a tie measures now; None where it is gone."""
    own = values.get(tie.segment, {})
    return tuple(own[name] for name in tie.quantities) if all(name in own for name in tie.quantities) else None


def tie_generated(row: Written, values: Values, labels: Mapping[str, str]) -> tuple[Tie, ...]:
    """Ties the measurements of a generated sentence to its linked masks: those that were filled in from a mask, and
    those near what a mask measures; also to another mask of the finding that measures just what the text says, unless
    the reader chose the masks. A number far from every mask is left to the checks.

    Args:
        labels: segment id -> label.
    """
    filled = {entry["start"]: entry["segment"] for entry in row.grounded} if row.text == row.generated_text else {}
    taken: list[tuple[str, str]] = []
    ties = []
    for expression in _expressions(row.text):
        choices = _choices(row.text, expression, row.segments, values, labels, taken)
        own = filled.get(expression.start)
        allowed = own in values and (own in row.segments or not row.links_by_hand)
        name = own if allowed and _measured(own, expression, values) else next(
            (name for name in choices if _near(expression, values[name])), None)
        if name is None and not row.links_by_hand:
            others = [name for name, label in labels.items() if label in _labels_of(row)]
            name = next((name for name in _choices(row.text, expression, others, values, labels, taken)
                         if _says(expression, row.text, values[name])), None)
        if name is not None:
            taken.append((name, expression.quantities[0]))
            ties.append(_tie(expression, name, values))
    return tuple(ties)


def ties_kept(text: str, carried: Carried, values: Values, labels: Mapping[str, str]) -> tuple[Tie, ...]:
    """The old ties of a sentence that still stand in its text after an edit, as they are there.

    A tie goes where its measurement went: first where it was not touched, then where the same words stand again (also
    in another order; a warning that was open stays open). A number counts as typed over another one only where no
    other could be meant, and where it speaks of the same finding: it is the reader's word then, until the mask changes
    again.
    """
    expressions = _expressions(text)
    partners: dict[int, tuple[Tie, bool]] = {}  # number of an expression -> its tie, whether it was typed over
    free = list(carried)

    def at(place: Expression) -> list[tuple[Tie, str | bool]]:
        return [entry for entry in free if entry[0].start < place.end and place.start < entry[0].end
                and _alike(entry[0].quantities, place.quantities)]

    def of_finding(place: Expression, entries: list) -> list[tuple[Tie, str | bool]]:
        return [entry for entry in entries if _is_spoken_of(text, place, labels.get(entry[0].segment))]

    for number, place in enumerate(expressions):
        untouched = [entry for entry in at(place) if not entry[1]]
        same = [entry for entry in at(place) if entry[1] and _bare(entry[1]) == _bare(text[place.start : place.end])]
        same = same if len(same) == 1 else of_finding(place, same)
        if untouched or len(same) == 1:
            partners[number] = ((untouched or same)[0][0], False)
            free.remove((untouched or same)[0])
    rest = {number: at(place) for number, place in enumerate(expressions) if number not in partners}
    for number, own in rest.items():
        if len(own) == 1 and of_finding(expressions[number], own) and not any(
                own[0] in others for other, others in rest.items() if other != number):
            partners[number] = (own[0][0], True)
    return tuple(replace(tie, start=expressions[number].start, end=expressions[number].end,
                         known=(values_now(tie, values) if typed else None) or tie.known)
                 for number, (tie, typed) in sorted(partners.items()))


def tie_again(row: Written, kept: Sequence[Tie], values: Values, labels: Mapping[str, str]) -> tuple[Tie, ...]:
    """The ties of a sentence after an edit: those of `ties_kept`, and a new one for each other number that says just
    what a linked mask measures."""
    ties = list(kept)
    taken = [(tie.segment, tie.quantities[0]) for tie in ties]
    starts = {tie.start for tie in ties}
    for expression in _expressions(row.text):
        if expression.start in starts:
            continue
        for name in _choices(row.text, expression, row.segments, values, labels, taken):
            if _says(expression, row.text, values[name]):
                ties.append(_tie(expression, name, values))
                taken.append((name, expression.quantities[0]))
                break
    return tuple(sorted(ties, key=lambda tie: tie.start))


def _tie(expression: Expression, segment: str, values: Values) -> Tie:
    known = tuple(values[segment][name] for name in expression.quantities)
    return Tie(expression.start, expression.end, segment, expression.quantities, known)


def _measured(segment: str, expression: Expression, values: Values) -> bool:
    return all(name in values.get(segment, {}) for name in expression.quantities)


def _expressions(text: str) -> list[Expression]:
    """The measurements of a sentence without those of something else: a mask measures what is there now."""
    return [entry for entry in find_expressions(text) if not of_something_else(text, entry.start, entry.end)]


def _choices(text: str, expression, segments, values: Values, labels, taken) -> list[str]:
    """Linked masks with this measurement, nearest first, of what the number speaks of, without those that another
    number of the sentence gives."""
    own = [name for name in segments if _measured(name, expression, values)
           and (name, expression.quantities[0]) not in taken
           and (expression.quantities[0] not in (DIAMETER, SHORT_AXIS) or _sized(labels.get(name)))
           and _is_spoken_of(text, expression, labels.get(name))]
    return sorted(own, key=lambda name: abs(values[name][expression.quantities[0]] - expression.values[0]))


def _is_spoken_of(text: str, expression: Expression, label: str | None) -> bool:
    """The number stands at a mention of this label's finding; organs and drawn masks may have any."""
    known = {finding.label for finding in findings()} - {None, "heart"}
    near = mentions_near(text, expression.start, expression.end, mentions_of(text))
    return label not in known or not near or label in {finding_named(mention.finding).label for mention in near}


def _near(expression: Expression, own: Mapping[str, float]) -> bool:
    return all(abs(own[name] - value) <= max(_LEAST[name], LARGEST_RATIO * abs(own[name]))
               for name, value in zip(expression.quantities, expression.values, strict=True))


def _says(expression: Expression, text: str, own: Mapping[str, float]) -> bool:
    """The text is what would be written of this mask."""
    now = tuple(own[quantity] for quantity in expression.quantities)
    return rendered(text, expression, now) == text[expression.start : expression.end]


def _alike(first: Sequence[str], second: Sequence[str]) -> bool:
    """A short axis reads as a diameter where only its number stands in the text."""
    lengths = (DIAMETER, SHORT_AXIS)
    return len(first) == len(second) and all(
        left == right or (left in lengths and right in lengths) for left, right in zip(first, second, strict=True))


def _bare(words: str) -> str:
    return "".join(words.split()).lower()


def _labels_of(row: Written) -> set[str]:
    return {finding.label for finding in findings() if finding.name in row.findings and finding.label is not None}


def _sized(label: str | None) -> bool:
    """Diameters of this label's findings are read off the mask (a thickness of fluid is not)."""
    measures = [finding.measure for finding in findings() if finding.label == label]
    return not measures or any(measure in SIZED for measure in measures)

"""Sizes, lobes and sides of a generated sentence are taken from the mask that it speaks of.

A language decoder names the right finding long before it copies the right number. So a size, a lobe or a side in its
text is a field to be filled in, not a fact: where a mask shows the finding, its measurement stands in the report;
where none does, or the model is not sure of the mask, a size is taken out, because nothing measured it. What the
decoder had written is kept beside it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

from uvlm_core.labels import finding_named
from uvlm_core.report import wording
from uvlm_core.report.document import Report, Sentence
from uvlm_core.report.labeler import Mention, label_sentence
from uvlm_core.report.measurements import LOBES
from uvlm_core.report.own_words import (
    inside,
    mentions_near,
    of_something_else,
    reach,
    sizes_in,
    tells_sides_apart,
)
from uvlm_core.report.segments import Segment, without_fragments

SIZED = ("diameter",)  # a thickness of fluid or a ratio of the heart is not read off the longest diameter
_BOTH = (  # one side in words -> both
    (re.compile(r"\bthe (left|right) lung\b", re.IGNORECASE), "both lungs"),
    (re.compile(r"\bthe (left|right) kidney\b", re.IGNORECASE), "both kidneys"),
    (re.compile(r"\bon the (left|right)( side)?\b", re.IGNORECASE), "on both sides"),
    (re.compile(r"\b(left|right)(-sided)?(?= pleural)", re.IGNORECASE), "bilateral"),
)
_ONE = (  # both sides in words -> one
    (re.compile(r"\bboth lungs\b", re.IGNORECASE), "the {side} lung"),
    (re.compile(r"\bboth kidneys\b", re.IGNORECASE), "the {side} kidney"),
    (re.compile(r"\b(on both sides|bilaterally)\b", re.IGNORECASE), "on the {side} side"),
    (re.compile(r"\bbilateral\b", re.IGNORECASE), "{side}"),
)
_WITHOUT_SIZE = (  # a size in words -> the words without it
    (re.compile(rf",\s*the largest( node)? (measuring|of) {wording.SIZE.pattern}(?=\s*[.;,]|$)", re.IGNORECASE), ""),
    (re.compile(rf",?\s+(measuring|with a diameter of|of) {wording.SIZE.pattern}", re.IGNORECASE), ""),
    (re.compile(rf"\b(?P<article>an?) {wording.SIZE.pattern} (?=[a-z])", re.IGNORECASE), "a "),
)


@dataclass(frozen=True)
class Grounded:
    """One filled field: characters start .. end of the sentence now read `written`, where the decoder had `generated`.

    `quantity` is longest_diameter, short_axis, place or side; `segment` is None where no mask that the model is sure of
    gives the size, which was taken out.
    """

    quantity: str
    segment: str | None
    start: int
    end: int
    generated: str
    written: str

    def to_dict(self) -> dict:
        """Plain JSON values."""
        return asdict(self)


def ground_report(report: Report, segments: Sequence[Segment], unsure: Collection[str] = ()) -> None:
    """Fills the fields of every sentence of a report in place; links have to be made (again) afterwards.

    A sentence that alone speaks of its finding in its section speaks of all its lesions. Where there are several, each
    gets a lesion of its own: the larger the size it gives, the earlier it chooses, by lobe, then side, then size.

    Args:
        unsure: ids of segments whose size is not to be told.
    """
    for section in report.sections:
        groups: dict[str, list[tuple[Sentence, Mention]]] = {}
        for sentence in section.sentences:
            mention = _only_present(sentence)
            if mention is not None:
                groups.setdefault(mention.finding, []).append((sentence, mention))
        for finding, rows in groups.items():
            lesions = _lesions(finding, segments)
            if len(rows) == 1:
                _ground(*rows[0], lesions, unsure)
                continue
            for sentence, mention in sorted(rows, key=lambda row: -(row[1].size_mm or 0)):
                chosen = sorted(lesions, key=lambda lesion: _fit(mention, lesion))[-1:]
                lesions = [lesion for lesion in lesions if lesion not in chosen]
                _ground(sentence, mention, chosen, unsure)


def ground_sentence(sentence: Sentence, segments: Sequence[Segment]) -> None:
    """Fills size, lobe and side of the one finding that a sentence says is present; others are left alone.

    The largest lesion of the finding gives size and lobe, all of them together the side.
    """
    mention = _only_present(sentence)
    if mention is not None:
        _ground(sentence, mention, _lesions(mention.finding, segments))


def _only_present(sentence: Sentence) -> Mention | None:
    """What the sentence says of the one finding that it calls present ("lymphadenopathy, the largest node 20 mm")."""
    mentions = [mention for mention in label_sentence(sentence.text) if mention.state == "present"]
    if len({mention.finding for mention in mentions}) != 1:
        return None
    told = {name: next((value for value in (getattr(mention, name) for mention in mentions) if value is not None), None)
            for name in ("side", "place", "size_mm")}
    return replace(mentions[0], **told)


def _lesions(finding: str, segments: Sequence[Segment]) -> list[Segment]:
    label = finding_named(finding).label
    return without_fragments([segment for segment in segments
                              if segment.label == label and segment.longest_diameter_mm is not None])


def _fit(mention: Mention, lesion: Segment) -> tuple[bool, bool, float]:
    return (mention.place is not None and mention.place == lesion.place,
            mention.side is not None and mention.side == lesion.side, lesion.longest_diameter_mm)


def _ground(sentence: Sentence, mention: Mention, own: Sequence[Segment], unsure: Collection[str] = ()) -> None:
    text, mentions = sentence.text, label_sentence(sentence.text)
    if not own:
        changes = _unmeasured(text, mention, mentions)
    elif _speaks_of_several(text, mention, mentions):
        changes = []  # which lesion is which cannot be told
    else:
        size = _unmeasured(text, mention, mentions) if _largest(own).id in unsure else _size(text, mention, own)
        changes = [*size, *_place(text, mention, own), *_side(text, mention, own)]
    _apply(sentence, [change for change in changes if change.generated != change.written])


def _speaks_of_several(text: str, mention: Mention, mentions: Sequence[Mention]) -> bool:
    """The finding is called present again, in words that do not go on with the same lesions."""
    own = reach(text, mention)
    return any(other.finding == mention.finding and other.state == "present" and not inside(other.span, own)
               for other in mentions)


def _unmeasured(text: str, mention: Mention, mentions: Sequence[Mention]) -> list[Grounded]:
    """Takes out the sizes that no mask gives."""
    if mention.size_mm is None or finding_named(mention.finding).measure not in SIZED:
        return []
    changes = []
    for size in sizes_in(text):
        near = mentions_near(text, size.start, size.end, mentions)
        if of_something_else(text, size.start, size.end) or not any(
                other.finding == mention.finding and other.state == "present" for other in near):
            continue
        for pattern, words in _WITHOUT_SIZE:
            match = next((match for match in pattern.finditer(text)
                          if match.start() <= size.start and size.end <= match.end()), None)
            if match:
                changes.append(Grounded("longest_diameter", None, *match.span(), match.group(),
                                        _cased(words, match.group())))
                break
    return changes


def _largest(segments: Sequence[Segment]) -> Segment:
    return max(segments, key=lambda segment: segment.longest_diameter_mm)


def _size(text: str, mention: Mention, own: Sequence[Segment]) -> list[Grounded]:
    """The size of the largest lesion; none where the sentence gives several, or a distance, a bound, an earlier one."""
    if mention.size_mm is None or finding_named(mention.finding).measure not in SIZED:
        return []
    sizes = sizes_in(text)
    if len(sizes) != 1 or of_something_else(text, sizes[0].start, sizes[0].end):
        return []
    size, largest = sizes[0], _largest(own)
    short = largest.short_axis_mm or largest.longest_diameter_mm
    values = [short] if size.short else [largest.longest_diameter_mm, short][: 2 if size.count > 1 else 1]
    old = text[size.start : size.end]  # "24 x 18 mm" keeps its two axes
    centimetres = re.search(r"c[a-z]*$", old, re.IGNORECASE)
    numbers = [f"{value / 10:.1f}" if centimetres else f"{round(value)}" for value in values]
    return [Grounded("short_axis" if size.short else "longest_diameter", largest.id, size.start, size.end, old,
                     f"{' x '.join(numbers)} {'cm' if centimetres else 'mm'}")]


def _place(text: str, mention: Mention, own: Sequence[Segment]) -> list[Grounded]:
    """The lobe in words, where there is one; the place of the other findings is not measured as finely as it is
    written."""
    lobes = {name.replace("lung_", "").replace("_", " ") for name in LOBES}  # upper lobe left, ...
    largest = _largest(own)
    if largest.place is None or mention.place is None:
        return []
    found = [(match, name) for name, pattern in wording.PLACES for match in pattern.finditer(text)
             if len(words := name.split()) == 3 and f"{words[1]} {words[2]} {words[0]}" in lobes]
    if len(found) != 1:  # one of them is of something else
        return []
    match, name = found[0]
    written = match.group() if name == largest.place else _cased(largest.place, match.group())
    return [Grounded("place", largest.id, *match.span(), match.group(), written)]


def _side(text: str, mention: Mention, own: Sequence[Segment]) -> list[Grounded]:
    """Side words outside of a lobe's name, where the sentence does not tell left from right."""
    sides = {segment.side for segment in own if segment.side}
    if mention.side is None or not sides or not finding_named(mention.finding).lateralised:
        return []
    if tells_sides_apart(text):
        return []
    side = "bilateral" if len(sides) > 1 else next(iter(sides))
    taken = [match.span() for _, pattern in wording.PLACES for match in pattern.finditer(text)]
    taken += [match.span() for match in wording.NO_SIDE.finditer(text)]
    if side == "bilateral":
        rules = _BOTH
    else:
        other = "right" if side == "left" else "left"
        rules = (*((pattern, words.format(side=side)) for pattern, words in _ONE),
                 (re.compile(rf"\b{other}\b", re.IGNORECASE), side))
    changes, near = [], reach(text, mention)
    for pattern, words in rules:
        for match in pattern.finditer(text):
            if inside(match.span(), near) and not any(
                    begin < match.end() and match.start() < end for begin, end in taken):
                changes.append(Grounded("side", _largest(own).id, *match.span(), match.group(),
                                        _cased(words, match.group())))
                taken.append(match.span())
    return changes


def _cased(words: str, before: str) -> str:
    return words[:1].upper() + words[1:] if before[0].isupper() else words


def _apply(sentence: Sentence, changes: Sequence[Grounded]) -> None:
    """Writes the changes from left to right and keeps where they stand in the new text."""
    text, shift, kept = sentence.text, 0, []
    for change in sorted(changes, key=lambda change: change.start):
        start = change.start + shift
        text = text[:start] + change.written + text[change.end + shift :]
        shift += len(change.written) - len(change.generated)
        kept.append(Grounded(change.quantity, change.segment, start, start + len(change.written), change.generated,
                             change.written))
    sentence.text, sentence.grounded = text, [change.to_dict() for change in kept]

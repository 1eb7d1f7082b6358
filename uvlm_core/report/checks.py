"""Contradictions between text, masks and probabilities, with numbers and, where possible, a repaired sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from uvlm_core.labels import finding_named, regions
from uvlm_core.report import wording
from uvlm_core.report.document import IMPRESSION, Report, Sentence
from uvlm_core.report.labeler import Mention, label_sentence
from uvlm_core.report.links import segments_of
from uvlm_core.report.own_words import (
    Size,
    inside,
    is_distance_or_earlier,
    own_side_words,
    own_sizes,
    reach,
    side_words,
    sizes_in,
)
from uvlm_core.report.segments import Segment

PRIOR = re.compile(
    r"\b(compar(ed|ison) (to|with)|(in comparison|as compared)|previous(ly)? (ct|exam\w*|scan|stud\w+|imag\w+)|prior "
    r"(ct|exam\w*|scan|stud\w+)|unchanged|stable (since|compared|in size|appearance)|no (significant )?interval change|"
    r"interval (increase|decrease|growth|development|change|resolution)|has (increased|decreased|grown)|"
    r"(newly|new) (developed|appeared|since)|since the (last|previous|prior))\b", re.IGNORECASE)
NORMAL = re.compile(r"\b(normal|unremarkable|no (acute |significant )?abnormalit\w+)\b", re.IGNORECASE)
LOBE = re.compile(r"(left|right) (upper|middle|lower) lobe")
LARGEST_RATIO, LEAST_MM = 0.3, 3.0
LEAST_UNBELIEVED_ML = 1.0  # of all masks of a finding together that is called absent
# diameters of these are read off the mask; a thickness of fluid or a ratio of the heart is another measure
SIZED = ("diameter",)


@dataclass(frozen=True)
class Flag:
    """`kind` is side, size, presence, missing, not_imaged, prior or internal; `sentence` None for the whole report.

    `expected` is what masks or probabilities say, `found` what the text says; `suggestion` the repaired sentence, "" to
    remove it, None where no repair is offered.
    """

    kind: str
    message: str
    sentence: str | None = None
    finding: str | None = None
    expected: str | None = None
    found: str | None = None
    suggestion: str | None = None

    def to_dict(self) -> dict:
        """Plain JSON values."""
        return asdict(self)


def check_report(report: Report, findings: Sequence[Mapping], segments: Sequence[Segment], imaged: Sequence[str],
                 has_prior: bool = False) -> list[Flag]:
    """All flags of a report, in reading order, then those of the report as a whole.

    Args:
        findings: rows with name, probability, threshold and state; `by` "user" where the reader has set the state.
        segments: the measured masks.
        imaged: names of the regions in the field of view.
        has_prior: an earlier scan was given to the reader.
    """
    rows = {row["name"]: row for row in findings}
    flags: list[Flag] = []
    said: dict[str, list[tuple[str, Mention]]] = {}
    for section in report.sections:
        for sentence in section.sentences:
            mentions = label_sentence(sentence.text)
            for mention in mentions:
                said.setdefault(mention.finding, []).append((sentence.id, mention))
            flags += sentence_flags(sentence, section.name, mentions, rows, segments, imaged, has_prior)
    return flags + report_flags(rows, said, segments)


def sentence_flags(sentence: Sentence, section: str, mentions: Sequence[Mention], rows: Mapping[str, Mapping],
                   segments: Sequence[Segment], imaged: Sequence[str], has_prior: bool = False) -> list[Flag]:
    """The flags of one sentence by itself.

    Args:
        sentence: its id and text are used.
        section: name of its section.
        mentions: of `label_sentence`.
        rows: finding name -> its row; `by` "user" where the reader has set the state.
    """
    flags = []
    for mention in mentions:
        flags += _mention_flags(sentence, mention, rows.get(mention.finding), segments)
    prior = None if has_prior else PRIOR.search(sentence.text)
    if prior:
        flags.append(Flag("prior", "The sentence compares with an earlier scan, but none was given.", sentence.id,
                          found=prior.group(), suggestion=""))
    return flags + _unseen(sentence, section, mentions, imaged)


def report_flags(rows: Mapping[str, Mapping], said: Mapping[str, Sequence[tuple[str, Mention]]],
                 segments: Sequence[Segment]) -> list[Flag]:
    """What only the whole report can tell: findings that are not mentioned, masks of findings that are called absent,
    sentences that contradict each other.

    Args:
        said: finding name -> (sentence id, mention) in reading order.
    """
    return _missing(rows, said) + _unbelieved(rows, said, segments) + _internal(said)


def _mention_flags(sentence: Sentence, mention: Mention, row: Mapping | None,
                   segments: Sequence[Segment]) -> list[Flag]:
    if row is None or row["state"] == "not assessed":
        return []
    if row["state"] == "not imaged":
        return [Flag("not_imaged", f"{mention.finding} cannot be judged: its place is not in the field of view.",
                     sentence.id, mention.finding, "not imaged", mention.state, "")]
    own = [segment for segment in segments if segment.label == finding_named(mention.finding).label]
    mask = "" if mention.finding == "Cardiomegaly" else "with a mask" if own else "no mask"
    source, numbers = _source(row)
    if mention.state == "absent" and own and (_no_mask_on_side(mention, own) or _no_mask_in_lobe(mention, own)):
        return []  # "no left effusion" is true where it lies on the right
    if mention.state == "absent" and row["state"] == "present":
        return [Flag("presence", f"The text says that there is no {mention.finding.lower()}, {source} says there is "
                     f"({numbers}).", sentence.id, mention.finding, "present", "absent")]
    if mention.state == "absent" and row["state"] == "uncertain":
        return [Flag("presence", f"The text says that there is no {mention.finding.lower()}, {source} leaves it open "
                     f"({numbers}).", sentence.id, mention.finding, "uncertain", "absent")]
    if mention.state == "present" and row["state"] == "absent":
        return [Flag("presence", f"The text says {mention.finding.lower()}, {source} does not "
                     f"({', '.join(filter(None, (numbers, mask)))}).", sentence.id, mention.finding, "absent",
                     "present", "")]
    if mention.state == "absent" or mention.finding == "Cardiomegaly":
        return []
    return _side_flags(sentence, mention, own) + _size_flags(sentence, mention, segments)


def _source(row: Mapping) -> tuple[str, str]:
    """Who says it, and on what ground."""
    numbers = f"probability {row['probability']:.2f}, threshold {row['threshold']:.2f}"
    if row.get("by") == "user":
        return "the reader", f"the model: {numbers}"
    return "the image", numbers


def _no_mask_on_side(mention: Mention, own: list[Segment]) -> bool:
    return mention.side in ("left", "right") and not {segment.side for segment in own} & {mention.side, None}


def _no_mask_in_lobe(mention: Mention, own: list[Segment]) -> bool:
    lobe = LOBE.fullmatch(mention.place or "")
    return lobe is not None and not {segment.place for segment in own} & {mention.place, None}


def _side_flags(sentence: Sentence, mention: Mention, own: list[Segment]) -> list[Flag]:
    """Where the masks lie on the other side, on one of both, or in other lobes."""
    sides = {segment.side for segment in own}
    one_of_both = mention.side == "bilateral" and len(sides) == 1 and wording.BILATERAL.search(sentence.text)
    if not sides - {None}:
        return []
    places = sorted({segment.place for segment in own if segment.place})
    lies = f"the mask of the {mention.finding.lower()} lies"
    if one_of_both or (mention.side in ("left", "right") and mention.side not in sides):
        actual = next(iter(sides - {None}))
        named = re.search(rf"\b{actual}\b", sentence.text, re.IGNORECASE)  # of something else: no word can be exchanged
        fixed = None if one_of_both or named else _with_side(sentence.text, mention, actual)
        return [Flag("side", f"The text says {mention.side}, {lies} on the {actual}"
                     f"{' (' + ', '.join(places) + ')' if places else ''}.", sentence.id, mention.finding, actual,
                     mention.side, fixed)]
    if not _no_mask_in_lobe(mention, own):
        return []
    return [Flag("side", f"The text says {mention.place}, {lies} in the {' and the '.join(places)}.", sentence.id,
                 mention.finding, ", ".join(places), mention.place)]


def _with_side(text: str, mention: Mention, new: str) -> str | None:
    """The sentence with the side words of a mention exchanged; None where they are not its own alone, or where it names
    a lobe that the other side does not have."""
    near, own = reach(text, mention), own_side_words(text, mention)
    shared = any(other.finding != mention.finding and inside(other.span, near) for other in label_sentence(text))
    told = {side for span, side in side_words(text) if inside(span, near)}
    if not own or shared or told != {mention.side}:
        return None
    for start, end in reversed(own):
        if text[start:end].lower() != mention.side:  # middle lobe, lingula, RUL
            return None
        text = text[:start] + (new.capitalize() if text[start].isupper() else new) + text[end:]
    return text


def _size_flags(sentence: Sentence, mention: Mention, segments: Sequence[Segment]) -> list[Flag]:
    if mention.size_mm is None or finding_named(mention.finding).measure not in SIZED:
        return []
    text = sentence.text
    own = own_sizes(text, mention, label_sentence(text))
    alike = [size for size in sizes_in(text) if size.value == mention.size_mm]
    said = mention.size_mm
    if alike and all(is_distance_or_earlier(text, size.start, size.end) for size in alike):
        if not own:
            return []
        said = max(size.value for size in own)
    short = any(size.short for size in own or alike if size.value == said)
    lesion = _lesion_of(mention, said, short, segments)
    if lesion is None:
        return []
    measured = lesion.short_axis_mm if short else lesion.longest_diameter_mm
    gap = abs(measured - said)
    if gap <= LEAST_MM or gap <= LARGEST_RATIO * measured:
        return []
    axis = " in short axis" if short else ""
    alone = len(own) == 1 and own[0].value == said
    return [Flag("size", f"The text says {said:g} mm, the mask measures {measured:.0f} mm{axis}.", sentence.id,
                 mention.finding, f"{measured:.0f} mm", f"{said:g} mm",
                 _with_size(text, own[0], lesion) if alone else None)]


def _lesion_of(mention: Mention, said: float, short: bool, segments: Sequence[Segment]) -> Segment | None:
    """The mask that a mention means, by its short axis where the text gives that."""
    if not short:
        sized = [segment for segment in segments_of(replace(mention, size_mm=said), segments)
                 if segment.longest_diameter_mm is not None]
        return sized[0] if sized else None
    sized = [segment for segment in segments_of(replace(mention, size_mm=None), segments)
             if segment.short_axis_mm is not None]
    return min(sized, key=lambda segment: abs(segment.short_axis_mm - said), default=None)


def _with_size(text: str, size: Size, lesion: Segment) -> str:
    """The sentence with what the mask measures in the place of one size: as many axes as the text gives, of two."""
    values = [lesion.short_axis_mm] if size.short else [lesion.longest_diameter_mm]
    if size.count == 2 and lesion.short_axis_mm is not None:
        values.append(lesion.short_axis_mm)
    words = " x ".join(f"{round(value)}" for value in values)
    return f"{text[:size.start]}{words} mm{text[size.end:]}"


def _unseen(sentence: Sentence, section: str, mentions: Sequence[Mention], imaged: Sequence[str]) -> list[Flag]:
    missing = [title.lower() for name, title in regions().items() if name != "devices" and name not in imaged]
    if section == IMPRESSION and not mentions and 2 * len(missing) > len(regions()) and NORMAL.search(sentence.text):
        return [Flag("not_imaged", f"The impression calls the scan normal, but it does not show {', '.join(missing)}.",
                     sentence.id, None, "not imaged", "normal")]
    if section not in regions() or section == "devices" or section in imaged:
        return []
    return [Flag("not_imaged", f"{regions()[section]} is described but not in the field of view.", sentence.id, None,
                 "not imaged", "described", "")]


def _missing(rows: Mapping[str, Mapping], said: Mapping) -> list[Flag]:
    flags = []
    for name, row in rows.items():
        if row["state"] == "present" and name not in said:
            source, numbers = _source(row)
            message = f"{name} is present in the image ({numbers}) but not mentioned."
            if source == "the reader":
                message = f"The reader has marked {name} as present, but the text does not mention it ({numbers})."
            flags.append(Flag("missing", message, None, name, "present", "not mentioned"))
    return flags


def _unbelieved(rows: Mapping[str, Mapping], said: Mapping, segments: Sequence[Segment]) -> list[Flag]:
    """Findings that are called absent although masks show them; of those that the reader has set, he knows."""
    flags = []
    for name, row in rows.items():
        mentions = said.get(name, ())
        if row["state"] != "absent" or row.get("by") == "user" or name == "Cardiomegaly" or any(
                mention.state == "present" for _, mention in mentions):
            continue
        label = finding_named(name).label
        volume = sum(segment.volume_ml for segment in segments if label is not None and segment.label == label)
        if volume >= LEAST_UNBELIEVED_ML:
            where = next((place for place, mention in mentions if mention.state == "absent"), None)
            message = f"Masks of {volume:.1f} ml show {name.lower()}, but it is called absent ({_source(row)[1]})."
            flags.append(Flag("presence" if where else "missing", message, where, name, "with a mask", "absent"))
    return flags


def _internal(said: Mapping[str, Sequence[tuple[str, Mention]]]) -> list[Flag]:
    """Sentences of one report that contradict each other, in presence or in side."""
    flags = []
    for name, entries in said.items():
        present = [(where, mention) for where, mention in entries if mention.state == "present"]
        absent = [where for where, mention in entries if mention.state == "absent"]
        if present and absent and not any(mention.side or mention.place for _, mention in present):
            flags.append(Flag("internal", f"The report says both that there is {name.lower()} and that there is none.",
                              absent[0], name, "present", "absent"))
        sides = {mention.side for _, mention in present} & {"left", "right"}
        places = {mention.side for _, mention in present}
        if len(sides) == 2 and "bilateral" not in places and len(present) == 2 and _same_size(present):
            flags.append(Flag("internal", f"{name} is on the {present[0][1].side} in one sentence and on the "
                              f"{present[1][1].side} in another.", present[1][0], name, present[0][1].side,
                              present[1][1].side))
    return flags


def _same_size(entries) -> bool:
    """Two mentions that may be one lesion: no sizes, or nearly the same."""
    first, second = (mention.size_mm for _, mention in entries)
    return first is None or second is None or abs(first - second) <= LEAST_MM

"""The flags of an edited report: contradictions, masks that are gone, and where in the sentence each of them stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from uvlm_core.report import wording
from uvlm_core.report.checks import Flag as Contradiction
from uvlm_core.report.checks import sentence_flags
from uvlm_core.report.document import Sentence as Checked
from uvlm_core.report.editing.fields import Field, mentions_of
from uvlm_core.report.editing.rows import DismissedFlag, Written
from uvlm_core.report.own_words import own_side_words, own_sizes
from uvlm_core.report.segments import Segment

MASK_REMOVED = "mask_removed"
FIELD_OF_VIEW = "field_of_view"


@dataclass(frozen=True)
class Flag:
    """A flag as an editor shows it: a `checks.Flag` with `start` to `end`, the characters to underline (None for a flag
    of the whole report), and `dismissed` where the reader has put it aside."""

    kind: str
    message: str
    sentence: str | None = None
    start: int | None = None
    end: int | None = None
    finding: str | None = None
    expected: str | None = None
    found: str | None = None
    suggestion: str | None = None
    dismissed: bool = False

    @property
    def key(self) -> DismissedFlag:
        """What it is dismissed by."""
        return DismissedFlag(self.kind, self.sentence, self.finding, self.expected, self.found)


def flags_of_sentence(row: Written, section: str, fields: Sequence[Field], rows: Mapping[str, Mapping],
                      segments: Sequence[Segment], imaged: Sequence[str], gone: Mapping[str, str],
                      has_prior: bool) -> list[Flag]:
    """The flags that a sentence has by itself.

    A size is not flagged where the field at it is stale: accepting the field repairs it. Sentences about the field of
    view are made by rule and not checked.
    """
    if section == FIELD_OF_VIEW:
        return []
    found = sentence_flags(Checked(row.id, row.text), section, mentions_of(row.text), rows, segments, imaged, has_prior)
    stale = [field for field in fields if field.state == "stale"]
    flags = [flag for flag in (located(contradiction, row.text) for contradiction in found)
             if flag.kind != "size" or not any(field.start < flag.end and flag.start < field.end for field in stale)]
    lost = [name for name in row.segments if name in gone]
    if lost:
        titles = " and ".join(f"'{gone[name]}'" for name in lost)
        one = len(lost) == 1
        flags.append(Flag(MASK_REMOVED, f"{'The mask' if one else 'The masks'} of this sentence, {titles}, "
                          f"{'was' if one else 'were'} removed.", row.id, 0, len(row.text),
                          expected="no mask", found=", ".join(lost),
                          suggestion="" if len(lost) == len(row.segments) else None))
    return flags


def located(flag: Contradiction, text: str) -> Flag:
    """A flag of the checks with the characters it is about."""
    start, end = _place(flag, text)
    return Flag(flag.kind, flag.message, flag.sentence, start, end, flag.finding, flag.expected, flag.found,
                flag.suggestion)


def of_whole_report(flag: Contradiction) -> Flag:
    """A flag of the checks that belongs to no sentence."""
    return Flag(flag.kind, flag.message, None, None, None, flag.finding, flag.expected, flag.found, flag.suggestion)


def _place(flag: Contradiction, text: str) -> tuple[int, int]:
    if flag.kind == "prior" and flag.found and flag.found in text:
        return text.index(flag.found), text.index(flag.found) + len(flag.found)
    own = [mention for mention in mentions_of(text) if mention.finding == flag.finding]
    for mention in own:
        spans = []
        if flag.kind == "size":
            spans = [(size.start, size.end) for size in own_sizes(text, mention, mentions_of(text))
                     if f"{size.value:g} mm" == flag.found]
        elif flag.kind == "side" and mention.side == flag.found:
            spans = own_side_words(text, mention)
        elif flag.kind == "side" and mention.place == flag.found:
            spans = [match.span() for name, pattern in wording.PLACES if name == flag.found
                     for match in pattern.finditer(text)]
        if spans:
            return min(spans, key=lambda span: max(mention.span[0] - span[1], span[0] - mention.span[1]))
    return own[0].span if own else (0, len(text))


def with_dismissals(flags: Sequence[Flag], dismissed: Sequence[DismissedFlag]) -> tuple[Flag, ...]:
    """The same flags, those that were put aside marked so."""
    return tuple(replace(flag, dismissed=True) if flag.key in dismissed else flag for flag in flags)

"""What the editable report is made of, as it is stored: frozen rows, replaced by a change, never changed."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tie:
    """Characters `start` to `end` of a sentence give measurements of `segment`.

    `quantities` are one, or two for "24 x 18 mm"; `known` are their values (mm, ml, HU) when the text was last written
    or agreed to: the field is stale when the mask measures something else since.
    """

    start: int
    end: int
    segment: str
    quantities: tuple[str, ...]
    known: tuple[float, ...]


@dataclass(frozen=True)
class Written:
    """One sentence. `lead` is the whitespace (or list mark) before it, so that the text stays as it was typed.

    `generated_text` is None where the user wrote the sentence; `links_by_hand` keeps `segments` (ids) and `findings`
    through edits; `changed` is the UTC time of its last change.
    """

    id: str
    text: str
    lead: str = ""
    generated_text: str | None = None
    findings: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    links_by_hand: bool = False
    ties: tuple[Tie, ...] = ()
    attribution_peak_ras_mm: tuple[float, ...] | None = None
    token_log_probability: float | None = None
    grounded: tuple[dict, ...] = ()
    changed: str | None = None

    def with_segment_renamed(self, old: str, new: str) -> Written:
        """The row with another id for one of its masks; itself where it does not have it."""
        ties = tuple(replace(tie, segment=new) if tie.segment == old else tie for tie in self.ties)
        grounded = tuple({**row, "segment": new} if row.get("segment") == old else row for row in self.grounded)
        segments = tuple(new if name == old else name for name in self.segments)
        made = replace(self, segments=segments, ties=ties, grounded=grounded)
        return self if made == self else made


@dataclass(frozen=True)
class SectionRow:
    """`sentences` are ids; `tail` is the whitespace after the last one."""

    title: str
    sentences: tuple[str, ...] = ()
    tail: str = ""


@dataclass(frozen=True)
class Overrule:
    """What the reader says of a finding: `state` present, absent or uncertain, and when."""

    state: str
    time: str


@dataclass(frozen=True)
class DismissedFlag:
    """A flag that the reader has put aside; it comes back when text or image say something else."""

    kind: str
    sentence: str | None
    finding: str | None
    expected: str | None
    found: str | None


# the parts of a report that can be changed and undone: key -> type of its value
SENTENCE, SECTION, FINDING = "sentence:", "section:", "finding:"
ORDER, DISMISSED, ANSWERED, PRIOR = "sections", "dismissed", "answered", "has_prior"
CELL_TYPES = {SENTENCE: Written, SECTION: SectionRow, FINDING: Overrule, ORDER: tuple[str, ...],
              DISMISSED: tuple[DismissedFlag, ...], ANSWERED: tuple[str, ...], PRIOR: bool}


def cell_type(key: str):
    """The type of a cell's value. Raises KeyError for a key of no kind."""
    head, colon, _ = key.partition(":")
    return CELL_TYPES[head + colon]

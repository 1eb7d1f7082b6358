"""Which sizes and side words of a sentence belong to a finding that it mentions, and which to something else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from uvlm_core.report import wording
from uvlm_core.report.labeler import Mention

Span = tuple[int, int]

# a distance or an earlier size is not what a mask measures now; of a bound, and of what "was", that cannot be told
_ELSE_BEFORE = re.compile(r"(\b(previous(ly)?|prior|formerly|from)( (measured|measuring|at|of))?|\bdistance( of)?)"
                          r"[\s:(]*$", re.IGNORECASE)
_BOUND = re.compile(r"(\bwas( measured at)?|\bthan|\bexceed\w*|\bbelow|\bunder|\bover|\babove|\bat (least|most)|"
                    r"\bwithin|[<>≤≥])[\s:(]*$", re.IGNORECASE)
_ELSE_AFTER = re.compile(
    r"^[\s-]*(slices?|sections?|thick\w*|in (thickness|depth)|from|above|below|apart|away|distan\w+|deep|interval|cuts?"
    r"|previously|formerly|before)\b", re.IGNORECASE)
_SHORT_AFTER = re.compile(r"^\s*\(?((in|on|along) )?((the|its) )?short", re.IGNORECASE)
_TELLS_OF_BEFORE = re.compile(r"(\bmeasur\w+|\bof|\bis|\bare|[:(])\s*((about|approximately|up to|ca\.) )?$",
                              re.IGNORECASE)
# words that go on with the same lesions: "Several nodules are seen in both lungs, the largest measuring 9 mm in …"
_GOES_ON = re.compile(r",?\s*(and )?\b(the (largest|biggest|larger)|most \w+|predominantly)\b(?:[^,;.]|\.\d)*",
                      re.IGNORECASE)


@dataclass(frozen=True)
class Size:
    """A size in words: characters `start` to `end`, the longest of its `count` numbers in mm; `short` of a short axis
    alone."""

    start: int
    end: int
    value: float
    count: int
    short: bool


def is_distance_or_earlier(text: str, start: int, end: int) -> bool:
    """A number at `start` to `end` is no size, or one of an earlier scan."""
    return bool(_ELSE_BEFORE.search(text, 0, start) or _ELSE_AFTER.search(text[end:]))


def of_something_else(text: str, start: int, end: int) -> bool:
    """A number at `start` to `end` is a bound, a distance or an earlier size."""
    return bool(_BOUND.search(text, 0, start)) or is_distance_or_earlier(text, start, end)


def sizes_in(text: str) -> list[Size]:
    """All sizes of a sentence, also those of something else."""
    return [_size(text, match) for match in wording.SIZE.finditer(text)]


def _size(text: str, match: re.Match) -> Size:
    numbers = [float(number.replace(",", "."))
               for number in re.findall(r"\d+(?:[.,]\d+)?", match.group(1) + match.group(2))]
    short = wording.SHORT_BEFORE.search(text, 0, match.start()) or _SHORT_AFTER.search(text[match.end() :])
    value = max(numbers) * (10 if match.group(3).lower().startswith("c") else 1)
    return Size(*match.span(), value, len(numbers), bool(short) and len(numbers) == 1)


def mentions_near(text: str, start: int, end: int, mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions that a number at `start` to `end` speaks of; several where one word mentions several findings."""
    clause = _clause(text, start)
    own = [mention for mention in mentions if _clause(text, mention.span[0]) == clause]
    before = [mention for mention in own or mentions if mention.span[1] <= start]
    if not own or _TELLS_OF_BEFORE.search(text, 0, start):
        own = before or own or list(mentions)

    def distance(mention: Mention) -> int:
        return max(mention.span[0] - end, start - mention.span[1], 0)

    least = min(map(distance, own), default=0)
    return [mention for mention in own if distance(mention) == least]


def own_sizes(text: str, mention: Mention, mentions: Sequence[Mention]) -> list[Size]:
    """The sizes that are those of a mention."""
    return [size for size in sizes_in(text) if not of_something_else(text, size.start, size.end)
            and mention in mentions_near(text, size.start, size.end, mentions)]


def reach(text: str, mention: Mention) -> list[Span]:
    """The clause of a mention, and those after it that go on with the same lesions."""
    clauses = _clauses(text)
    first = clauses.index(_clause(text, mention.span[0]))
    spans = [clauses[first]]
    for begin, end in clauses[first + 1 :]:
        if not _GOES_ON.match(text, begin, end):
            break
        spans.append((begin, end))
    return spans


def tells_sides_apart(text: str) -> bool:
    """The sentence says both left and right, other than as the side of the largest of some lesions."""
    more = [match.span() for match in _GOES_ON.finditer(text)]
    said: dict[int, set[str]] = {}
    for span, side in side_words(text):
        where = next((number for number, part in enumerate(more) if inside(span, [part])), -1)
        said.setdefault(where, set()).add(side)
    return any({"left", "right"} <= sides for sides in said.values())


def side_words(text: str) -> list[tuple[Span, str]]:
    """(characters, left, right or bilateral) of each word for a side, also within the name of a lobe."""
    barred = [match.span() for match in wording.NO_SIDE.finditer(text)]
    found = []
    for match in wording.SIDE.finditer(text):
        first = match.group()[0].lower()  # left, lingula, LUL, right, middle lobe, RML, bilateral, both
        if not any(begin <= match.start() < end for begin, end in barred):
            found.append((match.span(), {"l": "left", "r": "right", "m": "right"}.get(first, "bilateral")))
    for name, pattern in wording.PLACES:
        side = name.split()[0]
        found += [(match.span(), side) for match in pattern.finditer(text)
                  if side in ("left", "right") and not any(begin < match.end() and match.start() < end
                                                           for (begin, end), _ in found)]
    return sorted(found)


def own_side_words(text: str, mention: Mention) -> list[Span]:
    """The words that give the side of a mention, in reading order."""
    near = reach(text, mention)
    return [span for span, side in side_words(text) if side == mention.side and inside(span, near)]


def inside(span: Span, spans: Sequence[Span]) -> bool:
    """The characters lie in one of several spans."""
    return any(begin <= span[0] and span[1] <= end for begin, end in spans)


def _clauses(text: str) -> list[Span]:
    ends = [match.start() for match in wording.CLAUSE_END.finditer(text)]
    return list(zip([0, *ends], [*ends, len(text)], strict=True))


def _clause(text: str, place: int) -> Span:
    return next(((begin, end) for begin, end in _clauses(text) if begin <= place < end), (0, len(text)))

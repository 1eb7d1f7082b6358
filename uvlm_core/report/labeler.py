"""Reads what a report says: which finding is present, absent or uncertain, on which side, where and how large.

Rules only, over the 18 + 3 names; a sentence is cut into clauses, and negation and doubt reach as far as their clause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from uvlm_core.labels import finding_named, findings
from uvlm_core.report import wording
from uvlm_core.report.document import split_sentences


@dataclass(frozen=True)
class Mention:
    """One finding that a sentence speaks of.

    `state` is present, absent or uncertain; `side` left, right, bilateral or None; `place` a name of `wording.PLACES`
    or None; `size_mm` the longest size given; `span` (start, end) characters of the term in the sentence.
    """

    finding: str
    state: str
    side: str | None
    place: str | None
    size_mm: float | None
    span: tuple[int, int]

    def to_row(self) -> dict:
        """One of the `mentions` of study.json."""
        return {"finding": self.finding, "state": self.state, "side": self.side, "place": self.place,
                "size_mm": self.size_mm}


def label_sentence(text: str) -> list[Mention]:
    """Mentions of a sentence in reading order, at most one per finding and clause."""
    found: list[tuple[str, tuple[int, int], tuple[int, int]]] = []
    clauses = _clauses(text)
    for begin, end in clauses:
        for name, patterns in wording.PATTERNS.items():
            span = _first_term(text, begin, end, patterns)
            if span is not None:
                found.append((name, span, (begin, end)))
    reach = _with_what_follows(clauses, [clause for *_, clause in found])
    found = [(name, span, reach[clause]) for name, span, clause in found]
    mentions = [_mention(text, name, span, clause, found) for name, span, clause in found]
    named = {mention.finding for mention in mentions}
    for name, pattern in wording.NORMAL.items():
        match = pattern.search(text)
        if match and name not in named:
            clause = next(part for part in clauses if part[0] <= match.start() < part[1])
            own = (clause[0], match.end())
            side = _side(text, match.span(), own, []) if finding_named(name).lateralised else None
            mentions.append(Mention(name, "absent", side, None, None, match.span()))
    return sorted(mentions, key=lambda mention: mention.span)


def label_report(text: str, uncertain: int = 1) -> dict[str, int]:
    """0 / 1 for all 21 names: 1 where some sentence says present (or uncertain, which counts as `uncertain`)."""
    present = {finding.name: 0 for finding in findings()}
    for begin, end in split_sentences(text):
        for mention in label_sentence(text[begin:end]):
            value = {"present": 1, "uncertain": uncertain, "absent": 0}[mention.state]
            present[mention.finding] = max(present[mention.finding], value)
    return present


def _clauses(text: str) -> list[tuple[int, int]]:
    ends = [match.start() for match in wording.CLAUSE_END.finditer(text)]
    for match in wording.NEXT_SIZE.finditer(text):
        begin = max((end for end in ends if end <= match.start()), default=0)
        if _denies(text[begin:match.start()]):
            ends = sorted({*ends, match.start()})
    starts = [0, *ends]
    clauses = zip(starts, [*ends, len(text)], strict=True)
    return [(begin, end) for begin, end in clauses if text[begin:end].strip(" ,;:.\n")]


def _with_what_follows(clauses: list[tuple[int, int]], used: list[tuple[int, int]]) -> dict:
    """Each clause with a finding -> the same, with the clauses after it that name none ("…, the largest 14 mm")."""
    reach = {}
    current = None
    for clause in clauses:
        if clause in used:
            current = clause
            reach[clause] = clause
        elif current is not None:
            reach[current] = (current[0], clause[1])
    return reach


def _first_term(text: str, begin: int, end: int, patterns) -> tuple[int, int] | None:
    clause = text[begin:end]
    for pattern in patterns:
        match = pattern.term.search(clause)
        if match is None or (pattern.needs and not pattern.needs.search(clause)):
            continue
        if pattern.bars and pattern.bars.search(clause):
            continue
        return begin + match.start(), begin + match.end()
    return None


def _mention(text, name, span, clause, found) -> Mention:
    begin, end = clause
    own_end = next((stop for start, stop in _clauses(text) if start <= span[0] < stop), end)
    state = _state(text[begin:own_end], span[0] - begin, span[1] - begin)
    if state == "absent":  # "no effusion, left lower lobe nodule": no more than the words of the denial
        comma = text.find(",", span[1], own_end)
        text = text[: own_end if comma < 0 else comma].ljust(len(text))
    else:  # sides, places and sizes of what it denies are not its own
        text = wording.DENIED.sub(lambda match: match.group() if wording.NO_NEGATION.match(text, match.start())
                                  else _blank(match), text)
    size = _size(text, span, clause, found)
    if name == "Lymphadenopathy":
        state = _node_state(text[begin:end], state, size)
    side = _side(text, span, clause, found) if finding_named(name).lateralised or name in ("Liver lesion",) else None
    return Mention(name, state, side, _place(text, span, clause, found), size if state != "absent" else None, span)


def _state(clause: str, begin: int, end: int) -> str:
    before, after = clause[:begin], clause[end:]
    past = wording.PAST.search(before) and not wording.STILL.search(after)
    if _denies(before) or past or (wording.NEGATED_AFTER.search(after) and not wording.OPEN.search(after)):
        return "absent"
    asked = re.match(r"[^,;.]*\?", after)
    return "uncertain" if asked or wording.UNCERTAIN.search(clause) else "present"


def _denies(words: str) -> bool:
    return wording.NEGATION.search(wording.NO_NEGATION.sub(_blank, words)) is not None


def _blank(match: re.Match) -> str:
    return " " * len(match.group())


def _node_state(clause: str, state: str, size: float | None) -> str:
    """Nodes are a finding only where they are enlarged."""
    if state == "absent":
        return state
    if re.search(r"\b(less than|smaller than|below|under|not exceeding|up to \d mm|normal[- ]sized|non-?enlarged|"
                 r"subcentimet\w+|millimet(ric|er[- ]sized)|does not reach|do not reach)\b", clause, re.IGNORECASE):
        return "absent"
    enlarged = re.search(r"adenopath|adenomegal|enlarg|patholog|bulky|conglomerate|increased|prominent|mass", clause,
                         re.IGNORECASE)
    return state if enlarged or (size is not None and size >= 10) else "absent"


def _others(span, clause, found) -> list[tuple[int, int]]:
    return [other for _, other, where in found if where == clause and other != span]


def _is_nearest(place: tuple[int, int], span: tuple[int, int], others: list[tuple[int, int]]) -> bool:
    def distance(term):
        return max(term[0] - place[1], place[0] - term[1], 0)

    return all(distance(span) <= distance(other) for other in others)


def _own(pattern: re.Pattern, text: str, span, clause, found) -> list[re.Match]:
    """Matches in the clause that belong to this mention rather than to another one of the same clause."""
    others = _others(span, clause, found)
    matches = list(pattern.finditer(text, *clause))
    own = [match for match in matches if _is_nearest(match.span(), span, others)]
    shared = not others or wording.ADJACENT.search(text, *clause)
    return own or (matches if shared else [])


def _side(text, span, clause, found) -> str | None:
    barred = [match.span() for match in wording.NO_SIDE.finditer(text)]
    words = [match.group().lower() for match in _own(wording.SIDE, text, span, clause, found)
             if not any(begin <= match.start() < end for begin, end in barred)]
    if not words:
        return None
    sides = {"left" if word[0] == "l" else "right" if word[0] in "rm" else word for word in words}  # lingula, RUL, ...
    if {"left", "right"} <= sides or sides & {"bilateral", "bilaterally", "both"}:
        return "bilateral"
    return "left" if "left" in sides else "right"


def _place(text, span, clause, found) -> str | None:
    matches = [(match, name) for name, pattern in wording.PLACES for match in _own(pattern, text, span, clause, found)]
    if not matches:
        return None

    def distance(entry):
        match, _ = entry
        return max(span[0] - match.end(), match.start() - span[1], 0), -(match.end() - match.start())

    match, name = min(matches, key=distance)
    return match.group().lower() if name == "liver segment" else name


def _size(text, span, clause, found) -> float | None:
    sizes = []
    for match in _own(wording.SIZE, text, span, clause, found):
        written = re.findall(r"\d+(?:[.,]\d+)?", match.group(1) + match.group(2))
        numbers = [float(number.replace(",", ".")) for number in written]
        sizes.append(max(numbers) * (10 if match.group(3).lower().startswith("c") else 1))
    return max(sizes) if sizes else None

"""A piece of a section's text is replaced: which sentences are there afterwards, and which of them are the old ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from uvlm_core.report.document import split_sentences
from uvlm_core.report.editing.rows import Tie, Written

_ENDED = re.compile(r"[.!?:;]['\")\]]*\s*$")


@dataclass(frozen=True)
class Rewritten:
    """`rows` and `tail` of the section afterwards; `carried` maps the id of each sentence whose text is another (or
    new) to the ties that lie in it, each with its old words where the edit touched it, else False; `removed` are
    ids."""

    rows: tuple[Written, ...]
    tail: str
    carried: dict[str, list[tuple[Tie, str | bool]]]
    removed: tuple[str, ...]


def body_of(rows: Sequence[Written], tail: str) -> str:
    """The text of a section under its title, character for character."""
    return "".join(row.lead + row.text for row in rows) + tail


def spans_of(rows: Sequence[Written]) -> list[tuple[int, int]]:
    """(start, end) of each sentence in `body_of`."""
    spans, place = [], 0
    for row in rows:
        place += len(row.lead)
        spans.append((place, place + len(row.text)))
        place += len(row.text)
    return spans


def replace_in_body(rows: Sequence[Written], tail: str, start: int, end: int, text: str,
                    new_id: Callable[[], str]) -> Rewritten:
    """Puts `text` in the place of the characters `start` to `end` of a section.

    Sentences that the edit does not touch stay as they are. The touched ones are taken together and cut into sentences
    again; of each old one the new one that kept most of its letters has its id.

    Args:
        start, end: offsets in `body_of`.
        new_id: gives ids for sentences that were not there.
    """
    body, spans = body_of(rows, tail), spans_of(rows)
    start, end, text = _narrowed(body, start, end, text)
    first, last = _window(rows, spans, start, end, text)
    low = min([start, *(spans[first][0:1] if first < last else ())])
    high = max([end, *(spans[last - 1][1:2] if first < last else ())])
    region = body[low:start] + text + body[end:high]
    shift = len(text) - (end - start)
    parts = split_sentences(region, headings=False)
    owners = _owners([(spans[i][0] - low, spans[i][1] - low) for i in range(first, last)], parts, start - low,
                     end - low, shift)
    ties = [_moved(rows[i], tie, spans[i][0] - low, start - low, end - low, len(text))
            for i in range(first, last) for tie in rows[i].ties]
    written, carried, pending = [], {}, body[(spans[first - 1][1] if first else 0) : low]
    place = 0
    for (begin, stop), owner in zip(parts, owners, strict=True):
        old = rows[first + owner] if owner is not None else Written(new_id(), "")
        own = [(replace(tie, start=max(tie.start, begin) - begin, end=min(tie.end, stop) - begin), words)
               for tie, words in ties if begin < tie.end and tie.start < stop
               and ((begin <= tie.start and tie.end <= stop) or (words and words in region[begin:stop]))]
        row = replace(old, text=region[begin:stop], lead=pending + region[place:begin])
        if row.text != old.text:
            carried[row.id] = own
        written.append(row)
        pending, place = "", stop
    pending += region[place:] + body[high : spans[last][0] if last < len(rows) else len(body)]
    after = list(rows[last:])
    if after:
        after[0] = replace(after[0], lead=pending)
    kept = {row.id for row in written}
    removed = tuple(row.id for row in rows[first:last] if row.id not in kept)
    return Rewritten((*rows[:first], *written, *after), tail if after else pending, carried, removed)


def _narrowed(body: str, start: int, end: int, text: str) -> tuple[int, int, str]:
    """Without the letters at both ends that stay the same: the smallest edit that does it."""
    old = body[start:end]
    most = min(len(old), len(text))
    head = next((i for i in range(most) if old[i] != text[i]), most)
    rest = most - head
    tail = next((i for i in range(rest) if old[-1 - i] != text[-1 - i]), rest)
    return start + head, end - tail, text[head : len(text) - tail]


def _window(rows, spans, start: int, end: int, text: str) -> tuple[int, int]:
    """[first, last) of the sentences that are cut anew; empty, at the place, for an edit between sentences."""
    touched = [i for i, (begin, stop) in enumerate(spans) if start <= stop and end >= begin]
    if not touched:
        place = sum(stop < start for _, stop in spans)
        return place, place
    first, last = touched[0], touched[-1] + 1
    begin, stop = spans[first][0], spans[last - 1][1]
    body = body_of(rows, "")
    now = (body[min(begin, start) : start] + text + body[end : max(end, stop)]).strip()
    if first and now[:1].islower() and not _ended(rows[first - 1].text) and "\n" not in rows[first].lead:
        first -= 1
    if last < len(rows) and now and not _ended(now) and rows[last].text[:1].islower() and "\n" not in rows[last].lead:
        last += 1
    return first, last


def _ended(text: str) -> bool:
    return bool(_ENDED.search(text))


def _owners(old: list[tuple[int, int]], new: list[tuple[int, int]], start: int, end: int, shift: int) -> list:
    """For each new span the number of the old sentence that it goes on from, None for a new sentence.

    `start` to `end` (of the text before) was replaced; what lay behind has moved by `shift`.
    """
    def common(before, after):
        head = min(before[1], start, after[1]) - max(before[0], after[0])
        tail = min(before[1] + shift, after[1]) - max(before[0] + shift, after[0], end + shift)
        return max(0, head) + max(0, tail)

    scores = sorted((-common(before, after), i, j) for i, before in enumerate(old) for j, after in enumerate(new))
    owners: list = [None] * len(new)
    for score, i, j in scores:
        if score < 0 and owners[j] is None and i not in owners:
            owners[j] = i
    left = [i for i in range(len(old)) if i not in owners]
    for j in range(len(new)):  # a sentence that was typed anew as a whole is still the one at its place
        if owners[j] is None and left and all(k < left[0] for k in owners[:j] if k is not None):
            owners[j] = left.pop(0)
    return owners


def ties_in(row: Written, text: str) -> list[tuple[Tie, str | bool]]:
    """The ties of a sentence in another text of it, each with its old words where the difference touches it."""
    start, end, new = _narrowed(row.text, 0, len(row.text), text)
    return [_moved(row, tie, 0, start, end, len(new)) for tie in row.ties]


def _moved(row: Written, tie: Tie, offset: int, start: int, end: int, added: int) -> tuple[Tie, str | bool]:
    """A tie in the text afterwards (offsets of the cut-out), and its old words where the edit touched it."""
    begin, stop = tie.start + offset, tie.end + offset
    shift = added - (end - start)
    if stop <= start and not (stop == start == end):
        return replace(tie, start=begin, end=stop), False
    if begin >= end and not (begin == start == end):
        return replace(tie, start=begin + shift, end=stop + shift), False
    last = stop + shift if stop >= end else start + added
    return replace(tie, start=min(begin, start), end=last), row.text[tie.start : tie.end]

"""Are the sides and sizes of a report right?"""

from __future__ import annotations

from collections.abc import Sequence

from uvlm_core.labels import finding_named
from uvlm_core.report.document import split_sentences
from uvlm_core.report.labeler import Mention, label_sentence

WITHIN = 0.3


def present_mentions(text: str) -> list[Mention]:
    """All mentions of a report that say that a finding is present."""
    return [mention for begin, end in split_sentences(text) for mention in label_sentence(text[begin:end])
            if mention.state == "present"]


def side_counts(text: str, truth: Sequence[dict]) -> tuple[int, int]:
    """(right, counted) lateralised mentions of a report.

    Counted is every present mention that names a side of a lateralised finding which the case really has. It is right
    if some true lesion of that finding lies on that side; "bilateral" needs lesions on both.

    Args:
        truth: rows with name and side.
    """
    right = counted = 0
    for mention in present_mentions(text):
        sides = {row["side"] for row in truth if row["name"] == mention.finding and row["side"]}
        if not (finding_named(mention.finding).lateralised and mention.side and sides):
            continue
        counted += 1
        right += {"left", "right"} <= sides if mention.side == "bilateral" else mention.side in sides
    return right, counted


def size_counts(text: str, truth: Sequence[dict]) -> tuple[int, int]:
    """(right, counted) mentions with a size: within 30 % of the nearest true lesion of that finding.

    A size given to a finding that the case does not have is wrong.
    """
    right = counted = 0
    for mention in present_mentions(text):
        if mention.size_mm is None:
            continue
        sizes = [row["size_mm"] for row in truth if row["name"] == mention.finding and row["size_mm"]]
        counted += 1
        right += any(abs(mention.size_mm - size) <= WITHIN * size for size in sizes)
    return right, counted

"""What can be done about a flag with one click."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uvlm_core.report.editing.flags import MASK_REMOVED, Flag
from uvlm_core.report.editing.phrases import finding_sentence
from uvlm_core.report.labeler import Mention
from uvlm_core.report.segments import Segment

REPLACE, REMOVE, INSERT, OVERRULE, UNLINK, PRIOR = "replace", "remove", "insert", "overrule", "unlink", "allow_prior"


@dataclass(frozen=True)
class QuickFix:
    """One way to settle a flag: `kind` is "replace" (the sentence reads `text` then), "remove", "insert" (a sentence
    for `finding`), "overrule" (`finding` gets `state`), "unlink" (from masks that are gone) or "allow_prior"."""

    title: str
    kind: str
    text: str | None = None
    finding: str | None = None
    state: str | None = None


def fixes_for(flag: Flag, mentions: Sequence[Mention], segments: Sequence[Segment]) -> list[QuickFix]:
    """The ways to settle a flag, the most likely first.

    Args:
        mentions: what its sentence speaks of; () for a flag of the whole report.
        segments: the masks of its finding.
    """
    fixes = []
    if flag.suggestion:
        titles = {"side": f"Change to {flag.expected}", "size": f"Change to {flag.expected}"}
        fixes.append(QuickFix(titles.get(flag.kind, "Change the sentence"), REPLACE, flag.suggestion))
    fixes += _of_presence(flag, mentions, segments)
    if flag.kind == "missing":
        fixes.append(QuickFix("Insert a sentence", INSERT, finding_sentence(flag.finding, segments), flag.finding))
        fixes.append(QuickFix(f"Mark {flag.finding} as absent", OVERRULE, None, flag.finding, "absent"))
    alone = {mention.finding for mention in mentions} == {flag.finding}
    if flag.sentence is not None and (flag.suggestion == "" or (flag.kind == "internal" and alone)):
        fixes.append(QuickFix("Remove the sentence", REMOVE))
    if flag.kind == MASK_REMOVED:
        fixes.append(QuickFix("Keep the sentence without a mask", UNLINK))
    if flag.kind == "prior":
        fixes.append(QuickFix("An earlier scan was compared", PRIOR))
    return fixes


def _of_presence(flag: Flag, mentions: Sequence[Mention], segments: Sequence[Segment]) -> list[QuickFix]:
    if flag.kind != "presence":
        return []
    if flag.expected == "absent":
        return [QuickFix(f"Mark {flag.finding} as present", OVERRULE, None, flag.finding, "present")]
    fixes = []
    if {mention.finding for mention in mentions} == {flag.finding}:
        fixes.append(QuickFix("Change the sentence", REPLACE, finding_sentence(flag.finding, segments)))
        fixes.append(QuickFix("Remove the sentence", REMOVE))
    return [*fixes, QuickFix(f"Mark {flag.finding} as absent", OVERRULE, None, flag.finding, "absent")]

"""Do a case's report, labels and masks say the same?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from uvlm_core.datasets.masks import Target
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import Case
from uvlm_core.labels import finding_named, findings
from uvlm_core.report.document import split_sentences
from uvlm_core.report.labeler import Mention, label_sentence
from uvlm_core.report.measurements import measure_segments
from uvlm_core.report.segments import Segment, without_fragments
from uvlm_core.volumes.volume import Volume

SHORTEST = 40  # characters of a report


def text_problems(case: Case, volume: Volume | None = None, target: Target | None = None) -> Iterator[Problem]:
    """Everything that is wrong with a case's text; with scan and masks their sides are compared too."""
    if not case.report:
        yield Problem("note", case.case_id, "no report", "there is no text of this scan")
        return
    if len(case.report) < SHORTEST:
        yield Problem("warning", case.case_id, "short report", f"its report has {len(case.report)} characters: "
                      f"“{case.report}”")
    said: dict[str, list[tuple[str, Mention]]] = {}
    for begin, end in split_sentences(case.report):
        for mention in label_sentence(case.report[begin:end]):
            said.setdefault(mention.finding, []).append((case.report[begin:end], mention))
    yield from _labels(case, said)
    if volume is not None and target is not None and any(label != 0 for label in target.volumes.values()):
        yield from _sides(case, said, volume, target)


def _labels(case: Case, said: dict) -> Iterator[Problem]:
    for finding in findings():
        value = case.findings.get(finding.name)
        mentions = said.get(finding.name, [])
        states = {mention.state for _, mention in mentions}
        if value == 1 and "present" not in states and "uncertain" not in states:
            words = "the text denies it: " + _quoted(mentions[0][0]) if mentions else "the text does not mention it"
            yield Problem("warning" if mentions else "note", case.case_id, "label against text",
                          f"{finding.name} is 1, but {words}", about=finding.name)
        elif value == 0 and "present" in states:
            sentence = next(text for text, mention in mentions if mention.state == "present")
            yield Problem("warning", case.case_id, "label against text",
                          f"{finding.name} is 0, but the text states it: {_quoted(sentence)}", about=finding.name)


def _sides(case: Case, said: dict, volume: Volume, target: Target) -> Iterator[Problem]:
    """Findings that the text puts on one side and the masks on the other."""
    lateral = [name for name in said if finding_named(name).lateralised and finding_named(name).label]
    if not any(mention.side in ("left", "right") for name in lateral for _, mention in said[name]):
        return
    segments = without_fragments(measure_segments(_without_rest(target.map), volume.array, volume.ijk_to_ras, "lesion"))
    for name in lateral:
        own = [segment for segment in segments if segment.label == finding_named(name).label]
        if problem := _side_problem(case, name, said[name], own):
            yield problem


def _side_problem(case: Case, name: str, said: list[tuple[str, Mention]], own: list[Segment]) -> Problem | None:
    present = [(text, mention) for text, mention in said if mention.state == "present"]
    sides = {mention.side for _, mention in present}
    shown = {segment.side for segment in own if segment.side}
    if len(sides) != 1 or not sides <= {"left", "right"} or not shown or sides & shown:
        return None
    return Problem("warning", case.case_id, "side of mask against text",
                   f"{name}: the text says {sides.pop()}, the mask lies {shown.pop()}: {_quoted(present[0][0])}",
                   about=name, advice="One of them is mirrored or belongs to another scan. Look at the picture.")


def _without_rest(label_map: np.ndarray) -> np.ndarray:
    return np.where(label_map >= 254, 0, label_map).astype(np.uint8)


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text if len(text) <= 140 else text[:137] + '…'}”"

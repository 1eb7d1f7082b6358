"""Which masks a sentence speaks of: sentence -> findings -> label -> the components that fit side, place and size."""

from __future__ import annotations

import re
from collections.abc import Sequence

from uvlm_core.labels import finding_named
from uvlm_core.report.document import Report, Sentence
from uvlm_core.report.labeler import Mention, label_sentence
from uvlm_core.report.segments import Segment

# organs that a sentence can speak of, also when it only says that they are normal
ORGAN_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (rf"\b({words})\b", names) for words, names in (
        ("lungs?|lung fields|pulmonary parenchyma", ("lung_upper_lobe_left", "lung_lower_lobe_left",
         "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right")),
        ("trachea|main bronchi|airways", ("trachea",)), ("heart|cardiac (size|silhouette)", ("heart",)),
        ("aorta|aortic", ("aorta",)), ("(o)?esophagus|(o)?esophageal", ("esophagus",)), ("liver|hepatic", ("liver",)),
        ("spleen|splenic", ("spleen",)), ("stomach|gastric", ("stomach",)),
        ("kidneys", ("kidney_left", "kidney_right")),
        ("left kidney", ("kidney_left",)), ("right kidney", ("kidney_right",)), ("pancreas|pancreatic", ("pancreas",)),
        ("bowel|colon|intestin\\w+", ("bowel",)), ("spine|vertebra\\w*|thoracic spine", ("spine",)),
        ("ribs?|bones?|osseous|bony|sternum", ("ribs", "spine")),
    )
)


def link_report(report: Report, segments: Sequence[Segment]) -> None:
    """Fills `findings` and `segments` of every sentence in place."""
    for sentence in report.sentences:
        link_sentence(sentence, segments)


def link_sentence(sentence: Sentence, segments: Sequence[Segment]) -> None:
    """Fills `findings` (those said to be present or uncertain first) and `segments` of one sentence in place.

    A present finding links to its lesions; a sentence without one links to the organs it names, on the side it names.
    """
    mentions = label_sentence(sentence.text)
    said = sorted(mentions, key=lambda mention: mention.state == "absent")
    sentence.findings = list(dict.fromkeys(mention.finding for mention in said))
    linked = [segment.id for mention in mentions if mention.state != "absent"
              for segment in segments_of(mention, segments)]
    if not linked:
        present = {segment.id for segment in segments}
        sides = {mention.side for mention in mentions}
        other = {"left": "_right", "right": "_left"}.get(sides.pop(), "") if len(sides) == 1 else ""
        linked = [name for pattern, names in ORGAN_WORDS if re.search(pattern, sentence.text, re.IGNORECASE)
                  for name in names if name in present and not (other and name.endswith(other))]
    sentence.segments = list(dict.fromkeys(linked))


def segments_of(mention: Mention, segments: Sequence[Segment]) -> list[Segment]:
    """The masks that a mention means, best first.

    Of the components of the finding's label those on the said side and in the said place are kept (all, where none
    agrees: the checks will flag it); where a size is given, the one nearest in size alone.
    """
    label = finding_named(mention.finding).label
    own = [segment for segment in segments if segment.label == label]
    if mention.side in ("left", "right"):
        own = [segment for segment in own if segment.side == mention.side] or own
    if mention.place:
        own = [segment for segment in own if segment.place == mention.place] or own
    sized = [segment for segment in own if segment.longest_diameter_mm is not None]
    if mention.size_mm is not None and sized:
        return [min(sized, key=lambda segment: abs(segment.longest_diameter_mm - mention.size_mm))]
    return own

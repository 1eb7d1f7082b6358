"""Sentences that an editor offers: for a finding with its mask, for a normal region. Equal facts give equal words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from uvlm_core.labels import finding_named
from uvlm_core.report.segments import Segment, side_of, without_fragments
from uvlm_core.report.templates import CLEAR, IMPRESSIONS, NORMAL, NOTHING, POSITIVE, SEVERAL, words

IMPRESSION = "impression"
_SIZE = re.compile(r"( measuring| of| with a diameter of|, the largest measuring|, the largest of)? ?\{size\}")
# findings that no mask shows and no synthetic report tells
_PLAIN = {"Pulmonary fibrotic sequela": "There are fibrotic sequelae in {lung}.",
          "Mosaic attenuation pattern": "There is a mosaic attenuation pattern in {lung}."}


def finding_sentence(name: str, segments: Sequence[Segment]) -> str:
    """A sentence that says that a finding is present.

    Args:
        name: one of the 21 findings.
        segments: its masks; none where nothing is known but its name.
    """
    own = without_fragments(list(segments))
    plain = _PLAIN.get(name, f"There is {name[0].lower()}{name[1:]} in {{lung}}.")
    template = (SEVERAL if len(own) > 1 and name in SEVERAL else POSITIVE).get(name, (plain,))[0]
    return _filled(template, name, own)


def impression_sentence(name: str, segments: Sequence[Segment]) -> str:
    """The short form for the impression."""
    return _filled(IMPRESSIONS.get(name, (f"{name}.",))[0], name, without_fragments(list(segments)))


def _filled(template: str, name: str, segments: Sequence[Segment]) -> str:
    largest = max(segments, key=lambda segment: segment.longest_diameter_mm or 0, default=None)
    size = largest.longest_diameter_mm if largest is not None else None
    side = side_of(segments) if finding_named(name).lateralised else None
    known = words(size, side, largest.place if largest is not None else None, "medical device")
    if not size:
        template = _SIZE.sub("", template)
        known |= {"amount": "", "Amount": ""}
    if side is None:
        known["organ"] = "a kidney"
    text = re.sub(r"\s+", " ", template.format(**known)).strip()
    text = re.sub(r"\s+([.,])", r"\1", text).replace(" on the side.", ".")
    return text[0].upper() + text[1:]


def normal_sentences(region: str, rows: Sequence[Mapping]) -> list[str]:
    """Sentences that say that a region is normal, the usual ones first; none that contradicts a finding.

    Args:
        region: a region, or "impression".
        rows: findings with their state; what is not imaged or uncertain is not called normal.
    """
    spoken = {row["name"] for row in rows if row["state"] in ("present", "uncertain", "not imaged")}
    present = {row["name"] for row in rows if row["state"] in ("present", "uncertain")}
    if region == IMPRESSION:
        return [] if present else list(NOTHING)
    groups = [choices for needs, choices in NORMAL.get(region, ()) if not spoken & set(needs)]
    named = [word for name, word in CLEAR.get(region, {}).items() if name not in spoken]
    texts = [choices[0] for choices in groups] + [f"No {word}." for word in named]
    return list(dict.fromkeys(texts + [text for choices in groups for text in choices[1:]]))

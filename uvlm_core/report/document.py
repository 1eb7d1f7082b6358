"""A report as sections and sentences that know what they speak of."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field

from uvlm_core.labels import findings, regions

IMPRESSION = "impression"
OTHER = "other"


@dataclass
class Sentence:
    """One sentence: `findings` and `segments` (ids) it is linked to, where the decoder looked, how sure it was.

    `span` is its (start, end) in the text it was parsed from; `attribution_peak_ras` in mm; `log_probability` is the
    mean over its tokens; `flags` are dicts of `checks.Flag`, `grounded` of `grounding.Grounded`.
    """

    id: str
    text: str
    span: tuple[int, int] = (0, 0)
    findings: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    attribution_peak_ras: list[float] | None = None
    log_probability: float | None = None
    flags: list[dict] = field(default_factory=list)
    grounded: list[dict] = field(default_factory=list)


@dataclass
class Section:
    """`name` is a region of `labels.regions()`, "other" or "impression"; `title` as printed."""

    name: str
    title: str
    sentences: list[Sentence] = field(default_factory=list)


@dataclass
class Report:
    """Sections in reading order, the Impression last."""

    sections: list[Section] = field(default_factory=list)

    @property
    def sentences(self) -> list[Sentence]:
        """All sentences in reading order."""
        return [sentence for section in self.sections for sentence in section.sentences]

    def to_dict(self) -> dict:
        """Plain JSON values; `from_dict` is the way back."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> Report:
        """The report of `to_dict`."""
        return Report([
            Section(row["name"], row["title"],
                    [Sentence(**{**sentence, "span": tuple(sentence["span"])}) for sentence in row["sentences"]])
            for row in values["sections"]
        ])

    def to_text(self) -> str:
        """One line per section: "Title: sentences"."""
        return "\n".join(f"{section.title}: {' '.join(s.text for s in section.sentences)}" for section in self.sections)


_ABBREVIATIONS = re.compile(r"\b(approx|ca|cf|e\.g|i\.e|vs|Dr|no|fig|max|min|resp|incl|st)\.$", re.IGNORECASE)
# abbreviations that may end a sentence too, with what shows that they do not: a "no" must not reach into the next one
_MAYBE_ENDING = tuple((re.compile(rf"(?<![a-z])({before})\.$", re.IGNORECASE), re.compile(rf"[ \t]+({after})"))
                      for before, after in (
    ("lt|rt", r"(upper|middle|lower|lobe|lung|hilar|hilum|hemithorax|pleural|kidney|renal|adrenal|side)\b"),
    ("diam", r"(of )?\d"), ("mm|cm|ml", r"(in|of|at|along|within)\b")))
_LIST_MARKS = re.compile(r"(?:[ \t\n•*]|-(?!\d))*")  # "-80 HU" begins with a minus
_END = re.compile(r"[.!?]+(?=\s|$)|\n+")
_HEADINGS = {title.lower(): name for name, title in regions().items()} | {
    "impression": IMPRESSION, "impressions": IMPRESSION, "conclusion": IMPRESSION, "findings": None,
    "lung": "lungs", "lungs and airways": "lungs", "heart": "heart", "vessels": "heart", "abdomen": "abdomen",
    "bones and soft tissues": "bones", "lines and tubes": "devices", "technique": OTHER, "comparison": OTHER,
}
_HEADING = re.compile(r"(?:^|(?<=[\n.]))[ \t]*(" + "|".join(sorted(map(re.escape, _HEADINGS), key=len, reverse=True))
                      + r")[ \t]*:[ \t]*", re.IGNORECASE)


def split_sentences(text: str, headings: bool = True) -> list[tuple[int, int]]:
    """(start, end) of every sentence; decimals, abbreviations, list numbers do not end one.

    With `headings`, "Lungs:" and the like stay outside; without, they are words as all others.
    """
    spans, begin = [], 0
    heads = [match.span() for match in _HEADING.finditer(text)] if headings else []
    stops = sorted([(match.start(), match.end()) for match in _END.finditer(text)] + heads + [(len(text), len(text))])
    for start, end in stops:
        if (start, end) in heads:
            spans.append((begin, start))
            begin = end
        elif start >= begin and not _within_sentence(text, begin, start, end):
            spans.append((begin, end))
            begin = end
    return [trimmed for trimmed in (_trim(text, *span) for span in spans) if trimmed[0] < trimmed[1]]


def _within_sentence(text: str, begin: int, start: int, end: int) -> bool:
    if "\n" in text[start:end] or end == len(text) or text[start:end].startswith(("!", "?")):
        return False
    head = text[begin : start + 1]
    if any(before.search(head) and after.match(text, end) for before, after in _MAYBE_ENDING):
        return True
    return bool(_ABBREVIATIONS.search(head)) or bool(re.fullmatch(r"\s*\d{1,2}\.", head))


def _trim(text: str, begin: int, end: int) -> tuple[int, int]:
    part = text[begin:end]
    begin += _LIST_MARKS.match(part).end()
    return begin, begin + len(text[begin:end].rstrip())


def parse_report(text: str) -> Report:
    """Sections from headings ("Lungs: ...", "Impression: ...") or, for free text, from what each sentence speaks of."""
    heads = [(match.end(), _HEADINGS[match.group(1).lower()]) for match in _HEADING.finditer(text)]
    titles = {**regions(), OTHER: "Other findings", IMPRESSION: "Impression"}
    sections: dict[str, Section] = {}
    for number, (begin, end) in enumerate(split_sentences(text), 1):
        current = next((name for place, name in reversed(heads) if place <= begin), None)
        name = current or region_of(text[begin:end])
        section = sections.setdefault(name, Section(name, titles[name]))
        section.sentences.append(Sentence(f"s{number}", text[begin:end], (begin, end)))
    return Report([sections[name] for name in titles if name in sections])


_REGION_WORDS = (
    ("pleura", r"\b(pleura\w*|pneumothora\w+|hydrothorax)\b"),
    ("devices", r"\b(catheter|pacemaker|port|tube|stent|wires?|drain)\b"),
    ("heart", r"\b(heart|cardi\w+|pericardi\w+|aort\w*|coronar\w+|arter\w+|vascular|pulmonary trunk)\b"),
    ("mediastinum", r"\b(mediastin\w+|lymph|nodes?|hilar|esophag\w+|oesophag\w+|hiatal|thymus|thyroid)\b"),
    ("airways", r"\b(trachea\w*|main bronch\w+|carina)\b"),
    ("lungs", r"\b(lungs?|lob(e|es|ar)|pulmonary|bronch\w+|parenchym\w+|nodul\w+|consolidat\w+|opacit\w+|"
              r"emphysem\w+)\b"),
    ("abdomen", r"\b(liver|hepatic|spleen|splenic|kidneys?|renal|pancrea\w+|adrenal|gallbladder|stomach|gastric|bowel|"
                r"abdom\w+|biliary)\b"),
    ("bones", r"\b(bon(e|es|y)|vertebra\w*|ribs?|spine|spinal|sternum|osseous|fracture|degenerative)\b"),
)


def region_of(sentence: str) -> str:
    """The region of a free sentence: of its first finding, else of its first anatomical word, else "other"."""
    from uvlm_core.report.labeler import label_sentence

    known = {finding.name: finding.region for finding in findings()}
    mentions = label_sentence(sentence)
    if mentions:
        return known[mentions[0].finding]
    places = [(match.start(), name) for name, pattern in _REGION_WORDS
              if (match := re.search(pattern, sentence, re.IGNORECASE))]
    return min(places)[1] if places else OTHER

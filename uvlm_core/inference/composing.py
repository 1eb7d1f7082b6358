"""From the decoder's text to the report of the study: where each sentence looked; nothing unseen, nothing twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from uvlm_core.inference.field_of_view import ABSENT, PARTLY, FieldOfView
from uvlm_core.inference.writing_text import WrittenText
from uvlm_core.labels import regions
from uvlm_core.report.checks import Flag
from uvlm_core.report.document import IMPRESSION, Report, Section, Sentence, parse_report
from uvlm_core.report.labeler import label_sentence
from uvlm_core.report.links import ORGAN_WORDS

FIELD_OF_VIEW = "field_of_view"


@dataclass(frozen=True)
class Attribution:
    """Where the decoder looked: `maps` (sentences, groups, z, y, x) float16, deepest stage's layers first, each with
    what it looked at more than the text as a whole; `sentence_ids`; `stages` encoder stage of each group;
    `ijk_to_ras` 4x4 of the maps."""

    maps: np.ndarray
    sentence_ids: list[str]
    stages: list[int]
    ijk_to_ras: np.ndarray

    def without(self, sentence_ids: set[str]) -> Attribution:
        """The maps of the other sentences."""
        kept = [row for row, sentence in enumerate(self.sentence_ids) if sentence not in sentence_ids]
        return replace(self, maps=self.maps[kept], sentence_ids=[self.sentence_ids[row] for row in kept])


@dataclass(frozen=True)
class Draft:
    """The report with log-probabilities and attribution, the sentences `removed` because their region was not imaged
    or they said the same again, and `ended` False where the text reached its greatest length."""

    report: Report = field(default_factory=Report)
    removed: list[dict] = field(default_factory=list)
    attribution: Attribution | None = None
    ended: bool = True


def compose(written: WrittenText, view: FieldOfView, grid_matrix: np.ndarray, stages: list[int]) -> Draft:
    """Sections and sentences of what the decoder wrote.

    Args:
        grid_matrix: 4x4 of the model grid.
        stages: encoder stage of each group of layers, deepest first.
    """
    from uvlm_core.model.attribution import attention_peak, fold_attention, token_ijk_to_ras

    report = parse_report(written.text)
    removed = remove_unseen(report, view)
    maps, ids = [], []
    for sentence in report.sentences:
        tokens = written.tokens_of(*sentence.span)
        if len(tokens) == 0:
            continue
        sentence.log_probability = float(written.log_probabilities[tokens].mean())
        folded = fold_attention(written.attention, written.grid, slice(int(tokens[0]), int(tokens[-1]) + 1))
        sentence.attribution_peak_ras = list(attention_peak(folded, grid_matrix, written.stride))
        maps.append(folded.astype(np.float16))
        ids.append(sentence.id)
    shape = (0, written.attention.shape[1], *written.grid)
    stacked = np.stack(maps) if maps else np.zeros(shape, np.float16)
    attribution = Attribution(stacked, ids, stages, token_ijk_to_ras(grid_matrix, written.stride))
    return Draft(report, removed, attribution, written.ended)


def remove_unseen(report: Report, view: FieldOfView) -> list[dict]:
    """Takes out what is said of regions, organs and findings that are not imaged; it is kept for the record."""
    removed = []
    for section in report.sections:
        whole = view.regions.get(section.name) == ABSENT
        unseen = [sentence for sentence in section.sentences if whole or _speaks_of_unseen(sentence.text, view)]
        section.sentences = [sentence for sentence in section.sentences if sentence not in unseen]
        removed += [{"section": section.name, "text": sentence.text, "reason": "not imaged"} for sentence in unseen]
    report.sections = [section for section in report.sections if section.sentences]
    return removed


def remove_repeated(draft: Draft) -> Draft:
    """Without what a section says in the same words a second time (a slip of the decoder); kept for the record.

    To be called once sizes and places are filled in: only then are sentences about two lesions told apart.
    """
    removed, gone = list(draft.removed), set()
    for section in draft.report.sections:
        said: set[str] = set()
        for sentence in section.sentences:
            words = " ".join(sentence.text.split()).casefold()
            if words in said:
                gone.add(sentence.id)
                removed.append({"section": section.name, "text": sentence.text, "reason": "said before"})
            said.add(words)
        section.sentences = [sentence for sentence in section.sentences if sentence.id not in gone]
    return replace(draft, removed=removed, attribution=draft.attribution and draft.attribution.without(gone))


def _speaks_of_unseen(text: str, view: FieldOfView) -> bool:
    """True where everything that a sentence speaks of is outside the field of view, be it called normal or not."""
    mentions = label_sentence(text)
    if mentions:
        return all(view.of_finding(mention.finding) == ABSENT for mention in mentions)
    organs = {"lungs" if "_lobe_" in name else name
              for pattern, names in ORGAN_WORDS if re.search(pattern, text, re.IGNORECASE) for name in names}
    return bool(organs) and all(view.organs.get(name) == ABSENT for name in organs)


def add_flags(report: Report, flags: Sequence[Flag]) -> list[dict]:
    """Hangs every flag on its sentence and gives those of the report as a whole."""
    by_id = {sentence.id: sentence for sentence in report.sentences}
    whole = []
    for flag in flags:
        target = by_id[flag.sentence].flags if flag.sentence in by_id else whole
        target.append(flag.to_dict())
    return whole


def tell_field_of_view(report: Report, view: FieldOfView) -> None:
    """Adds one plain sentence each about what is missing and what is cut, before the impression."""
    titles = regions()
    sentences = []
    for state, words in ((ABSENT, "Not imaged"), (PARTLY, "Only partly imaged")):
        names = [title.lower() for name, title in titles.items() if view.regions[name] == state]
        if names:
            sentences.append(Sentence(f"v{len(sentences) + 1}", f"{words}: {', '.join(names)}."))
    if not sentences:
        return
    place = next((number for number, section in enumerate(report.sections) if section.name == IMPRESSION),
                 len(report.sections))
    report.sections.insert(place, Section(FIELD_OF_VIEW, "Field of view", sentences))

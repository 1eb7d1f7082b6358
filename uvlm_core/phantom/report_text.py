"""The report of a synthetic case in the wording of real reports, varied, and never at odds with its masks.

One line per imaged region ("Lungs: ...", titles of `labels.regions()`), then "Impression: ...". Sides, lobes and sizes
stand in the sentence of their finding; sizes are whole millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uvlm_core.labels import finding_named, regions
from uvlm_core.report.templates import CLEAR, IMPRESSIONS, NORMAL, NOTHING, POSITIVE, SEVERAL, words


class _Facts:
    """All lesions of one finding name, as the words of a sentence need them."""

    def __init__(self, rows: Sequence):
        self.name = rows[0].name
        self.largest = max(rows, key=lambda row: (row.size_mm or 0, row.volume_ml))
        sides = {row.side for row in rows} - {None}
        self.side = "bilateral" if len(sides) > 1 or "bilateral" in sides else next(iter(sides), None)
        self.count = len(rows)
        self.extra = self.largest.extra

    def words(self) -> dict[str, str]:
        """What the templates can ask for."""
        return words(self.largest.size_mm, self.side, self.largest.place, self.extra.get("kind"))


def write_report(findings: Sequence, imaged: set[str], rng: np.random.Generator) -> str:
    """The report of some planted findings.

    Args:
        findings: PlantedFinding rows, several of a name for several lesions.
        imaged: region names in the field of view; nothing is said about the others.
        rng: chooses the words.
    """
    groups: dict[str, list] = {}
    for row in findings:
        groups.setdefault(row.name, []).append(row)
    facts = {name: _Facts(rows) for name, rows in groups.items()}
    lines = []
    for region, title in regions().items():
        present = [fact for name, fact in facts.items() if finding_named(name).region == region]
        if region == "devices":
            sentences = [_positive(fact, rng) for fact in present]
        elif region not in imaged or region == "airways":  # the airways are described with the lungs
            continue
        else:
            sentences = _region(region, present, imaged, rng)
        if sentences:
            lines.append(f"{title}: {' '.join(sentences)}")
    return "\n".join([*lines, f"Impression: {_impression(facts, rng)}"])


def _positive(fact: _Facts, rng: np.random.Generator) -> str:
    templates = SEVERAL if fact.count > 1 and fact.name in SEVERAL else POSITIVE
    return str(rng.choice(templates[fact.name])).format(**fact.words())


def _region(region: str, present: list[_Facts], imaged: set[str], rng: np.random.Generator) -> list[str]:
    """Positive sentences in random order, then normal statements that do not contradict them."""
    names = {fact.name for fact in present}
    sentences = [_positive(fact, rng) for fact in rng.permutation(np.array(present, dtype=object))]
    normal = [str(rng.choice(choices)) for needs, choices in NORMAL[region] if not names & set(needs)]
    absent = [name for name in CLEAR.get(region, {}) if name not in names]
    if absent:
        rng.shuffle(absent)
        spoken = absent[: int(rng.integers(1, 4))]
        normal.append(_negative([CLEAR[region][name] for name in spoken], rng))
    if region == "lungs" and "airways" in imaged and rng.random() < 0.6:
        normal.append(str(rng.choice(NORMAL["airways"][0][1])))
    rng.shuffle(normal)
    return sentences + normal[: max(1, int(rng.integers(1, 4)))]


def _negative(names: list[str], rng: np.random.Generator) -> str:
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return str(rng.choice(["No {}.", "There is no {}.", "No evidence of {}."])).format(listed)


def _impression(facts: dict[str, _Facts], rng: np.random.Generator) -> str:
    if not facts:
        return str(rng.choice(NOTHING))
    order = [name for name in IMPRESSIONS if name in facts]
    return " ".join(str(rng.choice(IMPRESSIONS[name])).format(**facts[name].words()) for name in order)

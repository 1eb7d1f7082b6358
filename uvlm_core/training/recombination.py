"""New sets of findings from those of the training cases: text practice for the decoder, without images.

A few hundred cases show few of the possible sets of findings, sides, places and sizes. Recombined sets come without
end and cost no encoder pass, so the decoder learns from them to say what its cues say, however many there are.
"""

from __future__ import annotations

import numpy as np

from uvlm_core.labels import finding_named

RESIZE = (0.7, 1.4)


class FindingPool:
    """The planted findings of many cases, by name."""

    def __init__(self, cases: list):
        self.imaged = [case.imaged for case in cases]
        self.groups: dict[str, list[list[dict]]] = {}
        for case in cases:
            rows_of: dict[str, list[dict]] = {}
            for row in case.planted:
                rows_of.setdefault(row["name"], []).append(row)
            for name, rows in rows_of.items():
                self.groups.setdefault(name, []).append(rows)

    def draw(self, rng: np.random.Generator) -> tuple[list[dict], list[str]]:
        """(planted findings as plain dicts, imaged regions) of one recombined case, from none to all findings.

        All lesions of a name come from one case, resized by one factor, so that sides and counts stay plausible.
        """
        imaged = self.imaged[int(rng.integers(len(self.imaged)))]
        share = rng.random()
        planted = []
        for name, choices in self.groups.items():
            rows = choices[int(rng.integers(len(choices)))]
            if rng.random() < share and finding_named(name).region in imaged:
                factor = rng.uniform(*RESIZE)
                planted += [{**row, "size_mm": row["size_mm"] and row["size_mm"] * factor} for row in rows]
        return planted, imaged

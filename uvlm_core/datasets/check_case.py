"""All checks of one case, its facts for the summary, and its picture where something is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uvlm_core.datasets.check_masks import label_of, mask_problems
from uvlm_core.datasets.check_text import text_problems
from uvlm_core.datasets.mapping import Mapping
from uvlm_core.datasets.masks import Target, paint
from uvlm_core.datasets.picture import draw_case
from uvlm_core.datasets.png_image import png_bytes
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.scan import read_scan
from uvlm_core.datasets.storage import array_hash
from uvlm_core.datasets.table import Case, CaseTable
from uvlm_core.errors import CaseError, VolumeError
from uvlm_core.volumes.ct_check import check_ct
from uvlm_core.volumes.volume import Volume

THICKEST_MM, MOST_UNLIKE = 6.0, 10.0  # slice distance; slice distance over pixel size


def check_case(table: CaseTable, case: Case, mapping: Mapping, picture: Path | None) -> tuple[list[Problem], dict]:
    """(problems, facts) of one case; the facts are shape, spacing, hu (least, most) and sha256 of the values.

    Args:
        picture: where to write a PNG if there are errors or warnings that a picture shows; None writes none.
    """
    missing = _missing(table, case)
    if not case.image or any(problem.file == case.image for problem in missing):
        return [*missing, *text_problems(case)], {}
    try:
        volume = read_scan(table, case)
    except (CaseError, VolumeError) as error:
        return [*missing, Problem("error", case.case_id, "unreadable", str(error), case.image,
                                  "Copy or download it again, or leave it out."), *text_problems(case)], {}
    problems = [*missing, *_scan_problems(case, volume)]
    target = None
    if case.has_masks and not missing:
        try:
            target = paint(table, case, volume, mapping)
            if not any(problem.kind == "no CT" for problem in problems):  # its values would accuse every mask
                problems += mask_problems(case, volume, target, mapping)
        except (CaseError, VolumeError) as error:
            problems.append(Problem("error", case.case_id, "mask", str(error), case.labels))
    problems += text_problems(case, volume, target)
    if picture is not None and any(problem.severity != "note" for problem in problems):
        picture.write_bytes(png_bytes(_drawn(volume, target, problems)))
    facts = {"shape": list(volume.shape), "spacing": [round(step, 3) for step in volume.spacing],
             "hu": [float(volume.array.min()), float(volume.array.max())], "sha256": array_hash(volume.array)}
    return problems, facts


def draw(table: CaseTable, case: Case, mapping: Mapping, picture: Path) -> None:
    """Writes the picture of a case whose problem only shows beside other cases; nothing where it cannot be read."""
    try:
        volume = read_scan(table, case)
        target = paint(table, case, volume, mapping) if case.has_masks else None
    except (CaseError, VolumeError):
        return
    picture.write_bytes(png_bytes(_drawn(volume, target, [])))


def _drawn(volume: Volume, target: Target | None, problems: list[Problem]) -> np.ndarray:
    about = {name for problem in problems if problem.severity != "note" for name in label_of(problem.about)}
    return draw_case(volume, None if target is None else target.map, about)


def _missing(table: CaseTable, case: Case) -> list[Problem]:
    if not case.image:
        return [Problem("error", case.case_id, "no scan", "the row has no scan",
                        advice="Join it with the table of its scans: uvlm dataset join.")]
    files = [case.image, case.labels, *(file for files in case.masks.values() for file in files)]
    names = dict.fromkeys(file.partition("#")[0] for file in files if file)
    return [Problem("error", case.case_id, "no file", "a file of the row is not there", name,
                    "Copy it, or leave the case out.") for name in names if not table.path(case, name).exists()]


def _scan_problems(case: Case, volume: Volume) -> list[Problem]:
    check = check_ct(volume)
    problems = [Problem("error", case.case_id, "no CT", reason, case.image) for reason in check.reasons]
    problems += [Problem("warning", case.case_id, "HU", text, case.image) for text in check.warnings]
    problems += [Problem("note" if "table" in text and "no spacing" not in text else "warning", case.case_id, "header",
                         text, case.image) for text in volume.meta.get("notes", [])]
    z, y, x = volume.spacing
    if z > THICKEST_MM:
        problems.append(Problem("note", case.case_id, "geometry", f"slices are {z:.1f} mm apart", case.image))
    if max(z, y, x) > MOST_UNLIKE * min(z, y, x):
        problems.append(Problem("warning", case.case_id, "geometry", f"voxels of {z:.2f} x {y:.2f} x {x:.2f} mm (z, y, "
                                "x) are very unlike along their axes; the spacing may be wrong", case.image))
    return problems

"""Do a case's masks belong to its scan? Empty, shifted, flipped, on the wrong side."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from uvlm_core.datasets.mapping import Mapping
from uvlm_core.datasets.masks import MOST_SHIFT, Target
from uvlm_core.datasets.problems import Problem, first_of
from uvlm_core.datasets.table import Case
from uvlm_core.labels import finding_named, findings, label_named, labels
from uvlm_core.report.measurements import LOBES
from uvlm_core.volumes.orientation import orientation_of
from uvlm_core.volumes.volume import Volume

# HU that nearly every voxel of an organ lies between, with and without contrast, healthy or not
PLAUSIBLE = {**dict.fromkeys(LOBES, (-1100, -300)), "trachea": (-1100, -350), "spine": (-20, 2500), "ribs": (-20, 2500),
             **dict.fromkeys(("liver", "spleen", "kidney_left", "kidney_right", "pancreas"), (-60, 450)),
             **dict.fromkeys(("heart", "aorta"), (-60, 900))}
SMALLEST_ML = 5.0  # organs below are cut off by the edge of the scan
LEAST_SHARE = 0.5  # of an organ's voxels in its range of HU
BETTER = 0.12  # by how much a moved or flipped mask must fit better to be named
SAMPLE_VOXELS = 1_500_000
MOVES_MM = (10.0, 20.0, 40.0)
AXES = ("head to foot", "front to back", "left to right")


def mask_problems(case: Case, volume: Volume, target: Target, mapping: Mapping) -> Iterator[Problem]:
    """Everything that is wrong with the masks of one case; `target` of `masks.paint`."""
    yield from _headers(case, target)
    yield from _empty(case, target, mapping)
    yield from _places(case, volume, target)
    yield from _sides(case, volume, target)


def _headers(case: Case, target: Target) -> Iterator[Problem]:
    for file, voxels in target.shifted.items():
        yield Problem("error", case.case_id, "shifted mask", f"by its header the mask lies up to {voxels:.0f} voxels "
                      f"beside its scan (at most {MOST_SHIFT:g} is allowed)", file,
                      "Look at the picture, where voxel lies on voxel. If that fits, prepare with --same-voxels.")
    if target.unnamed:
        yield Problem("warning", case.case_id, "label names", f"values without a name in the label map: "
                      f"{first_of(list(map(str, target.unnamed)), 8)}; their voxels are ignored", case.labels,
                      "Add them to label_names.")


def _empty(case: Case, target: Target, mapping: Mapping) -> Iterator[Problem]:
    filled: dict[str, int] = {}
    for name, voxels in target.volumes.items():
        if ours := mapping.label(name, case.source):
            filled[ours] = filled.get(ours, 0) + voxels
    if case.has_masks and not any(target.volumes.values()):
        yield Problem("warning", case.case_id, "empty mask", "all its masks are empty", case.labels)
        return
    for finding in findings():
        said, label = case.findings.get(finding.name), finding.label
        if label not in target.known or label == "heart" or said is None:
            continue
        if said and not filled.get(label):
            yield Problem("warning", case.case_id, "empty mask", f"{finding.name} is 1, but its mask is empty",
                          about=finding.name)
        elif not said and filled.get(label):
            yield Problem("warning", case.case_id, "label against mask", f"{finding.name} is 0, but its mask has "
                          f"{filled[label]} voxels", about=finding.name)


def _places(case: Case, volume: Volume, target: Target) -> Iterator[Problem]:
    """Organs whose HU say that the mask lies elsewhere; where a flip or a move would fit, it is named."""
    step = max(1, round((volume.array.size / SAMPLE_VOXELS) ** (1 / 3)))
    steps = [min(step, max(1, size // 24)) for size in volume.shape]
    orientation = orientation_of(volume.ijk_to_ras)
    sparse = tuple(slice(None, None, by) for by in steps)
    hu = orientation.turn(volume.array[sparse])
    masks = orientation.turn(target.map[sparse])
    spacing = [volume.spacing[axis] * steps[axis] for axis in orientation.order]
    voxel_ml = float(np.prod(spacing)) / 1000
    used = [name for name in PLAUSIBLE if np.count_nonzero(masks == label_named(name).id) * voxel_ml >= SMALLEST_ML]
    shares = {name: _share(hu, masks == label_named(name).id, name) for name in used}
    wrong = [name for name, share in shares.items() if share < LEAST_SHARE]
    if not used:
        return
    better = _better(hu, masks, used, float(np.mean(list(shares.values()))), spacing)
    if not wrong and better is None:
        return
    titles = [f"{label_named(name).title} {shares[name]:.0%}" for name in wrong or used]
    yield Problem("error" if len(wrong) > len(used) / 2 else "warning", case.case_id, "shifted mask",
                  f"voxels with the HU of their organ: {first_of(titles)}{better or ''}", case.labels,
                  "Look at the picture. Export scan and masks together, or leave the case out.", (wrong or used)[0])


def _share(hu: np.ndarray, mask: np.ndarray, name: str) -> float:
    low, high = PLAUSIBLE[name]
    values = hu[mask]
    return float(np.mean((values >= low) & (values <= high))) if len(values) else 0.0


def _better(hu: np.ndarray, masks: np.ndarray, used: list[str], now: float, spacing: list[float]) -> str | None:
    """How the masks would have to be flipped or moved to fit clearly better; None where they fit best as they are."""
    trials = {}
    for flips in list(product((False, True), repeat=3))[1:]:
        turned = masks[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        trials["flipped " + " and ".join(axis for axis, flip in zip(AXES, flips, strict=True) if flip)] = turned
    for axis, millimetres, sign in product(range(3), MOVES_MM, (1, -1)):
        by = round(sign * millimetres / spacing[axis])
        if 0 < abs(by) < masks.shape[axis] // 2:
            trials[f"moved by {abs(by) * spacing[axis]:.0f} mm {AXES[axis]}"] = np.roll(masks, by, axis)
    scores = {words: np.mean([_share(hu, turned == label_named(name).id, name) for name in used])
              for words, turned in trials.items()} if now < 0.85 else {}
    if not scores or max(scores.values()) < now + BETTER:
        return None
    words = max(scores, key=scores.get)
    return f"; {words} they would be {scores[words]:.0%} on average instead of {now:.0%}"


def _sides(case: Case, volume: Volume, target: Target) -> Iterator[Problem]:
    """Left organs must lie to the left of their right counterparts."""
    for left in labels():
        if left.side != "left" or not left.name.endswith("_left"):
            continue
        right = label_named(left.name.removesuffix("_left") + "_right")
        centres = [_centre(target.map == label.id, volume) for label in (left, right)]
        if None not in centres and centres[0] > centres[1]:
            yield Problem("error", case.case_id, "sides", f"{left.title} lies to the right of {right.title}",
                          case.labels, "Names or image are mirrored. Check with another viewer which one.", left.name)


def _centre(mask: np.ndarray, volume: Volume) -> float | None:
    """R coordinate in mm of a mask's centre."""
    index = np.argwhere(mask[::2, ::2, ::2]) * 2
    return float((volume.ijk_to_ras @ [*index.mean(0)[::-1], 1])[0]) if len(index) > 20 else None


def label_of(about: str) -> set[str]:
    """Labels that show what a problem is about: a label's or a finding's name."""
    if about in {label.name for label in labels()}:
        return {about}
    named = {finding.name for finding in findings()}
    return {finding_named(about).label} - {None} if about in named else set()

"""One number per segment: the label map with each lesion apart, for programs that show masks one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from uvlm_core.inference.segment_places import rows_of_parts
from uvlm_core.labels import label_named
from uvlm_core.report.measurements import CONNECTED


def segment_map(labels: np.ndarray, segments: Sequence[dict], ijk_to_ras: np.ndarray | None = None) -> np.ndarray:
    """A map where the voxels of `segments[n]` have the value n + 1.

    Args:
        labels: (Z, Y, X) uint8, the study's label map.
        segments: the `segments` of study.json that was made from it.
        ijk_to_ras: 4x4, mm, of a study that may have been edited: lesions are told apart by where they are. None for
            one that a run has just made, whose rows stand in the order of their sizes.

    Returns:
        (Z, Y, X) uint8, or int16 for more than 255 segments. Voxels of lesions too small to be segments are 0.

    Raises:
        StudyError: the voxels of an edited lesion are not those that its row was measured of.
    """
    numbers: dict[str, list[int]] = {}
    for number, row in enumerate(segments, 1):
        numbers.setdefault(row["name"], []).append(number)
    dtype = np.uint8 if len(segments) < 256 else np.int16
    organs = np.zeros(256, dtype)
    for name, (first, *_) in numbers.items():
        if label_named(name).kind == "organ":
            organs[label_named(name).id] = first
    result = organs[labels]
    boxes = ndimage.find_objects(labels, max_label=255)
    for name, own in numbers.items():
        label = label_named(name)
        if label.kind != "lesion":
            continue
        box = boxes[label.id - 1] or (slice(0, 1),) * 3  # a corner without any of its voxels
        mask = labels[box] == label.id
        parts, _ = ndimage.label(mask, CONNECTED)
        if ijk_to_ras is None:
            owners = _by_size(parts, len(own))
        else:
            rows = [segments[number - 1] for number in own]
            owners = rows_of_parts(parts, [side.start for side in box], rows, ijk_to_ras)
        table = np.array([0, *own], result.dtype)[np.concatenate([[-1], owners]) + 1]
        result[box][mask] = table[parts[mask]]
    return result


def _by_size(parts: np.ndarray, rows: int) -> np.ndarray:
    """For each part the number of its row (from 0), the largest first, as `measure_segments` orders them; -1 beyond."""
    sizes = np.bincount(parts.ravel())[1:]
    owners = np.full(len(sizes), -1)
    largest = np.argsort(-sizes, kind="stable")[:rows]
    owners[largest] = np.arange(len(largest))
    return owners

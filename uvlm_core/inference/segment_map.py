"""One number per segment: the label map with each lesion apart, for programs that show masks one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from uvlm_core.labels import label_named
from uvlm_core.report.measurements import CONNECTED


def segment_map(labels: np.ndarray, segments: Sequence[dict]) -> np.ndarray:
    """A map where the voxels of `segments[n]` have the value n + 1.

    Args:
        labels: (Z, Y, X) uint8, the study's label map.
        segments: the `segments` of study.json that was made from it.

    Returns:
        (Z, Y, X) uint8, or int16 for more than 255 segments. Voxels of lesions too small to be segments are 0.
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
        if label.kind == "lesion" and boxes[label.id - 1] is not None:
            box = boxes[label.id - 1]
            _fill(result[box], labels[box] == label.id, own)
    return result


def _fill(result: np.ndarray, mask: np.ndarray, numbers: list[int]) -> None:
    """Writes the numbers of one label's lesions, the largest first, as `measure_segments` orders them, in place."""
    parts, count = ndimage.label(mask, CONNECTED)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    table = np.zeros(count + 1, result.dtype)
    largest = np.argsort(-sizes, kind="stable")[: len(numbers)]
    table[largest + 1] = numbers[: len(largest)]
    result[mask] = table[parts[mask]]

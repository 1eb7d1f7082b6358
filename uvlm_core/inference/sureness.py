"""Which lesions the model has drawn without being sure of them: they are shown, but the text gives them no size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from uvlm_core.inference.cleanup import connected_parts
from uvlm_core.report.segments import Segment


def unsure_segments(winner: np.ndarray, scores: np.ndarray, names: Sequence[str], ijk_to_ras: np.ndarray,
                    segments: Sequence[Segment], size_limit: float) -> frozenset[str]:
    """Ids of the lesions of which the model is not sure.

    A lesion on the scan's grid is the part on the model's grid whose centre lies nearest.

    Args:
        winner: (Z, Y, X) channels of the masks on the model's grid.
        scores: (C, Z, Y, X) probabilities there; `ijk_to_ras` its 4x4 in mm.
        names: label of each channel.
        segments: on the scan's own grid.
        size_limit: of the bundle: mean probability from which a part's size is told.
    """
    unsure = set()
    lesions = [segment for segment in segments if segment.longest_diameter_mm is not None and segment.label in names]
    for label in sorted({segment.label for segment in lesions}):
        channel = list(names).index(label)
        connected = connected_parts(winner, channel)
        if connected is None:
            continue
        box, parts, sizes = connected
        numbers = np.arange(1, len(sizes))
        means = np.atleast_1d(ndimage.mean(scores[channel][box].astype(np.float32), parts, numbers))
        index = np.array(ndimage.center_of_mass(parts > 0, parts, numbers)) + [side.start for side in box]
        centres = index[:, ::-1] @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
        for segment in lesions:
            if segment.label == label:
                nearest = np.linalg.norm(centres - segment.centroid, axis=1).argmin()
                unsure |= {segment.id} if means[nearest] < size_limit else set()
    return frozenset(unsure)

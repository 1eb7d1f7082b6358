"""What is known of a mask once it has been measured. Without numpy, so that an editor can use it in any process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

# A component smaller than this share of the label's largest is a fragment of it, cut off by a vessel, a lobe border or
# another lesion: it must neither make one patch "several" nor one side "both". Lesions that come in several sizes keep
# their small ones.
FRAGMENT_SHARE = 0.1
FOCAL_SHARE = 0.01
FOCAL = ("lung_nodule", "liver_lesion", "kidney_lesion", "pancreas_lesion", "lymphadenopathy", "arterial_calcification",
         "coronary_calcification")


@dataclass(frozen=True)
class Segment:
    """One mask: an organ as a whole, or one connected lesion.

    `id` is the label's name, for lesions with a number from the largest on ("lung_nodule_1"); boxes and centroids are
    RAS mm, `box` is (low, high); `longest_diameter_mm` is the largest distance between two points of the mask and
    `short_axis_mm` the largest extent across it; organs have neither. `mean_hu` is over the whole mask.
    """

    id: str
    label: str
    volume_ml: float
    mean_hu: float
    centroid: tuple[float, float, float]
    box: tuple[tuple[float, float, float], tuple[float, float, float]]
    side: str | None = None
    place: str | None = None
    longest_diameter_mm: float | None = None
    short_axis_mm: float | None = None

    def to_dict(self) -> dict:
        """Plain JSON values."""
        return asdict(self)


def without_fragments(segments: list[Segment]) -> list[Segment]:
    """The segments that are lesions of their own; the largest of a label always stays."""
    largest: dict[str, float] = {}
    for segment in segments:
        largest[segment.label] = max(largest.get(segment.label, 0.0), segment.volume_ml)
    least = {label: volume * (FOCAL_SHARE if label in FOCAL else FRAGMENT_SHARE) for label, volume in largest.items()}
    return [segment for segment in segments if segment.volume_ml >= least[segment.label]]


def side_of(segments: Sequence[Segment]) -> str | None:
    """left, right, bilateral, or None where no mask tells."""
    sides = {segment.side for segment in without_fragments(list(segments)) if segment.side}
    return "bilateral" if len(sides) > 1 else next(iter(sides), None)

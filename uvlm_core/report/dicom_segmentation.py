"""The masks of a study as a DICOM segmentation (PS3.3 A.51) that refers to the frames of its series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from uvlm_core.report.dicom_codes import concept, side_concept
from uvlm_core.report.dicom_source import Source
from uvlm_core.version import VERSION

MANUFACTURER, MODEL = "UVLM", "U-VLM for CT (research use only)"
SERIES_NUMBER = 9901
CREATOR = "UVLM^"


def segmentation(source: Source, numbers: np.ndarray, segments: Sequence[Mapping], provenance: Mapping) -> Segmentation:
    """A BINARY segmentation, one segment per mask, frames without a mask left out.

    Args:
        source: the series.
        numbers: (frames, rows, columns) in the order of its images; `segments[n]` has the value n + 1.
        segments: rows of study.json.
        provenance: of study.json.
    """
    descriptions = [_description(number, row, provenance) for number, row in enumerate(segments, 1)]
    result = Segmentation(
        source_images=source.images, pixel_array=numbers, segmentation_type="BINARY",
        segment_descriptions=descriptions, series_instance_uid=hd.UID(), series_number=SERIES_NUMBER,
        sop_instance_uid=hd.UID(), instance_number=1, manufacturer=MANUFACTURER, manufacturer_model_name=MODEL,
        software_versions=VERSION, device_serial_number="0", content_description="Organs and findings of CT",
        content_creator_name=CREATOR, content_label="UVLM", series_description="UVLM masks (research use only)")
    for row, item in zip(segments, result.SegmentSequence, strict=True):
        _add_side(item, row)
    return result


def _description(number: int, row: Mapping, provenance: Mapping) -> SegmentDescription:
    version = f"{provenance.get('model_version', '')} {str(provenance.get('bundle_sha256', ''))[:16]}".strip()
    algorithm = hd.AlgorithmIdentificationSequence(
        name=str(provenance.get("model", "UVLM"))[:64], version=version or VERSION, source=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence)
    red, green, blue = row["color"]
    return SegmentDescription(
        segment_number=number, segment_label=row["title"][:64],
        segmented_property_category=concept(row["codes"]["category"]),
        segmented_property_type=concept(row["codes"]["type"]), algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm, tracking_uid=hd.UID(), tracking_id=row["id"],
        display_color=hd.color.CIELabColor.from_rgb(red, green, blue))


def _add_side(item: Dataset, row: Mapping) -> None:
    """Laterality as a modifier of the property type: of the label, else that of the measured mask."""
    modifier = row["codes"].get("modifier")
    side = concept(modifier) if modifier else side_concept(row["side"])
    if side is not None:
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]

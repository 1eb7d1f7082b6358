"""The measurements of a study as a DICOM structured report, template TID 1500, that refers to the segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import highdicom as hd
from highdicom import sr
from highdicom.seg import Segmentation
from pydicom.sr.codedict import codes

from uvlm_core.report.dicom_codes import (
    PRIVATE,
    concept,
    quantity_concept,
    side_concept,
    site_concept,
    unit_concept,
)
from uvlm_core.report.dicom_segmentation import MANUFACTURER, MODEL
from uvlm_core.report.dicom_source import Source
from uvlm_core.version import VERSION

SERIES_NUMBER = 9902
STATES = {"present": ("52101004", "SCT", "Present"), "absent": ("2667000", "SCT", "Absent"),
          "uncertain": ("82334004", "SCT", "Indeterminate")}


def measurement_report(source: Source, masks: Segmentation, content: Mapping) -> sr.Comprehensive3DSR:
    """One group per lesion (and for the heart, where its ratio is measured), each with its segment, finding, side,
    measurements, and what the model says of the finding.

    Args:
        masks: the segmentation of the same segments, in the same order.
        content: of study.json.
    """
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=
                                  sr.DeviceObserverIdentifyingAttributes(uid=hd.UID(), name=MODEL[:64],
                                                                         manufacturer_name=MANUFACTURER))
    groups = []
    for number, row in enumerate(content["segments"], 1):
        own = [entry for entry in content["measurements"] if entry["segment"] == row["id"]]
        if row["kind"] == "lesion" or any(entry["name"] == "cardiothoracic_ratio" for entry in own):
            groups.append(_group(masks, number, row, own, content["findings"]))
    report = sr.MeasurementReport(observation_context=sr.ObservationContext(observer_device_context=observer),
                                  procedure_reported=codes.LN.CTUnspecifiedBodyRegion, imaging_measurements=groups,
                                  title=codes.DCM.ImagingMeasurementReport)
    return sr.Comprehensive3DSR(
        evidence=[masks, *source.images], content=report, series_instance_uid=hd.UID(), series_number=SERIES_NUMBER,
        sop_instance_uid=hd.UID(), instance_number=1, manufacturer=MANUFACTURER, is_complete=True, is_final=False,
        series_description="UVLM measurements (research use only)")


def _group(masks: Segmentation, number: int, row: Mapping, measurements: Sequence[Mapping],
           findings: Sequence[Mapping]) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    item = masks.SegmentSequence[number - 1]
    algorithm = sr.AlgorithmIdentification(name=MANUFACTURER, version=VERSION)
    shown = [finding for finding in findings if row["id"] in finding["segments"] and finding["probability"] is not None]
    values = [sr.Measurement(quantity_concept(entry), float(entry["value"]), unit_concept(entry["ucum"]))
              for entry in measurements]
    values += [sr.Measurement(_own("PROBABILITY", f"Probability of {finding['name']}"),
                              float(finding["probability"]), unit_concept("1")) for finding in shown]
    states = [sr.QualitativeEvaluation(_own("STATE", f"State of {finding['name']}"),
                                       sr.CodedConcept(*STATES[finding["state"]]))
              for finding in shown if finding["state"] in STATES]
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=item.TrackingUID, identifier=item.TrackingID),
        referenced_segment=sr.ReferencedSegment.from_segmentation(masks, number),
        finding_type=concept(row["codes"]["type"]), algorithm_id=algorithm,
        finding_sites=[sr.FindingSite(site_concept(row), side_concept(row["side"]))],
        measurements=values, qualitative_evaluations=states)


def _own(value: str, meaning: str) -> sr.CodedConcept:
    """A concept that no public scheme has."""
    return sr.CodedConcept(value, PRIVATE, meaning)

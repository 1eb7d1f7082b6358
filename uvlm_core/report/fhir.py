"""A study's report as a FHIR R4 DiagnosticReport with its findings as contained Observations: one JSON object."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from uvlm_core.report.plain_text import NOTICE, plain_text

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_STATES = {"present": ("POS", "Positive"), "absent": ("NEG", "Negative"), "uncertain": ("IND", "Indeterminate")}
# kinds of changes that masks or findings may have changed with
_OF_FINDINGS = {"measure_masks", "add_mask", "remove_mask", "overrule_finding", "insert_finding", "accept_offer",
                "undo", "redo"}
_SCHEMES = {"SCT": SNOMED, "DCM": "http://dicom.nema.org/resources/ontology/DCM"}


def diagnostic_report(content: Mapping, report=None, patient: Mapping | None = None) -> dict:
    """Plain JSON values.

    Args:
        content: of study.json.
        report: the EditableReport of it, whose text, findings, masks and state are taken then; None: the model's own.
        patient: "name", "id" and "study_uid" of the scan where they are known.
    """
    findings = report.findings if report is not None else content["findings"]
    measurements = report.measurements if report is not None else content["measurements"]
    segments = {row["id"]: row for row in (report.segments if report is not None else content["segments"])}
    text = report.to_text() if report is not None else plain_text(content)
    status = _observation_status(report)
    observations = [_finding(number, row, status) for number, row in enumerate(findings, 1) if row["state"] in _STATES]
    observations += [_measurement(number, row, segments[row["segment"]], status)
                     for number, row in enumerate(measurements, 1)
                     if segments[row["segment"]]["kind"] == "lesion" or row["name"] == "cardiothoracic_ratio"]
    resource = {
        "resourceType": "DiagnosticReport",
        "text": {"status": "generated", "div": _narrative(text)},
        "contained": observations,
        "status": _status(report),
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "CT"}]}],
        "code": {"coding": [{"system": LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}],
                 "text": "CT, read by U-VLM. " + NOTICE},
        "result": [{"reference": f"#{row['id']}"} for row in observations],
        "conclusion": _impression(content, report),
        "presentedForm": [_attachment("text/plain", text, "Report")],
    }
    if report is not None:
        resource["presentedForm"].append(_attachment("text/html", report.to_html(), "Report"))
        if report.signature is not None:
            last = [row.signature for row in report.addenda if row.signature] or [report.signature]
            resource |= {"issued": last[-1].time, "resultsInterpreter": [{"display": report.signature.name}]}
    if patient:
        resource["subject"] = {"identifier": {"value": patient.get("id", "")}, "display": patient.get("name", "")}
        resource["imagingStudy"] = [{"identifier": {"system": "urn:dicom:uid",
                                                    "value": f"urn:oid:{patient.get('study_uid', '')}"}}]
    if not resource["conclusion"]:
        del resource["conclusion"]
    return resource


def _status(report) -> str:
    """Of a draft preliminary, signed final, with a signed addendum appended."""
    if report is None or report.signature is None:
        return "preliminary"
    return "appended" if any(row.signature for row in report.addenda) else "final"


def _observation_status(report) -> str:
    """Final where somebody has signed these findings and measurements, and nothing of them has changed since."""
    if report is None or report.signature is None:
        return "preliminary"
    kinds = [change.kind for change in report.changes]
    since = kinds[len(kinds) - kinds[::-1].index("sign"):] if "sign" in kinds else kinds
    return "preliminary" if _OF_FINDINGS & set(since) else "final"


def _impression(content: Mapping, report) -> str:
    if report is not None:
        texts = [row.text for section in report.sections if section.name == "impression" for row in section.sentences]
    else:
        texts = [row["text"] for section in content["report"]["sections"] if section["name"] == "impression"
                 for row in section["sentences"]]
    return " ".join(texts)


def _narrative(text: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml"><pre>{escape(text)}</pre></div>'


def _attachment(kind: str, text: str, title: str) -> dict:
    return {"contentType": f"{kind}; charset=utf-8", "language": "en", "title": title,
            "data": base64.b64encode(text.encode("utf-8")).decode("ascii")}


def _finding(number: int, row: Mapping, status: str) -> dict:
    code, display = _STATES[row["state"]]
    side = f", {row['side']}" if row["side"] and row["state"] != "absent" else ""
    return {"resourceType": "Observation", "id": f"finding-{number}", "status": status,
            "code": {"text": row["name"]}, "valueString": f"{row['state']}{side}",
            "interpretation": [{"coding": [{"system": _INTERPRETATION, "code": code, "display": display}]}],
            "component": [{"code": {"text": "probability"}, "valueQuantity": {"value": row["probability"]}},
                          {"code": {"text": "threshold"}, "valueQuantity": {"value": row["threshold"]}}]}


def _measurement(number: int, row: Mapping, segment: Mapping, status: str) -> dict:
    code = {"text": f"{segment['title']}: {row['name'].replace('_', ' ')}"}
    if row["code"]:
        scheme, value, meaning = row["code"]
        code["coding"] = [{"system": _SCHEMES[scheme], "code": value, "display": meaning}]
    quantity = {"value": row["value"], "system": UCUM, "code": row["ucum"]}
    if row["unit"] != "1":
        quantity["unit"] = row["unit"]
    scheme, value, meaning = segment["codes"]["type"]
    return {"resourceType": "Observation", "id": f"measurement-{number}", "status": status, "code": code,
            "valueQuantity": quantity,
            "bodySite": {"coding": [{"system": _SCHEMES[scheme], "code": value, "display": meaning}],
                         "text": ", ".join(filter(None, (segment["title"], segment["place"] or segment["side"])))}}

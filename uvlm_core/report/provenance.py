"""What produced a study, as rows for people."""

from __future__ import annotations

from collections.abc import Mapping


def provenance_rows(scan: Mapping, provenance: Mapping) -> list[dict]:
    """`name` and `value` of everything that produced a study, nested entries joined with a comma.

    Args:
        scan, provenance: of study.json.
    """
    rows = [{"name": "scan", "value": scan["name"]}, {"name": "scan sha256", "value": scan["sha256"]},
            {"name": "voxels (z, y, x)", "value": " × ".join(map(str, scan["shape"]))},
            {"name": "spacing (z, y, x)", "value": " × ".join(f"{s:.3g}" for s in scan["spacing_mm"]) + " mm"}]
    for name, value in provenance.items():
        if name == "thresholds":  # stand in the finding list
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        rows.append({"name": name.replace("_", " "), "value": value})
    return rows


def document_kind(provenance: Mapping) -> str:
    """What a study's report is: a draft until a reader has signed it."""
    state = (provenance.get("edited") or {}).get("state", "draft")
    return {"signed": "signed report", "addendum": "signed report with addendum"}.get(state, "report draft")


def document_status(provenance: Mapping) -> str:
    """Who has corrected and signed the report; "" where nobody has touched what the run wrote."""
    edited = provenance.get("edited")
    if not edited:
        return ""
    changes = f"{edited['changes']} change{'' if edited['changes'] == 1 else 's'}"
    if not edited["signed_by"]:
        return f"Corrected by a reader ({changes}), not signed."
    time = edited["signed_at"]
    return f"Signed by {edited['signed_by']}, {time[:10]} {time[11:16]} UTC, after {changes}."

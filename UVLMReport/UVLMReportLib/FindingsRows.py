"""What the table of findings shows, from the report: plain rows without Qt."""

from slicer.i18n import tr as _

from UVLMReportLib.Wording import sideTitle, stateTitle

PRESENT_STATES = ("present", "uncertain")
STATE_ORDER = ("present", "uncertain", "absent", "not assessed", "not imaged")


def findingRows(report):
    """One dict per finding, in the report's order.

    name, side, probability and threshold (None where not assessed), state (that the user's word decides), modelState,
    overruled, size (text), sizeNumber (to sort by), sizeHint (what the size is of), flags (list of messages), segments
    (ids).
    """
    flags = _flagsByFinding(report)
    values = {}
    for row in report.measurements:
        values.setdefault(row["segment"], {})[row["name"]] = row
    rows = []
    for finding in report.findings:
        size, number, hint = _size(finding["segments"], values)
        rows.append({
            "name": finding["name"], "side": finding.get("side"), "probability": finding.get("probability"),
            "threshold": finding.get("threshold"), "state": finding["state"],
            "modelState": finding.get("generated_state") or finding["state"], "overruled": finding.get("by") == "user",
            "size": size, "sizeNumber": number, "sizeHint": hint,
            "flags": flags.get(finding["name"], []), "segments": list(finding["segments"]),
        })
    return rows


def stateToolTip(row):
    """What the model says, and that it was overruled."""
    model = _("The model says: {state}").format(state=stateTitle(row["modelState"]))
    if row["probability"] is not None:
        model += _(" (probability {probability:.2f}, threshold {threshold:.2f})").format(**row)
    return model + "\n" + (_("You overruled it; double click to change that.") if row["overruled"] else
                           _("Double click to overrule it."))


def filterText(row):
    """"+" or "-", then everything that a reader may look for."""
    mark = "+" if row["state"] in PRESENT_STATES else "-"
    return " ".join([mark, row["name"], sideTitle(row["side"]), stateTitle(row["state"]), row["size"], *row["flags"]])


def _flagsByFinding(report):
    """{finding: messages} of all flags that nobody dismissed."""
    found = {}
    for flag in report.all_flags:
        if flag.finding and not flag.dismissed:
            found.setdefault(flag.finding, []).append(flag.message)
    return found


def _size(segments, values):
    """(text, number, what it is of): the longest diameter of the largest mask, the ratio of a heart, else the volume of
    all masks."""
    ratios = [values[name]["cardiothoracic_ratio"] for name in segments
              if "cardiothoracic_ratio" in values.get(name, {})]
    if ratios:
        return f"{ratios[0]['value']:.2f}", ratios[0]["value"], _("Cardiothoracic ratio")
    longest = [values[name]["longest_diameter"]["value"] for name in segments
               if "longest_diameter" in values.get(name, {})]
    if longest:
        return f"{max(longest):.0f} mm", max(longest), _("Longest diameter of the largest of {count} masks").format(
            count=len(segments)) if len(segments) > 1 else _("Longest diameter")
    volumes = [values[name]["volume"]["value"] for name in segments if "volume" in values.get(name, {})]
    return (f"{sum(volumes):.0f} ml", sum(volumes), _("Volume")) if volumes else ("", 0.0, "")

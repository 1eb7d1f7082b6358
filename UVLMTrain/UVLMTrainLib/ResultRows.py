"""The figures of a measured run as rows: organs, lesions, findings, and before against after on held-out cases."""

import os

from slicer.i18n import tr as _

from UVLMTrainLib.RunFolder import readJson
from UVLMTrainLib.Wording import plain

KINDS = (("finding_f1_per_name", "finding"), ("lesion_dice_10mm_per_label", "lesion"),
         ("organ_dice_per_label", "organ"))


def reading(run):
    """Generator for InSteps: returns {"info": bundle.json, "figures": its figures, "rows": [texts for the table]}.

    Args:
        run: RunFolder with a bundle.
    """
    info = readJson(os.path.join(run.bundle(), "bundle.json")) or {}
    figures, thresholds = info.get("figures", {}), info.get("thresholds", {})
    yield
    measured = []
    folder = run.file("measured")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        row = readJson(os.path.join(folder, name))
        if row is not None:
            measured.append(row)
        yield
    before = _before(run, figures)
    rows = _compared(readJson(run.file("comparison.json")) or {})
    for key, kind in KINDS:
        for name, value in figures.get(key, {}).items():
            old = before.get(key, {}).get(name)
            row = [f"{kindTitle(kind)}: {plain(name)}", _number(old), _number(value), "", "", ""]
            if kind == "finding":
                row[3:] = [_number(thresholds.get(name)), *_rates(measured, name, thresholds.get(name, 0.5))]
            rows.append(row)
            yield
    return {"info": info, "figures": figures, "rows": rows}


def kindTitle(kind):
    """What a row is about."""
    return {"organ": _("Organ"), "lesion": _("Lesion"), "finding": _("Finding")}[kind]


def _before(run, figures):
    """Figures of the model that the run started from, where they were measured on as many phantoms; else none."""
    from uvlm_core.resources import resource

    start = (run.recipe() or {}).get("bundle")
    if not start:
        return {}
    folder = str(resource("Models", "demo")) if start == "demo" else start
    before = (readJson(os.path.join(folder, "bundle.json")) or {}).get("figures", {})
    return before if before.get("cases") == figures.get("cases") else {}


def _compared(comparison):
    """Rows of comparison.json, the held-out cases of each source."""
    rows = []
    for source, figures in comparison.get("after", {}).items():
        before = comparison.get("before", {}).get(source, {})
        rows += [[_("Held out, {source}: {figure}").format(source=source, figure=plain(name)),
                  _number(before.get(name)), _number(value), "", "", ""] for name, value in figures.items()]
    return rows


def _rates(measured, name, threshold):
    """Found of the present ones and called of the absent ones, as "3/4"."""
    present = [row["probabilities"][name] >= threshold for row in measured if row["present"].get(name)]
    absent = [row["probabilities"][name] >= threshold for row in measured if row["present"].get(name) == 0]
    return [f"{sum(group)}/{len(group)}" if group else "" for group in (present, absent)]


def _number(value):
    return "" if value is None else f"{value:.3f}"

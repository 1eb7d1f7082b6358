"""The figures of a finished run as rows: held-out cases before against after, new phantoms; and its worst cases."""

import os

from slicer.i18n import tr as _

from UVLMTrainLib.RunFolder import readJson
from UVLMTrainLib.Wording import plain

KINDS = (("finding_f1_per_name", "finding"), ("lesion_dice_10mm_per_label", "lesion"),
         ("organ_dice_per_label", "organ"))
EMPTY = ("", "", "", "", "")


class WorstCase:
    """A held-out case with files to look at.

    `folder`: of its files, "" where none were kept; `about`: text for the user.
    """

    def __init__(self, row, folder, about):
        self.name, self.score, self.about = row["name"], row["score"], about
        self.folder = folder if row["files"] else ""

    def file(self, name):
        """Path of image.nii.gz, truth.nii.gz, predicted.nii.gz or picture.png; "" where it is not there."""
        path = os.path.join(self.folder, name)
        return path if self.folder and os.path.isfile(path) else ""


def reading(run):
    """Generator for InSteps: returns {"info": bundle.json, "figures": its figures, "rows": [texts], "worst": [cases]}.

    Args:
        run: RunFolder with a bundle, or with held-out cases only where its model was refused.
    """
    bundle = run.bundle()
    info = (readJson(os.path.join(bundle, "bundle.json")) or {}) if bundle is not None else {}
    figures, thresholds = info.get("figures", {}), info.get("thresholds", {})
    yield
    before = _startInfo(run)
    yield
    cases = (readJson(run.file("held_out", "cases.json")) or {}).get("cases", [])
    yield
    rows = yield from _heldOut(run, cases, before.get("thresholds", {}), thresholds)
    rows += yield from _phantoms(run, figures, thresholds, before.get("figures", {}))
    return {"info": info, "figures": figures, "rows": rows, "cases": len(cases),
            "worst": [WorstCase(case, run.file("held_out", case["name"]), _about(case, thresholds)) for case in cases
                      if case["files"]]}


def kindTitle(kind):
    """What a row is about."""
    return {"organ": _("Organ"), "lesion": _("Lesion"), "finding": _("Finding")}[kind]


def _startInfo(run):
    """bundle.json of the model that the run started from; {} where it started from none."""
    from uvlm_core.resources import resource

    start = (run.recipe() or {}).get("bundle")
    if not start:
        return {}
    folder = str(resource("Models", "demo")) if start == "demo" else start
    return readJson(os.path.join(folder, "bundle.json")) or {}


def _heldOut(run, cases, startThresholds, thresholds):
    """Rows of the held-out cases, a generator: per source as the core compares them, then per name."""
    from uvlm_core.evaluation.held_out import f1, finding_counts, label_figures
    from uvlm_core.labels import labels

    rows = []
    comparison = readJson(run.file("comparison.json")) or {}
    for source, figures in comparison.get("after", {}).items():
        before = comparison.get("before", {}).get(source, {})
        rows += [[f"{plain(source)}: {plain(name)}", _number(before.get(name)), _number(value), "", "", ""]
                 for name, value in figures.items()]
    yield
    for name in dict.fromkeys(name for case in cases for name in case["present"]):
        limits = {"before": startThresholds.get(name, 0.5), "after": thresholds.get(name, 0.5)}
        counts = {model: finding_counts(cases, model, name, limit) for model, limit in limits.items()}
        if counts["after"]["present"] or counts["after"]["called"]:
            rows.append([f"{kindTitle('finding')}: {plain(name)}", *(_number(f1(count)) for count in counts.values()),
                         _number(limits["after"]), *_shares(counts["after"])])
        yield
    before, after = (label_figures(cases, model) for model in ("before", "after"))
    for kind in ("lesion", "organ"):
        rows += [[f"{kindTitle(kind)}: {plain(label.name)}", _number(before.get(label.name)),
                  _number(after[label.name]), "", "", ""] for label in labels()
                 if label.kind == kind and label.name in after]
    return [[_("Held-out cases: {count}").format(count=len(cases)), *EMPTY], *rows] if rows else []


def _phantoms(run, figures, thresholds, before):
    """Rows of the new phantoms, a generator; before and after only where as many were measured."""
    from uvlm_core.evaluation.held_out import finding_counts

    measured, rows = [], []
    folder = run.file("measured")
    files = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in files[:figures.get("cases", 0)]:  # the first seeds; more may be there of an earlier measurement
        row = readJson(os.path.join(folder, name))
        if row is not None:
            measured.append({"present": row["present"], "after": row})
        yield
    before = before if before.get("cases") == figures.get("cases") else {}
    for key, kind in KINDS:
        for name, value in figures.get(key, {}).items():
            row = [f"{kindTitle(kind)}: {plain(name)}", _number(before.get(key, {}).get(name)), _number(value), "", "",
                   ""]
            if kind == "finding":
                row[3:] = [_number(thresholds.get(name)), *_shares(
                    finding_counts(measured, "after", name, thresholds.get(name, 0.5)))]
            rows.append(row)
            yield
    return [[_("New phantoms: {count}").format(count=figures.get("cases", 0)), *EMPTY], *rows] if rows else []


def _about(case, thresholds):
    """What went wrong in a case: the lowest Dice, what was missed and what was called."""
    from uvlm_core.evaluation.held_out import dice_of, mistakes

    missed, called = mistakes(case, "after", thresholds)
    lowest = sorted(dice_of(case["after"]["overlap"] or {}).items(), key=lambda pair: pair[1])[:3]
    parts = [(_("Dice: {names}"), [f"{plain(name)} {value:.2f}" for name, value in lowest]),
             (_("Missed: {names}"), [plain(name) for name in missed]),
             (_("False alarms: {names}"), [plain(name) for name in called])]
    return "\n".join(words.format(names=", ".join(names)) for words, names in parts if names)


def _shares(counts):
    """Found of the present ones and called of the absent ones, as "3/4"; "" where there are none."""
    return [f"{counts[part]}/{counts[whole]}" if counts[whole] else ""
            for part, whole in (("found", "present"), ("called", "absent"))]


def _number(value):
    return "" if value is None else f"{value:.3f}"

"""The summary of a check as one page: counts, findings, and every problem case with its picture."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from uvlm_core.datasets.problems import SEVERITIES, Problem
from uvlm_core.datasets.splitting import counts
from uvlm_core.datasets.table import Case
from uvlm_core.labels import findings

ASSETS = Path(__file__).resolve().parent / "page_assets"
REPORT_CSS = Path(__file__).resolve().parents[1] / "report" / "page_assets" / "page.css"
MOST_CARDS = 3000  # beyond that a browser gets slow; problems.csv has all


def check_page(name: str, cases: list[Case], facts: dict[str, dict], problems: list[Problem], pictures: Path) -> str:
    """The page as HTML text.

    Args:
        name: of the table.
        facts: case_id -> shape, spacing, hu of the cases that could be read.
        pictures: folder of the PNG files, beside the page.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    cards = _cards(cases, facts, problems, pictures)
    template = environment.from_string((ASSETS / "check.html").read_text("utf-8"))
    css = REPORT_CSS.read_text("utf-8") + (ASSETS / "check.css").read_text("utf-8")
    return template.render(name=name, css=jinja2.utils.markupsafe.Markup(css), verdict=_verdict(cases, problems),
                           figures=_figures(cases, problems), ranges=_ranges(facts), findings=_findings(cases),
                           kinds=_kinds(cards), general=[row for row in problems if not row.case_id],
                           notes=_notes(problems), cards=cards[:MOST_CARDS])


def _verdict(cases: list[Case], problems: list[Problem]) -> str:
    wrong = {problem.case_id for problem in problems if problem.severity == "error"}
    if not wrong:
        return f"All {len(cases)} cases can be used" if len(cases) > 1 else "The case can be used"
    return f"{len(cases) - len(wrong)} of {len(cases)} cases can be used"


def _figures(cases: list[Case], problems: list[Problem]) -> list[dict]:
    with_error = {row.case_id for row in problems if row.severity == "error"}
    with_warning = {row.case_id for row in problems if row.severity == "warning"} - with_error
    rows = [("cases", len(cases)), ("patients", len({case.patient for case in cases})),
            ("with errors", len(with_error)), ("with warnings", len(with_warning)),
            ("with masks", sum(case.has_masks for case in cases)),
            ("with report", sum(bool(case.report) for case in cases))]
    rows += [(f"{split} ({patients} patients)", scans) for split, patients, scans in counts(cases)]
    return [{"name": name, "value": value} for name, value in rows]


def _ranges(facts: dict[str, dict]) -> list[dict]:
    read = [row for row in facts.values() if row]
    if not read:
        return []
    spacing, shape = ([row[key] for row in read] for key in ("spacing", "shape"))
    rows = [("slice distance", _range([row[0] for row in spacing], "mm")),
            ("pixel size", _range([value for row in spacing for value in row[1:]], "mm")),
            ("slices", _range([row[0] for row in shape], "")),
            ("HU", _range([value for row in read for value in row["hu"]], ""))]
    return [{"name": name, "value": value} for name, value in rows]


def _range(values: list[float], unit: str) -> str:
    low, high = f"{min(values):g}".replace("-", "−"), f"{max(values):g}"
    return f"{low} to {high} {unit}".strip() if low != high else f"{low} {unit}".strip()


def _findings(cases: list[Case]) -> list[dict]:
    rows = []
    for finding in findings():
        values = Counter(case.findings.get(finding.name) for case in cases)
        rows.append({"name": finding.name, "present": values[1], "absent": values[0], "unknown": values[None],
                     "present_percent": round(100 * values[1] / len(cases), 1),
                     "absent_percent": round(100 * values[0] / len(cases), 1)})
    return rows


def _kinds(cards: list[dict]) -> list[dict]:
    """Kinds of errors and warnings with the number of cases, the gravest first."""
    found: dict[str, dict] = {}
    for card in cards:
        for problem in card["problems"]:
            row = found.setdefault(problem.kind, {"name": problem.kind, "severity": problem.severity, "cases": set()})
            row["cases"].add(card["name"])
            row["severity"] = min(row["severity"], problem.severity, key=SEVERITIES.index)
    rows = [{**row, "count": len(row["cases"])} for row in found.values() if row["severity"] != "note"]
    return sorted(rows, key=lambda row: (SEVERITIES.index(row["severity"]), -row["count"], row["name"]))


def _notes(problems: list[Problem]) -> str:
    """Kinds of notes with the number of cases: "no report 12, geometry 3"."""
    found = Counter(problem.kind for problem in problems if problem.severity == "note" and problem.case_id)
    return ", ".join(f"{kind} {count}" for kind, count in found.most_common())


def _cards(cases: list[Case], facts: dict, problems: list[Problem], pictures: Path) -> list[dict]:
    """One card per case with an error or warning, the gravest first; notes stand on the cards that are there anyway."""
    own: dict[str, list[Problem]] = {}
    for problem in problems:
        own.setdefault(problem.case_id, []).append(problem)
    cards = []
    for case in cases:
        rows = sorted(own.get(case.case_id, []), key=lambda row: SEVERITIES.index(row.severity))
        if not rows or rows[0].severity == "note":
            continue
        picture = pictures / f"{case.case_id}.png"
        read = facts.get(case.case_id)
        cards.append({"name": case.case_id, "problems": rows, "kinds": "|".join(sorted({row.kind for row in rows})),
                      "about": _about(case, read), "rank": (SEVERITIES.index(rows[0].severity), case.case_id),
                      "picture": f"{pictures.name}/{picture.name}" if picture.exists() else "",
                      "why": "no picture: the scan cannot be read"})
    return sorted(cards, key=lambda card: card["rank"])


def _about(case: Case, read: dict | None) -> str:
    parts = [case.source, case.split, f"patient {case.patient_id}" if case.patient_id else ""]
    if read:
        parts.append(" × ".join(map(str, read["shape"])) + " voxels")
        parts.append(" × ".join(f"{step:.3g}" for step in read["spacing"]) + " mm")
    return " · ".join(part for part in parts if part)

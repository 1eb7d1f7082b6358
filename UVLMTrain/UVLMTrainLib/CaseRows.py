"""The case table and what is wrong with its cases, read in steps."""

import csv
import json
import os

USABLE = "cases_without_errors.csv"
SEVERITIES = ("error", "warning", "note")
csv.field_size_limit(10_000_000)  # a report is one cell


class CaseRow:
    """One case for the panel. `problems`: rows {severity, kind, message, file, advice}, the gravest first."""

    def __init__(self, name, values, folder):
        self.name, self._values = name, values
        self.split, self.text = values.get("split", ""), values.get("report", "")
        self.base = os.path.normpath(os.path.join(folder, values.get("root", "")))
        self.problems, self.picture = [], ""

    @property
    def severity(self):
        """Of its gravest problem; "" for none."""
        return self.problems[0]["severity"] if self.problems else ""

    @property
    def image(self):
        """Absolute path of the scan, "" where the table names none or the case was left out."""
        return self._path(self._values.get("image", ""))

    @property
    def labels(self):
        """(path of the label map or "", {value: name})."""
        names = json.loads(self._values.get("label_names") or "{}")
        return self._path(self._values.get("labels", "")), {int(value): name for value, name in names.items()}

    @property
    def masks(self):
        """{name: [absolute paths]} of masks of one structure each."""
        own = json.loads(self._values.get("masks") or "{}")
        return {name: [self._path(path) for path in paths] for name, paths in own.items()}

    @property
    def hasRow(self):
        """Whether the case is in the table; the importer leaves out what it cannot use."""
        return bool(self._values)

    @property
    def hasMasks(self):
        return bool(self._values.get("labels") or self._values.get("masks"))

    def _path(self, name):
        return os.path.normpath(os.path.join(self.base, name.partition("#")[0])) if name else ""


def reading(table, checked):
    """Generator for InSteps: returns the cases, those with problems first, then those that the importer left out.

    Args:
        table: cases.csv. checked: folder of `uvlm dataset check`.
    """
    folder, rows = os.path.dirname(os.path.abspath(table)), {}
    for values in _csvRows(table):
        rows[values["case_id"]] = CaseRow(values["case_id"], values, folder)
        yield
    listed = [os.path.join(checked, "problems.csv"), f"{os.path.splitext(table)[0]}_problems.csv"]
    for path in listed:
        for problem in _csvRows(path):
            name = problem.get("case_id") or ""
            rows.setdefault(name, CaseRow(name, {}, folder)).problems.append(problem)
            yield
    pictures = os.path.join(checked, "pictures")
    for row in rows.values():
        row.problems.sort(key=lambda problem: SEVERITIES.index(problem["severity"]))
        picture = os.path.join(pictures, f"{row.name}.png")
        row.picture = picture if row.problems and os.path.exists(picture) else ""
        yield
    yield from _writingUsable(table, os.path.join(folder, USABLE), folder, rows)
    return sorted(rows.values(), key=lambda row: SEVERITIES.index(row.severity) if row.severity else len(SEVERITIES))


def _writingUsable(table, path, folder, rows):
    """The table without the cases with errors; not written where none is left. Its roots are absolute."""
    left = [name for name, row in rows.items() if row.hasRow and row.severity != "error"]
    if not left:
        if os.path.exists(path):
            os.remove(path)
        return
    kept, beside = set(left), f"{path}.writing"
    with open(beside, "w", newline="", encoding="utf-8") as file:
        writer = None
        for values in _csvRows(table):
            if writer is None:
                writer = csv.DictWriter(file, list(dict.fromkeys([*values, "root"])))
                writer.writeheader()
            if values["case_id"] in kept:
                writer.writerow({**values, "root": os.path.normpath(os.path.join(folder, values.get("root", "")))})
            yield
    os.replace(beside, path)


def _csvRows(path):
    """Rows of a CSV; none where there is no such file."""
    if os.path.exists(path):
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)

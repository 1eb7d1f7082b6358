"""The case table and what is wrong with its cases, read in steps."""

import contextlib
import csv
import hashlib
import io
import json
import os

from slicer.i18n import tr as _

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
    """Generator for InSteps: returns the cases, those with problems first, and those that the importer left out; and
    why there is no table without the cases with errors, "" where there is one or no case is left.

    Args:
        table: cases.csv. checked: folder of `uvlm dataset check`.
    """
    folder, rows = os.path.dirname(os.path.abspath(table)), {}
    for values in _csvRows(table):
        if "case_id" not in values:
            raise ValueError(_("it has no column 'case_id'."))
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
    trouble = ""
    try:
        yield from _writingUsable(table, os.path.join(folder, USABLE), rows)
    except OSError as error:  # the cases can be looked at all the same
        trouble = _("The cases without errors cannot be listed in the work folder: {reason}. To train on them, choose "
                    "a work folder that can be written.").format(reason=error.strerror)
    cases = sorted(rows.values(), key=lambda row: SEVERITIES.index(row.severity) if row.severity else len(SEVERITIES))
    return cases, trouble


def _writingUsable(table, path, rows):
    """The table without the cases with errors; not written where none is left. Its roots are absolute."""
    kept = {name for name, row in rows.items() if row.hasRow and row.severity != "error"}
    if not kept:
        if os.path.exists(path):
            os.remove(path)
        return
    beside = f"{path}.writing"
    with open(beside, "w", newline="", encoding="utf-8") as file:
        writer, cells = csv.writer(file), _movable(table)
        header = next(cells)
        writer.writerow(header)
        name = header.index("case_id")
        for row in cells:
            if row[name] in kept:
                writer.writerow(row)
            yield
    os.replace(beside, path)


def copied(table, folder):
    """Copies a table into a folder under a name that tells its content: nothing rewrites it, and the same cases have
    the same name, by which the core knows that a run goes on with the data that it began with.

    Returns:
        path of the copy. Its roots are absolute, so that its paths lead to the same files.

    Raises:
        OSError, ValueError or csv.Error: it cannot be read or written.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows(_movable(table))
    content = text.getvalue().encode("utf-8")
    path = os.path.join(folder, f"planned_cases-{hashlib.sha256(content).hexdigest()[:12]}.csv")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        beside = f"{path}.{os.getpid()}.writing"
        with open(beside, "wb") as file:
            file.write(content)
        os.replace(beside, path)
    return path


def _movable(table):
    """The header, then the rows of a table, as lists of cells; with absolute roots."""
    folder = os.path.dirname(os.path.abspath(table))
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        named = next(rows, [])
        header = named if "root" in named else [*named, "root"]
        place = header.index("root")
        yield header
        for row in rows:
            if row:  # csv.DictReader passes over empty lines too
                row = row[:len(named)] + [""] * (len(header) - min(len(row), len(named)))
                row[place] = os.path.normpath(os.path.join(folder, row[place].strip()))
                yield row


class CasesBefore:
    """What is known of the cases in a work folder while others are imported: it is not to be told of these, and their
    table is not to be trained on in the place of the new one. Raises OSError where the folder cannot be written.
    """

    def __init__(self, folder):
        self.folder = folder
        self._table, usable = os.path.join(folder, "cases.csv"), os.path.join(folder, USABLE)
        self._problems = os.path.join(folder, "checked", "problems.csv")
        self._state = _state(self._table)
        if os.path.exists(usable):  # made anew of the table and its problems
            os.remove(usable)
        if os.path.exists(self._problems):
            os.replace(self._problems, f"{self._problems}.before")

    def putBack(self):
        """To be called when the import has ended; where it has not come to write its table, the problems count again.

        Returns:
            whether the cases before are still there.
        """
        same = _state(self._table) == self._state
        with contextlib.suppress(OSError):  # there were none
            if same:
                os.replace(f"{self._problems}.before", self._problems)
            else:
                os.remove(f"{self._problems}.before")
        return same and self._state is not None


def _state(path):
    """Tells one content of a file from another; None where there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def gravest(rows):
    """The gravest severity among cases that asks for a look: "error", "warning", else ""."""
    found = {row.severity for row in rows}
    return next((severity for severity in SEVERITIES[:2] if severity in found), "")


def _csvRows(path):
    """Rows of a CSV; none where there is no such file."""
    if os.path.exists(path):
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
